//! How many requests a second a rule samples before its rate decides. A local rule may use its whole reservoir. A central rule
//! may use the quota that X-Ray granted, until that expires; without a quota it borrows one request a second. Reads no clock: the
//! second is an argument.

/// If the clock goes back by more seconds than this, it was set back and the new time is used. If it goes back by fewer, two
/// threads read it at the same time.
const SET_BACK: u64 = 5;

/// The state of a rule's reservoir in the current second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservoir {
    allowance: Allowance,
    /// Seconds since 1970.
    second: u64,
    /// The requests sampled from the quota in this second.
    taken: u32,
    /// Whether a request was borrowed in this second.
    borrowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    Local(u32),
    Central { size: u32, quota: Option<Quota> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quota {
    per_second: u32,
    /// The last second in which the quota is valid.
    until: u64,
}

/// How a request was sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// From this process's own share.
    Quota,
    /// As the one request of this second that needs no quota.
    Borrowed,
}

impl Reservoir {
    /// A reservoir of which this process may use all `size` requests a second.
    pub const fn local(size: u32) -> Self {
        Self::with(Allowance::Local(size))
    }

    /// A reservoir of `size` requests a second, of which this process may use a quota once it is [granted](Self::grant).
    pub const fn central(size: u32) -> Self {
        Self::with(Allowance::Central { size, quota: None })
    }

    const fn with(allowance: Allowance) -> Self {
        Self { allowance, second: 0, taken: 0, borrowed: false }
    }

    /// Changes the size of the rule's reservoir and keeps its quota. Has no effect on a local reservoir.
    pub fn resize(&mut self, to: u32) {
        if let Allowance::Central { size, .. } = &mut self.allowance {
            *size = to;
        }
    }

    /// Grants this many requests a second, up to and including the second `until`. Has no effect on a local reservoir.
    pub fn grant(&mut self, per_second: u32, until: u64) {
        if let Allowance::Central { quota, .. } = &mut self.allowance {
            *quota = Some(Quota { per_second, until });
        }
    }

    /// Takes a request in the second `now`; on `None`, the rate decides.
    pub fn take(&mut self, now: u64) -> Option<Taken> {
        if now > self.second || now < self.second.saturating_sub(SET_BACK) {
            (self.second, self.taken, self.borrowed) = (now, 0, false);
        }
        let ours = match self.allowance {
            Allowance::Local(size) => size,
            Allowance::Central { quota: Some(Quota { per_second, until }), .. } if now <= until => per_second,
            Allowance::Central { size, .. } => {
                let takes = size > 0 && !self.borrowed;
                self.borrowed |= takes;
                return takes.then_some(Taken::Borrowed);
            }
        };
        let takes = self.taken < ours;
        self.taken += u32::from(takes);
        takes.then_some(Taken::Quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(reservoir: &mut Reservoir, now: u64) -> Vec<Taken> {
        std::iter::from_fn(|| reservoir.take(now)).take(100).collect()
    }

    #[test]
    fn a_local_reservoir_is_full_again_each_second() {
        let mut reservoir = Reservoir::local(2);
        for now in [10, 11, 500] {
            assert_eq!(taken(&mut reservoir, now), [Taken::Quota; 2]);
        }
        assert_eq!(Reservoir::local(0).take(10), None);
    }

    #[test]
    fn one_request_a_second_is_borrowed_before_a_quota_and_after_it_expires() {
        let mut reservoir = Reservoir::central(5);
        for now in [10, 11] {
            assert_eq!(taken(&mut reservoir, now), [Taken::Borrowed]);
        }
        reservoir.grant(3, 13);
        for now in [12, 13] {
            assert_eq!(taken(&mut reservoir, now), [Taken::Quota; 3]);
        }
        assert_eq!(taken(&mut reservoir, 14), [Taken::Borrowed]);
        reservoir.grant(0, 20);
        assert_eq!(taken(&mut reservoir, 15), [], "a quota of zero is a quota");
    }

    #[test]
    fn a_rule_without_a_reservoir_borrows_nothing() {
        let mut reservoir = Reservoir::central(0);
        assert_eq!(reservoir.take(10), None);
        reservoir.resize(1);
        assert_eq!(reservoir.take(10), Some(Taken::Borrowed));
    }

    #[test]
    fn threads_that_read_the_clock_together_share_a_second_and_a_clock_may_be_set_back() {
        let mut reservoir = Reservoir::local(1);
        assert_eq!([11, 10, 11, 10].map(|now| reservoir.take(now).is_some()), [true, false, false, false]);
        assert!(reservoir.take(3).is_some());
    }
}

//! How many requests a second a rule takes before its rate decides. A local rule has all of its reservoir; a central one has
//! the quota that it was given, until that expires, and else borrows one request a second. Knows no clock: the second is an
//! argument.

/// A clock that was set back by more seconds than this is believed; by fewer, two threads have read it at the same time.
const SET_BACK: u64 = 5;

/// What is left of a rule's reservoir in the current second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservoir {
    allowance: Allowance,
    /// Since 1970.
    second: u64,
    /// Of the quota, in this second.
    taken: u32,
    /// In this second.
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
    /// The last second in which it holds.
    until: u64,
}

/// How a request was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Out of what is ours.
    Quota,
    /// The one of this second that needs no quota.
    Borrowed,
}

impl Reservoir {
    /// All `size` requests a second are ours.
    pub const fn local(size: u32) -> Self {
        Self::with(Allowance::Local(size))
    }

    /// Of `size` requests a second, a quota is ours once it is [granted](Self::grant).
    pub const fn central(size: u32) -> Self {
        Self::with(Allowance::Central { size, quota: None })
    }

    const fn with(allowance: Allowance) -> Self {
        Self { allowance, second: 0, taken: 0, borrowed: false }
    }

    /// The rule has this size now; its quota stays. Does nothing to a local one.
    pub fn resize(&mut self, to: u32) {
        if let Allowance::Central { size, .. } = &mut self.allowance {
            *size = to;
        }
    }

    /// These requests a second are ours, up to and with the second `until`. Does nothing to a local one.
    pub fn grant(&mut self, per_second: u32, until: u64) {
        if let Allowance::Central { quota, .. } = &mut self.allowance {
            *quota = Some(Quota { per_second, until });
        }
    }

    /// Takes a request in the second `now`; `None` leaves it to the rate.
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
    fn one_request_a_second_is_borrowed_until_a_quota_comes_and_after_it_expires() {
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
        assert_eq!(taken(&mut reservoir, 15), [], "a quota of none is one");
    }

    #[test]
    fn a_rule_without_a_reservoir_borrows_nothing() {
        let mut reservoir = Reservoir::central(0);
        assert_eq!(reservoir.take(10), None);
        reservoir.resize(1);
        assert_eq!(reservoir.take(10), Some(Taken::Borrowed));
    }

    #[test]
    fn threads_that_read_the_clock_at_once_share_a_second_and_a_clock_may_be_set_back() {
        let mut reservoir = Reservoir::local(1);
        assert_eq!([11, 10, 11, 10].map(|now| reservoir.take(now).is_some()), [true, false, false, false]);
        assert!(reservoir.take(3).is_some());
    }
}

//! Limits how often each client, and all clients together, may send: token buckets that fill with time. The number of clients
//! is bounded: beyond it, clients with a full bucket are forgotten. If none can be forgotten, a new client is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use telemetry::forwarded::network;

/// How much a bucket holds, and how much is added each second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

/// The buckets.
pub(crate) struct RateLimit {
    each: Rate,
    all: Rate,
    clients: usize,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    all: Bucket,
    /// By client: an address, or for IPv6 a network of 64 bits.
    each: HashMap<IpAddr, Bucket>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl RateLimit {
    /// Remembers at most `clients` clients at a time.
    pub(crate) fn new(each: Rate, all: Rate, clients: usize, now: Instant) -> Self {
        let buckets = Buckets { all: Bucket { left: all.burst, since: now }, each: HashMap::new() };
        Self { each, all, clients, buckets: Mutex::new(buckets) }
    }

    /// Takes `count`, or returns how long it takes until `count` are available. More than a bucket holds is never available.
    pub(crate) fn take(&self, client: IpAddr, count: f64, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let client = network(client);
        if !buckets.each.contains_key(&client) && buckets.each.len() >= self.clients {
            let each = self.each;
            buckets.each.retain(|_, bucket| bucket.filled(each, now) < each.burst);
            if buckets.each.len() >= self.clients {
                return Err(each.until(each.burst));
            }
        }
        let all = buckets.all.filled(self.all, now);
        if all < count {
            return Err(self.all.until(count - all));
        }
        let full = Bucket { left: self.each.burst, since: now };
        let bucket = buckets.each.entry(client).or_insert(full);
        let left = bucket.filled(self.each, now);
        if left < count {
            return Err(self.each.until(count - left));
        }
        *bucket = Bucket { left: left - count, since: now };
        buckets.all = Bucket { left: all - count, since: now };
        Ok(())
    }
}

impl Bucket {
    fn filled(self, rate: Rate, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.since).as_secs_f64();
        (self.left + time * rate.per_second).min(rate.burst)
    }
}

impl Rate {
    fn until(self, missing: f64) -> Duration {
        Duration::try_from_secs_f64(missing / self.per_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Rate = Rate { burst: 2.0, per_second: 1.0 };

    #[test]
    fn a_client_may_burst_and_then_waits() {
        let now = Instant::now();
        let limit = RateLimit::new(EACH, Rate { burst: 5.0, per_second: 100.0 }, 10, now);
        let [one, other] = ["192.0.2.1", "::ffff:192.0.2.2"].map(|address| address.parse().unwrap());
        let later = |milliseconds| now + Duration::from_millis(milliseconds);
        assert_eq!([limit.take(one, 1.0, now), limit.take(one, 1.0, now)], [Ok(()), Ok(())]);
        assert_eq!(limit.take(one, 1.0, now), Err(Duration::from_secs(1)));
        assert_eq!(limit.take(other, 1.0, now), Ok(()), "another client has its own bucket");
        assert_eq!(limit.take(one, 1.0, later(500)), Err(Duration::from_millis(500)));
        assert_eq!(limit.take(one, 1.0, later(1_000)), Ok(()));
    }

    #[test]
    fn the_total_and_the_number_of_clients_are_limited() {
        let now = Instant::now();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let limit = RateLimit::new(EACH, Rate { burst: 2.0, per_second: 1.0 }, 10, now);
        assert!((0..2).all(|last| limit.take(address(last), 1.0, now).is_ok()));
        assert_eq!(limit.take(address(2), 1.0, now), Err(Duration::from_secs(1)));

        let limit = RateLimit::new(EACH, Rate { burst: 100.0, per_second: 1.0 }, 2, now);
        assert!((0..2).all(|last| limit.take(address(last), 1.0, now).is_ok()));
        assert!(limit.take(address(2), 1.0, now).is_err(), "the table is full");
        assert!(limit.take(address(0), 1.0, now).is_ok(), "a known client is served");
        assert!(
            limit.take(address(2), 1.0, now + Duration::from_secs(1)).is_ok(),
            "replaces a client whose bucket is full again"
        );
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let now = Instant::now();
        let limit = RateLimit::new(EACH, Rate { burst: 9.0, per_second: 1.0 }, 10, now);
        let of = |address: &str| limit.take(address.parse().unwrap(), 1.0, now);
        assert!(of("2001:db8:1:2::1").is_ok() && of("2001:db8:1:2:3::9").is_ok() && of("2001:db8:1:2::7").is_err());
        assert!(of("2001:db8:1:3::1").is_ok());
    }
}

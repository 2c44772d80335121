//! The options of `cruddur load`, and its help.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, value_parser};
use settings::quantity::{NotAQuantity, Timespan};

use super::origin::Origin;
use crate::form::Form;

const LONGEST: Duration = Duration::from_secs(60 * 60);

pub(crate) const HELP: &str = "\
A visit is a page that somebody opens and what they do there, one request after the other: home and its next page, a profile, a
search, a crud with its replies, what is trending; where somebody is signed in also notifications, posts (for an hour), replies,
likes, reposts and messages between the accounts of this load. About one request in fourteen writes. What was written stays, and
the accounts do.

With --concurrency, each of so many visitors asks again as soon as it is answered: the server sets the pace. With --rate, requests
are due at fixed times whatever the server does, and a latency counts from when its request was due: one that waits behind a slow
answer is slow too. At most 256 are in flight; those that nobody could send before the end are told as unsent.

No traceparent is sent: the proxy begins the traces. The slowest ten requests are told with their traces, and with links where the
viewer behind URL/traces/ still has them.

Exit codes: 0 all was answered and no answer was 5xx; 1 it was not, or nobody listens; 2 wrong command line; 64 the address
is not this machine's. A 404 for a crud that has expired meanwhile is told as gone, and is no error.

Examples:
  cruddur load --duration 10s
  cruddur load --rate 50 --users 0 --json > summary.json
  cruddur load http://127.0.0.1:4567 --concurrency 2 --seed 1     the backend without the proxy";

#[derive(Args)]
pub(crate) struct Load {
    /// Where Cruddur is, in plain HTTP
    #[arg(default_value = "http://localhost:3000")]
    pub(crate) url: Origin,
    /// How long requests are begun, such as 500ms, 30s or 5m; at most 1h
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Closed loop: so many visitors at the same time, each on a connection of its own; at most 1000
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = bounded(1, 1000), conflicts_with = "rate")]
    pub(crate) concurrency: u32,
    /// Open loop: so many requests a second, whenever they are answered; at most 10000
    #[arg(long, value_name = "N", value_parser = bounded(1, 10_000))]
    pub(crate) rate: Option<u32>,
    /// Accounts to sign up, load_ and six random characters, for those visitors who write; 0 reads only; at most 50
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = bounded(0, 50))]
    pub(crate) users: u32,
    /// The same seed lets visitors choose the same visits [default: random, and told]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64))]
    pub(crate) seed: Option<u64>,
    /// Load another machine than this; only where you may
    #[arg(long)]
    pub(crate) allow_remote: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

fn duration(text: &str) -> Result<Duration, String> {
    let Timespan(duration) = text.parse().map_err(|error: NotAQuantity| format!("{error}; give one such as 30s"))?;
    if duration.is_zero() || duration > LONGEST {
        return Err("a load lasts from 1ms to 1h".to_owned());
    }
    Ok(duration)
}

fn bounded(least: u64, most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_bounds() {
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration("1h"), Ok(LONGEST));
        for (text, fault) in [("30", "such as 30s"), ("1d", "such as 30s"), ("0s", "1ms to 1h"), ("61m", "1ms to 1h")] {
            assert!(duration(text).unwrap_err().ends_with(fault), "{text}");
        }
    }
}

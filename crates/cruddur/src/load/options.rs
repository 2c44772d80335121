//! The options of `cruddur load`, and its help.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, value_parser};
use settings::quantity::{NotAQuantity, Timespan};

use super::origin::Origin;
use crate::form::Form;

const LONGEST: Duration = Duration::from_secs(60 * 60);

pub(crate) const HELP: &str = "\
A visit is a page that a visitor opens and what follows, one request after the other: home and its next page, a profile, a search,
a crud with its replies, or what is trending. Signed-in visitors also read notifications, post (for an hour), reply, like, repost,
and send messages between the accounts of this load. About one request in fourteen writes. The accounts remain, and the posts
until they expire.

With --concurrency, each visitor sends its next request as soon as it has a response: the server sets the pace. With --rate,
requests are due at fixed times, whatever the server does, and a latency counts from the time when its request was due: a request
that waits behind a slow one is slow too. At most 256 are in flight. Requests that could not be sent before the end are reported
as unsent.

No traceparent is sent, so the proxy starts the traces. The summary has the slowest ten requests with their traces, and a link to
each trace that the viewer behind URL/traces/ still has.

Exit codes: 0 every request got a response, and none was 5xx; 1 otherwise, or if no server listens; 2 wrong command line; 64 the
address is not this machine's. A 404 for a crud that has expired counts as gone, not as an error.

Examples:
  cruddur load --duration 10s
  cruddur load --rate 50 --users 0 --json > summary.json
  cruddur load http://127.0.0.1:4567 --concurrency 2 --seed 1     the backend without the proxy";

#[derive(Args)]
pub(crate) struct Load {
    /// Cruddur's address, in plain HTTP
    #[arg(default_value = "http://localhost:3000")]
    pub(crate) url: Origin,
    /// How long to send requests, such as 500ms, 30s or 5m; at most 1h
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Closed loop: N visitors at a time, each on its own connection; at most 1000
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = bounded(1, 1000), conflicts_with = "rate")]
    pub(crate) concurrency: u32,
    /// Open loop: N requests a second, whether or not earlier ones have a response; at most 10000
    #[arg(long, value_name = "N", value_parser = bounded(1, 10_000))]
    pub(crate) rate: Option<u32>,
    /// Accounts to sign up for visitors who write, each named load_ and six random characters; 0 only reads; at most 50
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = bounded(0, 50))]
    pub(crate) users: u32,
    /// With the same seed, visitors make the same choices [default: random, and printed]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64))]
    pub(crate) seed: Option<u64>,
    /// Allow a target on another machine; use it only with permission
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

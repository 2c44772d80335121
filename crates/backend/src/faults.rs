//! Faults to inject, so that a trace has something to find. Off unless `CRUDDUR_FAULTS` enables them, and refused in production.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use settings::quantity::Timespan;

/// Which faults are on: `slow-query:200ms,n-plus-one,error:5%`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Delay added to each statement.
    pub slow_query: Option<Duration>,
    /// The home page queries the replies crud by crud.
    pub n_plus_one: bool,
    /// The percentage of requests that fail.
    pub error_percent: u8,
}

/// Why a text is not a valid list of faults.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a fault")]
pub struct NotAFault(String);

impl Faults {
    /// No faults.
    pub const NONE: Self = Self { slow_query: None, n_plus_one: false, error_percent: 0 };

    /// At most as long as a client waits.
    const SLOW: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);

    pub(crate) async fn slow_down(self) {
        if let Some(longer) = self.slow_query {
            tokio::time::sleep(longer).await;
        }
    }
}

impl FromStr for Faults {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, NotAFault> {
        let mut faults = Self::NONE;
        for fault in text.split(',').map(str::trim).filter(|fault| !fault.is_empty()) {
            let wrong = || NotAFault(fault.to_owned());
            match fault.split_once(':') {
                None if fault == "n-plus-one" => faults.n_plus_one = true,
                Some(("slow-query", longer)) => {
                    let Timespan(longer) = longer.parse().map_err(|_| wrong())?;
                    if !Self::SLOW.contains(&longer) {
                        return Err(wrong());
                    }
                    faults.slow_query = Some(longer);
                }
                Some(("error", percent)) => {
                    let percent = percent.strip_suffix('%').and_then(|number| number.parse().ok());
                    faults.error_percent = percent.filter(|percent| (1..=100).contains(percent)).ok_or_else(wrong)?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(faults)
    }
}

/// In the format that is parsed.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = [
            self.slow_query.map(|longer| format!("slow-query:{}ms", longer.as_millis())),
            self.n_plus_one.then(|| "n-plus-one".to_owned()),
            (self.error_percent > 0).then(|| format!("error:{}%", self.error_percent)),
        ];
        f.write_str(&faults.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_back_as_written() {
        for text in ["", "slow-query:200ms", "n-plus-one", "error:5%", "slow-query:1ms,n-plus-one,error:100%"] {
            assert_eq!(text.parse::<Faults>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_delay_may_have_any_unit() {
        let faults: Faults = "slow-query:2s".parse().unwrap();
        assert_eq!((faults.slow_query, &*faults.to_string()), (Some(Duration::from_secs(2)), "slow-query:2000ms"));
    }

    #[test]
    fn an_invalid_fault_is_named() {
        for text in
            ["slow-query", "slow-query:200", "slow-query:0ms", "slow-query:11s", "error:0%", "error:101%", "all"]
        {
            assert!(text.parse::<Faults>().unwrap_err().to_string().contains(text), "{text}");
        }
    }
}

//! Ids in X-Ray's spelling (`1-5759e988-bd862e3fe1be46a994272793`) and in W3C's (32 hex digits). Generates none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A trace id: 16 bytes. By X-Ray's convention, the first four are the second in which the trace began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; 16]);

/// The id of a segment or subsegment: 8 bytes, written as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SegmentId([u8; 8]);

impl TraceId {
    /// From the 16 bytes that W3C Trace Context carries.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes that W3C Trace Context carries.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SegmentId {
    /// From the 8 bytes that W3C Trace Context carries.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes that W3C Trace Context carries.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", u128::from_be_bytes(self.0));
        let (epoch, random) = hex.split_at(8);
        write!(f, "1-{epoch}-{random}")
    }
}

impl FromStr for TraceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parse = || {
            let (epoch, random) = text.strip_prefix("1-")?.split_once('-')?;
            let epoch = (epoch.len() == 8).then(|| u128::from_str_radix(epoch, 16).ok())??;
            let random = (random.len() == 24).then(|| u128::from_str_radix(random, 16).ok())??;
            // `from_str_radix` accepts a plus sign, which an id may not have.
            (!text.contains('+')).then(|| Self((epoch << 96 | random).to_be_bytes()))
        };
        parse().ok_or_else(|| Error::Id(text.to_owned()))
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl FromStr for SegmentId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parse = || (text.len() == 16 && !text.starts_with('+')).then(|| u64::from_str_radix(text, 16).ok())?;
        parse().map(|id| Self(id.to_be_bytes())).ok_or_else(|| Error::Id(text.to_owned()))
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TraceId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<SegmentId> for String {
    fn from(id: SegmentId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SegmentId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trace_id_is_the_w3c_id_with_two_dashes() {
        let id = TraceId::from_bytes(0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793_u128.to_be_bytes());
        assert_eq!(id.to_string(), "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!("1-5759e988-bd862e3fe1be46a994272793".parse::<TraceId>().unwrap(), id);
    }

    #[test]
    fn a_sign_is_not_a_digit() {
        assert!("1-+759e988-bd862e3fe1be46a994272793".parse::<TraceId>().is_err());
        assert!("+3995c3f42cd8ad8".parse::<SegmentId>().is_err());
    }

    proptest! {
        #[test]
        fn ids_survive_their_text(trace in any::<[u8; 16]>(), segment in any::<[u8; 8]>()) {
            let trace = TraceId::from_bytes(trace);
            let segment = SegmentId::from_bytes(segment);
            prop_assert_eq!(trace.to_string().parse::<TraceId>().unwrap(), trace);
            prop_assert_eq!(segment.to_string().parse::<SegmentId>().unwrap(), segment);
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text in ".{0,40}") {
            let _ = text.parse::<TraceId>();
            let _ = text.parse::<SegmentId>();
        }
    }
}

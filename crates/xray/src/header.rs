//! The `X-Amzn-Trace-Id` header. Reads what load balancers and SDKs send: fields in any order, spaces around them, fields it
//! does not know. Decides no sampling.

use std::fmt;
use std::str::FromStr;

use crate::{Error, SegmentId, TraceId};

/// `Root=1-…-…;Parent=…;Sampled=…;Lineage=…`
///
/// A load balancer sends the root alone, or with a `Self` field that names its own hop: `Self` is not kept.
///
/// ```
/// let header: xray::TraceHeader = "Self=1-67891234-12456789abcdef012345678; Root=1-5759e988-bd862e3fe1be46a994272793"
///     .parse()?;
/// assert_eq!(header.to_string(), "Root=1-5759e988-bd862e3fe1be46a994272793");
/// # Ok::<(), xray::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeader {
    /// The trace.
    pub root: TraceId,
    /// The segment or subsegment that makes the call.
    pub parent: Option<SegmentId>,
    /// Whether the trace is recorded.
    pub sampled: Sampled,
    /// AWS Lambda's loop detection; kept as it came.
    pub lineage: Option<String>,
}

/// What a trace header says about sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// `Sampled=1`
    Yes,
    /// `Sampled=0`
    No,
    /// `Sampled=?`: the receiver decides and answers with its decision.
    Ask,
    /// No such field: the receiver decides.
    Unsaid,
}

impl FromStr for TraceHeader {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut root = None;
        let mut parent = None;
        let mut sampled = Sampled::Unsaid;
        let mut lineage = None;
        for field in text.split(';') {
            let Some((key, value)) = field.split_once('=') else {
                continue;
            };
            let value = value.trim();
            match key.trim() {
                "Root" => root = value.parse().ok(),
                "Parent" => parent = value.parse().ok(),
                "Sampled" => sampled = Sampled::parse(value),
                "Lineage" => lineage = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(Self { root: root.ok_or(Error::Header)?, parent, sampled, lineage })
    }
}

impl Sampled {
    fn parse(value: &str) -> Self {
        match value {
            "1" => Self::Yes,
            "0" => Self::No,
            "?" => Self::Ask,
            _ => Self::Unsaid,
        }
    }
}

impl fmt::Display for TraceHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root={}", self.root)?;
        if let Some(parent) = self.parent {
            write!(f, ";Parent={parent}")?;
        }
        match self.sampled {
            Sampled::Yes => f.write_str(";Sampled=1")?,
            Sampled::No => f.write_str(";Sampled=0")?,
            Sampled::Ask => f.write_str(";Sampled=?")?,
            Sampled::Unsaid => {}
        }
        match &self.lineage {
            Some(lineage) => write!(f, ";Lineage={lineage}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn fields_come_in_any_order_with_spaces_and_strangers() {
        let header: TraceHeader =
            format!(" Sampled=1 ; Foo=bar;Parent=53995c3f42cd8ad8; Root={ROOT};noise").parse().unwrap();
        assert_eq!(header.to_string(), format!("Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"));
    }

    #[test]
    fn not_sampled_counts_without_a_parent() {
        let header: TraceHeader = format!("Root={ROOT};Sampled=0").parse().unwrap();
        assert_eq!((header.sampled, header.parent), (Sampled::No, None));
    }

    #[test]
    fn a_header_without_a_readable_root_is_an_error() {
        for text in ["", "Root=", "Root=1-5759e988", "Parent=53995c3f42cd8ad8", "Self=1"] {
            assert!(text.parse::<TraceHeader>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_header_or_an_error(text in ".{0,200}") {
            let _ = text.parse::<TraceHeader>();
        }

        #[test]
        fn a_header_survives_its_text(root in any::<[u8; 16]>(), parent in proptest::option::of(any::<[u8; 8]>()),
                                      sampled in 0..4, lineage in proptest::option::of("[a-z0-9:|]{1,20}")) {
            let sampled = [Sampled::Yes, Sampled::No, Sampled::Ask, Sampled::Unsaid][usize::try_from(sampled).unwrap()];
            let header = TraceHeader {
                root: TraceId::from_bytes(root), parent: parent.map(SegmentId::from_bytes), sampled, lineage,
            };
            prop_assert_eq!(header.to_string().parse::<TraceHeader>().unwrap(), header);
        }
    }
}

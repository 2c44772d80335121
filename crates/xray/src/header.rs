//! The `X-Amzn-Trace-Id` header, as load balancers and SDKs send it: with fields in any order, spaces around them, and unknown
//! fields. A header with a second `Root`, `Parent` or `Sampled` is invalid, because neither value can be trusted. Makes no
//! sampling decision.

use std::fmt;
use std::str::FromStr;

use crate::{Error, SegmentId, TraceId};

/// The most bytes of a lineage.
const MAX_LINEAGE: usize = 256;

/// `Root=1-…-…;Parent=…;Sampled=…;Lineage=…`
///
/// A load balancer sends the root alone, or also a `Self` field that names its own hop. `Self` is not kept.
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
    /// The segment or subsegment that makes the call; `None` if it is missing or is not a valid id.
    pub parent: Option<SegmentId>,
    /// Whether the trace is recorded.
    pub sampled: Sampled,
    /// AWS Lambda's loop detection, unchanged: at most 256 bytes of visible ASCII. An invalid lineage is dropped, and the other
    /// fields of the header stay valid.
    pub lineage: Option<String>,
}

/// A trace header's sampling decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// `Sampled=1`
    Yes,
    /// `Sampled=0`
    No,
    /// `Sampled=?`: the receiver decides and reports its decision in the response.
    Ask,
    /// No such field, or an unknown value: the receiver decides.
    Unspecified,
}

impl FromStr for TraceHeader {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (mut root, mut parent, mut sampled, mut lineage) = (None, None, None, None);
        for field in text.split(';') {
            let Some((key, value)) = field.split_once('=') else {
                continue;
            };
            let (found, value) = match (key.trim(), value.trim()) {
                ("Root", value) => (&mut root, value),
                ("Parent", value) => (&mut parent, value),
                ("Sampled", value) => (&mut sampled, value),
                ("Lineage", value) => {
                    // If there are two lineages, neither is kept: the empty text is dropped below.
                    lineage = Some(if lineage.is_none() { value } else { "" });
                    continue;
                }
                _ => continue,
            };
            if found.replace(value).is_some() {
                return Err(Error::Header);
            }
        }
        Ok(Self {
            root: root.and_then(|root| root.parse().ok()).ok_or(Error::Header)?,
            parent: parent.and_then(|parent| parent.parse().ok()),
            sampled: sampled.map_or(Sampled::Unspecified, Sampled::parse),
            lineage: lineage.filter(|lineage| is_lineage(lineage)).map(str::to_owned),
        })
    }
}

fn is_lineage(text: &str) -> bool {
    (1..=MAX_LINEAGE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Sampled {
    fn parse(value: &str) -> Self {
        match value {
            "1" => Self::Yes,
            "0" => Self::No,
            "?" => Self::Ask,
            _ => Self::Unspecified,
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
            Sampled::Unspecified => {}
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
    fn fields_come_in_any_order_among_spaces_and_unknown_ones() {
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
    fn a_header_without_exactly_one_valid_root_is_an_error() {
        for text in ["", "Root=", "Root=1-5759e988", "Parent=53995c3f42cd8ad8", "Self=1"] {
            assert!(text.parse::<TraceHeader>().is_err(), "{text}");
        }
        for second in ["Root=1-5759e988-bd862e3fe1be46a994272793", "Root=", "Sampled=1", "Parent=53995c3f42cd8ad8"] {
            let text = format!("Sampled=1;Parent=53995c3f42cd8ad8;Root={ROOT};{second}");
            assert!(text.parse::<TraceHeader>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_invalid_field_leaves_the_others() {
        let read = |fields: &str| format!("Root={ROOT};{fields}").parse::<TraceHeader>().unwrap().to_string();
        for bad in
            ["Parent=53995c3f", "Sampled=2", "Self=?;Self=?", "Lineage=", "Lineage=a b", "Lineage=a;Lineage=b", "=;"]
        {
            assert_eq!(read(bad), format!("Root={ROOT}"), "{bad}");
        }
        let longest = format!("Lineage={}", "a".repeat(256));
        assert_eq!(read(&longest), format!("Root={ROOT};{longest}"));
        assert_eq!(read(&format!("{longest}a")), format!("Root={ROOT}"));
        assert_eq!(read("Lineage=1:a=b|c"), format!("Root={ROOT};Lineage=1:a=b|c"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_header_or_an_error(text in ".{0,200}") {
            let _ = text.parse::<TraceHeader>();
        }

        #[test]
        fn a_header_survives_its_text(root in any::<[u8; 16]>(), parent in proptest::option::of(any::<[u8; 8]>()),
                                      sampled in 0..4, lineage in proptest::option::of("[!-:<-~]{1,20}")) {
            let sampled = [Sampled::Yes, Sampled::No, Sampled::Ask, Sampled::Unspecified][usize::try_from(sampled).unwrap()];
            let header = TraceHeader {
                root: TraceId::from_bytes(root), parent: parent.map(SegmentId::from_bytes), sampled, lineage,
            };
            prop_assert_eq!(header.to_string().parse::<TraceHeader>().unwrap(), header);
        }
    }
}

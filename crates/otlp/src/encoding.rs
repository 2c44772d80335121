//! The encodings of a message.

/// How a message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// [OTLP's JSON](https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): protobuf's mapping, with ids in hex and enumerations as numbers.
    Json,
    /// Protocol Buffers.
    Protobuf,
}

impl Encoding {
    /// The encoding that a `Content-Type` names; case and parameters are ignored.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("application/json") {
            Some(Self::Json)
        } else if is("application/x-protobuf") || is("application/protobuf") {
            Some(Self::Protobuf)
        } else {
            None
        }
    }

    /// The `Content-Type` of a message.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }
}

//! The meaning of attributes to X-Ray: assigns each of a span's attributes to a class once, and stores those that documents have
//! a field for. Writes nothing.

use std::borrow::Cow;
use std::mem;

use opentelemetry_semantic_conventions::attribute;

use super::json::SHORT;
use crate::attribute::{SAMPLING_RULE, USER_ID};
use crate::span::reading::{Attribute, Scalar, Text};
use crate::subsegment::Object;

/// Keys, as an encoding contains them.
const HTTP_REQUEST_METHOD: &[u8] = attribute::HTTP_REQUEST_METHOD.as_bytes();
const HTTP_RESPONSE_STATUS_CODE: &[u8] = attribute::HTTP_RESPONSE_STATUS_CODE.as_bytes();
const URL_FULL: &[u8] = attribute::URL_FULL.as_bytes();
const URL_SCHEME: &[u8] = attribute::URL_SCHEME.as_bytes();
const URL_PATH: &[u8] = attribute::URL_PATH.as_bytes();
const SERVER_ADDRESS: &[u8] = attribute::SERVER_ADDRESS.as_bytes();
const SERVER_PORT: &[u8] = attribute::SERVER_PORT.as_bytes();
const CLIENT_ADDRESS: &[u8] = attribute::CLIENT_ADDRESS.as_bytes();
const USER_AGENT_ORIGINAL: &[u8] = attribute::USER_AGENT_ORIGINAL.as_bytes();
const DB_SYSTEM_NAME: &[u8] = attribute::DB_SYSTEM_NAME.as_bytes();
const DB_NAMESPACE: &[u8] = attribute::DB_NAMESPACE.as_bytes();
const DB_QUERY_TEXT: &[u8] = attribute::DB_QUERY_TEXT.as_bytes();
const USER: &[u8] = USER_ID.as_bytes();
/// Conventions that are not stable yet: the crate of conventions has constants for them only with its experimental feature.
const RESPONSE_SIZE: &[u8] = b"http.response.body.size";
const PEER_SERVICE: &[u8] = b"peer.service";
const RPC_SYSTEM: &[u8] = b"rpc.system";
const RPC_SERVICE: &[u8] = b"rpc.service";
const RPC_METHOD: &[u8] = b"rpc.method";
const REGION: &[u8] = b"cloud.region";
const REQUEST_ID: &[u8] = b"aws.request_id";
const QUEUE_URL: &[u8] = b"aws.sqs.queue.url";
const TABLE: &[u8] = b"aws.dynamodb.table_names";
/// The X-Ray sampling rule that the request matched.
const RULE: &[u8] = SAMPLING_RULE.as_bytes();
/// The `rpc.system` of a call to AWS.
const AWS: &str = "aws-api";
/// The prefix of an annotation's key.
const ANNOTATION: &str = "annotation.";
/// The prefix of a metadata namespace.
const METADATA: &str = "metadata.";
/// The namespace of attributes that have no field.
pub(super) const OTEL: &str = "otel";
/// The namespace of the resource's attributes.
pub(super) const RESOURCE: &str = "resource";

/// The most characters of an annotation's key and of its value.
const KEY: usize = 500;
const VALUE: usize = 1_000;

/// Where an attribute goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Method,
    Url,
    /// A part of `http.request.url`.
    UrlPart,
    /// A part of `http.request.url` or `sql.url`.
    Server,
    Status,
    ResponseSize,
    Client,
    Agent,
    Database,
    Namespace,
    Query,
    User,
    /// A detail of a call to AWS.
    Aws,
    Rule,
    /// A separate object of the metadata.
    Metadata,
    /// An annotation that is unchanged.
    Annotation,
    Other,
}

/// The attributes of a span that documents have fields for.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) method: Option<Text<'a>>,
    pub(super) url: Option<Text<'a>>,
    pub(super) scheme: Option<Text<'a>>,
    pub(super) path: Option<Text<'a>>,
    pub(super) host: Option<Text<'a>>,
    pub(super) port: Option<u16>,
    pub(super) status: Option<u16>,
    pub(super) response_size: Option<i64>,
    pub(super) client: Option<Text<'a>>,
    pub(super) agent: Option<Text<'a>>,
    pub(super) database: Option<Text<'a>>,
    pub(super) namespace: Option<Text<'a>>,
    pub(super) query: Option<Text<'a>>,
    pub(super) user: Option<Text<'a>>,
    pub(super) peer: Option<Text<'a>>,
    pub(super) rpc_system: Option<Text<'a>>,
    pub(super) rpc_service: Option<Text<'a>>,
    pub(super) operation: Option<Text<'a>>,
    pub(super) region: Option<Text<'a>>,
    pub(super) request_id: Option<Text<'a>>,
    pub(super) queue_url: Option<Text<'a>>,
    pub(super) table: Option<Text<'a>>,
    pub(super) rule: Option<Text<'a>>,
    /// Valid for a document, each key once.
    pub(super) annotations: Vec<(Cow<'a, str>, Scalar<'a>)>,
    /// How many more annotations fit.
    annotations_left: usize,
    /// Whether an annotation is missing or was changed.
    pub(super) annotations_lost: bool,
    /// Objects of the metadata, by namespace.
    pub(super) metadata: Vec<(Text<'a>, Object)>,
    /// The class of each attribute, in the order of the attributes.
    pub(super) classes: Vec<Class>,
}

impl<'a> Fields<'a> {
    /// Classifies `attributes`. Those whose keys are `indexed` become annotations too, under another key. At most
    /// `annotations_left` annotations fit.
    pub(super) fn read(
        &mut self,
        attributes: &[Attribute<'a>],
        indexed: &'a [(String, String)],
        annotations_left: usize,
    ) {
        let (mut classes, mut annotations) = (mem::take(&mut self.classes), mem::take(&mut self.annotations));
        classes.clear();
        annotations.clear();
        *self = Self { classes, annotations, annotations_left, ..Self::default() };
        for (key, value) in attributes {
            let class = self.take(*key, *value);
            self.classes.push(class);
            if let Some((_, annotation)) = indexed.iter().find(|(own, _)| *key == **own) {
                self.annotate(annotation, *value);
            }
        }
    }

    fn take(&mut self, key: Text<'a>, value: Scalar<'a>) -> Class {
        let text = match value {
            Scalar::Text(text) => text,
            Scalar::Int(number) => return self.take_number(key, number),
            _ => return self.take_any(key, value),
        };
        let (field, class) = match key.as_bytes() {
            HTTP_REQUEST_METHOD => (&mut self.method, Class::Method),
            URL_FULL => (&mut self.url, Class::Url),
            URL_SCHEME => (&mut self.scheme, Class::UrlPart),
            URL_PATH => (&mut self.path, Class::UrlPart),
            SERVER_ADDRESS => (&mut self.host, Class::Server),
            CLIENT_ADDRESS => (&mut self.client, Class::Client),
            USER_AGENT_ORIGINAL => (&mut self.agent, Class::Agent),
            DB_SYSTEM_NAME => (&mut self.database, Class::Database),
            DB_NAMESPACE => (&mut self.namespace, Class::Namespace),
            DB_QUERY_TEXT => (&mut self.query, Class::Query),
            USER => (&mut self.user, Class::User),
            // A subsegment's name may be shortened and stripped, so the attribute stays in the metadata too.
            PEER_SERVICE => (&mut self.peer, Class::Other),
            RPC_SYSTEM => (&mut self.rpc_system, Class::Other),
            RPC_SERVICE => (&mut self.rpc_service, Class::Other),
            RPC_METHOD => (&mut self.operation, Class::Aws),
            REGION => (&mut self.region, Class::Aws),
            REQUEST_ID => (&mut self.request_id, Class::Aws),
            QUEUE_URL => (&mut self.queue_url, Class::Aws),
            TABLE => (&mut self.table, Class::Aws),
            RULE => (&mut self.rule, Class::Rule),
            _ => return self.take_any(key, value),
        };
        *field = Some(text);
        class
    }

    fn take_number(&mut self, key: Text<'a>, number: i64) -> Class {
        match key.as_bytes() {
            HTTP_RESPONSE_STATUS_CODE => {
                self.status = u16::try_from(number).ok();
                if self.status.is_some() { Class::Status } else { Class::Other }
            }
            SERVER_PORT => {
                self.port = u16::try_from(number).ok();
                if self.port.is_some() { Class::Server } else { Class::Other }
            }
            RESPONSE_SIZE => {
                self.response_size = Some(number);
                Class::ResponseSize
            }
            _ => self.take_any(key, Scalar::Int(number)),
        }
    }

    fn take_any(&mut self, key: Text<'a>, value: Scalar<'a>) -> Class {
        if let Some(name) = key.after(ANNOTATION) {
            return if self.annotate(name.as_str(), value) { Class::Annotation } else { Class::Other };
        }
        let (Some(namespace), Scalar::Text(text)) = (key.after(METADATA), value) else { return Class::Other };
        if ["", OTEL, RESOURCE].iter().any(|own| namespace == **own) {
            return Class::Other;
        }
        match Object::parse(text.as_str()) {
            Some(object) => {
                self.metadata.push((namespace, object));
                Class::Metadata
            }
            None => Class::Other,
        }
    }

    /// Adds an annotation, and returns whether it was added unchanged. If two keys become the same, the first annotation is kept.
    fn annotate(&mut self, key: &'a str, value: Scalar<'a>) -> bool {
        let plain = annotation_key(key);
        let is_valid = match value {
            Scalar::Float(number) => number.is_finite(),
            Scalar::Array(_) => false,
            _ => true,
        };
        let is_new = self.annotations.iter().all(|(own, _)| *own != plain);
        let (short, is_whole) = match value {
            Scalar::Text(text) => {
                let short = text.first(VALUE);
                (Scalar::Text(short), short == text)
            }
            other => (other, true),
        };
        let fits = !plain.is_empty() && is_valid && is_new && self.annotations_left > 0;
        let is_as_given = fits && is_whole && *plain == *key;
        if fits {
            self.annotations_left -= 1;
            self.annotations.push((plain, short));
        }
        self.annotations_lost |= !is_as_given;
        is_as_given
    }

    /// Whether no annotation was omitted because there were too many.
    pub(super) fn had_room(&self) -> bool {
        self.annotations_left > 0 || !self.annotations_lost
    }

    /// Whether this is a call to AWS, whose subsegment has special fields and a separate namespace.
    pub(super) fn is_aws(&self) -> bool {
        self.rpc_system.is_some_and(|system| system == *AWS)
    }

    /// Whether a URL is known, whole or in parts.
    pub(super) fn has_url(&self) -> bool {
        self.url.is_some() || (self.scheme.is_some() && self.host.is_some() && self.path.is_some())
    }

    /// Whether a field of the document, or a separate object of the metadata, records the attribute in full. `is_segment` is
    /// whether that document is a segment. A segment has a user and no SQL; other documents have SQL and no user.
    pub(super) fn has_field(&self, class: Class, value: Scalar<'_>, is_segment: bool) -> bool {
        let is_short = || matches!(value, Scalar::Text(text) if text.len() <= SHORT);
        let has_sql = !is_segment && self.database.is_some();
        let is_url_of_parts = || self.url.is_none() && self.has_url() && self.parts_fit();
        match class {
            Class::Method | Class::Client | Class::Agent | Class::Url => is_short(),
            Class::UrlPart => is_url_of_parts(),
            Class::Server => is_url_of_parts() || (has_sql && self.host.is_some() && self.parts_fit()),
            Class::Status | Class::Metadata | Class::Annotation => true,
            Class::ResponseSize => self.status.is_some(),
            Class::Database => has_sql && is_short(),
            // A statement's text has a field only if its database is known.
            Class::Query => has_sql,
            Class::Namespace => has_sql && self.host.is_some() && self.parts_fit(),
            Class::User => is_segment && is_short(),
            Class::Aws => !is_segment && self.is_aws() && is_short(),
            Class::Rule => is_segment && is_short(),
            Class::Other => false,
        }
    }

    /// Whether a URL composed of its parts, of a request or a database, fits without being shortened.
    pub(super) fn parts_fit(&self) -> bool {
        let parts = [self.scheme, self.host, self.path, self.database, self.namespace];
        // The parts are separated by `://`, a port and `/`.
        let between = 3 + 6 + 1;
        parts.into_iter().flatten().map(Text::len).sum::<usize>() + between <= SHORT
    }
}

/// Makes a key valid for X-Ray: other characters become `_`.
pub(super) fn annotation_key(key: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if key.len() <= KEY && key.chars().all(is_plain) {
        return key.into();
    }
    key.chars().take(KEY).map(|c| if is_plain(c) { c } else { '_' }).collect::<String>().into()
}

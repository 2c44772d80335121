//! Translates a span into its part of a segment document, written directly from the span's encoding. A span without a parent in
//! this process is a segment, whatever its kind; every other span is a subsegment. Loses no span: a value that a field cannot
//! hold is shortened or stripped there and recorded in full in the metadata, with everything that X-Ray has no field for. Does
//! not nest spans, and does not limit the size of a document: see [`super::pack`]. Does no I/O.

use opentelemetry::trace::SpanKind;

use super::fields::Fields;
use super::json::{Json, SHORT, key};
use super::origin::Origin;
use super::part::{Detail, Place, Written};
use super::text_cache::TextCache;
use super::{cause, metadata};
use crate::ascii;
use crate::span::reading::{Head, Reading, Scalar, Text};

/// The SDK in a segment; the sampling rule's name may follow.
const SDK: &str = concat!(r#""sdk":"cruddur-telemetry","sdk_version":""#, env!("CARGO_PKG_VERSION"), "\",");

/// Writes spans of one service. Its lists are reused for each span.
pub(super) struct Translator<'a> {
    origin: &'a Origin,
    /// Texts of the same service.
    cache: &'a mut TextCache,
    span: Reading<'a>,
    fields: Fields<'a>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(origin: &'a Origin, cache: &'a mut TextCache) -> Self {
        Self { origin, cache, span: Reading::empty(), fields: Fields::default() }
    }

    /// Appends a span's part of a document: an object that is left open, with at most `annotations` annotations. The `id` comes
    /// first, because the daemon looks for the first `"id":"…"` of a document.
    pub(super) fn write(
        &mut self,
        (head, content): (&Head, &'a [u8]),
        place: Place,
        detail: Detail,
        annotations: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        let mut json = Json::new(out);
        json.open();
        json.id(key!("id"), head.id.to_bytes());
        if place != Place::Nested {
            trace(&mut json, &head.trace.to_bytes());
            if place == Place::Alone {
                json.text(key!("type"), "subsegment");
            }
            if let Some(parent) = head.parent {
                json.id(key!("parent_id"), parent.to_bytes());
            }
        }
        json.seconds(key!("start_time"), head.start);
        json.seconds(key!("end_time"), head.end);
        if detail > Detail::Whole {
            return self.write_content(head, content, place, detail, annotations, out);
        }
        match self.cache.find(place, content) {
            Some((text, written)) if written.annotations <= annotations => {
                out.extend_from_slice(text);
                written
            }
            _ => {
                let start = out.len();
                let written = self.write_content(head, content, place, detail, annotations, out);
                if self.may_recur()
                    && let Some(text) = out.get(start..)
                {
                    self.cache.keep(place, content, text, written);
                }
                written
            }
        }
    }

    /// Whether the last text can be reused for another span with the same content. It cannot if it has an exception, whose id
    /// derives from the span's, or if an annotation did not fit. A span with events is not expected to recur, because its
    /// events have times.
    fn may_recur(&self) -> bool {
        self.span.events.is_empty() && self.span.description.is_empty() && self.fields.had_room()
    }

    /// Appends the content of `content`. Only the ids of exceptions may depend on the head.
    fn write_content(
        &mut self,
        head: &Head,
        content: &'a [u8],
        place: Place,
        detail: Detail,
        annotations: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        self.span.read(content);
        self.fields.read(&self.span.attributes, &self.origin.indexed, annotations);
        let (span, fields) = (&self.span, &self.fields);
        let is_segment = place == Place::Segment;
        let mut json = Json::new(out);
        let is_call = !is_segment && span.kind == SpanKind::Client;
        if is_segment {
            json.text(key!("name"), &*self.origin.name);
            json.pairs(&self.origin.segment);
            if let Some(user) = fields.user {
                json.short(key!("user"), user);
            }
        } else {
            self.name(&mut json);
            if is_call {
                json.text(key!("namespace"), if fields.is_aws() { "aws" } else { "remote" });
            }
        }
        self.http(&mut json);
        if !is_segment {
            self.sql(&mut json, detail);
        }
        let exceptions = cause::write(&mut json, head.id, span, fields, is_call, detail);
        if detail < Detail::Bare {
            self.annotations(&mut json, detail);
        }
        if detail < Detail::NoMetadata {
            metadata::write(&mut json, self.origin, (span, fields), is_segment, exceptions);
        }
        if detail < Detail::Bare {
            self.links(&mut json);
        }
        self.aws(&mut json, is_segment);
        Written { is_cut: json.cut, annotations: fields.annotations.len() }
    }

    /// The name of a subsegment: the service, database or host that it calls, otherwise the operation.
    fn name(&self, json: &mut Json<'_>) {
        let Fields { peer, rpc_service, database, namespace, host, port, .. } = self.fields;
        let made: String;
        let callee = match (self.span.kind == SpanKind::Client, peer, rpc_service, database, host, port) {
            (false, ..) => self.span.name.as_str(),
            (true, Some(peer), ..) => peer.as_str(),
            (true, None, Some(service), ..) if self.fields.is_aws() => service.as_str(),
            (true, _, _, Some(system), Some(host), _) => {
                made = [namespace.unwrap_or(system).as_str(), "@", host.as_str()].concat();
                &made
            }
            (true, _, _, Some(system), None, _) => namespace.unwrap_or(system).as_str(),
            (true, _, _, None, Some(host), Some(port)) => {
                made = [host.as_str(), ":", itoa::Buffer::new().format(port)].concat();
                &made
            }
            (true, _, _, None, Some(host), None) => host.as_str(),
            _ => self.span.name.as_str(),
        };
        let name = xray::name(callee);
        json.cut |= *name != *callee;
        json.text(key!("name"), &*name);
    }

    fn http(&self, json: &mut Json<'_>) {
        let Fields { method, url, scheme, host, port, path, client, agent, status, response_size, .. } = self.fields;
        let has_request = method.is_some() || self.fields.has_url() || client.is_some() || agent.is_some();
        if !has_request && status.is_none() {
            return;
        }
        json.open_at(key!("http"));
        if has_request {
            json.open_at(key!("request"));
            if let Some(method) = method {
                json.short(key!("method"), method);
            }
            match (url, scheme, host, path) {
                (Some(url), ..) => json.short(key!("url"), url),
                (None, Some(scheme), Some(host), Some(path)) => {
                    self.url(json, scheme, host, port, [Text::default(), path])
                }
                _ => {}
            }
            if let Some(client) = client {
                json.short(key!("client_ip"), client);
            }
            if let Some(agent) = agent {
                json.short(key!("user_agent"), agent);
            }
            json.close();
        }
        if let Some(status) = status {
            json.open_at(key!("response"));
            json.number(key!("status"), status);
            if let Some(size) = response_size {
                json.number(key!("content_length"), size);
            }
            json.close();
        }
        json.close();
    }

    fn url(&self, json: &mut Json<'_>, scheme: Text<'_>, host: Text<'_>, port: Option<u16>, path: [Text<'_>; 2]) {
        if self.fields.parts_fit() {
            json.url(scheme, host, port, path);
        } else {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let [scheme, host, slash, path] = [scheme, host, path[0], path[1]].map(Text::as_str);
            json.short(key!("url"), &*[scheme, "://", host, &port, slash, path].concat());
        }
    }

    fn sql(&self, json: &mut Json<'_>, detail: Detail) {
        let Fields { database: Some(database), query, host, port, namespace, .. } = self.fields else { return };
        json.open_at(key!("sql"));
        if let Some(host) = host {
            let path = namespace.map_or_else(Default::default, |namespace| [Text::from("/"), namespace]);
            self.url(json, database, host, port, path);
        }
        json.short(key!("database_type"), database);
        match query {
            Some(query) if detail < Detail::Short => json.text(key!("sanitized_query"), query),
            _ => {}
        }
        json.close();
    }

    fn annotations(&self, json: &mut Json<'_>, detail: Detail) {
        json.cut |= self.fields.annotations_lost;
        if self.fields.annotations.is_empty() {
            return;
        }
        json.open_at(key!("annotations"));
        for (key, value) in &self.fields.annotations {
            let value = match *value {
                Scalar::Text(text) if detail >= Detail::Short => Scalar::Text(json.cut_to(SHORT, text)),
                value => value,
            };
            json.value(&**key, value);
        }
        json.close();
    }

    fn links(&self, json: &mut Json<'_>) {
        if self.span.links.is_empty() {
            return;
        }
        json.open_list_at(key!("links"));
        for (linked, span) in &self.span.links {
            json.open();
            trace(json, &linked.to_bytes());
            json.id(key!("id"), span.to_bytes());
            json.close();
        }
        json.close_list();
    }

    fn aws(&self, json: &mut Json<'_>, is_segment: bool) {
        let Fields { operation, region, request_id, queue_url, table, rule, .. } = self.fields;
        if is_segment {
            json.open_at(key!("aws"));
            json.pairs(&self.origin.aws);
            json.open_at(key!("xray"));
            json.pairs(SDK);
            if let Some(rule) = rule {
                json.short(key!("sampling_rule_name"), rule);
            }
            json.close();
            json.close();
        } else if self.fields.is_aws() {
            let fields = [
                (key!("operation"), operation),
                (key!("region"), region),
                (key!("request_id"), request_id),
                (key!("queue_url"), queue_url),
                (key!("table_name"), table),
            ];
            json.open_at(key!("aws"));
            for (field, text) in fields {
                if let Some(text) = text {
                    json.short(field, text);
                }
            }
            json.close();
        }
    }
}

/// Writes `1-`, the eight digits of the trace's start, `-`, and the remaining sixteen and eight digits.
fn trace(json: &mut Json<'_>, id: &[u8; 16]) {
    let (halves, _) = id.as_chunks::<8>();
    let [high, low] = [halves.first(), halves.last()].map(|half| ascii::hex(half.copied().unwrap_or_default()));
    let (epoch, unique) = high.split_at(8);
    json.plain(key!("trace_id"), [b"1-", epoch, b"-", unique, &low]);
}

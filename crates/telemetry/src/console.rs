//! The console: prints each event as one line on standard error, with its trace and span. The line is human-readable on a
//! terminal, otherwise JSON. Control characters are escaped, so that no value can start a new line or move the cursor.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal, Write as _};

use serde_json::Value as Json;
use settings::Settings;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata};
use tracing_log::NormalizeEvent;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::context::SpanIds;
use crate::value::not_finite;

/// The level of most targets, unless `RUST_LOG` sets another.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// The events that the console prints, by `RUST_LOG`, and their format.
#[derive(Debug, Clone)]
pub struct Console {
    filter: Targets,
    format: ConsoleFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConsoleFormat {
    Json,
    Plain,
    Coloured,
    /// Prints nothing: another layer does.
    Silent,
}

impl Console {
    /// Reads `RUST_LOG` and `NO_COLOR`. An invalid filter is a fault at start, not a silent console.
    pub fn read(settings: &mut Settings) -> Self {
        let expected = "a level such as info, or info,backend=debug";
        let quiet = Targets::new()
            .with_default(DEFAULT)
            .with_target("actix_server", LevelFilter::WARN)
            // actix logs an error for each invalid request, so any client could fill the log.
            .with_target("actix_http::h1", LevelFilter::OFF);
        settings.note_default("RUST_LOG", DEFAULT);
        let filter = settings.parse("RUST_LOG", expected).unwrap_or(quiet);
        // https://no-color.org
        let format = match (io::stderr().is_terminal(), settings.text("NO_COLOR")) {
            (false, _) => ConsoleFormat::Json,
            (true, Some(_)) => ConsoleFormat::Plain,
            (true, None) => ConsoleFormat::Coloured,
        };
        Self { filter, format }
    }

    /// The same, without output.
    pub(crate) fn silent(self) -> Self {
        Self { format: ConsoleFormat::Silent, ..self }
    }

    /// Whether an event is printed.
    pub(crate) fn shows(&self, metadata: &Metadata<'_>) -> bool {
        self.format != ConsoleFormat::Silent && self.selects(metadata)
    }

    /// Whether `RUST_LOG` selects an event.
    pub(crate) fn selects(&self, metadata: &Metadata<'_>) -> bool {
        // ureq logs every byte that it sends, including the keys.
        let dumps = metadata.target().starts_with("ureq") && *metadata.level() > Level::INFO;
        !dumps && self.filter.would_enable(metadata.target(), metadata.level())
    }

    /// The levels of `RUST_LOG`, as one writes them there.
    pub(crate) fn levels(&self) -> String {
        self.filter.to_string()
    }

    pub(crate) fn max_level(&self) -> LevelFilter {
        self.filter.iter().map(|(_, level)| level).chain(self.filter.default_level()).max().unwrap_or(LevelFilter::OFF)
    }

    /// Prints an event that happened in `span`.
    pub(crate) fn print(&self, event: &Event<'_>, span: Option<SpanIds>) {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut fields = ConsoleFields::default();
        event.record(&mut fields);
        let line = self.line(metadata, fields, span);
        // A write error is ignored: it must not stop a service.
        drop(io::stderr().write_all(line.as_bytes()));
    }

    fn line(&self, metadata: &Metadata<'_>, fields: ConsoleFields, span: Option<SpanIds>) -> String {
        let mut time = String::new();
        // Writing to a String does not fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let ConsoleFields { message, fields } = fields;
        if self.format == ConsoleFormat::Json {
            let mut line = vec![
                ("timestamp", Json::from(time)),
                ("level", metadata.level().as_str().into()),
                ("target", metadata.target().into()),
                ("message", message.into()),
            ];
            if let Some(span) = span {
                line.push(("trace_id", span.trace.to_string().into()));
                line.push(("span_id", span.span.to_string().into()));
            }
            // Keys are unique: an event's field with one of these names gets a prefix.
            let prefix = |name: &str| if line.iter().any(|(own, _)| *own == name) { "event." } else { "" };
            let own = line.iter().map(|(name, value)| format!("{name:?}:{value}"));
            let more = fields.iter().map(|(name, value)| format!("{:?}:{value}", [prefix(name), *name].concat()));
            let pairs: Vec<String> = own.chain(more).collect();
            return format!("{{{}}}\n", Escaped(&pairs.join(","), escape_json));
        }
        let (before, after) =
            if self.format == ConsoleFormat::Coloured { (colour(metadata.level()), "\x1b[0m") } else { ("", "") };
        let mut line = format!("{time} {before}{:>5}{after} {}", metadata.level(), Escaped(&message, escape));
        for (name, value) in fields {
            let value = match value {
                Json::String(text) => text,
                other => other.to_string(),
            };
            let _ = write!(line, " {name}={}", Escaped(&value, escape));
        }
        if let Some(span) = span {
            let _ = write!(line, " trace={}", span.trace);
        }
        line.push('\n');
        line
    }
}

fn colour(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// A text whose control characters are escaped by the function.
struct Escaped<'a>(&'a str, fn(char, &mut fmt::Formatter<'_>) -> fmt::Result);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { self.1(c, f)? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

fn escape(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", c.escape_default())
}

/// Characters that JSON itself does not escape: DEL and the second set of control characters.
fn escape_json(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "\\u{:04x}", u32::from(c))
}

/// An event's fields, in their order.
#[derive(Default)]
struct ConsoleFields {
    message: String,
    fields: Vec<(&'static str, Json)>,
}

impl ConsoleFields {
    fn put(&mut self, field: &Field, value: impl Into<Json>) {
        // The bridge from `log` describes its callsite in these fields.
        if field.name().starts_with("log.") {
            return;
        }
        match self.fields.iter_mut().find(|(name, _)| *name == field.name()) {
            Some((_, earlier)) => *earlier = value.into(),
            None => self.fields.push((field.name(), value.into())),
        }
    }
}

impl Visit for ConsoleFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { self.message = value.to_owned() } else { self.put(field, value) }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match not_finite(value) {
            Some(text) => self.put(field, text),
            None => self.put(field, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.put(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Subscriber;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    /// Keeps the JSON lines that the console would print.
    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let console = Console { filter: Targets::new(), format: ConsoleFormat::Json };
            let mut fields = ConsoleFields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push(console.line(event.metadata(), fields, None));
        }
    }

    #[test]
    fn a_json_line_has_unique_keys_and_non_finite_numbers_as_text() {
        let lines = Lines(Arc::default());
        tracing::subscriber::with_default(Registry::default().with(lines.clone()), || {
            tracing::info!(x = 1, x = 2, level = "own", float = f64::NAN, "it happened");
        });
        let line = lines.0.lock().unwrap().concat();
        for key in ["x", "level", "event.level", "message", "float"] {
            assert_eq!(line.matches(&format!("\"{key}\":")).count(), 1, "{line}");
        }
        let json: Json = serde_json::from_str(&line).unwrap();
        assert_eq!([&json["x"], &json["level"], &json["event.level"]], [&Json::from(2), &"INFO".into(), &"own".into()]);
        assert_eq!(json["float"], "NaN");
    }
}

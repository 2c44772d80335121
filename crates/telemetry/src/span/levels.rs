//! Which spans are created, by their level and target: those from INFO up, unless `TRACE_LEVEL` sets another level. If a span is
//! not created, its events and children belong to the span around it.

use std::str::FromStr;

use settings::Settings;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The level of targets that are not named.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// The most verbose level of the spans of each target.
#[derive(Debug, Clone)]
pub(crate) struct SpanLevels(Targets);

impl SpanLevels {
    /// Reads `TRACE_LEVEL`. A value that names only targets does not affect other targets.
    pub(crate) fn read(settings: &mut Settings) -> Self {
        settings.note_default("TRACE_LEVEL", DEFAULT);
        settings.parse("TRACE_LEVEL", "a level such as debug, or info,tower_http=debug").unwrap_or_default()
    }

    pub(super) fn enable(&self, span: &Metadata<'_>) -> bool {
        self.0.would_enable(span.target(), span.level())
    }

    pub(crate) fn max(&self) -> LevelFilter {
        self.0.iter().map(|(_, level)| level).chain(self.0.default_level()).max().unwrap_or(LevelFilter::OFF)
    }
}

impl FromStr for SpanLevels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The library treats a word that is not a level as a target with all its spans, so a misspelt level would go unnoticed.
        let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        // It would also treat a pattern of spans and fields, which other filters support, as a target.
        let is_wrong = |part: &&str| part.contains('[') || (!part.contains('=') && !is_level(part));
        if let Some(part) = text.split(',').map(str::trim).find(is_wrong) {
            return Err(format!("\"{part}\" is neither a level nor target=level"));
        }
        let levels: Targets = text.parse().map_err(|error| format!("{error}"))?;
        let default = levels.default_level().unwrap_or(DEFAULT);
        Ok(Self(levels.with_default(default)))
    }
}

impl Default for SpanLevels {
    fn default() -> Self {
        Self(Targets::new().with_default(DEFAULT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_level_is_refused() {
        for text in ["loud", "info,tower_http", "tower_http=loud", "info,,debug", "info,[span]=debug"] {
            assert!(text.parse::<SpanLevels>().is_err(), "{text}");
        }
        for text in ["debug", "off", "INFO, tower_http=debug", "tower_http::trace=trace,noisy=off"] {
            assert!(text.parse::<SpanLevels>().is_ok(), "{text}");
        }
    }
}

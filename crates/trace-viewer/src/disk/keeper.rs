//! Which traces of a segment are kept when the segment has to go. Knows chunks by their entries only.
//!
//! All chunks arrive on the common shelf. When its oldest segment has to go, the traces that are worth more move to the shelf of their [`Worth`], as in memory.
//! On its own shelf, a trace is evicted if its service is among the largest there, and otherwise written again as the newest. So a busy service evicts its own
//! traces first.

use std::collections::{HashMap, HashSet};

use super::chunk::{Entry, Marks};
use crate::model::TraceId;
use crate::store::retention::{SLOWEST, Worth};

/// The most services that a shelf distinguishes, and the most routes with slowest traces.
const SERVICES: usize = 256;
const ROUTES: usize = 4_096;
const OTHERS: u32 = 0;
/// The most traces whose marks are remembered: 12 MiB. Of a further one, only the chunks in one segment decide together.
const MARKED: usize = 256 * 1024;
/// At least three quarters of what cannot move to another shelf are evicted, so that a write waits for the copies of a quarter at most.
const EVICTED: (u64, u64) = (3, 4);

/// What the sealed segments have in common.
#[derive(Default)]
pub(super) struct Keeper {
    /// The marks of traces that are kept longer, and in how many chunks they are.
    marked: HashMap<TraceId, (Marks, u32)>,
    /// The bytes of each service, by shelf.
    services: HashMap<(Worth, u32), u64>,
    /// The slowest traces of each service and route.
    slowest: HashMap<(u32, u32), Vec<(u64, TraceId)>>,
}

/// What happens to the traces of a segment.
#[derive(Default)]
pub(super) struct Verdict {
    /// The chunks that are written again, and their shelves.
    pub(super) kept: Vec<(Worth, Entry)>,
    /// The evicted traces, by their worth.
    pub(super) evicted: Vec<Worth>,
}

/// A trace's part of a segment.
struct Part<'e> {
    entries: &'e [Entry],
    root: &'e Entry,
    worth: Worth,
    bytes: u64,
}

impl Keeper {
    /// Records the chunks of a segment that has been sealed.
    pub(super) fn add(&mut self, shelf: Worth, entries: &[Entry]) {
        for entry in entries {
            if entry.marks.is_worthy() && (self.marked.len() < MARKED || self.marked.contains_key(&entry.trace)) {
                let (marks, chunks) = self.marked.entry(entry.trace).or_default();
                *marks = marks.and(entry.marks);
                *chunks += 1;
            }
            let known = self.services.contains_key(&(shelf, entry.service)) || self.services.len() < SERVICES * 5;
            *self.services.entry((shelf, if known { entry.service } else { OTHERS })).or_default() += entry.bytes();
        }
        if shelf == Worth::Slow {
            for entries in entries.chunk_by(|a, b| a.trace == b.trace) {
                if let Some((root, duration)) = outline(entries) {
                    self.is_slow(root, duration);
                }
            }
        }
    }

    /// Forgets the chunks of a segment that is gone.
    pub(super) fn remove(&mut self, shelf: Worth, entries: &[Entry]) {
        for entry in entries {
            if entry.marks.is_worthy()
                && let Some((_, chunks)) = self.marked.get_mut(&entry.trace)
            {
                *chunks = chunks.saturating_sub(1);
                if *chunks == 0 {
                    self.marked.remove(&entry.trace);
                }
            }
            let known = self.services.contains_key(&(shelf, entry.service));
            let key = (shelf, if known { entry.service } else { OTHERS });
            if let Some(bytes) = self.services.get_mut(&key) {
                *bytes = bytes.saturating_sub(entry.bytes());
                if *bytes == 0 {
                    self.services.remove(&key);
                }
            }
        }
    }

    /// Decides about a segment's chunks, which are sorted by trace. `recent` has the marks of segments that are not sealed yet.
    pub(super) fn judge(&mut self, shelf: Worth, entries: &[Entry], recent: &HashMap<TraceId, Marks>) -> Verdict {
        let mut verdict = Verdict::default();
        let groups = entries.chunk_by(|a, b| a.trace == b.trace);
        let mut parts: Vec<Part<'_>> = groups.filter_map(|entries| self.part(shelf, entries, recent)).collect();
        // A trace of this segment may have displaced another one.
        for part in parts.iter_mut().filter(|part| part.worth == Worth::Slow) {
            part.worth = if self.has_slow(part.root) { Worth::Slow } else { Worth::Common };
        }
        let mut staying = Vec::new();
        for part in parts {
            let entries = part.entries;
            if part.worth == shelf || part.worth == Worth::Common {
                staying.push(part);
            } else {
                verdict.kept.extend(entries.iter().map(|entry| (part.worth, *entry)));
            }
        }
        let evicted = self.largest(shelf, &staying);
        for part in staying {
            // A trace that is no longer among the slowest does not stay on their shelf.
            if evicted.contains(&part.root.service) || part.worth != shelf {
                self.forget(&part);
                verdict.evicted.push(part.worth);
            } else {
                verdict.kept.extend(part.entries.iter().map(|entry| (shelf, *entry)));
            }
        }
        verdict
    }

    fn part<'e>(&mut self, shelf: Worth, entries: &'e [Entry], recent: &HashMap<TraceId, Marks>) -> Option<Part<'e>> {
        let (root, duration) = outline(entries)?;
        let others = [self.marked.get(&root.trace).map(|(marks, _)| *marks), recent.get(&root.trace).copied()];
        let own = entries.iter().map(|entry| entry.marks);
        let marks = own.chain(others.into_iter().flatten()).fold(Marks::default(), Marks::and);
        let worth = if marks.has(Marks::OPENED) {
            Worth::Opened
        } else if marks.has(Marks::BROWSER) {
            Worth::Browser
        } else if marks.has_error() {
            Worth::Error
        } else if matches!(shelf, Worth::Common | Worth::Slow) && self.is_slow(root, duration) {
            Worth::Slow
        } else {
            Worth::Common
        };
        Some(Part { entries, root, worth, bytes: entries.iter().map(Entry::bytes).sum() })
    }

    /// Whether a trace is among the slowest of its route, where it displaces the fastest.
    fn is_slow(&mut self, root: &Entry, duration: u64) -> bool {
        let key = (root.service, root.route);
        if self.slowest.len() >= ROUTES && !self.slowest.contains_key(&key) {
            return false;
        }
        if self.has_slow(root) {
            return true;
        }
        let slowest = self.slowest.entry(key).or_default();
        if slowest.len() >= SLOWEST {
            let fastest = slowest.iter_mut().min_by_key(|(duration, _)| *duration);
            return fastest.filter(|(least, _)| duration > *least).is_some_and(|fastest| {
                *fastest = (duration, root.trace);
                true
            });
        }
        slowest.push((duration, root.trace));
        true
    }

    fn has_slow(&self, root: &Entry) -> bool {
        let slowest = self.slowest.get(&(root.service, root.route));
        slowest.is_some_and(|slowest| slowest.iter().any(|(_, trace)| *trace == root.trace))
    }

    fn forget(&mut self, part: &Part<'_>) {
        if part.worth != Worth::Slow {
            return;
        }
        let root = part.root;
        if let Some(slowest) = self.slowest.get_mut(&(root.service, root.route)) {
            slowest.retain(|(_, trace)| *trace != root.trace);
            if slowest.is_empty() {
                self.slowest.remove(&(root.service, root.route));
            }
        }
    }

    /// The services with the most bytes of a shelf that together have most of these traces.
    fn largest(&self, shelf: Worth, staying: &[Part<'_>]) -> HashSet<u32> {
        let mut here: HashMap<u32, u64> = HashMap::new();
        for part in staying {
            *here.entry(part.root.service).or_default() += part.bytes;
        }
        let due = here.values().sum::<u64>() / EVICTED.1 * EVICTED.0;
        let mut services: Vec<(u32, u64)> = here.into_iter().collect();
        services
            .sort_by_key(|(service, _)| std::cmp::Reverse(self.services.get(&(shelf, *service)).copied().unwrap_or(0)));
        let mut bytes = 0;
        let chosen = services.into_iter().take_while(|(_, own)| {
            let is_due = bytes <= due;
            bytes += own;
            is_due
        });
        chosen.map(|(service, _)| service).collect()
    }
}

/// The chunk with a trace's root, and the trace's duration.
fn outline(entries: &[Entry]) -> Option<(&Entry, u64)> {
    let spans = || entries.iter().filter(|entry| entry.items > 0);
    let root = spans().min_by_key(|entry| (!entry.marks.has_root(), entry.start)).or(entries.first())?;
    let start = spans().map(|entry| entry.start).min();
    let end = spans().map(|entry| entry.end).max();
    Some((root, start.zip(end).map_or(0, |(start, end)| end.0.saturating_sub(start.0))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::chunk::Chunks;
    use crate::disk::codec::tests::trace;
    use crate::model::{Code, Kind, Nanos, Source, Span, SpanId};

    fn span(number: u128, service: &str, duration: u64) -> Span {
        Span {
            trace_id: trace(number),
            span_id: SpanId::from_bytes(&[1; 8]).unwrap(),
            parent: None,
            service: Some(service.into()),
            name: "GET /".into(),
            kind: Kind::Server,
            start: Nanos(1_000),
            end: Some(Nanos(1_000 + duration)),
            outcome: Code::Unset,
            database: None,
            is_browser: false,
            source: Source::Otlp,
            document: None,
            details: serde_json::value::to_raw_value(&serde_json::json!({})).unwrap(),
        }
    }

    fn entries(spans: Vec<Span>) -> Vec<Entry> {
        Chunks::of(&mut spans.into_iter().map(Arc::new).collect::<Vec<_>>()).entries
    }

    fn kept(verdict: &Verdict, worth: Worth) -> Vec<TraceId> {
        verdict.kept.iter().filter(|(own, _)| *own == worth).map(|(_, entry)| entry.trace).collect()
    }

    #[test]
    fn what_is_worth_more_moves_to_its_shelf() {
        let mut keeper = Keeper::default();
        let mut spans: Vec<Span> = (1..100_u64).map(|number| span(number.into(), "busy", 1_000 - number)).collect();
        spans[50].outcome = Code::Error;
        spans[60].is_browser = true;
        let first = entries(spans);
        let recent = HashMap::from([(trace(71), Marks::OPENED)]);
        let verdict = keeper.judge(Worth::Common, &first, &recent);
        assert_eq!(kept(&verdict, Worth::Error), [trace(51)]);
        assert_eq!(kept(&verdict, Worth::Browser), [trace(61)]);
        assert_eq!(kept(&verdict, Worth::Opened), [trace(71)]);
        assert_eq!(kept(&verdict, Worth::Slow), (1..=10).map(trace).collect::<Vec<_>>());
        assert_eq!((kept(&verdict, Worth::Common), verdict.evicted), (vec![], vec![Worth::Common; 86]));

        let slower =
            entries((1..100_u64).map(|number| span(100 + u128::from(number), "busy", 2_000 + number)).collect());
        let verdict = keeper.judge(Worth::Common, &slower, &HashMap::new());
        assert_eq!(kept(&verdict, Worth::Slow), (190..200).map(trace).collect::<Vec<_>>());
    }

    #[test]
    fn a_mark_in_another_segment_counts_until_that_is_gone() {
        let mut keeper = Keeper::default();
        let mut failed = span(1, "a", 1);
        failed.outcome = Code::Error;
        let (late, early) = (entries(vec![failed]), entries(vec![span(1, "a", 1)]));
        keeper.add(Worth::Common, &late);
        assert_eq!(kept(&keeper.judge(Worth::Common, &early, &HashMap::new()), Worth::Error), [trace(1)]);
        keeper.remove(Worth::Common, &late);
        assert!(keeper.marked.is_empty() && keeper.services.is_empty());
        assert!(kept(&keeper.judge(Worth::Common, &early, &HashMap::new()), Worth::Error).is_empty());
    }

    #[test]
    fn a_busy_service_is_evicted_before_a_quiet_one() {
        let mut keeper = Keeper::default();
        let all: Vec<Span> = (1..=100)
            .map(|number| {
                let mut span = span(number, if number % 10 == 0 { "quiet" } else { "busy" }, 1);
                span.outcome = Code::Error;
                span
            })
            .collect();
        let entries = entries(all);
        keeper.add(Worth::Error, &entries);
        let verdict = keeper.judge(Worth::Error, &entries, &HashMap::new());
        assert_eq!(kept(&verdict, Worth::Error), (1..=10).map(|number| trace(number * 10)).collect::<Vec<_>>());
        assert_eq!(verdict.evicted, vec![Worth::Error; 90]);
    }

    #[test]
    fn a_displaced_trace_leaves_the_shelf_of_the_slowest() {
        let mut keeper = Keeper::default();
        let slow = entries((1..=10).map(|number: u64| span(number.into(), "a", number)).collect());
        keeper.add(Worth::Slow, &slow);
        let slower = entries(vec![span(20, "a", 99)]);
        assert_eq!(kept(&keeper.judge(Worth::Common, &slower, &HashMap::new()), Worth::Slow), [trace(20)]);
        let verdict = keeper.judge(Worth::Slow, &slow, &HashMap::new());
        assert_eq!(verdict.evicted.iter().filter(|worth| **worth == Worth::Common).count(), 1);
    }
}

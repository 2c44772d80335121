//! The traces that wait for their search entries. Each is here once; most change several times before their round, and are read once.

use std::collections::{HashMap, VecDeque};

use crate::model::TraceId;

/// The queue is cleared of evicted traces if it is this much longer than twice the number of traces.
const SLACK: usize = 1_024;

#[derive(Default)]
pub(super) struct Unindexed {
    queue: VecDeque<TraceId>,
    /// How many of the first were here when the last round started.
    due: usize,
    /// How many were here when this round started.
    seen: usize,
}

impl Unindexed {
    /// Adds a trace. `known` has all traces that are in memory.
    pub(super) fn push<T>(&mut self, id: TraceId, known: &HashMap<TraceId, T>) {
        self.queue.push_back(id);
        if self.queue.len() > 2 * known.len() + SLACK {
            self.queue.retain(|id| known.contains_key(id));
            self.due = self.due.min(self.queue.len());
            self.seen = self.seen.min(self.queue.len());
        }
    }

    pub(super) fn start_round(&mut self) {
        self.due = self.seen;
        self.seen = self.queue.len();
    }

    /// The next trace of the round.
    pub(super) fn pop(&mut self) -> Option<TraceId> {
        self.due = self.due.checked_sub(1)?;
        self.seen = self.seen.saturating_sub(1);
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_due_one_round_after_it_came_and_the_queue_is_bounded() {
        let id = |id: u128| TraceId::from_bytes(&id.to_be_bytes()).unwrap();
        let known: HashMap<TraceId, ()> = [(id(1), ())].into();
        let mut unindexed = Unindexed::default();
        unindexed.push(id(1), &known);
        unindexed.start_round();
        assert_eq!(unindexed.pop(), None);
        unindexed.push(id(2), &known);
        unindexed.start_round();
        assert_eq!((unindexed.pop(), unindexed.pop()), (Some(id(1)), None));
        for evicted in 3..10_000 {
            unindexed.push(id(evicted), &known);
            assert!(unindexed.queue.len() <= SLACK + 2);
        }
    }
}

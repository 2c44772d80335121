//! The segments of a folder, which the writer changes and others read. A reader takes what it needs, and reads files without the lock: a file that is deleted
//! meanwhile can still be read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::chunk::{self, Entry, Marks};
use super::codec::SavedItems;
use super::segment::{Active, Segment};
use crate::model::TraceId;
use crate::store::retention::{Evictions, Worth};

/// The segments behind one lock.
#[derive(Default)]
pub(super) struct Shelves(Mutex<Segments>);

#[derive(Default)]
pub(super) struct Segments {
    /// By their numbers.
    pub(super) sealed: Vec<Arc<Segment>>,
    /// At most one of each shelf.
    pub(super) active: Vec<Active>,
    /// Files of the folder that are no segments.
    pub(super) other: u64,
    /// Segments that are deleted once the copies of their traces are on the disk.
    pub(super) leaving: u64,
    pub(super) evicted: Evictions,
}

/// What is on the disk.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct DiskCounts {
    /// The bytes of the folder's files.
    bytes: u64,
    /// What requests and datagrams added, each to one trace.
    chunks: usize,
    evicted: Evictions,
}

impl Segments {
    /// The bytes of the folder's files, with the indexes that active segments will have.
    pub(super) fn bytes(&self) -> u64 {
        let sealed = self.sealed.iter().map(|segment| segment.bytes());
        let active = self.active.iter().map(Active::bytes);
        self.other + self.leaving + sealed.chain(active).sum::<u64>()
    }

    pub(super) fn bytes_of(&self, shelf: Worth) -> u64 {
        let sealed = self.sealed.iter().filter(|segment| segment.name.shelf == shelf).map(|segment| segment.bytes());
        let active = self.active.iter().filter(|active| active.name.shelf == shelf).map(Active::bytes);
        sealed.chain(active).sum()
    }

    pub(super) fn active(&mut self, shelf: Worth) -> Option<&mut Active> {
        self.active.iter_mut().find(|active| active.name.shelf == shelf)
    }
}

impl Shelves {
    /// No method leaves the segments half changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, Segments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> DiskCounts {
        let segments = self.lock();
        let sealed = segments.sealed.iter().map(|segment| segment.count());
        let chunks = sealed.chain(segments.active.iter().map(|active| active.entries.len())).sum();
        DiskCounts { bytes: segments.bytes(), chunks, evicted: segments.evicted }
    }

    /// The files that grow, and the bytes in them.
    pub(super) fn growing(&self) -> (Vec<Arc<File>>, u64) {
        let segments = self.lock();
        let files = segments.active.iter().map(|active| Arc::clone(&active.file)).collect();
        (files, segments.active.iter().map(|active| active.end).sum())
    }

    /// The chunks of a trace, earliest first, and their files.
    fn find(&self, trace: TraceId) -> io::Result<Vec<(Arc<File>, Entry)>> {
        let segments = self.lock();
        let sealed = segments.sealed.clone();
        let mut recent = Vec::new();
        for active in &segments.active {
            let entries = active.entries.iter().filter(|entry| entry.trace == trace);
            recent.extend(entries.map(|entry| (Arc::clone(&active.file), *entry)));
        }
        drop(segments);
        let mut found = Vec::new();
        for segment in sealed {
            found.extend(segment.find(trace)?.into_iter().map(|entry| (Arc::clone(segment.file()), entry)));
        }
        found.append(&mut recent);
        Ok(found)
    }

    /// The items of a trace, unless it has at most `known` of them. Reads at most `limit` bytes.
    pub(super) fn read(&self, trace: TraceId, known: usize, limit: usize) -> io::Result<SavedItems> {
        let mut items = SavedItems::default();
        let found = self.find(trace)?;
        let count: u64 = found.iter().map(|(_, entry)| u64::from(entry.items)).sum();
        if count <= u64::try_from(known).unwrap_or(u64::MAX) {
            return Ok(items);
        }
        items.is_opened = found.iter().any(|(_, entry)| entry.marks.has(Marks::OPENED));
        let mut left = limit;
        for (file, entry) in found.into_iter().filter(|(_, entry)| entry.items > 0) {
            let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, u64::from(entry.offset))?;
            // A damaged chunk costs itself alone.
            if !chunk::read(trace, &bytes, &mut items) {
                tracing::warn!(trace = %trace, "a damaged part of a trace is skipped");
            }
        }
        Ok(items)
    }
}

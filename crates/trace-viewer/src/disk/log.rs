//! Adds chunks to the segments of a folder, and makes space for them within its cap. One thread uses it.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::chunk::{ENTRY, Entry, Marks};
use super::keeper::Keeper;
use super::segment::{self, Active, Name, Segment};
use super::shelves::Shelves;
use super::sync::Syncer;
use crate::model::TraceId;
use crate::store::retention::Worth;

/// The part of the cap that a segment takes: a sixty-fourth.
const SEGMENTS: u64 = 64;
const SMALLEST: u64 = 256 * 1024;
const LARGEST: u64 = 256 * 1024 * 1024;
/// The part of the cap that stays free for the copies of traces that are kept: a sixteenth.
const FREE: u64 = 16;
/// The most segments that leave at the same time.
const LEAVING: u64 = 2;
/// The bytes that a copy holds in memory.
const COPY: usize = 1024 * 1024;
/// The most segments that leave for one write; the next write continues.
const ROUNDS: usize = 256;

pub(super) struct Log {
    pub(super) folder: PathBuf,
    pub(super) cap: u64,
    /// The number of the next segment.
    pub(super) next: u64,
    pub(super) keeper: Keeper,
    pub(super) shelves: Arc<Shelves>,
    pub(super) syncer: Syncer,
}

impl Log {
    /// Adds the chunks of several requests, each with its bytes. Returns whether there is space for them.
    ///
    /// # Errors
    /// A file cannot be written. Nothing is added then.
    pub(super) fn add(&mut self, requests: &[(&[u8], &[Entry])]) -> io::Result<bool> {
        let bytes: usize = requests.iter().map(|(bytes, entries)| bytes.len() + entries.len() * ENTRY).sum();
        if !self.make_space(u64::try_from(bytes).unwrap_or(u64::MAX))? {
            return Ok(false);
        }
        self.append(Worth::Common, requests).map(|()| true)
    }

    fn append(&mut self, shelf: Worth, requests: &[(&[u8], &[Entry])]) -> io::Result<()> {
        let bytes: usize = requests.iter().map(|(bytes, _)| bytes.len()).sum();
        self.make_active(shelf, u64::try_from(bytes).unwrap_or(u64::MAX))?;
        let active = self.shelves.lock().active(shelf).map(|active| (Arc::clone(&active.file), active.end));
        let Some((file, end)) = active else { return Err(io::ErrorKind::NotFound.into()) };
        let buffers: Vec<&[u8]> = requests.iter().map(|(bytes, _)| *bytes).collect();
        if let Err(error) = segment::write(&file, &buffers, end) {
            // If this fails too, the next write replaces what is there.
            drop(file.set_len(end));
            return Err(error);
        }
        let mut segments = self.shelves.lock();
        let Some(active) = segments.active(shelf) else { return Ok(()) };
        for (bytes, entries) in requests {
            let base = u32::try_from(active.end).unwrap_or(u32::MAX);
            active
                .entries
                .extend(entries.iter().map(|entry| Entry { offset: base.saturating_add(entry.offset), ..*entry }));
            active.end += u64::try_from(bytes.len()).unwrap_or(0);
        }
        Ok(())
    }

    /// Makes sure that a shelf has an active segment to which these bytes can be added.
    fn make_active(&mut self, shelf: Worth, bytes: u64) -> io::Result<()> {
        let size = self.segment_size();
        let is_full = |active: &Active| !active.entries.is_empty() && active.end + bytes > size;
        let has_room = self.shelves.lock().active(shelf).map(|active| !is_full(active));
        match has_room {
            Some(true) => return Ok(()),
            Some(false) => self.seal(shelf)?,
            None => {}
        }
        let active = Active::create(&self.folder, Name { number: self.next, shelf })?;
        self.next += 1;
        self.shelves.lock().active.push(active);
        Ok(())
    }

    /// Replaces an active segment by the sealed one. Readers see either.
    pub(super) fn seal(&mut self, shelf: Worth) -> io::Result<()> {
        let Some(active) = self.shelves.lock().active(shelf).map(|active| active.snapshot()) else { return Ok(()) };
        let (sealed, entries) = segment::seal(active)?;
        let sealed = Arc::new(sealed);
        let mut segments = self.shelves.lock();
        segments.active.retain(|active| active.name != sealed.name);
        let at = segments.sealed.partition_point(|segment| segment.name.number < sealed.name.number);
        segments.sealed.insert(at, Arc::clone(&sealed));
        drop(segments);
        self.keeper.add(shelf, &entries);
        self.syncer.sync(sealed.file());
        Ok(())
    }

    fn segment_size(&self) -> u64 {
        (self.cap / SEGMENTS).clamp(SMALLEST, LARGEST)
    }

    /// Lets segments go until so many bytes fit. Returns whether they do.
    fn make_space(&mut self, bytes: u64) -> io::Result<bool> {
        let limit = self.cap - self.cap / FREE;
        if bytes > limit / 4 {
            return Ok(false);
        }
        for _ in 0..ROUNDS {
            let segments = self.shelves.lock();
            let used = segments.bytes() - segments.leaving;
            drop(segments);
            if used + bytes <= limit {
                return Ok(true);
            }
            let Some(victim) = self.victim()? else { return Ok(false) };
            self.retire(&victim)?;
        }
        Ok(false)
    }

    /// The next segment to go: the oldest of a shelf beyond its share, otherwise the oldest common one.
    fn victim(&mut self) -> io::Result<Option<Arc<Segment>>> {
        let segments = self.shelves.lock();
        let share = |shelf: Worth| shelf.part().and_then(|part| u64::try_from(part).ok()).map(|part| self.cap / part);
        let is_over = |shelf: &Worth| share(*shelf).is_some_and(|share| segments.bytes_of(*shelf) > share);
        let over = Worth::ALL.into_iter().find(is_over);
        let oldest = |shelf: Worth| segments.sealed.iter().find(|segment| segment.name.shelf == shelf).cloned();
        let largest = Worth::ALL.into_iter().max_by_key(|shelf| segments.bytes_of(*shelf)).unwrap_or(Worth::Common);
        let found = over.and_then(oldest).or_else(|| oldest(Worth::Common)).or_else(|| oldest(largest));
        drop(segments);
        if found.is_some() {
            return Ok(found);
        }
        // Everything is in active segments, such as one with a single large request.
        self.seal(largest)?;
        Ok(self.shelves.lock().sealed.first().cloned())
    }

    /// Writes the traces of a segment that are kept to their shelves, and deletes it.
    fn retire(&mut self, victim: &Arc<Segment>) -> io::Result<()> {
        let entries = victim.entries()?;
        self.keeper.remove(victim.name.shelf, &entries);
        let mut verdict = self.keeper.judge(victim.name.shelf, &entries, &self.recent_marks());
        verdict.kept.sort_by_key(|(shelf, entry)| (shelf.name(), entry.offset));
        let mut copied = Vec::new();
        for kept in verdict.kept.chunk_by(|a, b| a.0 == b.0) {
            if let Some((shelf, _)) = kept.first() {
                self.copy(victim, *shelf, kept)?;
                copied.extend(self.shelves.lock().active(*shelf).map(|active| Arc::clone(&active.file)));
            }
        }
        let mut segments = self.shelves.lock();
        segments.sealed.retain(|segment| segment.name != victim.name);
        segments.leaving += victim.bytes();
        // The space for copies holds these too.
        let is_late = segments.leaving > LEAVING * self.segment_size();
        verdict.evicted.into_iter().for_each(|worth| segments.evicted.add(worth));
        drop(segments);
        self.syncer.delete(victim, copied, is_late);
        Ok(())
    }

    fn copy(&mut self, from: &Segment, shelf: Worth, kept: &[(Worth, Entry)]) -> io::Result<()> {
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        for (_, entry) in kept {
            let (start, length) = (bytes.len(), usize::try_from(entry.length).unwrap_or(0));
            bytes.resize(start + length, 0);
            if let Some(place) = bytes.get_mut(start..) {
                from.file().read_exact_at(place, u64::from(entry.offset))?;
            }
            entries.push(Entry { offset: u32::try_from(start).unwrap_or(u32::MAX), ..*entry });
            if bytes.len() >= COPY {
                self.append(shelf, &[(&bytes, &entries)])?;
                bytes.clear();
                entries.clear();
            }
        }
        if bytes.is_empty() { Ok(()) } else { self.append(shelf, &[(&bytes, &entries)]) }
    }

    /// The marks of traces in segments that are not sealed.
    fn recent_marks(&self) -> HashMap<TraceId, Marks> {
        let mut marks: HashMap<TraceId, Marks> = HashMap::new();
        for active in &self.shelves.lock().active {
            for entry in active.entries.iter().filter(|entry| entry.marks.is_worthy()) {
                let known = marks.entry(entry.trace).or_default();
                *known = known.and(entry.marks);
            }
        }
        marks
    }
}

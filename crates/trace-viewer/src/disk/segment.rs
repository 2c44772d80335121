//! A segment: a file of chunks, to which only the end is added. Once it is large enough it is sealed with an index of its chunks, sorted by trace, and never
//! changes again. A file without a valid index is scanned for its chunks.
//!
//! A file is [`START`], the chunks, and if it is sealed the index: its entries, their number and checksum (four bytes each), and [`END`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunk::{self, ENTRY, Entry};
use crate::model::TraceId;
use crate::store::retention::Worth;

/// The format of segments, which their first bytes name.
pub(super) const FORMAT: u8 = 1;
const START: [u8; 8] = [b'C', b'R', b'U', b'D', b'T', b'R', b'C', FORMAT];
const END: [u8; 8] = *b"CRUDTRIX";
/// The bytes after the entries of an index.
const TRAILER: usize = 8 + END.len();
/// A fence stands before this many entries of the index.
const FENCE: usize = 64;
/// A file takes whole blocks of its disk.
const BLOCK: u64 = 4096;
/// Buffers of fewer bytes are written together.
const SMALL: usize = 16 * 1024;

/// The name of a segment: its number, in the order in which segments were made, and its shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) shelf: Worth,
}

/// A segment that no longer changes.
pub(super) struct Segment {
    pub(super) name: Name,
    pub(super) path: PathBuf,
    file: Arc<File>,
    /// Where the index starts.
    index: u64,
    count: usize,
    /// The trace of every 64th entry.
    fences: Vec<TraceId>,
}

/// A segment that grows.
pub(super) struct Active {
    pub(super) name: Name,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) end: u64,
    pub(super) entries: Vec<Entry>,
}

/// A file that was opened.
pub(super) enum Opened {
    /// With all entries of its index.
    Sealed(Segment, Vec<Entry>),
    /// With the number of damaged bytes.
    Active(Active, usize),
    /// It is no segment of this format.
    Foreign,
}

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (number, shelf) = name.strip_suffix(".traces")?.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok().filter(|_| number.len() == 16)?;
        Some(Self { number, shelf: Worth::ALL.into_iter().find(|worth| worth.name() == shelf)? })
    }

    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{:016x}-{}.traces", self.number, self.shelf.name()))
    }
}

/// The bytes that a file of this length takes on its disk.
pub(super) fn on_disk(length: u64) -> u64 {
    length.next_multiple_of(BLOCK)
}

/// The format that a file names, if it is a segment.
pub(super) fn format(path: &Path) -> Option<u8> {
    let mut start = [0; START.len()];
    File::open(path).ok()?.read_exact(&mut start).ok()?;
    let [own @ .., format] = start;
    (own == START[..7]).then_some(format)
}

pub(super) fn open(path: PathBuf, name: Name) -> io::Result<Opened> {
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let length = file.metadata()?.len();
    let mut start = [0; START.len()];
    // A crash may leave a file with less.
    if length >= 8 {
        file.read_exact_at(&mut start, 0)?;
        if start != START {
            return Ok(Opened::Foreign);
        }
    }
    if let Some((index, bytes)) = index(&file, length)? {
        let entries: Option<Vec<Entry>> = bytes.chunks_exact(ENTRY).map(Entry::of_index).collect();
        if let Some(entries) = entries {
            let fences = fences(&entries);
            let count = entries.len();
            return Ok(Opened::Sealed(Segment { name, path, file: Arc::new(file), index, count, fences }, entries));
        }
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (entries, end, damaged) = chunk::scan(&bytes, START.len().min(bytes.len()));
    let end = u64::try_from(end).unwrap_or(u64::MAX);
    let mut active = Active { name, path, file: Arc::new(file), end, entries };
    active.rewind()?;
    Ok(Opened::Active(active, damaged))
}

/// Where the index of a sealed file starts, and its entries.
fn index(file: &File, length: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut trailer = [0; TRAILER];
    let Some(at) = length.checked_sub(8 + u64::try_from(TRAILER).unwrap_or(0)) else { return Ok(None) };
    file.read_exact_at(&mut trailer, at + 8)?;
    let (facts, end) = trailer.split_at(8);
    let (count, sum) = facts.split_at(4);
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
    let bytes = u64::from(number(count)) * u64::try_from(ENTRY).unwrap_or(0);
    if end != END || bytes > at {
        return Ok(None);
    }
    let index = at + 8 - bytes;
    let mut entries = vec![0; usize::try_from(bytes).unwrap_or(0)];
    file.read_exact_at(&mut entries, index)?;
    Ok((chunk::checksum(&entries) == number(sum)).then_some((index, entries)))
}

fn fences(entries: &[Entry]) -> Vec<TraceId> {
    entries.iter().step_by(FENCE).map(|entry| entry.trace).collect()
}

impl Segment {
    /// The bytes that it takes on its disk.
    pub(super) fn bytes(&self) -> u64 {
        on_disk(self.index + u64::try_from(self.count * ENTRY + TRAILER).unwrap_or(0))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// All entries, sorted by trace.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        self.entries_from(0, self.count)
    }

    /// The entries of a trace.
    pub(super) fn find(&self, trace: TraceId) -> io::Result<Vec<Entry>> {
        let mut block = self.fences.partition_point(|fence| *fence < trace).saturating_sub(1);
        let mut found = Vec::new();
        loop {
            let entries = self.entries_from(block * FENCE, FENCE)?;
            found.extend(entries.iter().filter(|entry| entry.trace == trace));
            if entries.last().is_none_or(|last| last.trace > trace) {
                return Ok(found);
            }
            block += 1;
        }
    }

    fn entries_from(&self, first: usize, count: usize) -> io::Result<Vec<Entry>> {
        let count = count.min(self.count.saturating_sub(first));
        let mut bytes = vec![0; count * ENTRY];
        self.file.read_exact_at(&mut bytes, self.index + u64::try_from(first * ENTRY).unwrap_or(u64::MAX))?;
        Ok(bytes.chunks_exact(ENTRY).filter_map(Entry::of_index).collect())
    }
}

impl Active {
    /// Makes an empty segment, for its owner alone.
    pub(super) fn create(folder: &Path, name: Name) -> io::Result<Self> {
        let path = name.path(folder);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let mut active = Self { name, path, file: Arc::new(file), end: 0, entries: Vec::new() };
        if let Err(error) = active.rewind() {
            // Otherwise its name could not be used again.
            drop(std::fs::remove_file(&active.path));
            return Err(error);
        }
        Ok(active)
    }

    /// Cuts off what a failed write or a crash has left behind the last chunk.
    fn rewind(&mut self) -> io::Result<()> {
        if self.end < 8 {
            self.file.write_all_at(&START, 0)?;
            self.end = 8;
        }
        if self.file.metadata()?.len() == self.end { Ok(()) } else { self.file.set_len(self.end) }
    }

    /// The bytes that it takes on its disk once it is sealed.
    pub(super) fn bytes(&self) -> u64 {
        on_disk(self.end + u64::try_from(self.entries.len() * ENTRY + TRAILER).unwrap_or(0))
    }

    /// A copy, for [`seal`].
    pub(super) fn snapshot(&self) -> Self {
        let Self { name, path, file, end, entries } = self;
        Self { name: *name, path: path.clone(), file: Arc::clone(file), end: *end, entries: entries.clone() }
    }
}

/// Sorts the entries of a segment, and adds them to its file as the index. Returns them too.
///
/// # Errors
/// The file cannot be written. It is as before then.
pub(super) fn seal(active: Active) -> io::Result<(Segment, Vec<Entry>)> {
    let Active { name, path, file, end, mut entries } = active;
    entries.sort_unstable_by_key(|entry| (entry.trace, entry.offset));
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY + TRAILER);
    entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.to_index()));
    let sum = chunk::checksum(&bytes);
    bytes.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(&END);
    if let Err(error) = write(&file, &[&bytes], end) {
        drop(file.set_len(end));
        return Err(error);
    }
    let fences = fences(&entries);
    Ok((Segment { name, path, file, index: end, count: entries.len(), fences }, entries))
}

/// Writes all of these one after another, from `at` on.
pub(super) fn write(file: &File, buffers: &[&[u8]], mut at: u64) -> io::Result<()> {
    let mut joined = Vec::new();
    for buffer in buffers {
        if buffer.len() < SMALL && buffers.len() > 1 {
            joined.extend_from_slice(buffer);
            continue;
        }
        at = write_at(file, &joined, at)?;
        joined.clear();
        at = write_at(file, buffer, at)?;
    }
    write_at(file, &joined, at).map(drop)
}

fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<u64> {
    file.write_all_at(bytes, at)?;
    Ok(at + u64::try_from(bytes.len()).unwrap_or(0))
}

//! A thread that waits for the disk, so that the writer need not: once a second it flushes what has been written, and it deletes a segment once the copies of
//! its traces are on the disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::segment::Segment;
use super::shelves::Shelves;

/// What a loss of power may cost.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most segments that wait for the disk.
const WAITING: usize = 8;

struct Task {
    files: Vec<Arc<File>>,
    /// A file to delete then, and its bytes.
    delete: Option<(PathBuf, u64)>,
}

pub(super) struct Syncer {
    tasks: Option<SyncSender<Task>>,
    shelves: Arc<Shelves>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(folder: &Path, shelves: &Arc<Shelves>) -> io::Result<Self> {
        let (tasks, queue) = sync_channel(WAITING);
        let (folder, own) = (File::open(folder)?, Arc::clone(shelves));
        let thread = thread::Builder::new().name("disk-sync".to_owned()).spawn(move || run(&queue, &folder, &own))?;
        Ok(Self { tasks: Some(tasks), shelves: Arc::clone(shelves), thread: Some(thread) })
    }

    /// Flushes a file soon.
    pub(super) fn sync(&self, file: &Arc<File>) {
        drop(self.send(Task { files: vec![Arc::clone(file)], delete: None }));
    }

    /// Deletes a segment once these files are on the disk. If the disk is too slow for that, it is deleted `now`: the cap holds even if a loss of power
    /// then costs the copies.
    pub(super) fn delete(&self, segment: &Segment, files: Vec<Arc<File>>, now: bool) {
        let task = Task { files, delete: Some((segment.path.clone(), segment.bytes())) };
        let sent = if now { Err(task) } else { self.send(task) };
        if let Err(Task { delete: Some((path, bytes)), .. }) = sent {
            delete(&self.shelves, &path, bytes);
        }
    }

    fn send(&self, task: Task) -> Result<(), Task> {
        let Some(tasks) = &self.tasks else { return Err(task) };
        tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(task) | TrySendError::Disconnected(task) => task,
        })
    }
}

impl Drop for Syncer {
    /// Waits for the disk.
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(queue: &Receiver<Task>, folder: &File, shelves: &Shelves) {
    let (mut due, mut flushed) = (Instant::now() + INTERVAL, 0);
    let mut flush_growing = || {
        let (files, bytes) = shelves.growing();
        // An idle viewer does not disturb its disk.
        if std::mem::replace(&mut flushed, bytes) != bytes {
            flush(&files);
            flush_file(folder);
        }
    };
    loop {
        match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(Task { files, delete }) => {
                flush(&files);
                flush_file(folder);
                if let Some((path, bytes)) = delete {
                    self::delete(shelves, &path, bytes);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                flush_growing();
                due = Instant::now() + INTERVAL;
            }
            Err(RecvTimeoutError::Disconnected) => return flush_growing(),
        }
    }
}

fn flush(files: &[Arc<File>]) {
    files.iter().for_each(|file| flush_file(file));
}

fn flush_file(file: &File) {
    if let Err(error) = file.sync_data() {
        tracing::debug!(error = &error as &dyn std::error::Error, "cannot flush a file of traces");
    }
}

fn delete(shelves: &Shelves, path: &Path, bytes: u64) {
    let deleted = std::fs::remove_file(path);
    let mut segments = shelves.lock();
    segments.leaving = segments.leaving.saturating_sub(bytes);
    match deleted {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // It still takes its space.
            segments.other += bytes;
            drop(segments);
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot delete {}", path.display());
        }
        _ => {}
    }
}

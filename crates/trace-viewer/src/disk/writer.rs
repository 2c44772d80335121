//! The thread that writes. It takes all chunks that wait at once, and only then answers for them. If the disk fails, it drops chunks, and tries again later.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::chunk::{Chunks, Entry};
use super::folder::{self, Folder, OpenError};
use super::log::Log;
use super::shelves::Shelves;

/// The most bytes that are written at once, unless one request has more.
const GROUP: usize = 4 * 1024 * 1024;
/// How long a disk that has failed is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// The chunks of one request or datagram.
pub(super) struct Job {
    pub(super) chunks: Chunks,
    /// Its share of the queue.
    pub(super) room: OwnedSemaphorePermit,
    /// Who waits for the write.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// How the disk is.
#[derive(Default)]
pub(super) struct Health {
    failure: Mutex<Option<String>>,
    /// Chunks that only memory has.
    pub(super) unsaved: AtomicU64,
    /// The disk does not answer: nobody waits for it.
    pub(super) is_stalled: AtomicBool,
}

impl Health {
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records a failure, and logs the first of a series.
    pub(super) fn fail(&self, failure: &str) {
        let before = self.failure.lock().unwrap_or_else(PoisonError::into_inner).replace(failure.to_owned());
        if before.is_none() {
            tracing::warn!("new traces are in memory only: {failure}");
        }
    }

    fn recover(&self) {
        if self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            let unsaved = self.unsaved.load(Ordering::Relaxed);
            tracing::info!("new traces are on the disk again; parts of traces that are not there: {unsaved}");
        }
    }
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) cap: u64,
    pub(super) shelves: Arc<Shelves>,
    pub(super) health: Arc<Health>,
    /// The open folder and its lock.
    pub(super) open: Option<(Log, File)>,
    /// When a disk that has failed is tried again.
    pub(super) retry: Option<Instant>,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, cap: u64) -> Self {
        let (shelves, health) = (Arc::default(), Arc::default());
        Self { folder, cap, shelves, health, open: None, retry: None }
    }

    /// Opens the folder, unless it is open.
    pub(super) fn open(&mut self) -> Result<folder::Plan, OpenError> {
        if self.open.is_some() {
            return Ok(folder::Plan::default());
        }
        let Folder { log, plan, lock } = folder::open(&self.folder, self.cap, &self.shelves)?;
        self.open = Some((log, lock));
        Ok(plan)
    }

    pub(super) fn fail(&mut self, failure: &str) {
        self.retry = Some(Instant::now() + RETRY);
        self.health.fail(failure);
    }

    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let most = GROUP.min(usize::try_from(self.cap / 64).unwrap_or(GROUP));
        while let Ok(first) = jobs.recv() {
            let mut bytes = first.chunks.bytes.len();
            let mut group = vec![first];
            while bytes < most
                && let Ok(next) = jobs.try_recv()
            {
                bytes += next.chunks.bytes.len();
                group.push(next);
            }
            self.write(&group);
            self.health.is_stalled.store(false, Ordering::Relaxed);
            for Job { room, done, .. } in group {
                drop(room);
                // The client may have gone.
                if let Some(done) = done {
                    let _: Result<(), ()> = done.send(());
                }
            }
        }
    }

    fn write(&mut self, group: &[Job]) {
        let saved = match self.retry {
            Some(retry) if Instant::now() < retry => false,
            _ => self.try_write(group).unwrap_or_else(|failure| {
                self.fail(&failure);
                false
            }),
        };
        if !saved {
            let chunks: usize = group.iter().map(|job| job.chunks.entries.len()).sum();
            self.health.unsaved.fetch_add(u64::try_from(chunks).unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn try_write(&mut self, group: &[Job]) -> Result<bool, String> {
        self.open().map_err(|error| error.to_string())?;
        let Some((log, _)) = &mut self.open else { return Ok(false) };
        let requests: Vec<(&[u8], &[Entry])> =
            group.iter().map(|job| (&job.chunks.bytes[..], &job.chunks.entries[..])).collect();
        let failed = |error| OpenError::Io(self.folder.display().to_string(), error).to_string();
        let saved = log.add(&requests).map_err(failed)?;
        self.retry = None;
        self.health.recover();
        Ok(saved)
    }
}

//! The durable copy of the traces: everything that was added, in the files of one folder, within a cap. Holds more than memory does; `keeper` decides which traces
//! go first. What a request or datagram adds is one chunk for each trace, so a damaged one costs nothing else. A request is answered once its chunks have been
//! handed to the kernel: a killed process loses nothing, a loss of power at most the last second. A disk that fails costs only what it does not have.

mod chunk;
mod codec;
mod folder;
mod keeper;
mod log;
mod segment;
mod shelves;
mod sync;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout;

use self::chunk::Chunks;
pub(crate) use self::codec::SavedItems;
pub(crate) use self::folder::{OpenError, Plan};
use self::shelves::{DiskCounts, Shelves};
use self::writer::{Health, Job, Writer};
use crate::model::{Document, Span, TraceId};

/// The unit in which the queue is shared, and the whole of it: 32 MiB.
const PART: usize = 16 * 1024;
const PARTS: usize = 2_048;
/// How long a request waits for the disk. After that, nobody waits until it answers.
const WAIT: Duration = Duration::from_secs(5);
/// How long a stop waits for what is queued.
const CLOSE: Duration = Duration::from_secs(2);
/// The most traces that are read at the same time for clients.
const READS: usize = 2;

/// The folder of traces.
pub(crate) struct Disk {
    folder: PathBuf,
    cap: u64,
    shelves: Arc<Shelves>,
    health: Arc<Health>,
    room: Arc<Semaphore>,
    reads: Semaphore,
    /// The queue of the writer, and its thread.
    writer: Mutex<Option<(SyncSender<Job>, JoinHandle<()>)>>,
}

/// The disk in `/api/status`.
#[derive(Debug, Serialize)]
pub(crate) struct DiskStatus {
    folder: String,
    bytes_max: u64,
    #[serde(flatten)]
    counts: DiskCounts,
    /// Chunks that only memory has.
    unsaved: u64,
    /// Why new traces are in memory only.
    failure: Option<String>,
}

impl Disk {
    /// Opens a folder, which takes at most `cap` bytes, and returns which of its traces to load. A folder that cannot be used for now is tried again later.
    ///
    /// # Errors
    /// The folder is another viewer's, of a newer version, or none of traces.
    pub(crate) fn open(folder: PathBuf, cap: u64) -> Result<(Self, Plan), OpenError> {
        let mut writer = Writer::new(folder.clone(), cap);
        let plan = match writer.open() {
            Ok(plan) => plan,
            Err(error @ OpenError::Io(..)) => {
                writer.fail(&error.to_string());
                Plan::default()
            }
            Err(error) => return Err(error),
        };
        let (shelves, health) = (Arc::clone(&writer.shelves), Arc::clone(&writer.health));
        // A job has a part of the room at least, so the queue is never full.
        let (queue, jobs) = sync_channel(PARTS);
        let thread = thread::Builder::new().name("disk-write".to_owned()).spawn(move || writer.run(&jobs));
        let thread = thread.map_err(|error| OpenError::Io(folder.display().to_string(), error))?;
        let disk = Self {
            folder,
            cap,
            shelves,
            health,
            room: Arc::new(Semaphore::new(PARTS)),
            reads: Semaphore::new(READS),
            writer: Mutex::new(Some((queue, thread))),
        };
        Ok((disk, plan))
    }

    /// Adds spans, and returns once they are safe from the end of this process, or cannot be saved.
    pub(crate) async fn add(&self, mut spans: Vec<Arc<Span>>) {
        if spans.is_empty() {
            return;
        }
        let Some(room) = self.room(spans.iter().map(|span| span.size()).sum()).await else { return };
        let (done, saved) = oneshot::channel();
        self.send(Job { chunks: Chunks::of(&mut spans), room, done: Some(done) });
        if !self.health.is_stalled.load(Ordering::Relaxed) && timeout(WAIT, saved).await.is_err() {
            self.stall();
        }
    }

    /// Adds the content of a datagram. Its sender gets no answer, so nothing waits for it but space in the queue.
    pub(crate) async fn add_document(&self, spans: Vec<Arc<Span>>, document: Arc<Document>) {
        let size = document.size() + spans.iter().map(|span| span.size()).sum::<usize>();
        let Some(room) = self.room(size).await else { return };
        self.send(Job { chunks: Chunks::of_document(&spans, &document), room, done: None });
    }

    /// Marks a trace as opened, if the queue has space.
    pub(crate) fn mark_opened(&self, trace: TraceId) {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            self.send(Job { chunks: Chunks::opened(trace), room, done: None });
        }
    }

    /// The items of a trace, unless it has at most `known` of them. Blocks. Reads at most `limit` bytes.
    pub(crate) fn read(&self, trace: TraceId, known: usize, limit: usize) -> SavedItems {
        self.shelves.read(trace, known, limit).unwrap_or_else(|error| {
            tracing::warn!(trace = %trace, error = &error as &dyn std::error::Error, "cannot read a trace from the disk");
            SavedItems::default()
        })
    }

    /// Waits until a client's trace may be read.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.reads.acquire().await.ok()
    }

    pub(crate) fn status(&self) -> DiskStatus {
        DiskStatus {
            folder: self.folder.display().to_string(),
            bytes_max: self.cap,
            counts: self.shelves.counts(),
            unsaved: self.health.unsaved.load(Ordering::Relaxed),
            failure: self.health.failure(),
        }
    }

    /// Writes what is queued, and waits for the disk, but not for long.
    pub(crate) async fn close(&self) {
        let Some((queue, thread)) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        drop(queue);
        let (done, closed) = oneshot::channel();
        // Not on the runtime's threads, whose end would wait for it.
        let join = move || drop((thread.join(), done.send(())));
        if thread::Builder::new().spawn(join).is_ok() {
            drop(timeout(CLOSE, closed).await);
        }
    }

    /// A share of the queue; `None` if the disk does not answer.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let parts = u32::try_from(bytes.div_ceil(PART).clamp(1, PARTS)).unwrap_or(1);
        let room = Arc::clone(&self.room);
        if self.health.is_stalled.load(Ordering::Relaxed) {
            return room.try_acquire_many_owned(parts).ok().or_else(|| self.refuse());
        }
        match timeout(WAIT, room.acquire_many_owned(parts)).await {
            Ok(room) => room.ok(),
            Err(_) => {
                self.stall();
                self.refuse()
            }
        }
    }

    fn refuse<T>(&self) -> Option<T> {
        self.health.unsaved.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn stall(&self) {
        self.health.is_stalled.store(true, Ordering::Relaxed);
        self.health.fail(&format!("the disk of {} does not answer", self.folder.display()));
    }

    fn send(&self, job: Job) {
        let chunks = job.chunks.entries.len();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.as_ref().is_none_or(|(queue, _)| queue.try_send(job).is_err()) {
            self.health.unsaved.fetch_add(u64::try_from(chunks).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

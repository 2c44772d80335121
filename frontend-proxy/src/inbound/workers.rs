//! The threads that serve connections, one for each processor, each with a runtime of its own. A connection stays on one thread with
//! its requests and its connections to upstreams, so that serving a request wakes no other thread. Does not know what it runs.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How many workers a process has.
static COUNT: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));

thread_local! {
    /// The place of this thread among the workers; 0 on every other thread.
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// The running workers, which end when they are dropped. What they still run then is dropped with them.
pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// How many tasks it runs.
    load: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A value for each worker.
#[derive(Debug)]
pub(crate) struct PerWorker<T>(Box<[T]>);

/// Counts a task as its worker's until dropped.
struct Load(Arc<AtomicUsize>);

impl Workers {
    /// # Errors
    /// The system gives no more threads, or no more files.
    pub(crate) fn start() -> io::Result<Self> {
        (0..*COUNT).map(Worker::start).collect::<Result<_, _>>().map(Self)
    }

    /// Runs `task` on the worker with the fewest tasks, as one of `tasks`.
    pub(crate) fn spawn(&self, tasks: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.load.load(Relaxed)) else { return };
        let load = Load::add(&worker.load);
        let run = async move {
            let _load = load;
            task.await;
        };
        tasks.spawn_on(run, &worker.runtime);
    }
}

impl Worker {
    fn start(place: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            PLACE.set(place);
            let _: Result<(), _> = runtime.block_on(stopped);
            // A look-up of a name may still block one of its threads.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name(format!("worker-{place}")).spawn(run)?;
        Ok(Self { runtime: handle, load: Arc::default(), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic: its tasks' panics are their own.
            drop(thread.join());
        }
    }
}

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        Self((0..*COUNT).map(|_| T::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The value of the worker on whose thread this is called.
    pub(crate) fn own(&self) -> Option<&T> {
        self.0.get(PLACE.get())
    }

    pub(crate) fn all(&self) -> &[T] {
        &self.0
    }
}

impl Load {
    fn add(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

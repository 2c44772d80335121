//! Opens the folder of traces: for this process alone, of a format that it reads. What is damaged is set aside under another name; nothing is deleted.

use std::collections::BinaryHeap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::chunk::Entry;
use super::keeper::Keeper;
use super::log::Log;
use super::segment::{self, FORMAT, Name, Opened, on_disk};
use super::shelves::Shelves;
use super::sync::Syncer;
use crate::model::{Nanos, TraceId};

/// The file that one process locks, and the one that names the format.
const LOCK: &str = "lock";
const FORMAT_FILE: &str = "format";
/// The content of [`FORMAT_FILE`] before the number.
const FORMAT_TEXT: &str = "cruddur traces, format ";
/// How long to wait for an earlier process that is stopping.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most traces that a start loads, or of each kind that it considers.
const LOADED: usize = 64 * 1024;

/// An open folder.
pub(super) struct Folder {
    pub(super) log: Log,
    pub(super) plan: Plan,
    /// Holds the lock.
    pub(super) lock: File,
}

/// The traces that a start loads into memory, newest first.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) worthy: Vec<TraceId>,
    pub(crate) newest: Vec<TraceId>,
}

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(
        "{path} has traces of a newer cruddur (format {format}; this one reads up to {FORMAT}); start that version, or set CRUDDUR_VIEWER_DATA to another folder"
    )]
    Newer { path: String, format: u64 },
    #[error("{0} is in use by another viewer; stop that one, or set CRUDDUR_VIEWER_DATA to another folder")]
    InUse(String),
    #[error("{0} has other files than traces; set CRUDDUR_VIEWER_DATA to an empty or new folder")]
    Foreign(String),
    #[error("{0} is not a folder; set CRUDDUR_VIEWER_DATA to a folder")]
    NotAFolder(String),
    /// Also a disk that is full or read-only: the viewer goes on without it, and tries again.
    #[error("cannot use {0}: {1}; {fix}", fix = fix(.1))]
    Io(String, io::Error),
}

fn fix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on its disk",
        io::ErrorKind::ReadOnlyFilesystem => "mount its disk for writing",
        _ => "make it writable, or set CRUDDUR_VIEWER_DATA to another folder",
    }
}

/// Opens a folder, or makes it for its owner alone.
pub(super) fn open(folder: &Path, cap: u64, shelves: &Arc<Shelves>) -> Result<Folder, OpenError> {
    let shown = || folder.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => OpenError::NotAFolder(shown()),
        _ => OpenError::Io(shown(), error),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    // Before anything is written.
    check_format(folder)?;
    let lock = lock(folder).map_err(failed)?.ok_or_else(|| OpenError::InUse(shown()))?;
    check_format(folder)?;
    write_format(folder).map_err(failed)?;
    warn_of_exposure(folder);
    let syncer = Syncer::start(folder, shelves).map_err(failed)?;
    let mut log = Log {
        folder: folder.to_owned(),
        cap,
        next: 1,
        keeper: Keeper::default(),
        shelves: Arc::clone(shelves),
        syncer,
    };
    let plan = open_segments(&mut log).map_err(failed)?;
    Ok(Folder { log, plan, lock })
}

/// Refuses a folder of a newer format, and one that is not of traces.
fn check_format(folder: &Path) -> Result<(), OpenError> {
    let shown = || folder.display().to_string();
    let names = names(folder).map_err(|error| OpenError::Io(shown(), error))?;
    let own = |name: &String| name == LOCK || name == FORMAT_FILE || Name::parse(name).is_some();
    if !names.is_empty() && !names.iter().any(own) {
        return Err(OpenError::Foreign(shown()));
    }
    let segments = names.iter().filter(|name| Name::parse(name).is_some());
    let formats = segments.filter_map(|name| segment::format(&folder.join(name)).map(u64::from));
    match formats.chain(format(folder)).max() {
        Some(format) if format > u64::from(FORMAT) => Err(OpenError::Newer { path: shown(), format }),
        _ => Ok(()),
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn format(folder: &Path) -> Option<u64> {
    let text = settings::read_file(&folder.join(FORMAT_FILE), 1024).ok()?;
    std::str::from_utf8(&text).ok()?.strip_prefix(FORMAT_TEXT)?.trim().parse().ok()
}

fn write_format(folder: &Path) -> io::Result<()> {
    let path = folder.join(FORMAT_FILE);
    if format(folder).is_some() {
        return Ok(());
    }
    if path.exists() {
        set_aside(&path)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{FORMAT_TEXT}{FORMAT}")
}

/// Locks the folder; `None` if another process keeps it locked.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join(LOCK))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(Duration::from_millis(50)),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Renames a file that is damaged or of an older format.
fn set_aside(path: &Path) -> io::Result<()> {
    let mut aside: PathBuf = path.to_owned();
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        aside = name.into();
        if !aside.exists() {
            break;
        }
    }
    fs::rename(path, &aside)?;
    tracing::warn!(
        "{} is damaged, or of an older version; it is now {}, and may be deleted",
        path.display(),
        aside.display()
    );
    Ok(())
}

fn warn_of_exposure(folder: &Path) {
    if fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o077 != 0) {
        let folder = folder.display();
        tracing::warn!("other users of this machine can reach {folder}; run chmod go= {folder}");
    }
}

/// Opens every segment, and chooses the traces to load.
fn open_segments(log: &mut Log) -> io::Result<Plan> {
    let mut plan = Choice::default();
    let (mut other, mut sealed, mut active) = (0, Vec::new(), Vec::new());
    for file in names(&log.folder)? {
        let path = log.folder.join(&file);
        let Some(name) = Name::parse(&file) else {
            other += fs::metadata(&path).map_or(0, |file| file.blocks() * 512);
            continue;
        };
        log.next = log.next.max(name.number.saturating_add(1));
        match segment::open(path.clone(), name) {
            Ok(Opened::Sealed(segment, entries)) => {
                plan.add(&entries);
                log.keeper.add(name.shelf, &entries);
                sealed.push(Arc::new(segment));
            }
            Ok(Opened::Active(segment, damaged)) => {
                if damaged > 0 {
                    tracing::warn!("{damaged} bytes of {} are damaged and skipped", path.display());
                }
                plan.add(&segment.entries);
                active.push(segment);
            }
            Ok(Opened::Foreign) => {
                other += fs::metadata(&path).map_or(0, |file| on_disk(file.len()));
                set_aside(&path)?;
            }
            Err(error) => return Err(error),
        }
    }
    sealed.sort_by_key(|segment| segment.name.number);
    let mut segments = log.shelves.lock();
    (segments.sealed, segments.active, segments.other) = (sealed, Vec::new(), other);
    drop(segments);
    // Each shelf goes on with its last segment. A crash may have left an earlier one without its index.
    active.sort_by_key(|active| active.name.number);
    for segment in active {
        let shelf = segment.name.shelf;
        log.seal(shelf)?;
        log.shelves.lock().active.push(segment);
    }
    Ok(plan.finish())
}

/// Collects the traces to load: of each kind, the newest.
#[derive(Default)]
struct Choice {
    worthy: Newest,
    newest: Newest,
}

/// The newest traces, the oldest of them on top.
#[derive(Default)]
struct Newest(BinaryHeap<std::cmp::Reverse<(Nanos, TraceId)>>);

impl Choice {
    fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            // An opened trace is marked by a chunk without a time.
            if entry.items > 0 {
                self.newest.add(entry.start, entry.trace);
            }
            if entry.marks.is_worthy() {
                let start = if entry.items > 0 { entry.start } else { Nanos(u64::MAX) };
                self.worthy.add(start, entry.trace);
            }
        }
    }

    fn finish(self) -> Plan {
        Plan { worthy: self.worthy.finish(), newest: self.newest.finish() }
    }
}

impl Newest {
    fn add(&mut self, start: Nanos, trace: TraceId) {
        if self.0.len() < LOADED {
            self.0.push(std::cmp::Reverse((start, trace)));
        } else if let Some(mut least) = self.0.peek_mut()
            && least.0 < (start, trace)
        {
            *least = std::cmp::Reverse((start, trace));
        }
    }

    /// Newest first, each once.
    fn finish(self) -> Vec<TraceId> {
        let mut seen = std::collections::HashSet::new();
        // `into_sorted_vec` is ascending by `Reverse`, so descending by time.
        let sorted = self.0.into_sorted_vec().into_iter().map(|newest| newest.0.1);
        sorted.filter(|trace| seen.insert(*trace)).collect()
    }
}

//! The message of a panic, which only the process's panic hook knows. The hook locks no span, because the code that panics may
//! hold any lock: it leaves the message for the spans that the panic unwinds.

use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::attribute::cut;
use crate::limits::Limits;

/// What a panic's hook was given.
#[derive(Debug, Clone)]
pub(super) struct PanicMessage {
    pub(super) message: String,
    /// The place in the source, as a line of a stack trace.
    pub(super) place: String,
}

static INSTALLED: Once = Once::new();
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LAST: RefCell<Option<PanicMessage>> = const { RefCell::new(None) };
}

/// Records the message and the place of each panic from now on: as the description and the `exception` of every span that the
/// panic leaves or closes. Without this, a span only records that its thread panicked. The previous panic hook runs as before.
/// Further calls do nothing.
///
/// A message may hold anything that the code formats into it, and is exported as it is, up to 8,192 bytes.
///
/// ```
/// use telemetry::capture;
///
/// telemetry::record_panics();
/// let capture = capture::start();
/// let work = || tracing::info_span!("work").in_scope(|| panic!("no dice"));
/// assert!(std::panic::catch_unwind(work).is_err());
/// capture.spans().one("work").assert_failed("no dice").assert_exception("no dice").assert_attribute("error.type", "panic");
/// ```
pub fn record_panics() {
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            remember(info);
            previous(info);
        }));
        IS_INSTALLED.store(true, Ordering::Relaxed);
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("the thread panicked with a value that is no text");
    let message = cut(message, Limits::default().value_bytes).to_owned();
    let place = info.location().map(|place| format!("at {place}")).unwrap_or_default();
    let last = Some(PanicMessage { message, place });
    // A panic while the value is borrowed would be one of this module; a panicking thread may have lost it.
    let _: Result<(), _> = LAST.try_with(|own| own.try_borrow_mut().map(|mut own| *own = last).unwrap_or_default());
}

/// The message of the panic that unwinds this thread, if the hook is installed.
pub(super) fn last() -> Option<PanicMessage> {
    LAST.try_with(|own| own.try_borrow().ok()?.clone()).ok().flatten()
}

/// Forgets the message. Called when a span ends on a thread that does not panic: a panic that is resumed there later runs no hook.
#[inline]
pub(super) fn forget() {
    if IS_INSTALLED.load(Ordering::Relaxed) {
        let _: Result<(), _> = LAST.try_with(|own| own.try_borrow_mut().map(|mut own| *own = None).unwrap_or_default());
    }
}

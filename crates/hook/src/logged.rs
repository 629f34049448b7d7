//! What a piece of code writes to the log, for tests.

use std::cell::RefCell;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

thread_local! {
    /// What this thread has logged, while somebody wants to know.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The subscriber of the whole process. One for a thread alone would miss events: whether an event is of interest is
/// remembered once for all threads, and the thread that comes by first, perhaps one without a subscriber, decides.
struct Recorder;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        assert_eq!(field.name(), "message", "other fields are not shown");
        self.0 = format!("{value:?}");
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        SAID.with_borrow_mut(|said| {
            if let Some(said) = said {
                let mut message = Message(String::new());
                event.record(&mut message);
                said.push(message.0);
            }
        });
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Runs this on the thread that it is on; gives what it gave, and what was logged meanwhile from `info` on.
pub(crate) fn logged<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only where another one is there, and then nothing is recorded, which each of these tests notices.
        let _ = tracing::subscriber::set_global_default(Recorder);
        tracing::callsite::rebuild_interest_cache();
    });
    SAID.set(Some(Vec::new()));
    let done = work();
    (done, SAID.take().unwrap_or_default())
}

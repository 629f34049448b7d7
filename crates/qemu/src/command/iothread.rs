//! I/O threads.

use super::json::Object;
use super::{Arguments, Context};

/// Each one, and the pool of QEMU's own thread.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for thread in context.doc.io_threads() {
        let poll = thread.poll.unwrap_or_default();
        let object = Object::default()
            .text("qom-type", "iothread")
            .text("id", &format!("iothread{}", thread.id))
            .maybe_number("thread-pool-min", thread.pool_min)
            .maybe_number("thread-pool-max", thread.pool_max)
            .maybe_number("poll-max-ns", poll.max.and_then(|max| i64::try_from(max).ok()))
            .maybe_number("poll-grow", poll.grow)
            .maybe_number("poll-shrink", poll.shrink);
        args.add("-object", object.finish());
    }
    if let Some(own) = &context.doc.default_iothread {
        let object = Object::default()
            .text("qom-type", "main-loop")
            .text("id", "main-loop")
            .maybe_number("thread-pool-min", own.pool_min)
            .maybe_number("thread-pool-max", own.pool_max);
        args.add("-object", object.finish());
    }
}

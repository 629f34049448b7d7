//! Moving a process to another control group without waiting as long.

use std::process;

use super::hierarchy;

/// Begins what the kernel needs before it moves a process: it waits until no processor is in the middle of a fork, some 10 ms,
/// and for moves that follow soon it does not wait again. So a start that will move a process says so at its beginning, and
/// does its other work meanwhile. Blocks for that time: call it on a thread of its own. Where there are no control groups it does nothing.
pub fn expect_move() {
    // To where we are already: nothing moves, but the kernel prepares for it.
    if let Some(first) = hierarchy::mounted().into_iter().next() {
        let own = first.mount.join(&first.own).join("cgroup.procs");
        // Who may not do this waits later.
        let _ = hierarchy::put(&own, &process::id().to_string());
    }
}

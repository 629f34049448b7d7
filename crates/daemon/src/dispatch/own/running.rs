//! The hooks that run now.

use std::time::Instant;

use ferrovirt_hook::{Engine, RunningHook};
use ferrovirt_sys::process::{self, tree_of};
use ferrovirt_wire::own::{Running, TreeProcess};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};

use super::{Answer, failed};

/// Who ended a hook, in the errors of those who waited for it.
const CANCEL: &str = "ferrovirt cancel";

/// All of them, the oldest first, with their processes if asked for.
pub(super) async fn list(engine: &Engine, trees: bool) -> Answer<Vec<Running>> {
    let running = engine.running();
    if !trees {
        return Ok(running.iter().map(shown).collect());
    }
    // Reads a good part of /proc.
    let look = move || running.iter().map(with_tree).collect();
    tokio::task::spawn_blocking(look).await.map_err(failed)
}

/// Ends one of them.
pub(super) fn cancel(engine: &Engine, id: u64) -> Answer<Running> {
    let ended = engine.cancel(id, CANCEL);
    ended.as_ref().map(shown).ok_or_else(|| {
        let text = format!("no hook with number {id} is running");
        ErrorReply::new(ErrorCode::OperationInvalid, ErrorDomain::Hook, text)
    })
}

/// A running hook as the tool is told of it.
fn shown(hook: &RunningHook) -> Running {
    let now = Instant::now();
    Running {
        id: hook.id,
        driver: hook.event.driver().to_string(),
        arguments: hook.event.argv().into(),
        script: hook.script.clone(),
        pid: hook.pid,
        seconds: now.duration_since(hook.since).as_secs_f64(),
        late: hook.late,
        seconds_left: hook
            .until
            .map(|until| until.saturating_duration_since(now).as_secs_f64()),
        waits_for: hook.waits_for.clone(),
        tree: Vec::new(),
    }
}

/// The same with its processes.
fn with_tree(hook: &RunningHook) -> Running {
    let tree = hook.keeper.map(tree_of).unwrap_or_default();
    let process = |process: process::TreeProcess| TreeProcess {
        pid: process.id.pid,
        parent: process.parent,
        command: match process.args.is_empty() {
            true => format!("[{}]", process.comm),
            false => process.args.join(" "),
        },
        state: process.state.to_string(),
    };
    Running {
        tree: tree.into_iter().map(process).collect(),
        ..shown(hook)
    }
}

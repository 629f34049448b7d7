//! `ferrovirt ps` and `ferrovirt cancel`: the hooks that run now.

use std::io::Write;

use ferrovirt_wire::own::{CancelQuestion, Running, RunningQuestion};

use crate::daemon::{Error, Where};
use crate::output::{self, seconds};

/// What `ps` shows.
#[derive(Debug, clap::Args)]
pub(crate) struct PsOptions {
    /// Show the processes of each hook, too
    #[arg(long)]
    tree: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `cancel` ends.
#[derive(Debug, clap::Args)]
pub(crate) struct CancelOptions {
    /// The number that `ferrovirt ps` shows
    id: u64,
}

/// Lists the hooks that run now.
pub(crate) fn ps(at: &Where, options: &PsOptions) -> Result<(), Error> {
    let running = at.ask(&RunningQuestion { trees: options.tree })?;
    let mut out = std::io::stdout().lock();
    if options.json {
        return output::json(&mut out, &running);
    }
    if running.is_empty() {
        writeln!(out, "no hook is running")?;
        return Ok(());
    }
    writeln!(out, "{:>6}  {:>8}  {:>7}  HOOK", "ID", "TIME", "PID")?;
    for hook in &running {
        let pid = hook.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let time = seconds(hook.seconds);
        writeln!(out, "{:>6}  {time:>8}  {pid:>7}  {}", hook.id, described(hook))?;
        tree(&mut out, hook)?;
    }
    Ok(())
}

/// Ends one of them.
pub(crate) fn cancel(at: &Where, options: &CancelOptions) -> Result<(), Error> {
    let ended = at.ask(&CancelQuestion { id: options.id })?;
    println!("ended: {}", described(&ended));
    Ok(())
}

fn described(hook: &Running) -> String {
    let mut text = format!(
        "{} ({} {})",
        hook.script.display(),
        hook.driver,
        hook.arguments.join(" ")
    );
    if let Some(lock) = &hook.waits_for {
        text.push_str(&format!(", waits for lock '{lock}'"));
    }
    if hook.late {
        text.push_str(", longer than it should");
    }
    if let Some(left) = hook.seconds_left {
        text.push_str(&format!(", is ended in {}", seconds(left)));
    }
    text
}

/// The processes below the hook, each one further in than its parent.
fn tree(out: &mut impl Write, hook: &Running) -> std::io::Result<()> {
    let mut depths = std::collections::BTreeMap::new();
    for process in &hook.tree {
        let depth = depths.get(&process.parent).map_or(0, |depth: &usize| depth + 1);
        depths.insert(process.pid, depth);
        let indent = " ".repeat(2 * depth);
        writeln!(
            out,
            "{:>6}  {:>8}  {:>7}  {indent}{} {}",
            "", "", process.pid, process.state, process.command
        )?;
    }
    Ok(())
}

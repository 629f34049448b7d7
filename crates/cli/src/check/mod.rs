//! `ferrovirt check`: mistakes in hook scripts, found without running them.
//!
//! * `operations`: which calls there are; * `place`: what a path tells; * `files`, `shebang`: files and their first
//!   line; * `shell`, `python`: what scripts say; * `catalog`: all rules; * `finding`, `source`: where and what;
//! * `report`: how it is printed.

mod catalog;
mod files;
mod finding;
mod operations;
mod place;
mod python;
mod report;
mod shebang;
mod shell;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::check::finding::{Finding, Level};
use crate::check::operations::Driver;

/// Enough for the deepest script that is read at all; only what is used is taken.
const STACK: usize = 256 * 1024 * 1024;

/// What is looked at, and how it is told.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit status: 0 nothing worse than notes (or: nothing of --level or above), 1 something, 2 usage or unreadable files."
)]
pub(crate) struct Options {
    /// Scripts, or directories of scripts; the hooks directory when none is given
    pub(crate) paths: Vec<PathBuf>,
    /// Whose hooks they are; guessed from paths when not given
    #[arg(long, value_enum)]
    pub(crate) driver: Option<Driver>,
    /// How findings are written
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// The lowest level that is shown and makes the check fail; without it all are shown, and notes do not fail
    #[arg(long, value_enum)]
    pub(crate) level: Option<Level>,
    /// The directory that the daemon uses: owners and modes count there
    #[arg(long, default_value = "/etc/libvirt/hooks")]
    pub(crate) hooks_dir: PathBuf,
    /// Explain one code, with a bad and a good example
    #[arg(long, value_name = "CODE")]
    pub(crate) explain: Option<String>,
    /// List all codes
    #[arg(long)]
    pub(crate) list: bool,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For code hosts and editors (SARIF 2.1.0)
    Sarif,
}

/// Looks, prints, and tells by the exit status whether something was found.
pub(crate) fn run(options: &Options) -> ExitCode {
    if let Some(code) = &options.explain {
        return report::explain(code);
    }
    if options.list {
        return report::list();
    }
    let (mut found, unreadable, files) = look_on_large_stack(options.clone());
    found.retain(|finding| options.level.is_none_or(|level| finding.level >= level));
    for line in &unreadable {
        eprintln!("ferrovirt check: {line}");
    }
    if report::print(options, &found, files).is_err() {
        return ExitCode::from(2);
    }
    let least = options.level.unwrap_or(Level::Warning);
    let failing = found.iter().any(|finding| finding.level >= least);
    ExitCode::from(match (unreadable.is_empty(), failing) {
        (false, _) => 2,
        (true, true) => 1,
        (true, false) => 0,
    })
}

/// The parser calls itself for everything that is nested, so it gets room.
fn look_on_large_stack(options: Options) -> (Vec<Finding>, Vec<String>, usize) {
    let lost = |why: &str| (Vec::new(), vec![why.to_owned()], 0);
    let started = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || look(&options));
    match started.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => lost("the check itself failed; please report the script"),
        Err(error) => lost(&format!("no thread: {error}")),
    }
}

fn look(options: &Options) -> (Vec<Finding>, Vec<String>, usize) {
    let mut looker = files::Looker {
        driver: options.driver,
        hooks_dir: options.hooks_dir.clone(),
        found: Vec::new(),
        unreadable: Vec::new(),
        files: 0,
    };
    // A machine without hooks is in order.
    if options.paths.is_empty() && options.hooks_dir.exists() {
        looker.named(&options.hooks_dir);
    }
    for path in &options.paths {
        looker.named(path);
    }
    (looker.found, looker.unreadable, looker.files)
}

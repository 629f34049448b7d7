//! `ferrovirt check`: mistakes in hook scripts, found without running them.

use std::path::PathBuf;
use std::process::ExitCode;

/// What is looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Scripts, or directories of scripts
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
}

/// Looks, prints, and tells by the exit status whether errors were found.
pub(crate) fn run(options: &Options) -> ExitCode {
    let missing = options.paths.iter().any(|path| !path.exists());
    ExitCode::from(if missing { 2 } else { 0 })
}

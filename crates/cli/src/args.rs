//! The command line.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::daemon::Where;
use crate::{check, ps};

/// What ferrovirt's users type.
#[derive(Debug, Parser)]
#[command(
    name = "ferrovirt",
    version,
    about = "Check, try and explain the hooks of virtual machines and networks"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) daemon: Where,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look for mistakes in hook scripts, without running them
    Check(check::Options),
    /// Show the hooks that run now
    Ps(ps::PsOptions),
    /// End a running hook with all its processes
    Cancel(ps::CancelOptions),
    /// Print the shell completion of this command
    Completion {
        /// For which shell
        shell: Shell,
    },
}

/// Prints the completion of the whole command line.
pub(crate) fn completion(shell: Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Args::command(), "ferrovirt", &mut std::io::stdout());
    ExitCode::SUCCESS
}

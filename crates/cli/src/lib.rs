//! The tool of the people who write hooks: one module per command.
//!
//! * `args`: the command line; * `check`: what is wrong with scripts, without a daemon

mod args;
mod check;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    match Args::parse().command {
        Command::Check(options) => check::run(&options),
        Command::Completion { shell } => args::completion(shell),
    }
}

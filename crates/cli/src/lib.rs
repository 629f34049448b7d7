//! The tool of the people who write hooks: one module per command.
//!
//! * `args`: the command line; `daemon`: the way to the daemon; `output`: how things are printed
//! * `check`: what is wrong with scripts, without a daemon
//! * `ps`: the hooks that run now, and their end

mod args;
mod check;
mod daemon;
mod output;
mod ps;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// Runs the command that the process's arguments name. Exit status: 0 done, 1 not done or findings, 2 wrong usage or no daemon.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Check(options) => return check::run(options),
        Command::Completion { shell } => return args::completion(*shell),
        Command::Ps(options) => ps::ps(&args.daemon, options),
        Command::Cancel(options) => ps::cancel(&args.daemon, options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrovirt: {error}");
            ExitCode::from(error.status())
        }
    }
}

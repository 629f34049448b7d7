//! The tool of the people who write hooks: one module per command.
//!
//! * `args`: the command line; `daemon`: the way to the daemon; `output`: how things are printed
//! * `check`: what is wrong with scripts, without a daemon
//! * `ps`: the hooks that run now, and their end; `list`: what would run
//! * `history`: the calls of the past, with `since`; `trial`: replays and simulations; `diff`: what filters change
//! * `devices`: what of the host could be given to guests
//! * `why`: why a guest or network is as it is

mod args;
mod check;
mod color;
mod daemon;
mod devices;
mod diff;
mod history;
mod list;
mod output;
mod ps;
mod since;
mod trial;
mod why;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// Runs the command that the process's arguments name. Exit status: 0 done, 1 not done or findings, 2 wrong usage or no daemon.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Check(options) => return check::run(options),
        Command::Completion { shell } => return args::completion(*shell),
        Command::Ps(options) => ps::ps(&args.daemon, options).map(|()| true),
        Command::Cancel(options) => ps::cancel(&args.daemon, options).map(|()| true),
        Command::List(options) => list::list(&args.daemon, options).map(|()| true),
        Command::Run(options) => trial::run(&args.daemon, options),
        Command::History(options) => history::list(&args.daemon, options).map(|()| true),
        Command::Show(options) => history::show(&args.daemon, options).map(|()| true),
        Command::Replay(options) => trial::replay(&args.daemon, options),
        Command::Devices(options) => devices::list(&args.daemon, options).map(|()| true),
        Command::Why(options) => why::why(&args.daemon, options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("ferrovirt: {error}");
            ExitCode::from(error.status())
        }
    }
}

//! The command line.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::daemon::Where;
use crate::{check, devices, history, list, ps, trial, why};

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
    /// Show what would run for a guest or network, in order, and what would not
    List(list::Options),
    /// Call the hooks of an operation as if it happened, without touching the guest
    Run(trial::RunOptions),
    /// Show the calls of the past
    History(history::Options),
    /// Show one call of the past with its document and output
    Show(history::ShowOptions),
    /// Make a call of the past once more, outside any operation
    Replay(trial::ReplayOptions),
    /// Explain why a guest or network is as it is
    Why(why::Options),
    /// Show the host's PCI devices: who has or wants each, and what keeps it from being given to a guest
    Devices(devices::Options),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The text of a manual page, without its marks.
    fn page(name: &str) -> String {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
        let text = std::fs::read_to_string(dir.join(format!("{name}.1")));
        text.unwrap_or_else(|e| panic!("{name}: {e}")).replace("\\-", "-")
    }

    #[test]
    fn every_command_has_a_page_with_all_its_options() {
        let whole = page("ferrovirt");
        for command in Args::command().get_subcommands() {
            let name = format!("ferrovirt-{}", command.get_name());
            let page = page(&name);
            assert!(whole.contains(&name), "ferrovirt(1) does not name {name}");
            let options = command.get_arguments().filter_map(clap::Arg::get_long);
            for option in options.filter(|option| *option != "help") {
                assert!(page.contains(&format!("--{option}")), "{name}: no --{option}");
            }
        }
    }
}

//! Programs that a hook may not find, because its PATH is the daemon's.

use crate::check::finding::{Findings, Remark};
use crate::check::place::on_hook_path;
use crate::check::shell::tree::{Block, Kind};
use crate::check::shell::visit;

/// Programs that people install where only their own shell looks.
const PERSONAL: &[&str] = &[
    "pip",
    "cargo",
    "npm",
    "npx",
    "conda",
    "pyenv",
    "rbenv",
    "nvm",
    "brew",
    "flatpak-spawn",
    "ll",
    "la",
];

/// Looks for programs that are known to live elsewhere.
pub(crate) fn check(script: &Block, findings: &mut Findings<'_>) {
    let commands = visit::commands(script);
    let names: Vec<String> = commands.iter().filter_map(|command| command.name()).collect();
    let asked = names
        .iter()
        .any(|name| ["alias", "source", "."].contains(&name.as_str()));
    for command in commands {
        let Kind::Simple { words, .. } = &command.kind else {
            continue;
        };
        let (Some(name), Some(first)) = (command.name(), words.first()) else {
            continue;
        };
        let own = PERSONAL.contains(&name.as_str()) && !asked && !on_hook_path(&name);
        let home = first.raw.starts_with("~/") || first.raw.starts_with("$HOME/");
        if own || home {
            findings.at(
                first.span,
                Remark::new("FH604", format!("`{}` depends on who runs the hook", first.raw)),
            );
        }
    }
}

//! `ferrovirt list`: what would run, in order, and what would not.

use std::io::Write;

use ferrovirt_wire::own::{ListAnswer, ListQuestion, Planned};

use crate::daemon::{Error, Where};
use crate::output;

/// What is listed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this driver: daemon, qemu, lxc, libxl, network [default: qemu with --guest, network with --network, else all]
    #[arg(long)]
    driver: Option<String>,
    /// For this guest, with its rules and its directory
    #[arg(long, conflicts_with = "network")]
    guest: Option<String>,
    /// For this network, with its rules
    #[arg(long)]
    network: Option<String>,
    /// For this operation; without it all files of the driver
    #[arg(long)]
    operation: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the daemon, which knows its rules and when it has looked for hooks.
pub(crate) fn list(at: &Where, options: &Options) -> Result<(), Error> {
    let usual = match (&options.guest, &options.network) {
        (Some(_), _) => "qemu",
        (None, Some(_)) => "network",
        (None, None) => "",
    };
    let question = ListQuestion {
        driver: options.driver.clone().unwrap_or_else(|| usual.to_owned()),
        object: options
            .guest
            .clone()
            .or_else(|| options.network.clone())
            .unwrap_or_default(),
        operation: options.operation.clone().unwrap_or_default(),
    };
    let answer = at.ask(&question)?;
    let mut out = std::io::stdout().lock();
    match options.json {
        true => output::json(&mut out, &answer),
        false => Ok(print(&mut out, &answer)?),
    }
}

fn print(out: &mut impl Write, answer: &ListAnswer) -> std::io::Result<()> {
    if answer.entries.is_empty() {
        writeln!(out, "nothing would run")?;
    }
    let mut number = 0;
    for entry in &answer.entries {
        let place = match entry.runs {
            true => {
                number += 1;
                format!("{number:>3}.")
            }
            false => "   -".to_owned(),
        };
        writeln!(out, "{place} {}{}", entry.path.display(), described(entry))?;
    }
    for remark in &answer.remarks {
        writeln!(out, "({remark})")?;
    }
    Ok(())
}

/// Where it comes from, what rules make of it, and why it does not run.
fn described(entry: &Planned) -> String {
    let mut parts = Vec::new();
    if entry.kind != "script" {
        parts.push(match entry.rules.first() {
            Some(rule) if entry.kind == "rule" => format!("rule '{rule}'"),
            _ => format!("{} directory", entry.kind),
        });
    } else if !entry.rules.is_empty() {
        parts.push(format!("by rule {}", entry.rules.join(", ")));
    }
    parts.extend(entry.treatment.iter().cloned());
    let mut text = match parts.is_empty() {
        true => String::new(),
        false => format!(" ({})", parts.join("; ")),
    };
    if let Some(reason) = &entry.reason {
        let how = if entry.runs { "careful" } else { "not run" };
        text.push_str(&format!(": {how}: {reason}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_numbered_and_what_does_not_has_its_reason() {
        let entry = |path: &str, runs: bool| Planned {
            path: path.into(),
            kind: "script".to_owned(),
            runs,
            ..Planned::default()
        };
        let mut all = vec![
            entry("/h/qemu", true),
            entry("/h/qemu.d/a", false),
            entry("/bin/tell", true),
        ];
        all[0].treatment = vec!["ended after 30s".to_owned()];
        all[0].rules = vec!["limit".to_owned()];
        all[1].reason = Some("its mode 0644 has no execute bit".to_owned());
        all[2].kind = "rule".to_owned();
        all[2].rules = vec!["tell".to_owned()];
        let answer = ListAnswer {
            entries: all,
            remarks: vec!["there are no rules".to_owned()],
        };
        let mut out = Vec::new();
        print(&mut out, &answer).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "  1. /h/qemu (by rule limit; ended after 30s)\n\
             \x20  - /h/qemu.d/a: not run: its mode 0644 has no execute bit\n\
             \x20 2. /bin/tell (rule 'tell')\n\
             (there are no rules)\n"
        );
    }
}

//! How findings are told: to people, to programs, to code hosts.

mod json;
mod sarif;
mod text;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::check::catalog::{self, Rule};
use crate::check::finding::Finding;
use crate::check::{Format, Options};

/// Prints everything that was found.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn print(options: &Options, found: &[Finding], files: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let all = match options.format {
        Format::Text => text::report(found, files, colours()),
        Format::Json => json::report(found, files),
        Format::Sarif => sarif::report(found),
    };
    out.write_all(all.as_bytes())?;
    out.flush()
}

/// Whether a person looks at a terminal and did not ask for none.
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `--list`
pub(crate) fn list() -> ExitCode {
    let lines: String = catalog::rules()
        .map(|rule| format!("{}  {:7}  {}\n", rule.code, rule.level.word(), rule.title))
        .collect();
    finish(&lines)
}

/// `--explain CODE`
pub(crate) fn explain(code: &str) -> ExitCode {
    match catalog::rule(code) {
        Some(rule) => finish(&explanation(rule)),
        None => {
            eprintln!("ferrovirt check: there is no code `{code}`; --list shows all");
            ExitCode::from(2)
        }
    }
}

fn finish(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

fn explanation(rule: &Rule) -> String {
    let indent = |text: &str| {
        text.lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    };
    format!(
        "{} ({}): {}\n\n{}\n\nWhat to do: {}.\n\nBad:\n\n{}\nGood:\n\n{}",
        rule.code,
        rule.level.word(),
        rule.title,
        rule.why,
        rule.fix,
        indent(rule.bad),
        indent(rule.good)
    )
}

/// The page of the manual.
#[cfg(test)]
pub(crate) fn page() -> String {
    let mut page = String::from(include_str!("page.md"));
    for rule in catalog::rules() {
        page.push_str(&format!(
            "\n## {}: {}\n\nLevel: {}. {}\n\nWhat to do: {}.\n\n```text\n{}\n```\n\nbetter:\n\n```text\n{}\n```\n",
            rule.code,
            rule.title,
            rule.level.word(),
            rule.why,
            rule.fix,
            rule.bad,
            rule.good
        ));
    }
    page
}

//! `ferrovirt run` and `ferrovirt replay`: scripts called for no event.

use std::io::Write;
use std::path::PathBuf;

use ferrovirt_wire::own::{ReplayQuestion, RunQuestion, Trial};

use crate::color::{Colors, When};
use crate::daemon::{Error, Where};
use crate::diff;
use crate::output::{self, seconds};

/// What is simulated.
#[derive(Debug, clap::Args)]
pub(crate) struct RunOptions {
    /// daemon, qemu, lxc, libxl or network
    driver: String,
    /// The guest or network ("-" for the daemon)
    object: String,
    /// The operation, for example prepare
    #[arg(required_unless_present = "life")]
    operation: Option<String>,
    /// All operations of a life, one after the other
    #[arg(long, conflicts_with = "operation")]
    life: bool,
    /// The document, instead of that of the defined object
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// This script instead of those that are there
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The fourth argument, for example the reason of a release
    #[arg(long, value_name = "TEXT")]
    extra: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is repeated.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayOptions {
    /// The number that `ferrovirt history` shows
    id: u64,
    /// This script instead of the one that was called
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Calls the hooks of an operation, or of a whole life. Whether all passed.
pub(crate) fn run(at: &Where, options: &RunOptions) -> Result<bool, Error> {
    let document = options
        .document
        .as_ref()
        .map(std::fs::read_to_string)
        .transpose()?;
    let question = RunQuestion {
        driver: options.driver.clone(),
        object: options.object.clone(),
        operation: options.operation.clone().unwrap_or_default(),
        life: options.life,
        extra: options.extra.clone(),
        document,
        script: absolute(options.script.as_ref())?,
    };
    shown(&at.ask_patiently(&question)?, options.json)
}

/// Calls the script of an earlier call again. Whether it passed.
pub(crate) fn replay(at: &Where, options: &ReplayOptions) -> Result<bool, Error> {
    let question = ReplayQuestion {
        id: options.id,
        script: absolute(options.script.as_ref())?,
    };
    shown(&at.ask_patiently(&question)?, options.json)
}

/// The daemon has another working directory.
fn absolute(path: Option<&PathBuf>) -> std::io::Result<Option<PathBuf>> {
    path.map(std::path::absolute).transpose()
}

fn shown(trials: &[Trial], json: bool) -> Result<bool, Error> {
    let mut out = std::io::stdout().lock();
    if json {
        output::json(&mut out, &trials)?;
    } else {
        print(&mut out, trials, &Colors::new(When::Auto))?;
    }
    Ok(trials.iter().all(|trial| trial.passed))
}

fn print(out: &mut impl Write, trials: &[Trial], colors: &Colors) -> std::io::Result<()> {
    if trials.is_empty() {
        writeln!(out, "nothing would run")?;
    }
    for trial in trials {
        let outcome = match trial.passed && trial.outcome == "exit status 0" {
            true => colors.good(&trial.outcome),
            false => colors.bad(&trial.outcome),
        };
        let call = trial.arguments.join(" ");
        let time = seconds(trial.seconds);
        writeln!(out, "{} {call}: {outcome}, {time}", trial.script.display())?;
        text(out, "stdout", &trial.stdout)?;
        text(out, "stderr", &trial.stderr)?;
        if let Some(error) = trial.remarks.get("error") {
            writeln!(out, "  the operation would have failed: {}", error.trim_end())?;
        }
        if let (Some(input), Some(output)) = (&trial.input, &trial.output) {
            writeln!(out, "  {}", colors.bold("what the filter changed"))?;
            diff::print(out, input, output, colors)?;
        }
        match &trial.refused {
            Some(reason) => writeln!(
                out,
                "  {}",
                colors.bad(&format!("the daemon would refuse the result: {reason}"))
            )?,
            None if trial.output.is_some() => writeln!(out, "  the daemon would accept the result")?,
            None => {}
        }
    }
    Ok(())
}

fn text(out: &mut impl Write, name: &str, text: &str) -> std::io::Result<()> {
    for line in text.lines() {
        writeln!(out, "  {name}: {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_shown_with_its_change_and_its_verdict() {
        let trial = Trial {
            script: "/h/qemu".into(),
            arguments: ["g", "restore", "begin", "-"].map(str::to_owned).to_vec(),
            outcome: "exit status 0".to_owned(),
            seconds: 0.5,
            stderr: "note\n".to_owned(),
            input: Some("<a/>\n".to_owned()),
            output: Some("<b/>\n".to_owned()),
            refused: Some("name".to_owned()),
            ..Trial::default()
        };
        let mut out = Vec::new();
        print(&mut out, &[trial], &Colors::off()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "/h/qemu g restore begin -: exit status 0, 0.50 s\n  stderr: note\n  what the filter changed\n-<a/>\n+<b/>\n\
             \x20 the daemon would refuse the result: name\n"
        );
    }
}

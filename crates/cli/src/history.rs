//! `ferrovirt history` and `ferrovirt show`: the calls of the past.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use ferrovirt_wire::own::{HistoryQuestion, ShowQuestion};
use serde::Deserialize;
use serde_json::Value;

use crate::color::{self, Colors};
use crate::daemon::{Error, Where};
use crate::output::{self, seconds};
use crate::{diff, since};

/// How long one question for newer calls waits, milliseconds.
const WAIT_MS: u32 = 25_000;

/// Which calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only of this guest (name or uuid)
    #[arg(long, conflicts_with = "network")]
    guest: Option<String>,
    /// Only of this network (name or uuid)
    #[arg(long)]
    network: Option<String>,
    /// Only of this operation, for example prepare
    #[arg(long)]
    operation: Option<String>,
    /// Only failures, also those that a rule made less of
    #[arg(long)]
    failed: bool,
    /// Only since then: 2026-11-21, 2026-11-21T09:30, or 10min, 3h, 2d ago
    #[arg(long, value_name = "TIME", value_parser = since::parse)]
    since: Option<f64>,
    /// The newest so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Print calls as they end, until interrupted
    #[arg(long)]
    follow: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Which call.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// The number that `ferrovirt history` shows
    id: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = color::When::Auto, value_name = "WHEN")]
    color: color::When,
}

/// The fields of a row that are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    id: u64,
    driver: String,
    object: String,
    operation: String,
    sub_operation: String,
    extra: String,
    script: String,
    kind: Value,
    rule: Option<String>,
    digest: Option<String>,
    asked_by: AskedBy,
    began: String,
    took_ms: Option<f64>,
    how: Option<Value>,
    failed: bool,
    ignored: bool,
    failure: Option<String>,
    uuid: Option<String>,
    environment: Vec<String>,
    document: Option<Text>,
    output_document: Option<Text>,
    stdout: Text,
    stderr: Text,
    later_stdout: Text,
    later_stderr: Text,
}

/// Who asked for it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AskedBy {
    pid: Option<u32>,
    uid: Option<u32>,
    program: Option<String>,
    hook: Option<u64>,
}

/// A text of which the end may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    text: String,
    lost: u64,
}

/// Lists calls, and goes on with those that end from now on if asked to.
pub(crate) fn list(at: &Where, options: &Options) -> Result<(), Error> {
    let mut client = at.connect()?;
    let mut question = HistoryQuestion {
        driver: options.network.as_ref().map(|_| "network".to_owned()),
        object: options.guest.clone().or_else(|| options.network.clone()),
        operation: options.operation.clone(),
        failed: options.failed,
        since: options.since,
        limit: Some(options.limit),
        ..HistoryQuestion::default()
    };
    let mut out = std::io::stdout().lock();
    if !options.json {
        writeln!(
            out,
            "{:>7}  {:<19}  {:>9}  {:<16}  CALL",
            "ID", "BEGAN", "TOOK", "RESULT"
        )?;
    }
    let answer = client.ask(&question)?;
    print(&mut out, &answer.runs, options.json)?;
    if !options.follow {
        return Ok(());
    }
    let mut seen: BTreeSet<u64> = ended(&answer.runs).collect();
    question.after = Some(
        answer
            .runs
            .iter()
            .filter_map(id)
            .min()
            .map_or(answer.last, |id| id - 1),
    );
    question.limit = None;
    question.since = None;
    question.wait_ms = WAIT_MS;
    client.set_timeout(Duration::from_millis(u64::from(WAIT_MS) * 3))?;
    loop {
        question.seen = seen.iter().copied().collect();
        let answer = client.ask(&question)?;
        print(&mut out, &answer.runs, options.json)?;
        out.flush()?;
        seen.extend(answer.runs.iter().filter_map(id));
        seen = seen.split_off(&(answer.last + 1));
        question.after = Some(answer.last);
    }
}

fn id(row: &Value) -> Option<u64> {
    row.get("id")?.as_u64()
}

fn ended(rows: &[Value]) -> impl Iterator<Item = u64> + '_ {
    let over = |row: &&Value| row.get("how").is_some_and(|how| !how.is_null());
    rows.iter().filter(over).filter_map(id)
}

fn print(out: &mut impl Write, rows: &[Value], json: bool) -> Result<(), Error> {
    for value in rows {
        if json {
            serde_json::to_writer(&mut *out, value).map_err(std::io::Error::from)?;
            writeln!(out)?;
            continue;
        }
        let row: Row = understood(value)?;
        let took = row
            .took_ms
            .map_or_else(|| "-".to_owned(), |ms| seconds(ms / 1000.0));
        writeln!(
            out,
            "{:>7}  {:<19}  {took:>9}  {:<16}  {} {}  {}",
            row.id,
            output::local_time(&row.began),
            result(&row),
            row.driver,
            row.arguments(),
            row.script
        )?;
    }
    Ok(())
}

fn understood<T: for<'a> Deserialize<'a>>(value: &Value) -> Result<T, Error> {
    serde_json::from_value(value.clone())
        .map_err(|error| Error::Call(format!("the daemon's answer is not understood: {error}")))
}

impl Row {
    fn arguments(&self) -> String {
        [&self.object, &self.operation, &self.sub_operation, &self.extra]
            .map(String::as_str)
            .join(" ")
    }
}

/// How it ended, in few words.
fn result(row: &Row) -> String {
    let how = row.how.as_ref().map_or_else(|| "running".to_owned(), outcome);
    match row.ignored {
        true => format!("{how} (ignored)"),
        false => how,
    }
}

/// `{"exit":0}` and its like in words.
fn outcome(how: &Value) -> String {
    if how == "lost" {
        return "lost".to_owned();
    }
    let field = |path: &str| how.pointer(path);
    let number = |path: &str| field(path).and_then(Value::as_i64);
    if let Some(status) = number("/exit") {
        return match status {
            0 => "ok".to_owned(),
            status => format!("exit {status}"),
        };
    }
    if let Some(signal) = number("/signal") {
        return format!("signal {signal}");
    }
    if let Some(after) = field("/timed_out/after_ms").and_then(Value::as_f64) {
        return format!("limit {}", seconds(after / 1000.0));
    }
    if let Some(by) = field("/cancelled/by").and_then(Value::as_str) {
        return format!("ended by {by}");
    }
    match (field("/not_started"), field("/refused")) {
        (Some(_), _) => "not executable".to_owned(),
        (_, Some(_)) => "refused".to_owned(),
        _ => how.to_string(),
    }
}

/// Shows one call in full.
pub(crate) fn show(at: &Where, options: &ShowOptions) -> Result<(), Error> {
    let value = at.ask(&ShowQuestion { id: options.id })?;
    let mut out = std::io::stdout().lock();
    if options.json {
        return output::json(&mut out, &value);
    }
    let row: Row = understood(&value)?;
    let colors = Colors::new(options.color);
    head(&mut out, &row, &colors)?;
    section(&mut out, "standard output", &row.stdout, &colors)?;
    section(&mut out, "standard error", &row.stderr, &colors)?;
    section(
        &mut out,
        "printed later on standard output",
        &row.later_stdout,
        &colors,
    )?;
    section(
        &mut out,
        "printed later on standard error",
        &row.later_stderr,
        &colors,
    )?;
    if let Some(document) = &row.document {
        section(&mut out, "document", document, &colors)?;
        if let Some(output) = &row.output_document {
            writeln!(out, "\n{}", colors.bold("what the filter changed"))?;
            diff::print(&mut out, &document.text, &output.text, &colors)?;
        }
    }
    Ok(())
}

fn head(out: &mut impl Write, row: &Row, colors: &Colors) -> std::io::Result<()> {
    let ended = result(row);
    let ended = match row.failed {
        true => colors.bad(&ended),
        false => colors.good(&ended),
    };
    let took = row
        .took_ms
        .map_or_else(String::new, |ms| format!(" after {}", seconds(ms / 1000.0)));
    writeln!(
        out,
        "{} {} ({} {})",
        colors.bold(&format!("call {}:", row.id)),
        row.script,
        row.driver,
        row.arguments()
    )?;
    let mut line = |name: &str, text: Option<String>| match text {
        Some(text) => writeln!(out, "{name:>12}  {text}"),
        None => Ok(()),
    };
    line("result", Some(format!("{ended}{took}")))?;
    line("began", Some(output::local_time(&row.began)))?;
    line(
        "object",
        row.uuid.as_ref().map(|uuid| format!("{} ({uuid})", row.object)),
    )?;
    line("asked by", asked_by(&row.asked_by))?;
    line("kind", kind(&row.kind))?;
    line("rules", row.rule.clone())?;
    line(
        "variables",
        (!row.environment.is_empty()).then(|| row.environment.join(" ")),
    )?;
    line("sha256", row.digest.clone())?;
    line(
        "error",
        row.failure.as_ref().map(|text| text.trim_end().to_owned()),
    )?;
    let reason = row
        .how
        .as_ref()
        .and_then(|how| how.pointer("/not_started/reason")?.as_str());
    line("because", reason.map(str::to_owned))
}

fn kind(kind: &Value) -> Option<String> {
    match kind {
        Value::String(word) if word == "script" => None,
        Value::String(word) => Some(word.replace('_', " ")),
        other => {
            let (name, value) = other.as_object()?.iter().next()?;
            Some(format!(
                "{name} {}",
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            ))
        }
    }
}

fn asked_by(asked: &AskedBy) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(asked.program.clone());
    parts.extend(asked.pid.map(|pid| format!("process {pid}")));
    parts.extend(asked.uid.map(|uid| format!("user {uid}")));
    parts.extend(asked.hook.map(|id| format!("inside call {id}")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn section(out: &mut impl Write, title: &str, text: &Text, colors: &Colors) -> std::io::Result<()> {
    if text.text.is_empty() && text.lost == 0 {
        return Ok(());
    }
    writeln!(out, "\n{}", colors.bold(title))?;
    writeln!(out, "{}", text.text.trim_end_matches('\n'))?;
    match text.lost {
        0 => Ok(()),
        lost => writeln!(out, "[cut here: {lost} more bytes]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outcomes_are_few_words() {
        for (how, text) in [
            (json!({"exit": 0}), "ok"),
            (json!({"exit": 3}), "exit 3"),
            (json!({"signal": 9}), "signal 9"),
            (json!({"timed_out": {"after_ms": 500.0}}), "limit 0.50 s"),
            (json!({"cancelled": {"by": "destroy"}}), "ended by destroy"),
            (
                json!({"not_started": {"errno": 8, "reason": null}}),
                "not executable",
            ),
            (json!({"refused": {"why": "x"}}), "refused"),
            (json!("lost"), "lost"),
        ] {
            assert_eq!(outcome(&how), text);
        }
        let running = Row::default();
        assert_eq!(result(&running), "running");
    }

    #[test]
    fn a_call_is_shown_with_all_that_is_known() {
        let value = json!({
            "id": 7, "driver": "qemu", "object": "g", "operation": "restore", "sub_operation": "begin", "extra": "-",
            "script": "/h/qemu", "kind": {"rule": "r"}, "asked_by": {"pid": 3, "uid": 0, "program": "/usr/bin/virsh"},
            "began": "2026-11-21T10:00:00.000000Z", "took_ms": 12.5, "how": {"exit": 3}, "failed": true,
            "failure": "why\n", "a field of a later version": 1,
        });
        let row: Row = understood(&value).unwrap();
        let mut out = Vec::new();
        head(&mut out, &row, &Colors::off()).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "call 7: /h/qemu (qemu g restore begin -)",
            "result  exit 3 after 0.01 s",
            "asked by  /usr/bin/virsh, process 3, user 0",
            "kind  rule r",
            "error  why",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

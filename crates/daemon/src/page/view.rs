//! The pages as data: what the templates in `templates/` write out, and escape.

use std::path::Path;
use std::time::SystemTime;

use askama::Template;
use ferrovirt_hook::Driver;
use ferrovirt_hook::history::{KindRow, OperationRow, RunRow};

use super::diff;
use super::now::{Object, Running};
use super::past;
use super::route;
use super::timeline::Timeline;
use super::words::{self, Mark, Moment};

/// `/`
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home {
    pub(crate) host: String,
    pub(crate) version: &'static str,
    pub(crate) began: Option<Moment>,
    pub(crate) up: Option<String>,
    pub(crate) clients: usize,
    pub(crate) at: Moment,
    pub(crate) guests: Vec<ObjectLine>,
    pub(crate) networks: Vec<ObjectLine>,
    pub(crate) running: Vec<RunningLine>,
    pub(crate) runs: Vec<RunLine>,
    pub(crate) operations: Vec<OperationLine>,
    pub(crate) trouble: Option<String>,
}

/// `/guest/NAME` and `/network/NAME`
#[derive(Template)]
#[template(path = "object.html")]
pub(crate) struct ObjectPage {
    pub(crate) host: String,
    /// `Guest` or `Network`.
    pub(crate) what: &'static str,
    pub(crate) name: String,
    /// Nothing when it is only in the history any more.
    pub(crate) object: Option<ObjectLine>,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) running: Vec<RunningLine>,
    pub(crate) operations: Vec<OperationLine>,
    pub(crate) runs: Vec<RunLine>,
    pub(crate) trouble: Option<String>,
}

/// `/operation/ID`
#[derive(Template)]
#[template(path = "operation.html")]
pub(crate) struct OperationPage {
    pub(crate) host: String,
    pub(crate) line: OperationLine,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) timeline: Timeline,
    pub(crate) failures: Vec<(String, String)>,
    pub(crate) log: Option<String>,
    pub(crate) hidden: bool,
}

/// `/run/ID`
#[derive(Template)]
#[template(path = "run.html")]
pub(crate) struct RunPage {
    pub(crate) host: String,
    pub(crate) line: RunLine,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) operation: Option<u64>,
    pub(crate) failure: Option<String>,
    pub(crate) texts: Vec<Text>,
    pub(crate) diff: Option<Vec<diff::Line>>,
    pub(crate) hidden: bool,
}

/// What is said instead of a page.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) host: String,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
}

/// A long text with its heading.
pub(crate) struct Text {
    pub(crate) heading: &'static str,
    pub(crate) text: String,
    /// How many bytes are missing at its end.
    pub(crate) lost: u64,
}

/// A guest or network in a table.
pub(crate) struct ObjectLine {
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) state: String,
    pub(crate) active: bool,
    pub(crate) since: Option<Moment>,
}

/// A hook that runs, in a table.
pub(crate) struct RunningLine {
    pub(crate) id: u64,
    /// Whether the history has a page about it.
    pub(crate) linked: bool,
    pub(crate) script: String,
    pub(crate) arguments: String,
    pub(crate) age: String,
    pub(crate) left: String,
    pub(crate) note: String,
}

/// A run in a table.
pub(crate) struct RunLine {
    pub(crate) id: u64,
    pub(crate) began: Moment,
    pub(crate) script: String,
    pub(crate) arguments: String,
    pub(crate) took: String,
    pub(crate) outcome: String,
    pub(crate) mark: Mark,
}

/// An operation in a table.
pub(crate) struct OperationLine {
    pub(crate) id: u64,
    pub(crate) began: Moment,
    pub(crate) kind: String,
    pub(crate) object: String,
    pub(crate) link: Option<String>,
    pub(crate) took: String,
    pub(crate) outcome: String,
    pub(crate) mark: Mark,
}

impl ObjectLine {
    pub(crate) fn new(object: &Object, since: Option<SystemTime>) -> ObjectLine {
        // Without a history, the process behind a guest is the next best thing.
        let since = since.or(object.process_began);
        ObjectLine {
            name: object.name.clone(),
            link: route::link(object.driver, &object.name).unwrap_or_default(),
            state: object.state.clone(),
            active: object.active,
            since: since.map(Moment::new),
        }
    }
}

impl RunningLine {
    pub(crate) fn new(hook: &Running, linked: bool) -> RunningLine {
        let mut notes = Vec::new();
        if hook.late {
            notes.push("late".to_owned());
        }
        notes.extend(
            hook.waits_for
                .as_ref()
                .map(|lock| format!("waits for the lock {lock}")),
        );
        RunningLine {
            id: hook.id,
            linked,
            script: hook.script.display().to_string(),
            arguments: format!("{} {}", hook.driver, hook.arguments),
            age: words::length(hook.age),
            left: hook.left.map_or_else(|| "no limit".to_owned(), words::length),
            note: notes.join(", "),
        }
    }
}

impl RunLine {
    pub(crate) fn new(run: &RunRow) -> RunLine {
        let (outcome, mark) = words::outcome(run);
        RunLine {
            id: run.id.0,
            began: Moment::new(run.began),
            script: run.script.display().to_string(),
            arguments: arguments(run),
            took: run.took.map_or_else(|| "–".to_owned(), words::length),
            outcome,
            mark,
        }
    }

    /// The script without its directory: whole paths are on its own page.
    fn file_name(&self) -> &str {
        let name = Path::new(&self.script).file_name();
        name.and_then(|name| name.to_str()).unwrap_or(&self.script)
    }
}

impl OperationLine {
    pub(crate) fn new(row: &OperationRow) -> OperationLine {
        let (outcome, mark) = match (row.ended, &row.failure) {
            _ if row.lost => ("nobody saw its end", Mark::Warning),
            (None, _) => ("under way", Mark::UnderWay),
            (Some(_), Some(_)) => ("failed", Mark::Bad),
            (Some(_), None) => ("ok", Mark::Good),
        };
        OperationLine {
            id: row.id.0,
            began: Moment::new(row.began),
            kind: row.kind.clone(),
            object: row.object.clone(),
            link: route::link(row.driver, &row.object),
            took: past::took(row).map_or_else(|| "–".to_owned(), words::length),
            outcome: outcome.to_owned(),
            mark,
        }
    }
}

/// What there is to say about a run besides its outcome.
pub(crate) fn run_facts(run: &RunRow, environment: &[String]) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Driver", run.driver.to_string())];
    let kind = match &run.kind {
        KindRow::Script => "a script of the driver".to_owned(),
        KindRow::Rule(rule) => format!("the rule {rule} names it"),
        KindRow::GuestDirectory => "it lies in the directory of the guest".to_owned(),
        KindRow::Replay(id) => format!("run {id} was repeated"),
        KindRow::Simulation => "it was tried out".to_owned(),
    };
    facts.push(("Why it ran", kind));
    facts.extend(run.rule.clone().map(|rule| ("Rule that applied", rule)));
    facts.extend(run.uuid.clone().map(|uuid| ("UUID", uuid)));
    facts.extend(words::asker(&run.asked_by).map(|by| ("Asked for by", by)));
    facts.extend(
        run.digest
            .map(|digest| ("SHA-256 of the script", hexadecimal(&digest))),
    );
    if !environment.is_empty() {
        facts.push(("Variables", environment.join(", ")));
    }
    facts
}

/// What there is to say about an operation besides its outcome.
pub(crate) fn operation_facts(row: &OperationRow) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Driver", row.driver.to_string())];
    facts.extend(row.uuid.clone().map(|uuid| ("UUID", uuid)));
    facts.extend(words::asker(&row.asked_by).map(|by| ("Asked for by", by)));
    facts.extend(row.reason.clone().map(|reason| ("Reason of the end", reason)));
    facts
}

/// The four arguments of a script (R7).
fn arguments(run: &RunRow) -> String {
    [&run.object, &run.operation, &run.sub_operation, &run.extra]
        .map(String::as_str)
        .join(" ")
}

/// What an object of this driver is called on its page.
pub(crate) fn word(driver: Driver) -> &'static str {
    match driver {
        Driver::Daemon => "Daemon",
        Driver::Network => "Network",
        Driver::Qemu | Driver::Libxl => "Guest",
        Driver::Lxc => "Container",
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

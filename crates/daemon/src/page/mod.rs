//! The status page: what is so, and what was, for whoever has a browser and a way to this machine. It is off by default,
//! reads only, and needs no JavaScript.
//!
//! * [`Listen`]: where it is served; `door`: HTTP; `guard`: who may ask what; `route`: paths
//! * `now`: the host as it is; `past`: the history
//! * `view`: pages as data, for the templates in `templates/`; `words`, `timeline`, `diff`: parts of them
//!
//! Hooks' documents and outputs can be nobody else's business. On a unix socket, which is root's alone, all of a record
//! is shown; on a TCP port, which every user of the machine reaches, only if the settings say so.

mod diff;
pub(crate) mod door;
mod guard;
mod listen;
pub(crate) mod now;
mod past;
mod route;
#[cfg(test)]
mod tests;
mod timeline;
mod view;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use ferrovirt_hook::Driver;
use ferrovirt_hook::history::Output;
use hyper::StatusCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use listen::Listen;

use crate::host::Host;
use door::{Answer, Desk, Opened};
use now::Now;
use past::Past;
use route::Route;
use view::{ErrorPage, Home, ObjectLine, ObjectPage, OperationLine, OperationPage, RunLine, RunPage, Text};

/// The stylesheet, which is all that a page loads.
const STYLE: &str = include_str!("style.css");
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
/// Of how many hooks and steps of one operation bars are drawn.
const BARS: usize = 1000;

/// Begins to serve, if the settings ask for it. Guests do not depend on it: an address that cannot be had is said in the
/// log, and that is all.
pub async fn start(host: &Arc<Host>, stop: CancellationToken) -> Option<JoinHandle<()>> {
    let settings = &host.settings.own.page;
    let listen = settings.listen.clone()?;
    let opened = match Opened::new(&listen).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!("there is no status page: {error}");
            return None;
        }
    };
    tracing::info!("status page on {listen}");
    let now = {
        let host = Arc::clone(host);
        move || Now::look(&host)
    };
    let office = Office {
        now: Box::new(now),
        history: host.engine.history().path().map(ToOwned::to_owned),
        full: settings.full || matches!(listen, Listen::Unix(_)),
    };
    Some(tokio::spawn(door::serve(opened, Arc::new(office), stop)))
}

/// Where pages are written.
struct Office {
    /// What is so at this moment.
    now: Box<dyn Fn() -> Now + Send + Sync>,
    /// The history's file, if one is kept.
    history: Option<PathBuf>,
    /// Whether records are shown in full.
    full: bool,
}

impl Desk for Office {
    fn answer(&self, path: &str) -> Answer {
        self.page(path).unwrap_or_else(|status| self.refuse(status))
    }

    fn refuse(&self, status: StatusCode) -> Answer {
        let (title, text) = match status {
            StatusCode::BAD_REQUEST => ("Bad request", "This is not how pages are asked for."),
            StatusCode::FORBIDDEN => (
                "Forbidden",
                "This page is for this machine only: ask for it as localhost, 127.0.0.1 or [::1], with the port.",
            ),
            StatusCode::METHOD_NOT_ALLOWED => (
                "Method not allowed",
                "Nothing can be changed here: there is GET, and HEAD.",
            ),
            StatusCode::NOT_FOUND => (
                "Not found",
                "There is no such page. What the history no longer has is gone.",
            ),
            _ => (
                "Something is wrong",
                "This page failed in a way that it should not. The log may say more.",
            ),
        };
        // A stranger is not even told the machine's name.
        let host = String::new();
        let body = ErrorPage { host, title, text }.render().unwrap_or_default();
        Answer {
            status,
            kind: HTML,
            body,
        }
    }
}

impl Office {
    fn page(&self, path: &str) -> Result<Answer, StatusCode> {
        let page = match Route::parse(path)? {
            Route::Style => {
                return Ok(Answer {
                    status: StatusCode::OK,
                    kind: CSS,
                    body: STYLE.to_owned(),
                });
            }
            Route::Home => self.home().render(),
            Route::Object(driver, name) => self.object(driver, name)?.render(),
            Route::Operation(id) => self.operation(id)?.render(),
            Route::Run(id) => self.run(id)?.render(),
        };
        let body = page.map_err(|error| {
            tracing::error!("the page {path} cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        })?;
        Ok(Answer {
            status: StatusCode::OK,
            kind: HTML,
            body,
        })
    }

    fn past(&self) -> Past {
        Past::open(self.history.as_deref())
    }

    fn running(&self, hook: &now::Running) -> view::RunningLine {
        view::RunningLine::new(hook, self.history.is_some())
    }

    fn home(&self) -> Home {
        let (now, past) = ((self.now)(), self.past());
        let since = past.since();
        let lines = |objects: &[now::Object]| {
            let line = |object: &now::Object| ObjectLine::new(object, since.of(object.driver, &object.name));
            objects.iter().map(line).collect()
        };
        let up = now.began.and_then(|began| now.at.duration_since(began).ok());
        Home {
            version: now.version,
            began: now.began.map(words::Moment::new),
            up: up.map(words::length),
            clients: now.clients,
            at: words::Moment::new(now.at),
            guests: lines(&now.guests),
            networks: lines(&now.networks),
            running: now.running.iter().map(|hook| self.running(hook)).collect(),
            runs: past.failed_runs().iter().map(RunLine::new).collect(),
            operations: past.failed_operations().iter().map(OperationLine::new).collect(),
            trouble: past.trouble(),
            host: now.hostname,
        }
    }

    fn object(&self, driver: Driver, name: String) -> Result<ObjectPage, StatusCode> {
        let (now, past) = ((self.now)(), self.past());
        let object = now
            .guests
            .iter()
            .chain(&now.networks)
            .find(|object| object.driver == driver && object.name == name);
        let operations = past.operations(driver, &name);
        let runs = past.runs(driver, &name);
        if object.is_none() && operations.is_empty() && runs.is_empty() {
            return Err(StatusCode::NOT_FOUND);
        }
        let since = object.and_then(|_| past.since().of(driver, &name));
        let is_its = |hook: &&now::Running| hook.object == name && hook.driver == driver.as_str();
        let mut facts = Vec::new();
        if let Some(object) = object {
            facts.push(("UUID", object.uuid.clone()));
            facts.extend(object.facts.iter().cloned());
        }
        Ok(ObjectPage {
            what: view::word(driver),
            object: object.map(|object| ObjectLine::new(object, since)),
            facts,
            running: now
                .running
                .iter()
                .filter(is_its)
                .map(|hook| self.running(hook))
                .collect(),
            operations: operations.iter().map(OperationLine::new).collect(),
            runs: runs.iter().map(RunLine::new).collect(),
            trouble: past.trouble(),
            host: now.hostname,
            name,
        })
    }

    fn operation(&self, id: u64) -> Result<OperationPage, StatusCode> {
        let now = (self.now)();
        let mut operation = self.past().operation(id).ok_or(StatusCode::NOT_FOUND)?;
        operation.runs.truncate(BARS);
        operation.steps.truncate(BARS);
        let mut failures = Vec::new();
        if self.full {
            let of_it = operation.row.failure.clone();
            failures.extend(of_it.map(|text| ("The operation".to_owned(), text)));
            for step in &operation.steps {
                let text = step.failure.clone();
                failures.extend(text.map(|text| (format!("The step {}", step.name), text)));
            }
        }
        let failed = operation.row.failure.is_some() || operation.hypervisor_log.is_some();
        Ok(OperationPage {
            host: now.hostname,
            line: OperationLine::new(&operation.row),
            facts: view::operation_facts(&operation.row),
            timeline: timeline::draw(&operation, now.at),
            failures,
            log: operation.hypervisor_log.filter(|_| self.full),
            hidden: failed && !self.full,
        })
    }

    fn run(&self, id: u64) -> Result<RunPage, StatusCode> {
        let run = self.past().run(id).ok_or(StatusCode::NOT_FOUND)?;
        let mut page = RunPage {
            host: (self.now)().hostname,
            line: RunLine::new(&run.row),
            facts: view::run_facts(&run.row, &run.environment),
            operation: run.row.operation_id.map(|id| id.0),
            failure: None,
            texts: Vec::new(),
            diff: None,
            hidden: !self.full,
        };
        if self.full {
            if let (Some(before), Some(after)) = (&run.document, &run.output_document) {
                page.diff = Some(diff::compare(&before.text, &after.text));
            }
            let document = run.document.map(|document| Text {
                heading: "Document",
                text: document.text,
                lost: document.lost,
            });
            page.texts.extend(document);
            let outputs = [
                ("Standard output", run.stdout),
                ("Standard error", run.stderr),
                ("Standard output after its end", run.later_stdout),
                ("Standard error after its end", run.later_stderr),
            ];
            page.texts.extend(
                outputs
                    .into_iter()
                    .filter_map(|(heading, output)| printed(heading, output)),
            );
            page.failure = run.row.failure;
        }
        Ok(page)
    }
}

/// What a script printed, if anything.
fn printed(heading: &'static str, output: Output) -> Option<Text> {
    let text = String::from_utf8_lossy(&output.bytes).into_owned();
    (!text.is_empty() || output.lost > 0).then_some(Text {
        heading,
        text,
        lost: output.lost,
    })
}

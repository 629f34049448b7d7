//! What the tool asks: ferrovirt's own program. Every answer is a look at the engine, its plan or its history; what calls
//! scripts is ended when the client goes.

mod devices;
mod plan;
mod record;
mod running;
mod trial;
mod why;

use ferrovirt_hook::{Driver, HookEvent};
use ferrovirt_wire::own::{
    CancelQuestion, DevicesAnswer, DevicesQuestion, HistoryAnswer, HistoryQuestion, ListAnswer, ListQuestion,
    OwnService, ReplayQuestion, RunQuestion, Running, RunningQuestion, ShowQuestion, Trial, WhyQuestion,
};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, Procedure};

use super::Session;
use crate::access;

type Answer<T> = Result<T, ErrorReply>;

impl OwnService for Session {
    fn admit_own(&self, procedure: &Procedure) -> Answer<()> {
        if self.peer.read_only && !procedure.readonly() {
            return Err(access::read_only_prevents(procedure.domain, procedure.function));
        }
        Ok(())
    }

    async fn ps(&self, question: RunningQuestion) -> Answer<Vec<Running>> {
        running::list(&self.host.engine, question.trees).await
    }

    async fn cancel(&self, question: CancelQuestion) -> Answer<Running> {
        running::cancel(&self.host.engine, question.id)
    }

    async fn list(&self, question: ListQuestion) -> Answer<ListAnswer> {
        plan::list(self, question).await
    }

    async fn history(&self, question: HistoryQuestion) -> Answer<HistoryAnswer> {
        record::list(self, question).await
    }

    async fn show(&self, question: ShowQuestion) -> Answer<serde_json::Value> {
        record::show(self, question.id).await
    }

    async fn replay(&self, question: ReplayQuestion) -> Answer<Vec<Trial>> {
        trial::replay(self, question).await
    }

    async fn run(&self, question: RunQuestion) -> Answer<Vec<Trial>> {
        trial::run(self, question).await
    }

    async fn why(&self, question: WhyQuestion) -> Answer<serde_json::Value> {
        why::why(self, question).await
    }

    async fn devices(&self, _: DevicesQuestion) -> Answer<DevicesAnswer> {
        devices::list(&self.host, crate::devices::wanted).await
    }
}

/// What somebody typed does not make sense.
fn invalid(text: impl Into<String>) -> ErrorReply {
    ErrorReply::new(ErrorCode::InvalidArg, ErrorDomain::Hook, text)
}

/// The daemon could not do it.
fn failed(text: impl std::fmt::Display) -> ErrorReply {
    ErrorReply::internal(ErrorDomain::Hook, text.to_string())
}

/// A driver by its name.
fn driver(name: &str) -> Answer<Driver> {
    Driver::ALL
        .into_iter()
        .find(|driver| driver.as_str() == name)
        .ok_or_else(|| {
            let all = Driver::ALL.map(Driver::as_str).join(", ");
            invalid(format!("there is no driver '{name}': {all}"))
        })
}

/// An event by its driver's and its operation's names; `extra` empty for the usual fourth argument.
fn event(driver: Driver, object: &str, operation: &str, extra: &str) -> Answer<HookEvent> {
    HookEvent::repeated(driver, object, operation, extra).map_err(|error| {
        let known: Vec<_> = ferrovirt_hook::event::operations(driver)
            .map(|row| row.operation())
            .collect();
        invalid(format!("{error}: {}", known.join(", ")))
    })
}

/// The object that is meant: its name, its uuid and what a hook would get on standard input now.
struct Object {
    name: String,
    uuid: Option<String>,
    document: Option<std::sync::Arc<str>>,
}

/// Finds a guest or network by name or uuid; one that is not there has its name only.
fn object(session: &Session, driver: Driver, name: &str) -> Object {
    let unknown = Object {
        name: name.to_owned(),
        uuid: None,
        document: None,
    };
    match driver {
        Driver::Daemon => Object {
            name: "-".to_owned(),
            ..unknown
        },
        Driver::Network => {
            let networks = &session.host.networks;
            let found = networks
                .by_name(name)
                .or_else(|| networks.by_uuid(&name.parse().ok()?));
            found.map_or(unknown, |handle| {
                let seen = handle.snapshot();
                Object {
                    name: seen.name.clone(),
                    uuid: Some(seen.uuid.to_string()),
                    document: Some(seen.hook_document()),
                }
            })
        }
        Driver::Qemu | Driver::Lxc | Driver::Libxl => {
            let guests = session.host.guests.of(driver);
            let found = guests.and_then(|guests| guests.by_name_or_uuid(name));
            found.map_or(unknown, |handle| {
                let seen = handle.snapshot();
                Object {
                    name: seen.name.clone(),
                    uuid: Some(seen.uuid.to_string()),
                    document: Some(seen.to_xml(&ferrovirt_xml::Form::LIVE).into()),
                }
            })
        }
    }
}

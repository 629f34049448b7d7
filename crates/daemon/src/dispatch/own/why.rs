//! Why a guest or network is as it is: what is known about it, put together for [`ferrovirt_hook::why`].

use std::time::Instant;

use ferrovirt_guest::State;
use ferrovirt_hook::Driver;
use ferrovirt_hook::history::{HistoryError, OperationQuery, Reader};
use ferrovirt_hook::why::{Facts, HostDevice, RunningNow, Underway, story, wanted};
use ferrovirt_host::group::{self, Look};
use ferrovirt_host::{Doing, Passthrough};
use ferrovirt_wire::own::WhyQuestion;

use super::{Answer, Session, driver, failed, record};
use crate::devices::of_guest;

/// How many of the last operations are looked at.
const OPERATIONS: u32 = 8;

/// How many files that were not run are looked at.
const SKIPS: u32 = 50;

/// The story, as JSON; its field `text` is the readable answer.
pub(super) async fn why(session: &Session, question: WhyQuestion) -> Answer<serde_json::Value> {
    let driver = match &question.driver {
        Some(name) => driver(name)?,
        None => guessed(session, &question.object),
    };
    let mut facts = Facts {
        running: running(session, driver, &question.object),
        ..known(session, driver, &question.object)
    };
    let object = facts.uuid.clone().unwrap_or_else(|| facts.name.clone());
    if session.host.engine.history().is_on() {
        let found = record::read(session, move |reader| past(reader, driver, object)).await?;
        (facts.operations, facts.runs, facts.skips) = found;
    }
    if driver == Driver::Qemu {
        devices(session, &mut facts).await?;
    }
    let story = story(&facts);
    let mut json = serde_json::to_value(&story).map_err(failed)?;
    if let Some(fields) = json.as_object_mut() {
        fields.insert("text".to_owned(), story.to_string().into());
    }
    Ok(json)
}

/// The host's devices that the guest's documents name.
async fn devices(session: &Session, facts: &mut Facts) -> Answer<()> {
    let host = &session.host;
    let Some(guest) = host.guests.qemu.by_name(&facts.name) else {
        return Ok(());
    };
    let named = of_guest(&guest.snapshot());
    if named.is_empty() {
        return Ok(());
    }
    let passthrough = host.passthrough.clone();
    let name = facts.name.clone();
    let look = move || {
        let (places, taken) = (passthrough.places(), passthrough.taken());
        let seen = named
            .into_iter()
            .map(|address| group::look(places, taken, address));
        let devices: Vec<HostDevice> = seen.map(|look| of_look(&passthrough, look, &name)).collect();
        (devices, group::remedy(places))
    };
    (facts.devices, facts.host_remedy) = tokio::task::spawn_blocking(look).await.map_err(failed)?;
    Ok(())
}

/// A device for the story of this guest.
fn of_look(passthrough: &Passthrough, look: Look, name: &str) -> HostDevice {
    let own = |doing: &Doing| doing.guest.as_ref().is_some_and(|guest| guest.name == name);
    // Who has it open matters when the kernel waits for them.
    let underway = |doing: Doing| Underway {
        what: doing.what.to_owned(),
        seconds: doing.took.as_secs_f64(),
        holders: passthrough
            .holders(look.address)
            .iter()
            .map(ToString::to_string)
            .collect(),
    };
    HostDevice {
        address: look.address.to_string(),
        class: look.class,
        driver: look.driver,
        group: look.group,
        members: look.members.iter().map(ToString::to_string).collect(),
        neighbours: look
            .neighbours
            .into_iter()
            .map(|(address, driver)| (address.to_string(), driver))
            .collect(),
        doing: look.doing.filter(own).map(underway),
    }
}

type Past = (
    Vec<ferrovirt_hook::history::Operation>,
    Vec<ferrovirt_hook::history::Run>,
    Vec<ferrovirt_hook::history::SkipRow>,
);

fn past(reader: &Reader, driver: Driver, object: String) -> Result<Past, HistoryError> {
    let rows = reader.operations(&OperationQuery {
        driver: Some(driver),
        object: Some(object),
        limit: Some(OPERATIONS),
        ..OperationQuery::default()
    })?;
    let mut operations = Vec::new();
    for row in rows {
        operations.extend(reader.operation(row.id)?);
    }
    let mut runs = Vec::new();
    for id in wanted(&operations) {
        runs.extend(reader.run(id)?);
    }
    Ok((operations, runs, reader.skips(SKIPS)?))
}

/// The driver that has a guest of this name; a network, if there is one and no guest.
fn guessed(session: &Session, name: &str) -> Driver {
    let host = &session.host;
    let guest = host.guests.find(name).map(|(driver, _)| driver);
    let network = host.networks.by_name(name).is_some()
        || name
            .parse()
            .is_ok_and(|uuid| host.networks.by_uuid(&uuid).is_some());
    match (guest, network) {
        (Some(driver), _) => driver,
        (None, true) => Driver::Network,
        (None, false) => Driver::Qemu,
    }
}

/// Name, uuid and state of the object as they are now.
fn known(session: &Session, driver: Driver, name: &str) -> Facts {
    let host = &session.host;
    if driver == Driver::Network {
        let found = host
            .networks
            .by_name(name)
            .or_else(|| host.networks.by_uuid(&name.parse().ok()?));
        let Some(seen) = found.map(|handle| handle.snapshot()) else {
            return Facts::new(driver, name);
        };
        let state = if seen.active { "active" } else { "inactive" };
        return Facts {
            uuid: Some(seen.uuid.to_string()),
            state: Some(state.to_owned()),
            ..Facts::new(driver, seen.name.clone())
        };
    }
    let guests = host.guests.of(driver);
    let found = guests.and_then(|guests| guests.by_name_or_uuid(name));
    let Some(seen) = found.map(|handle| handle.snapshot()) else {
        return Facts::new(driver, name);
    };
    let state = match seen.state {
        State::NoState => "no state".to_owned(),
        State::Running | State::Blocked => "running".to_owned(),
        State::Shutoff => format!("shut off ({})", seen.reason.as_str()),
        State::Paused => format!("paused ({})", seen.reason.as_str()),
        State::Crashed => format!("crashed ({})", seen.reason.as_str()),
        State::Shutdown => "in shutdown".to_owned(),
        State::PmSuspended => "pmsuspended".to_owned(),
    };
    Facts {
        uuid: Some(seen.uuid.to_string()),
        state: Some(state),
        ..Facts::new(driver, seen.name.clone())
    }
}

/// The hooks that the object waits for now.
fn running(session: &Session, driver: Driver, name: &str) -> Vec<RunningNow> {
    let now = Instant::now();
    let hooks = session.host.engine.running();
    hooks
        .into_iter()
        .filter(|hook| {
            let own = hook.event.driver() == driver && hook.event.object() == name;
            own || hook.serves(driver, name)
        })
        .map(|hook| RunningNow {
            id: hook.id,
            arguments: hook.event.argv().into(),
            seconds: now.duration_since(hook.since).as_secs_f64(),
            late: hook.late,
            limit_left: hook
                .until
                .map(|until| until.saturating_duration_since(now).as_secs_f64()),
            waits_for: hook.waits_for.clone(),
            script: hook.script,
        })
        .collect()
}

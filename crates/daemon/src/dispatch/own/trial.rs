//! Scripts called for no event: replays and simulations.

use std::sync::Arc;

use ferrovirt_hook::history::RunId;
use ferrovirt_hook::policy::OnFailure;
use ferrovirt_hook::{Captured, Driver, Ended, HookEvent, Outcome, Tried, event_of};
use ferrovirt_model::domain::Domain;
use ferrovirt_wire::own::{ReplayQuestion, RunQuestion, Trial};

use super::{Answer, Session, driver, event, failed, object, record};

/// A guest's life, in its order.
const GUEST_LIFE: [(&str, &str); 5] = [
    ("prepare", ""),
    ("start", ""),
    ("started", ""),
    ("stopped", ""),
    ("release", "shutdown"),
];

/// A network's.
const NETWORK_LIFE: [(&str, &str); 3] = [("start", ""), ("started", ""), ("stopped", "")];

/// The daemon's.
const DAEMON_LIFE: [(&str, &str); 2] = [("start", ""), ("shutdown", "")];

/// A call of the past once more: the same script with the same arguments and the same document.
pub(super) async fn replay(session: &Session, question: ReplayQuestion) -> Answer<Vec<Trial>> {
    let id = RunId(question.id);
    let run = record::read(session, move |reader| reader.run(id)).await?;
    let run = run.ok_or_else(|| record::no_such(question.id))?;
    let event = event_of(&run).map_err(failed)?;
    if run.document.as_ref().is_some_and(|document| document.lost > 0) {
        return Err(failed("its document was too long to be kept whole"));
    }
    let trial = ferrovirt_hook::Trial {
        document: run.document.map(|document| document.text.into()),
        uuid: run.row.uuid,
        script: Some(question.script.unwrap_or(run.row.script)),
        replay: Some(id),
        ..blank(session, event.clone())
    };
    let tried = session.host.engine.try_out(trial).await;
    Ok(tried.iter().map(|one| shown(session, &event, one)).collect())
}

/// The hooks of one operation, or of a whole life.
pub(super) async fn run(session: &Session, question: RunQuestion) -> Answer<Vec<Trial>> {
    let driver = driver(&question.driver)?;
    let object = object(session, driver, &question.object);
    let document: Option<Arc<str>> = match (driver, question.document) {
        (Driver::Daemon, _) => None,
        (_, Some(text)) => Some(text.into()),
        (_, None) => object.document,
    };
    if document.is_none() && driver != Driver::Daemon {
        let text = format!(
            "there is no {} '{}' whose document could be used: name a file with --document",
            if driver == Driver::Network {
                "network"
            } else {
                "guest"
            },
            question.object
        );
        return Err(super::invalid(text));
    }
    let life: &[(&str, &str)] = match driver {
        _ if !question.life => &[],
        Driver::Daemon => &DAEMON_LIFE,
        Driver::Network => &NETWORK_LIFE,
        Driver::Qemu | Driver::Lxc | Driver::Libxl => &GUEST_LIFE,
    };
    let one = [(
        question.operation.as_str(),
        question.extra.as_deref().unwrap_or(""),
    )];
    let operations = if life.is_empty() { &one[..] } else { life };
    let mut all = Vec::new();
    for (operation, extra) in operations {
        let event = event(driver, &object.name, operation, extra)?;
        let trial = ferrovirt_hook::Trial {
            document: document.clone(),
            uuid: object.uuid.clone(),
            script: question.script.clone(),
            ..blank(session, event.clone())
        };
        let tried = session.host.engine.try_out(trial).await;
        all.extend(tried.iter().map(|one| shown(session, &event, one)));
    }
    Ok(all)
}

/// A trial that ends when the client goes.
fn blank(session: &Session, event: HookEvent) -> ferrovirt_hook::Trial {
    ferrovirt_hook::Trial {
        event,
        document: None,
        uuid: None,
        script: None,
        replay: None,
        origin: session.origin(),
        cancel: session.peer.life().child_token(),
    }
}

fn shown(session: &Session, event: &HookEvent, tried: &Tried) -> Trial {
    let run = tried.run.as_ref();
    let output = tried.result.as_ref().ok().and_then(Clone::clone);
    let refused = match (&tried.input, &output) {
        (Some(input), Some(output)) if event.is_filter() => refused(session, input, output),
        _ => None,
    };
    let passed = tried.result.is_ok() || tried.on_failure != OnFailure::Abort;
    let mut trial = Trial {
        id: session.host.engine.history().is_on().then_some(tried.id),
        script: tried.script.clone(),
        arguments: event.argv().into(),
        outcome: match (run.map(|run| run.outcome), &tried.result) {
            (Some(Outcome::Ended(Ended::Exit(status))), _) => format!("exit status {status}"),
            (Some(Outcome::Ended(Ended::Signal(signal))), _) => format!("fatal signal {signal}"),
            (_, Err(error)) => error.detail(),
            (_, Ok(_)) => "did not run".to_owned(),
        },
        passed: (passed || !event.may_abort()) && refused.is_none(),
        seconds: run.map_or(0.0, |run| run.duration.as_secs_f64()),
        stdout: run
            .map(|run| run.stdout.clone())
            .as_ref()
            .map(Captured::text)
            .unwrap_or_default(),
        stderr: run
            .map(|run| run.stderr.clone())
            .as_ref()
            .map(Captured::text)
            .unwrap_or_default(),
        refused,
        ..Trial::default()
    };
    if let Err(error) = &tried.result {
        trial.remarks.insert("error".to_owned(), error.detail());
    }
    if event.is_filter() {
        trial.input = tried.input.as_deref().map(str::to_owned);
        trial.output = output.as_deref().map(str::to_owned);
    }
    trial
}

/// Why the daemon would not accept what a filter makes of a guest (R35): what the guest can see must stay.
fn refused(session: &Session, input: &str, output: &str) -> Option<String> {
    let policy = session.unknown_policy();
    let before = Domain::parse(input, policy).ok()?.value;
    let after = match Domain::parse(output, policy) {
        Ok(parsed) => parsed.value,
        Err(error) => return Some(error.to_string()),
    };
    let same = [
        ("name", before.name == after.name),
        ("uuid", before.uuid == after.uuid),
        ("memory", before.memory == after.memory),
        ("number of processors", before.vcpu == after.vcpu),
        ("machine", before.os.kind == after.os.kind),
        (
            "number of disks",
            before.devices.disks.len() == after.devices.disks.len(),
        ),
        (
            "number of interfaces",
            before.devices.interfaces.len() == after.devices.interfaces.len(),
        ),
    ];
    let changed: Vec<_> = same
        .iter()
        .filter(|(_, same)| !same)
        .map(|(what, _)| *what)
        .collect();
    (!changed.is_empty()).then(|| format!("it changes what the guest can see: {}", changed.join(", ")))
}

//! What would run for an event, and what would not.

use ferrovirt_hook::policy::{OnFailure, Payload};
use ferrovirt_hook::{Driver, HookEvent, Place, Planned, Source, Treatment, event};
use ferrovirt_wire::own::{ListAnswer, ListQuestion, Planned as Shown};

use super::{Answer, Session, driver, object};

/// The plan of one event, or of each first event of each driver when no operation is named.
pub(super) async fn list(session: &Session, question: ListQuestion) -> Answer<ListAnswer> {
    let drivers = match question.driver.is_empty() {
        true => Driver::ALL.to_vec(),
        false => vec![driver(&question.driver)?],
    };
    let engine = &session.host.engine;
    let mut answer = ListAnswer::default();
    for driver in drivers {
        let event = match question.operation.is_empty() {
            false => super::event(driver, &question.object, &question.operation, "")?,
            true => first_event(driver, &question.object),
        };
        if !question.operation.is_empty() {
            answer.remarks.extend(remark(&event));
        }
        let object = object(session, driver, &question.object);
        if object.uuid.is_none() && !question.object.is_empty() && driver != Driver::Daemon {
            answer.remarks.push(format!(
                "{driver} knows no '{}': this is what would run for one of that name",
                question.object
            ));
        }
        let plan = engine.plan(event, object.document, object.uuid).await;
        answer
            .entries
            .extend(plan.iter().map(|planned| shown(driver, planned)));
    }
    if session.host.engine.policy().rules().is_empty() {
        answer.remarks.push("there are no rules".to_owned());
    }
    Ok(answer)
}

/// An event that every script of the driver is called for.
fn first_event(driver: Driver, object: &str) -> HookEvent {
    let operation = event::operations(driver)
        .next()
        .map_or("start", |row| row.operation());
    HookEvent::repeated(driver, object, operation, "")
        .unwrap_or_else(|_| HookEvent::daemon(ferrovirt_hook::DaemonOperation::Start))
}

/// Why nothing may happen however the files look.
fn remark(event: &HookEvent) -> Option<String> {
    if !event.row().is_raised(event.driver()) {
        return Some(format!("this build never calls {event}"));
    }
    (!event.for_scripts()).then(|| {
        format!(
            "{} is for rules and for directories of guests: no script of the driver is called",
            event.operation()
        )
    })
}

fn shown(driver: Driver, planned: &Planned) -> Shown {
    let kind = match &planned.source {
        Source::File(Place::Main | Place::Beside) | Source::Named => "script",
        Source::File(Place::Tree) => "tree",
        Source::File(Place::Guest) => "guest",
        Source::Rule(_) => "rule",
    };
    Shown {
        driver: driver.to_string(),
        path: planned.path.clone(),
        kind: kind.to_owned(),
        runs: planned.skipped.is_none(),
        reason: planned.skipped.clone().or_else(|| planned.suspicion.clone()),
        rules: planned.treatment.rules.clone(),
        treatment: words(&planned.treatment),
    }
}

/// What rules change, in words.
fn words(treatment: &Treatment) -> Vec<String> {
    let mut words = Vec::new();
    let mut say = |text: Option<String>| words.extend(text);
    say(treatment.timeout.map(|limit| format!("ended after {limit:?}")));
    say(treatment
        .warn_after
        .map(|limit| format!("warning after {limit:?}")));
    say(match treatment.on_failure {
        OnFailure::Abort => None,
        OnFailure::Warn => Some("its failure is a warning".to_owned()),
        OnFailure::Ignore => Some("its failure is ignored".to_owned()),
    });
    say(treatment.lock.as_ref().map(|name| format!("lock '{name}'")));
    say((treatment.payload == Payload::Json).then(|| "gets JSON".to_owned()));
    say(treatment.release_reason.map(|told| match told {
        true => "gets the reason".to_owned(),
        false => "gets no reason".to_owned(),
    }));
    say(treatment.user.as_ref().map(|name| format!("as user {name}")));
    say(treatment
        .cwd
        .as_ref()
        .map(|path| format!("in {}", path.display())));
    say(treatment.run_async.then(|| "nobody waits for it".to_owned()));
    say(treatment.sandbox.is_some().then(|| "in a sandbox".to_owned()));
    words.extend(treatment.env.iter().map(|(name, _)| format!("with {name}")));
    words
}

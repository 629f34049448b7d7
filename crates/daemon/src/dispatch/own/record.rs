//! Calls of the past.

use std::time::{Duration, SystemTime};

use ferrovirt_hook::history::{Query, Reader, RunId, RunRow};
use ferrovirt_wire::own::{HistoryAnswer, HistoryQuestion};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};

use super::{Answer, Session, driver, failed};

/// The longest that a question for newer calls waits.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The most rows of one answer.
const MOST: u32 = 1000;

/// The calls that the question means; with `wait_ms` those that are over, as soon as there is one that was not seen.
pub(super) async fn list(session: &Session, question: HistoryQuestion) -> Answer<HistoryAnswer> {
    let wait = Duration::from_millis(question.wait_ms.into()).min(LONGEST_WAIT);
    let deadline = tokio::time::Instant::now() + wait;
    let mut changes = session.host.engine.history().subscribe();
    loop {
        let answer = page(session, &question).await?;
        if wait.is_zero() || !answer.runs.is_empty() {
            return Ok(answer);
        }
        tokio::select! {
            // One that was missed is in the next page all the same.
            change = changes.recv() => if matches!(change, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                return Ok(answer);
            },
            () = tokio::time::sleep_until(deadline) => return Ok(answer),
        }
    }
}

async fn page(session: &Session, question: &HistoryQuestion) -> Answer<HistoryAnswer> {
    let query = Query {
        driver: question.driver.as_deref().map(driver).transpose()?,
        object: question.object.clone(),
        operation: question.operation.clone(),
        failed: question.failed,
        since: question
            .since
            .and_then(|at| Duration::try_from_secs_f64(at).ok())
            .and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at)),
        after: question.after.map(RunId),
        limit: Some(question.limit.unwrap_or(MOST).min(MOST)),
        ..Query::default()
    };
    let rows = read(session, move |reader| reader.runs(&query)).await?;
    let follows = question.wait_ms > 0;
    let newest = rows.iter().map(|row| row.id.0).max();
    let oldest_running = rows
        .iter()
        .filter(|row| row.how.is_none())
        .map(|row| row.id.0)
        .min();
    let last = match oldest_running {
        Some(id) if follows => id.saturating_sub(1),
        _ => newest.or(question.after).unwrap_or(0),
    };
    let wanted = |row: &&RunRow| !follows || (row.how.is_some() && !question.seen.contains(&row.id.0));
    let json = |row: &RunRow| {
        let mut row = row.clone();
        if session.peer.read_only {
            // What a script printed is for those who may look into its record.
            row.failure = row.failure.map(|_| String::new());
        }
        serde_json::to_value(row).map_err(failed)
    };
    Ok(HistoryAnswer {
        runs: rows.iter().filter(wanted).map(json).collect::<Answer<_>>()?,
        last,
    })
}

/// One call in full.
pub(super) async fn show(session: &Session, id: u64) -> Answer<serde_json::Value> {
    let run = read(session, move |reader| reader.run(RunId(id))).await?;
    let run = run.ok_or_else(|| no_such(id))?;
    serde_json::to_value(run).map_err(failed)
}

/// There is no such call, any more.
pub(super) fn no_such(id: u64) -> ErrorReply {
    let text = format!("there is no call {id} in the history");
    ErrorReply::new(ErrorCode::OperationInvalid, ErrorDomain::Hook, text)
}

/// Reads in the history, on a thread that may wait; what was told before is there.
pub(super) async fn read<T: Send + 'static>(
    session: &Session,
    work: impl FnOnce(&Reader) -> Result<T, ferrovirt_hook::history::HistoryError> + Send + 'static,
) -> Answer<T> {
    let history = session.host.engine.history();
    let Some(path) = history.path().map(ToOwned::to_owned) else {
        let text = "there is no history: [hooks.history] keep = false";
        return Err(ErrorReply::new(
            ErrorCode::OperationInvalid,
            ErrorDomain::Hook,
            text,
        ));
    };
    history.flush().await;
    let task = tokio::task::spawn_blocking(move || Reader::open(&path).and_then(|reader| work(&reader)));
    task.await.map_err(failed)?.map_err(failed)
}

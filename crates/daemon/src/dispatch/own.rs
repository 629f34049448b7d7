//! What the tool asks: ferrovirt's own program.

use std::time::Instant;

use ferrovirt_hook::RunningHook;
use ferrovirt_wire::own::{CancelQuestion, OwnService, Running, RunningQuestion};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, Procedure};

use super::Session;
use crate::access;

/// Who ended a hook, in the errors of those who waited for it.
const CANCEL: &str = "ferrovirt cancel";

impl OwnService for Session {
    fn admit_own(&self, procedure: &Procedure) -> Result<(), ErrorReply> {
        if self.peer.read_only && !procedure.readonly() {
            return Err(access::read_only_prevents(procedure.domain, procedure.function));
        }
        Ok(())
    }

    async fn ps(&self, _question: RunningQuestion) -> Result<Vec<Running>, ErrorReply> {
        Ok(self.host.engine.running().iter().map(shown).collect())
    }

    async fn cancel(&self, question: CancelQuestion) -> Result<Running, ErrorReply> {
        let ended = self.host.engine.cancel(question.id, CANCEL);
        ended.as_ref().map(shown).ok_or_else(|| {
            let text = format!("no hook with number {} is running", question.id);
            ErrorReply::new(ErrorCode::OperationInvalid, ErrorDomain::Hook, text)
        })
    }
}

/// A running hook as the tool is told of it.
fn shown(hook: &RunningHook) -> Running {
    Running {
        id: hook.id,
        driver: hook.event.driver().to_string(),
        arguments: hook.event.argv().into(),
        script: hook.script.clone(),
        pid: hook.pid,
        seconds: Instant::now().duration_since(hook.since).as_secs_f64(),
        late: hook.late,
        ..Running::default()
    }
}

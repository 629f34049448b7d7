//! A new daemon takes over a container that an older one started: same controller, same init (R38).

use std::time::Duration;

use ferrovirt_guest::{Adopted, Gone, Observed, Status};

use crate::config::LxcConfig;
use crate::container::Container;
use crate::controller_client::Client;
use crate::launch;
use crate::protocol::Phase;

/// For a controller that was left alone; it answers at once or has a reason not to.
const DEADLINE: Duration = Duration::from_secs(30);

/// Connects to the container of a status file.
///
/// # Errors
/// The controller is gone, is another one by now, or does not answer.
pub async fn adopt(status: &Status, config: &LxcConfig) -> Result<Adopted<Container>, Gone> {
    let name = &status.doc.name;
    let gone = |what: &dyn std::fmt::Display| Gone(format!("controller of container '{name}': {what}"));
    let process = status.process.ok_or_else(|| gone(&"it had no process yet"))?;
    if !process.is_alive() {
        return Err(gone(&format!("process {} is gone", process.pid)));
    }
    let scope = launch::scope_of(&status.facts);
    let frozen = scope.as_ref().is_some_and(|scope| scope.is_frozen());
    if frozen {
        // It is stopped with everything that it holds: it answers when the container goes on.
        if let Some(scope) = &scope {
            scope.thaw().map_err(|error| gone(&error))?;
        }
    }
    let socket = status.monitor.clone().unwrap_or_else(|| config.socket(name));
    let connected = tokio::time::timeout(DEADLINE, Client::connect(&socket)).await;
    let (client, hello, reports) = connected
        .map_err(|_| gone(&"no answer"))?
        .map_err(|error| gone(&error))?;
    let init = match (hello.phase, hello.init) {
        (Phase::Running, Some(init)) => init,
        (phase, _) => return Err(gone(&format!("it is not running ({phase:?})"))),
    };
    let guest =
        Container::new(name, process, init, scope, (client, reports)).map_err(|error| gone(&error))?;
    if frozen {
        guest.freeze().map_err(|error| gone(&error))?;
    }
    Ok(Adopted {
        observed: match frozen {
            true => Observed::Paused,
            false => Observed::Running,
        },
        guest,
        doc: None,
    })
}

//! A new daemon takes over a guest that an older one started: same process, same monitor.

use std::time::Duration;

use ferrovirt_guest::{Adopted, Gone, Observed, Status};
use ferrovirt_model::domain::Domain;
use tokio::net::UnixStream;

use crate::config::QemuConfig;
use crate::live::socket::Ports;
use crate::machine::Machine;
use crate::places::Places;
use crate::qmp::commands;

/// A QEMU that does not answer has a reason: its disk may be on a server that is away for days. While its process is there the guest is
/// not given up; whoever wants it gone destroys it, which ends this, too.
const DEADLINE: Duration = Duration::from_secs(u32::MAX as u64);

/// Connects to the guest of a status file.
///
/// # Errors
/// The process is gone, is another one by now, or does not answer.
pub async fn adopt(status: &Status, config: &QemuConfig, ports: &Ports) -> Result<Adopted<Machine>, Gone> {
    let doc = &status.doc;
    let process = status
        .process
        .ok_or_else(|| Gone(format!("guest '{}' had no process yet", doc.name)))?;
    if !process.is_alive() {
        return Err(Gone(format!(
            "QEMU process {} of guest '{}' is gone",
            process.pid, doc.name
        )));
    }
    let path = status
        .monitor
        .clone()
        .unwrap_or_else(|| Places::of(config, status.id, &doc.name).monitor());
    let gone = |what: &dyn std::fmt::Display| {
        Gone(format!(
            "monitor of guest '{}' ({}): {what}",
            doc.name,
            path.display()
        ))
    };
    let stream = tokio::time::timeout(DEADLINE, UnixStream::connect(&path))
        .await
        .map_err(|_| gone(&"no answer"))?
        .map_err(|error| gone(&error))?;
    let guest = Machine::new(&doc.name, process, stream).map_err(|error| gone(&error))?;
    guest.set_balloon(
        doc.devices
            .memballoon
            .as_ref()
            .is_some_and(|balloon| balloon.model != "none"),
    );
    let monitor = guest.monitor();
    let asked = async {
        tokio::try_join!(
            monitor.negotiate(DEADLINE),
            monitor.execute(&commands::QueryStatus {}, DEADLINE)
        )
    };
    let ((), state) = asked.await.map_err(|error| gone(&error))?;
    keep_ports(doc, ports);
    Ok(Adopted {
        observed: observed(&state),
        guest,
        doc: None,
    })
}

fn observed(status: &commands::Status) -> Observed {
    match status.status.as_str() {
        _ if status.running => Observed::Running,
        "shutdown" => Observed::Shutdown,
        "guest-panicked" => Observed::Panicked,
        _ => Observed::Paused,
    }
}

fn keep_ports(doc: &Domain, ports: &Ports) {
    for graphics in &doc.devices.graphics {
        let port = graphics.port.filter(|_| graphics.autoport == Some(true));
        let websocket = { graphics.websocket }.filter(|_| graphics.websocket_generated == Some(true));
        for port in port.into_iter().chain(websocket) {
            if let Ok(port) = u16::try_from(port) {
                ports.keep(port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r38_states_of_an_adopted_guest() {
        let of = |status: &str, running| {
            observed(&commands::Status {
                running,
                status: status.to_owned(),
            })
        };
        assert_eq!(of("running", true), Observed::Running);
        assert_eq!(of("paused", false), Observed::Paused);
        assert_eq!(of("prelaunch", false), Observed::Paused);
        assert_eq!(of("shutdown", false), Observed::Shutdown);
        assert_eq!(of("guest-panicked", false), Observed::Panicked);
        assert_eq!(of("what-comes-next", false), Observed::Paused);
    }
}

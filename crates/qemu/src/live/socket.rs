//! Sockets and ports of a guest: VNC ports that are free, sockets that listen before QEMU is there.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ferrovirt_model::domain::{
    Address, ChannelTargetType, CharType, Domain, ListenType, SocketMode, VirtioSerialAddress,
};

use crate::error::{Error, Result};

/// First port that is given to browsers.
const FIRST_WEBSOCKET: u16 = 5700;

/// Ports this daemon has given away. A port is asked of the kernel as well: others use some, too.
#[derive(Debug, Clone)]
pub struct Ports {
    range: (u16, u16),
    taken: Arc<Mutex<BTreeSet<u16>>>,
}

impl Ports {
    /// First and last port to give.
    #[must_use]
    pub fn new(range: (u16, u16)) -> Self {
        Self {
            range,
            taken: Arc::default(),
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest free port.
    ///
    /// # Errors
    /// All are in use.
    pub fn take(&self) -> Result<u16> {
        self.take_of("vnc", self.range.0)
    }

    /// The lowest free port for browsers.
    ///
    /// # Errors
    /// All are in use.
    pub fn take_websocket(&self) -> Result<u16> {
        self.take_of("websocket", FIRST_WEBSOCKET)
    }

    fn take_of(&self, kind: &str, first: u16) -> Result<u16> {
        let mut taken = self.taken();
        let port = (first..=self.range.1)
            .find(|port| !taken.contains(port) && is_free(*port))
            .ok_or_else(|| {
                Error::Failed(format!(
                    "Unable to find an unused port in range '{kind}' ({first}-{})",
                    self.range.1
                ))
            })?;
        taken.insert(port);
        Ok(port)
    }

    /// A guest that runs already uses this one.
    pub fn keep(&self, port: u16) {
        self.taken().insert(port);
    }

    /// It is free again.
    pub fn give_back(&self, port: u16) {
        self.taken().remove(&port);
    }
}

fn is_free(port: u16) -> bool {
    let any = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    any.into_iter().all(
        |address| match TcpListener::bind(SocketAddr::new(address, port)) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
        },
    )
}

/// Ports and addresses of the VNC servers that leave them to us.
///
/// # Errors
/// No port is free.
pub fn displays(doc: &mut Domain, ports: &Ports, listen: &str) -> Result<()> {
    for graphics in &mut doc.devices.graphics {
        let Some(first) = graphics.listens.first_mut() else {
            continue;
        };
        if first.kind != ListenType::Address {
            continue;
        }
        if first.address.is_none() {
            first.address = Some(listen.to_owned());
            graphics.listen = first.address.clone();
        }
        if graphics.autoport == Some(true) {
            graphics.port = Some(i32::from(ports.take()?));
        }
        if graphics.websocket == Some(-1) {
            graphics.websocket_generated = Some(true);
            graphics.websocket = Some(i32::from(ports.take_websocket()?));
        }
    }
    Ok(())
}

/// Paths of the displays' sockets that have none: in the guest's own directory.
pub fn own_displays(doc: &mut Domain, guest_dir: &Path) {
    for graphics in &mut doc.devices.graphics {
        let Some(first) = graphics.listens.first_mut() else {
            continue;
        };
        if first.kind == ListenType::Socket && first.socket.is_none() {
            first.socket = Some(guest_dir.join("vnc.sock").display().to_string());
            graphics.socket.clone_from(&first.socket);
        }
    }
}

/// Gives back the ports that were chosen for this run.
pub fn forget_displays(doc: &mut Domain, ports: &Ports) {
    for graphics in &mut doc.devices.graphics {
        if graphics.autoport == Some(true) {
            if let Some(port) = graphics.port.and_then(|port| u16::try_from(port).ok()) {
                ports.give_back(port);
            }
            graphics.port = Some(-1);
        }
        if graphics.websocket_generated == Some(true) {
            if let Some(port) = graphics.websocket.and_then(|port| u16::try_from(port).ok()) {
                ports.give_back(port);
            }
            graphics.websocket = Some(-1);
        }
    }
}

/// Paths of the channels that have none.
pub fn channels(doc: &mut Domain, channel_dir: &Path) {
    for channel in &mut doc.devices.channels {
        if channel.backend.kind != CharType::Unix {
            continue;
        }
        if channel.target.kind != ChannelTargetType::Virtio {
            continue;
        }
        let name = channel.target.name.clone();
        let place = match channel.info.address {
            Some(Address::VirtioSerial(address)) => address,
            _ => VirtioSerialAddress::default(),
        };
        let VirtioSerialAddress {
            controller,
            bus,
            port,
        } = place;
        let source = channel.backend.source.get_or_insert_default();
        if source.path.is_none() {
            source.mode = Some(SocketMode::Bind);
            let file = name.unwrap_or_else(|| format!("vioser-{controller:02}-{bus:02}-{port:02}.sock"));
            source.path = Some(channel_dir.join(file).display().to_string());
        }
    }
}

/// A unix socket that listens: who connects from now on waits until QEMU answers.
///
/// # Errors
/// The kernel refuses; a path that is too long is named.
pub fn listen(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("Unable to unlink", path)(error)),
    }
    UnixListener::bind(path).map_err(Error::io("Failed to bind socket to", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_once_and_not_when_somebody_else_has_them() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = Ports::new((port, port.saturating_add(200)));
        let first = ports.take().unwrap();
        assert!(first > port);
        let second = ports.take().unwrap();
        assert!(second > first);
        ports.give_back(first);
        assert_eq!(ports.take().unwrap(), first);
    }
}

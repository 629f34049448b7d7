//! Character devices: what each kind needs, ports, and the console that is another name of the first serial port.

use super::inconsistent;
use crate::domain::{
    Backend, CharType, Console, ConsoleTarget, Devices, Protocol, Serial, SerialTarget, SocketMode,
};
use ferrovirt_xml::XmlError;

/// Completes all character devices.
pub(super) fn normalize(devices: &mut Devices, whole_machine: bool) -> Result<(), XmlError> {
    for backend in devices.backends_mut() {
        normalize_backend(backend)?;
    }
    for channel in &mut devices.channels {
        let backend = &mut channel.backend;
        if backend.kind == CharType::Unix && backend.path().is_none() && channel.rest.is_empty() {
            backend.source = None;
        }
    }
    // Only channels get a path from the hypervisor's crate.
    let own_path = |backend: &Backend| backend.kind != CharType::Unix || backend.path().is_some();
    let others = devices.serials.iter().map(|device| &device.backend);
    let others = others.chain(devices.parallels.iter().map(|device| &device.backend));
    if !others
        .chain(devices.consoles.iter().map(|device| &device.backend))
        .all(own_path)
    {
        return Err(inconsistent("Missing source path attribute for char device"));
    }
    if whole_machine {
        pair_console(devices)?;
    }
    let mut serials: Vec<_> = devices
        .serials
        .iter_mut()
        .map(|serial| &mut serial.target.get_or_insert_default().port)
        .collect();
    number(&mut serials);
    let mut parallels: Vec<_> = devices
        .parallels
        .iter_mut()
        .map(|parallel| &mut parallel.target.get_or_insert_default().port)
        .collect();
    number(&mut parallels);
    for (port, console) in (0..).zip(&mut devices.consoles) {
        console.target.get_or_insert_default().port = Some(port);
    }
    Ok(())
}

/// Ports that were left out come after the highest one so far.
fn number(ports: &mut [&mut Option<u32>]) {
    for at in 0..ports.len() {
        if ports[at].is_none() {
            let highest = ports.iter().filter_map(|port| **port).max();
            *ports[at] = Some(highest.map_or(0, |port| port + 1));
        }
    }
}

fn normalize_backend(backend: &mut Backend) -> Result<(), XmlError> {
    let (kind, path) = (backend.kind, backend.path().is_some());
    match kind {
        CharType::File if !path => Err(inconsistent("Missing source path attribute for char device")),
        CharType::Tcp => {
            let source = backend.source.get_or_insert_default();
            source.mode.get_or_insert(SocketMode::Connect);
            for (missing, name) in [
                (source.host.is_none(), "host"),
                (source.service.is_none(), "service"),
            ] {
                if missing {
                    return Err(inconsistent(format!(
                        "Missing source {name} attribute for char device"
                    )));
                }
            }
            backend.protocol.get_or_insert(Protocol::Raw);
            Ok(())
        }
        CharType::Unix => {
            if let Some(source) = &mut backend.source {
                source.mode.get_or_insert(SocketMode::Connect);
            }
            backend.protocol = None;
            Ok(())
        }
        _ => {
            backend.protocol = None;
            Ok(())
        }
    }
}

/// In a whole machine the first console of type `serial` (or without type) is the first serial port under another
/// name: whichever of the two is there makes the other.
fn pair_console(devices: &mut Devices) -> Result<(), XmlError> {
    let is_serial = |console: &Console| {
        console
            .target
            .as_ref()
            .and_then(|target| target.kind.as_deref())
            .is_none_or(|kind| kind == "serial")
    };
    if devices.consoles.iter().skip(1).any(|console| {
        console
            .target
            .as_ref()
            .is_some_and(|t| t.kind.as_deref() == Some("serial"))
    }) {
        return Err(inconsistent("Only the first console can be a serial port"));
    }
    let first_is_serial = devices.consoles.first().is_some_and(is_serial);
    if first_is_serial && devices.serials.is_empty() {
        let console = &devices.consoles[0];
        let port = console.target.as_ref().and_then(|target| target.port);
        let target = Some(SerialTarget {
            kind: None,
            port,
            model: None,
        });
        let (backend, info) = (console.backend.clone(), console.info.clone());
        devices.serials.push(Serial {
            backend,
            target,
            info,
            ..Serial::default()
        });
    }
    let pairs = devices.serials.first().is_some_and(Serial::can_be_console);
    if !first_is_serial && pairs {
        devices.consoles.insert(0, Console::default());
    }
    if first_is_serial || pairs {
        devices.mirror_console();
        let target = devices.consoles[0]
            .target
            .get_or_insert_with(ConsoleTarget::default);
        target.kind = Some("serial".to_owned());
    }
    Ok(())
}

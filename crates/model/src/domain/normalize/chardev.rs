//! Character devices: what each kind needs, ports, and the console that is another name of the first serial port.

use super::{inconsistent, unsupported};
use crate::domain::{
    Backend, BackendSource, CharType, Console, ConsoleTarget, Devices, Protocol, Serial, SerialTarget,
    SocketMode,
};
use ferrovirt_xml::XmlError;

/// Completes all character devices.
pub(super) fn normalize(devices: &mut Devices, whole_machine: bool) -> Result<(), XmlError> {
    let redirected = devices.redirdevs.iter_mut().map(|device| &mut device.backend);
    for backend in redirected.filter(|backend| backend.kind == CharType::Dbus) {
        let channel = &mut backend.source.get_or_insert_default().channel;
        channel.get_or_insert_with(|| "org.qemu.usbredir".to_owned());
    }
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
    check_parts(backend)?;
    let missing = |name: &str| inconsistent(format!("Missing source {name} attribute for char device"));
    if backend.kind != CharType::Tcp {
        backend.protocol = None;
    }
    match backend.kind {
        CharType::Dev | CharType::File | CharType::Pipe if backend.path().is_none() => {
            return Err(missing("path"));
        }
        CharType::Tcp => {
            let source = backend.source.get_or_insert_default();
            source.mode.get_or_insert(SocketMode::Connect);
            for (absent, name) in [
                (source.host.is_none(), "host"),
                (source.service.is_none(), "service"),
            ] {
                if absent {
                    return Err(missing(name));
                }
            }
            backend.protocol.get_or_insert(Protocol::Raw);
        }
        CharType::Unix => {
            if let Some(source) = &mut backend.source {
                source.mode.get_or_insert(SocketMode::Connect);
            }
        }
        CharType::QemuVdagent => {
            backend
                .source
                .take_if(|source| *source == BackendSource::default());
        }
        CharType::Udp => normalize_datagrams(backend)?,
        CharType::SpicePort | CharType::Dbus
            if backend
                .source
                .as_ref()
                .is_none_or(|source| source.channel.is_none()) =>
        {
            return Err(missing("channel"));
        }
        _ => {}
    }
    check_reconnect(backend)
}

/// Of the two ends of a line of datagrams the one where they come in stands first.
fn normalize_datagrams(backend: &mut Backend) -> Result<(), XmlError> {
    let given = [backend.source.take(), backend.peer.take()];
    for mut source in given.into_iter().flatten() {
        let mode = *source.mode.get_or_insert(SocketMode::Connect);
        let place = match mode {
            SocketMode::Bind => &mut backend.source,
            SocketMode::Connect => &mut backend.peer,
        };
        if place.is_some() {
            return Err(inconsistent(format!(
                "<source mode='{mode}'> of a char device of type 'udp' is there twice"
            )));
        }
        *place = Some(source);
    }
    if backend.peer.as_ref().is_none_or(|peer| peer.service.is_none()) {
        return Err(inconsistent("Missing source service attribute for char device"));
    }
    Ok(())
}

/// What each kind has of a source's parts.
fn check_parts(backend: &Backend) -> Result<(), XmlError> {
    use CharType::{Dbus, Dev, File, Pipe, Pty, QemuVdagent, SpicePort, Tcp, Udp, Unix};
    let kind = backend.kind;
    for source in backend.source.iter().chain(&backend.peer) {
        let parts: [(&str, bool, &[CharType]); 11] = [
            ("path", source.path.is_some(), &[Pty, Dev, File, Pipe, Unix]),
            ("mode", source.mode.is_some(), &[Unix, Tcp, Udp]),
            ("host", source.host.is_some(), &[Tcp, Udp]),
            ("service", source.service.is_some(), &[Tcp, Udp]),
            ("tls", source.tls.is_some(), &[Tcp]),
            ("append", source.append.is_some(), &[File]),
            ("channel", source.channel.is_some(), &[SpicePort, Dbus]),
            ("reconnect", source.reconnect.is_some(), &[Tcp, Unix]),
            ("clipboard", source.clipboard.is_some(), &[QemuVdagent]),
            ("mouse", source.mouse.is_some(), &[QemuVdagent]),
            (
                "seclabel",
                !source.seclabels.is_empty(),
                &[Dev, File, Pipe, Pty, Unix],
            ),
        ];
        if let Some((name, ..)) = parts
            .iter()
            .find(|(_, there, kinds)| *there && !kinds.contains(&kind))
        {
            return Err(unsupported(format!(
                "'{name}' of <source> does not fit a char device of type '{kind}'"
            )));
        }
    }
    if backend.peer.is_some() && kind != Udp {
        return Err(unsupported(format!(
            "a second <source> does not fit a char device of type '{kind}'"
        )));
    }
    Ok(())
}

/// Only who connects can connect anew, after a time.
fn check_reconnect(backend: &Backend) -> Result<(), XmlError> {
    let Some(source) = &backend.source else {
        return Ok(());
    };
    let Some(reconnect) = &source.reconnect else {
        return Ok(());
    };
    if source.mode == Some(SocketMode::Bind) {
        return Err(inconsistent(
            "chardev reconnect is possible only for connect mode",
        ));
    }
    match (reconnect.enabled, reconnect.timeout) {
        (true, None) => Err(inconsistent(
            "Missing required attribute 'timeout' in element 'reconnect'",
        )),
        (true, Some(0)) => Err(XmlError::Inconsistent(
            "chardev reconnect source timeout cannot be '0'".to_owned(),
        )),
        _ => Ok(()),
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

//! Character devices: the host's end (`-chardev`), then the guest's (`-device`).

use ferrovirt_model::domain::{
    Address, Backend, BackendSource, ChannelTargetType, CharType, DeviceInfo, MouseMode, Protocol, SocketMode,
};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, escaped};
use crate::error::{Error, Result};

/// Serial ports.
pub(super) fn serials(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for serial in &context.doc.devices.serials {
        let target = serial.target.clone().unwrap_or_default();
        let kind = target
            .model
            .as_deref()
            .or(target.kind.as_deref())
            .unwrap_or("isa-serial")
            .to_owned();
        let chardev = backend(context, &serial.backend, &serial.info, args)?;
        let device = Object::driver(&kind)
            .text("chardev", &chardev)
            .text("id", alias(&serial.info));
        args.device(match kind.as_str() {
            "isa-serial" => ports(device.maybe_number("index", target.port), &serial.info),
            "isa-debugcon" => ports(device, &serial.info),
            _ => device.append(&place(context.doc, &serial.info)),
        });
    }
    Ok(())
}

/// Where a device of the ISA bus is.
fn ports(device: Object, info: &DeviceInfo) -> Object {
    match info.address {
        Some(Address::Isa(address)) => device
            .maybe_number("iobase", address.iobase)
            .maybe_number("irq", address.irq),
        _ => device,
    }
}

/// Parallel ports.
pub(super) fn parallels(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for parallel in &context.doc.devices.parallels {
        let chardev = backend(context, &parallel.backend, &parallel.info, args)?;
        args.device(
            Object::driver("isa-parallel")
                .text("chardev", &chardev)
                .text("id", alias(&parallel.info)),
        );
    }
    Ok(())
}

/// Channels.
pub(super) fn channels(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for channel in &context.doc.devices.channels {
        let chardev = backend(context, &channel.backend, &channel.info, args)?;
        let id = alias(&channel.info);
        if let (ChannelTargetType::GuestForward, Some(address), Some(port)) =
            (channel.target.kind, channel.target.address, channel.target.port)
        {
            let rule = Object::default().text("str", &format!("tcp:{address}:{port}-chardev:{chardev}"));
            let net = Object::default()
                .text("type", "user")
                .list("guestfwd", &[rule])
                .text("id", id);
            args.add("-netdev", net.finish());
            continue;
        }
        let device = Object::driver("virtserialport")
            .append(&place(context.doc, &channel.info))
            .text("chardev", &chardev)
            .text("id", id)
            .maybe_text("name", channel.target.name.as_deref());
        args.device(device);
    }
    Ok(())
}

/// Consoles, but for the one that is another name of the first serial port.
pub(super) fn consoles(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for console in &context.doc.devices.consoles {
        if console.target.as_ref().and_then(|target| target.kind.as_deref()) != Some("virtio") {
            continue;
        }
        let chardev = backend(context, &console.backend, &console.info, args)?;
        let device = Object::driver("virtconsole")
            .append(&place(context.doc, &console.info))
            .text("chardev", &chardev)
            .text("id", alias(&console.info));
        args.device(device);
    }
    Ok(())
}

/// Writes the host's end; returns its id.
pub(super) fn backend(
    context: &Context<'_>,
    backend: &Backend,
    info: &DeviceInfo,
    args: &mut Arguments,
) -> Result<String> {
    let name = alias(info);
    let id = format!("char{name}");
    let source = backend.source.clone().unwrap_or_default();
    let path = || {
        let path = source.path.as_deref().map(escaped);
        path.ok_or_else(|| missing("path"))
    };
    let channel = || {
        source
            .channel
            .as_deref()
            .map(escaped)
            .ok_or_else(|| missing("channel"))
    };
    let mut text = match backend.kind {
        CharType::Null => format!("null,id={id}"),
        CharType::Vc => format!("vc,id={id}"),
        CharType::Pty => format!("pty,id={id}"),
        CharType::Stdio => format!("stdio,id={id}"),
        CharType::Dev => {
            let kind = if name.starts_with("parallel") {
                "parallel"
            } else {
                "serial"
            };
            format!("{kind},id={id},path={}", path()?)
        }
        CharType::Pipe => format!("pipe,id={id},path={}", path()?),
        CharType::File => file(context, &source, name, args)?,
        CharType::Unix => unix(context, &source, name)?,
        CharType::Tcp => tcp(backend, &source, name)?,
        CharType::Udp => datagrams(backend, &id)?,
        CharType::QemuVdagent => agent(&source, &id),
        CharType::Dbus => format!("dbus,id={id},name={}", channel()?),
        // Refused when a guest is defined.
        kind @ (CharType::SpiceVmc | CharType::SpicePort | CharType::Nmdm) => {
            return Err(Error::unsupported(format!("unsupported chardev '{kind}'")));
        }
    };
    if let Some(log) = &backend.log {
        text += &format!(",logfile={}", escaped(&log.file));
        if let Some(append) = log.append {
            text += if append { ",logappend=on" } else { ",logappend=off" };
        }
    }
    args.add("-chardev", text);
    Ok(id)
}

fn missing(what: &str) -> Error {
    Error::Xml(format!("Missing source {what} attribute for char device"))
}

fn file(context: &Context<'_>, source: &BackendSource, name: &str, args: &mut Arguments) -> Result<String> {
    let path = source.path.as_deref().ok_or_else(|| missing("path"))?;
    // Opened by us, before QEMU gave up its rights.
    if let Some(fd) = context.given.of(name) {
        let set = file_set(context, name);
        args.add("-add-fd", format!("set={set},fd={fd},opaque={name}-source"));
        return Ok(format!("file,id=char{name},path=/dev/fdset/{set},append=on"));
    }
    let append = match source.append {
        Some(true) => ",append=on",
        Some(false) => ",append=off",
        None => "",
    };
    Ok(format!("file,id=char{name},path={}{append}", escaped(path)))
}

/// Seconds in the document, milliseconds here.
fn reconnect(source: &BackendSource) -> String {
    let Some(reconnect) = &source.reconnect else {
        return String::new();
    };
    let seconds = if reconnect.enabled {
        reconnect.timeout.unwrap_or(0)
    } else {
        0
    };
    format!(",reconnect-ms={}", u64::from(seconds) * 1000)
}

fn unix(context: &Context<'_>, source: &BackendSource, name: &str) -> Result<String> {
    let path = source.path.as_deref().ok_or_else(|| missing("path"))?;
    let listens = source.mode != Some(SocketMode::Connect);
    Ok(match (context.given.of(name), listens) {
        (Some(fd), true) => format!("socket,id=char{name},fd={fd},server=on,wait=off"),
        (_, true) => format!("socket,id=char{name},path={},server=on,wait=off", escaped(path)),
        (_, false) => format!("socket,id=char{name},path={}{}", escaped(path), reconnect(source)),
    })
}

fn tcp(backend: &Backend, source: &BackendSource, name: &str) -> Result<String> {
    let host = source.host.as_deref().unwrap_or_default();
    let service = source.service.as_deref().ok_or_else(|| missing("service"))?;
    let telnet = match backend.protocol {
        Some(Protocol::Telnet) => ",telnet=on",
        Some(Protocol::Telnets | Protocol::Tls) => {
            return Err(Error::unsupported("TLS for a character device is not supported"));
        }
        Some(Protocol::Raw) | None => "",
    };
    let server = if source.mode == Some(SocketMode::Bind) {
        ",server=on,wait=off".to_owned()
    } else {
        reconnect(source)
    };
    Ok(format!(
        "socket,id=char{name},host={},port={}{telnet}{server}",
        escaped(host),
        escaped(service)
    ))
}

fn datagrams(backend: &Backend, id: &str) -> Result<String> {
    let part = |value: Option<&String>| value.map(|text| escaped(text)).unwrap_or_default();
    let peer = backend.peer.as_ref().ok_or_else(|| missing("service"))?;
    let service = peer.service.as_deref().ok_or_else(|| missing("service"))?;
    let own = backend.source.as_ref();
    let port = own.and_then(|own| own.service.as_deref()).unwrap_or("0");
    Ok(format!(
        "udp,id={id},host={},port={},localaddr={},localport={}",
        part(peer.host.as_ref()),
        escaped(service),
        part(own.and_then(|own| own.host.as_ref())),
        escaped(port)
    ))
}

fn agent(source: &BackendSource, id: &str) -> String {
    let mut text = format!("qemu-vdagent,id={id},name=vdagent");
    if let Some(clipboard) = &source.clipboard {
        text += if clipboard.copy_paste {
            ",clipboard=on"
        } else {
            ",clipboard=off"
        };
    }
    if let Some(mouse) = &source.mouse {
        text += if mouse.mode == MouseMode::Client {
            ",mouse=on"
        } else {
            ",mouse=off"
        };
    }
    text
}

/// Number of a descriptor set: files are counted in the order of their aliases' appearance.
fn file_set(context: &Context<'_>, alias: &str) -> usize {
    crate::live::file_backends(context.doc)
        .iter()
        .position(|(name, _)| name == alias)
        .unwrap_or(0)
}

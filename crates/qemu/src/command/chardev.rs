//! Character devices: the host's end (`-chardev`), then the guest's (`-device`).

use ferrovirt_model::domain::{Backend, CharType, DeviceInfo, Protocol, SocketMode};

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
            "isa-serial" => device.maybe_number("index", target.port),
            _ => device.append(&place(context.doc, &serial.info)),
        });
    }
    Ok(())
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
        let device = Object::driver("virtserialport")
            .append(&place(context.doc, &channel.info))
            .text("chardev", &chardev)
            .text("id", alias(&channel.info))
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
fn backend(
    context: &Context<'_>,
    backend: &Backend,
    info: &DeviceInfo,
    args: &mut Arguments,
) -> Result<String> {
    let id = format!("char{}", alias(info));
    let source = backend.source.clone().unwrap_or_default();
    let missing = |what: &str| Error::Xml(format!("Missing source {what} attribute for char device"));
    let fd = context.given.of(alias(info));
    let mut text = match backend.kind {
        CharType::Null => format!("null,id={id}"),
        CharType::Pty => format!("pty,id={id}"),
        CharType::File => {
            let path = source.path.as_deref().ok_or_else(|| missing("path"))?;
            match fd {
                // Opened by us, before QEMU gave up its rights.
                Some(fd) => {
                    let set = file_set(context, alias(info));
                    args.add(
                        "-add-fd",
                        format!("set={set},fd={fd},opaque={}-source", alias(info)),
                    );
                    format!("file,id={id},path=/dev/fdset/{set},append=on")
                }
                None => {
                    let append = source
                        .append
                        .map_or("", |append| if append { ",append=on" } else { ",append=off" });
                    format!("file,id={id},path={}{append}", escaped(path))
                }
            }
        }
        CharType::Unix => {
            let path = source.path.as_deref().ok_or_else(|| missing("path"))?;
            let listens = source.mode != Some(SocketMode::Connect);
            match (fd, listens) {
                (Some(fd), true) => format!("socket,id={id},fd={fd},server=on,wait=off"),
                (_, true) => format!("socket,id={id},path={},server=on,wait=off", escaped(path)),
                (_, false) => format!("socket,id={id},path={}", escaped(path)),
            }
        }
        CharType::Tcp => {
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
                ",server=on,wait=off"
            } else {
                ""
            };
            format!(
                "socket,id={id},host={},port={}{telnet}{server}",
                escaped(host),
                escaped(service)
            )
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

/// Number of a descriptor set: files are counted in the order of their aliases' appearance.
fn file_set(context: &Context<'_>, alias: &str) -> usize {
    crate::live::file_backends(context.doc)
        .iter()
        .position(|(name, _)| name == alias)
        .unwrap_or(0)
}

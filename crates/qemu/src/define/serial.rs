//! Serial and parallel ports, consoles and channels: kinds, port numbers, and the console that is another name
//! of the first serial port.

use std::net::IpAddr;

use ferrovirt_model::domain::{
    Channel, ChannelTargetType, CharType, Console, ConsoleTarget, DeviceInfo, Domain, GraphicsType,
    ParallelTarget, Protocol, Serial, SerialTarget,
};

use crate::error::{Error, Result};

/// Settles `<serial>`, `<parallel>`, `<console>`, `<channel>`.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    console_of_serial(doc);
    firmware_speaks(doc)?;
    backends(doc)?;
    channels(&doc.devices.channels)?;
    serial_ports(&mut doc.devices.serials)?;
    let mut numbers = Numbers::of(
        doc.devices
            .parallels
            .iter()
            .map(|p| p.target.as_ref().and_then(|t| t.port)),
    );
    for parallel in &mut doc.devices.parallels {
        let target = parallel.target.get_or_insert_with(ParallelTarget::default);
        target.port.get_or_insert_with(|| numbers.next());
    }
    first_console(doc);
    for (at, console) in doc.devices.consoles.iter_mut().enumerate() {
        let target = console.target.get_or_insert_with(ConsoleTarget::default);
        let kind = target.kind.get_or_insert_with(|| "serial".to_owned());
        match kind.as_str() {
            "serial" if at == 0 => {}
            "serial" => return Err(Error::unsupported("Only the first console can be a serial port")),
            "virtio" => {
                target.port = Some(u32::try_from(at).unwrap_or(0));
            }
            other => {
                return Err(Error::unsupported(format!(
                    "unsupported console target type '{other}'"
                )));
            }
        }
    }
    Ok(())
}

/// The firmware has a port to speak through; that of a console counts.
fn firmware_speaks(doc: &Domain) -> Result<()> {
    let speaks = doc.os.bios.as_ref().and_then(|bios| bios.use_serial) == Some(true);
    if speaks && doc.devices.serials.is_empty() {
        let text = "need at least one serial port to use BIOS serial output ('useserial')";
        return Err(Error::Xml(text.to_owned()));
    }
    Ok(())
}

/// What this driver has of the host's sides.
fn backends(doc: &mut Domain) -> Result<()> {
    let bus = doc
        .devices
        .graphics
        .iter()
        .any(|graphics| graphics.kind == GraphicsType::Dbus);
    for backend in doc.devices.backends_mut() {
        let kind = backend.kind;
        let source = backend.source.as_ref();
        match kind {
            CharType::SpiceVmc | CharType::SpicePort => {
                return Err(Error::unsupported(format!(
                    "chardev '{kind}' not supported without spice graphics"
                )));
            }
            CharType::Nmdm => return Err(Error::unsupported(format!("unsupported chardev '{kind}'"))),
            CharType::Dbus if !bus => {
                return Err(Error::unsupported(format!(
                    "chardev '{kind}' not supported without dbus graphics"
                )));
            }
            _ => {}
        }
        match backend.protocol {
            Some(protocol @ (Protocol::Telnets | Protocol::Tls)) => {
                return Err(Error::unsupported(format!(
                    "tcp chardev protocol '{protocol}' not supported"
                )));
            }
            Some(Protocol::Raw | Protocol::Telnet) | None => {}
        }
        if source.and_then(|source| source.tls) == Some(true) {
            return Err(Error::unsupported(
                "attribute 'tls' of a char device's <source> is not supported",
            ));
        }
        let labels = source.into_iter().flat_map(|source| &source.seclabels);
        if labels.filter(|label| label.label.is_some()).count() > 0 {
            return Err(Error::unsupported(
                "'label' in the <seclabel> of a char device's <source> is not supported",
            ));
        }
    }
    Ok(())
}

fn channels(channels: &[Channel]) -> Result<()> {
    for channel in channels {
        let target = &channel.target;
        let forwards = target.address.is_some() || target.port.is_some();
        match target.kind {
            ChannelTargetType::Xen => {
                return Err(Error::unsupported("unsupported channel target type 'xen'"));
            }
            ChannelTargetType::GuestForward if target.name.is_some() => {
                return Err(Error::unsupported(
                    "'name' does not fit a channel of target type 'guestfwd'",
                ));
            }
            ChannelTargetType::GuestForward => match (target.address, target.port) {
                (Some(IpAddr::V4(_)), Some(_)) => {}
                (Some(IpAddr::V6(_)), _) => {
                    return Err(Error::unsupported(
                        "channel target guestfwd only supports IPv4 addresses",
                    ));
                }
                (None, _) => {
                    return Err(Error::Xml(
                        "guestfwd channel does not define a target address".to_owned(),
                    ));
                }
                (_, None) => {
                    return Err(Error::Xml(
                        "guestfwd channel does not define a target port".to_owned(),
                    ));
                }
            },
            ChannelTargetType::Virtio if forwards => {
                return Err(Error::unsupported(
                    "'address' and 'port' do not fit a channel of target type 'virtio'",
                ));
            }
            ChannelTargetType::Virtio => {}
        }
    }
    Ok(())
}

/// Next free number above all that are given.
struct Numbers(u32);

impl Numbers {
    fn of(given: impl Iterator<Item = Option<u32>>) -> Self {
        Self(
            given
                .flatten()
                .map(|number| number.saturating_add(1))
                .max()
                .unwrap_or(0),
        )
    }

    fn next(&mut self) -> u32 {
        let number = self.0;
        self.0 = self.0.saturating_add(1);
        number
    }
}

fn serial_ports(serials: &mut [Serial]) -> Result<()> {
    let mut numbers = Numbers::of(
        serials
            .iter()
            .map(|serial| serial.target.as_ref().and_then(|t| t.port)),
    );
    for serial in serials {
        let target = serial.target.get_or_insert_with(SerialTarget::default);
        let kind = target.kind.get_or_insert_with(|| "isa-serial".to_owned());
        if !matches!(
            kind.as_str(),
            "isa-serial" | "pci-serial" | "usb-serial" | "isa-debug"
        ) {
            return Err(Error::unsupported(format!(
                "unsupported serial target type '{kind}'"
            )));
        }
        let kind = if kind == "isa-debug" {
            "isa-debugcon".to_owned()
        } else {
            kind.clone()
        };
        let model = target.model.get_or_insert_with(|| kind.clone());
        if *model != kind {
            return Err(Error::unsupported(format!(
                "Target model '{model}' requires a target type other than '{kind}'"
            )));
        }
        target.port.get_or_insert_with(|| numbers.next());
    }
    Ok(())
}

fn is_serial_console(console: &Console) -> bool {
    console
        .target
        .as_ref()
        .and_then(|target| target.kind.as_deref())
        .is_none_or(|kind| kind == "serial")
}

/// A console of type serial without any serial port is one.
fn console_of_serial(doc: &mut Domain) {
    let devices = &mut doc.devices;
    if let Some(console) = devices.consoles.first()
        && devices.serials.is_empty()
        && is_serial_console(console)
    {
        devices.serials.push(Serial {
            backend: console.backend.clone(),
            ..Serial::default()
        });
    }
}

/// The first console repeats the first serial port, when that is an ordinary one.
fn first_console(doc: &mut Domain) {
    let devices = &mut doc.devices;
    let Some(serial) = devices.serials.first() else {
        return;
    };
    let ordinary = serial.target.as_ref().and_then(|t| t.kind.as_deref()) == Some("isa-serial");
    let has_one = devices.consoles.first().is_some_and(is_serial_console);
    if !ordinary && !has_one {
        return;
    }
    let port = serial.target.as_ref().and_then(|target| target.port);
    let target = Some(ConsoleTarget {
        kind: Some("serial".to_owned()),
        port,
    });
    let backend = serial.backend.clone();
    if has_one {
        devices.consoles[0].backend = backend;
        devices.consoles[0].target = target;
    } else {
        let info = DeviceInfo::default();
        devices.consoles.insert(
            0,
            Console {
                backend,
                target,
                info,
                tty: None,
                rest: Default::default(),
            },
        );
    }
}

//! Serial and parallel ports, consoles and channels: kinds, port numbers, and the console that is another name
//! of the first serial port.

use ferrovirt_model::domain::{
    Console, ConsoleTarget, DeviceInfo, Domain, ParallelTarget, Serial, SerialTarget,
};

use crate::error::{Error, Result};

/// Settles `<serial>`, `<parallel>`, `<console>`, `<channel>`.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    console_of_serial(doc);
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
        if !matches!(kind.as_str(), "isa-serial" | "pci-serial" | "usb-serial") {
            return Err(Error::unsupported(format!(
                "unsupported serial target type '{kind}'"
            )));
        }
        let kind = kind.clone();
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

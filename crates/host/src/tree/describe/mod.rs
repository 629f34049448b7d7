//! What a device is like: its document, read from the kernel and udev's database at the time of the question.

mod net;
mod pci;
mod scsi;
pub(super) mod storage;
mod system;
mod usb;
mod vpd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ferrovirt_model::node_device::{Capability, DevNode, DevNodeKind, DrmCapability, NodeDevice};

use super::{Device, Kind, Shared};
use crate::error::Error;
use crate::places::Places;
use crate::sysfs;
use crate::udev::Record;

pub(super) use vpd::there as has_vpd;

/// A device that is looked at.
struct Look<'a> {
    shared: &'a Shared,
    device: &'a Device,
    dir: PathBuf,
    /// The kernel's variables.
    variables: BTreeMap<String, String>,
    /// What udev knows.
    record: Record,
}

pub(super) fn device(shared: &Shared, device: &Device) -> Result<NodeDevice, Error> {
    if device.kind == Kind::System {
        return Ok(NodeDevice {
            name: device.name.to_string(),
            path: None,
            nodes: Vec::new(),
            parent: None,
            driver: Vec::new(),
            capability: Capability::System(system::describe(&shared.places, shared.uuid)),
        });
    }
    let dir = device.dir(&shared.places);
    let gone = || Error::NoDevice(device.name.to_string());
    let variables = sysfs::variables(&sysfs::text(&dir.join("uevent")).ok_or_else(gone)?);
    let record = record(&shared.places, &dir, &variables).unwrap_or_default();
    let look = Look {
        shared,
        device,
        dir,
        variables,
        record,
    };
    let capability = look.capability().ok_or_else(gone)?;
    Ok(NodeDevice {
        name: device.name.to_string(),
        path: Some(format!("/sys{}", device.path)),
        nodes: look.nodes(),
        parent: device.parent.as_deref().map(str::to_owned),
        driver: sysfs::link_name(&look.dir.join("driver")).into_iter().collect(),
        capability,
    })
}

impl Look<'_> {
    fn capability(&self) -> Option<Capability> {
        Some(match self.device.kind {
            Kind::System => return None,
            Kind::Pci => Capability::Pci(pci::describe(self)?),
            Kind::UsbDevice => Capability::UsbDevice(usb::device(self)),
            Kind::UsbInterface => Capability::Usb(usb::interface(self)),
            Kind::Net => Capability::Net(net::describe(self)),
            Kind::ScsiHost => Capability::ScsiHost(scsi::host(self)?),
            Kind::ScsiTarget => Capability::ScsiTarget(scsi::target(self)),
            Kind::Scsi => Capability::Scsi(scsi::device(self)?),
            Kind::Storage => Capability::Storage(storage::describe(self)),
            Kind::ScsiGeneric => Capability::ScsiGeneric(scsi::generic(self)),
            Kind::Drm => Capability::Drm(DrmCapability {
                kind: drm_kind(self.device.kernel_name()).to_owned(),
            }),
        })
    }

    /// An attribute that is not empty.
    fn word(&self, attribute: &str) -> Option<String> {
        sysfs::word(&self.dir.join(attribute))
    }

    /// The node in `/dev`, if there is one.
    fn node(&self) -> Option<String> {
        node_of(&self.variables)
    }

    fn nodes(&self) -> Vec<DevNode> {
        let Some(node) = self.node() else {
            return Vec::new();
        };
        let links = self.record.links.iter().map(|link| DevNode {
            kind: DevNodeKind::Link,
            path: format!("/dev/{link}"),
        });
        let node = DevNode {
            kind: DevNodeKind::Dev,
            path: node,
        };
        std::iter::once(node).chain(links).collect()
    }
}

fn node_of(variables: &BTreeMap<String, String>) -> Option<String> {
    variables.get("DEVNAME").map(|name| format!("/dev/{name}"))
}

/// What udev knows of a device: the name of the file says whether it has a node, is a network device, or neither.
fn record(places: &Places, dir: &Path, variables: &BTreeMap<String, String>) -> Option<Record> {
    let subsystem = sysfs::link_name(&dir.join("subsystem"))?;
    let number = |name| variables.get(name);
    let id = match (number("MAJOR"), number("MINOR"), number("IFINDEX")) {
        (Some(major), Some(minor), _) if subsystem == "block" => format!("b{major}:{minor}"),
        (Some(major), Some(minor), _) => format!("c{major}:{minor}"),
        (_, _, Some(index)) => format!("n{index}"),
        _ => format!("+{subsystem}:{}", dir.file_name()?.to_str()?),
    };
    // Numbers from the kernel; nothing that leads out of the directory.
    match id.contains('/') {
        true => None,
        false => Record::read(&places.udev, &id),
    }
}

/// What a node of a graphics card is for, by its name.
fn drm_kind(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("renderD") => "render",
        _ if name.starts_with("controlD") => "control",
        _ => "primary",
    }
}

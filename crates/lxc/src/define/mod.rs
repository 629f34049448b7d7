//! What libvirt fills in when a container is defined, and what is refused then: a pure function of the document and of what
//! the host is. Running it on its own result changes nothing, which is tested.
//!
//! [`live`] is what a run adds to the document, and when.

mod devices;
pub mod live;
mod refuse;
mod seclabel;
#[cfg(test)]
mod tests;

use ferrovirt_model::domain::{Device, Devices, Domain, VirtType};

use crate::error::{Error, Result};

/// What documents name as emulator. Nobody starts it: it is there for whoever reads the document of a libvirt on Debian.
pub const EMULATOR: &str = "/usr/lib/libvirt/libvirt_lxc";

/// What this host can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Architecture of its kernel by libvirt's name.
    pub arch: String,
}

impl Host {
    /// The host that this program was built for.
    #[must_use]
    pub fn this() -> Self {
        let arch = match std::env::consts::ARCH {
            "x86" => "i686",
            "arm" => "armv7l",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        Self {
            arch: arch.to_owned(),
        }
    }

    /// Architectures whose programs run here, the host's own first.
    #[must_use]
    pub fn architectures(&self) -> Vec<&str> {
        match self.arch.as_str() {
            "x86_64" => vec!["x86_64", "i686"],
            own => vec![own],
        }
    }
}

/// Fills in what the document leaves open.
///
/// # Errors
/// The document asks for what containers do not have here; the text names it.
pub fn complete(doc: &mut Domain, host: &Host) -> Result<()> {
    settle_type(doc, host)?;
    refuse::without_effect(doc)?;
    doc.devices.emulator.get_or_insert_with(|| EMULATOR.to_owned());
    devices::settle(&mut doc.devices)?;
    seclabel::settle(&mut doc.seclabels)
}

/// Fills in what a device leaves open that comes to a container with these.
///
/// # Errors
/// As [`complete`].
pub fn complete_device(devices: &Devices, device: &mut Device) -> Result<()> {
    devices::settle_one(devices, device)
}

/// Domain type, OS type and architecture must be among those of the capabilities.
fn settle_type(doc: &mut Domain, host: &Host) -> Result<()> {
    let (kind, os) = (doc.kind, doc.os.kind.kind.clone());
    let arch = doc.os.kind.arch.get_or_insert_with(|| host.arch.clone());
    if kind == VirtType::Lxc && os == "exe" && host.architectures().contains(&arch.as_str()) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "could not find capabilities for ostype={os} arch={arch} domaintype={kind}"
    )))
}

//! The command line: a pure function of the live document, of the emulator, and of the descriptors it will
//! inherit. Options stand in libvirt's order. One file per kind of device; each knows one switch of QEMU's.
//!
//! Devices are written in QEMU's JSON form, so that no value of a user can be taken for an option.

mod audio;
mod chardev;
mod clock;
mod controller;
mod cpu;
pub(crate) mod disk;
pub(crate) mod display;
mod firmware;
pub(crate) mod hostdev;
mod image;
mod input;
mod iothread;
mod json;
mod lesser;
mod machine;
mod memory;
pub(crate) mod net;
mod numa;
mod place;
pub(crate) mod qemu_namespace;
mod remote;
mod shmem;
mod smartcard;
#[cfg(test)]
mod tests;
mod told;
mod tpm;
mod video;
mod virtio;
mod virtual_devices;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{Domain, SmbiosInfo, VirtioOptions};

use crate::capabilities::Emulator;
use crate::define::Chipset;
use crate::error::Result;
use crate::live::memory::HugeMount;

/// What the command line refers to besides the document.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The guest's own directory, with its key and monitor socket.
    pub guest_dir: PathBuf,
    /// Number of the listening monitor socket in QEMU; without one QEMU makes the socket itself.
    pub monitor: Option<i32>,
    /// Numbers of inherited descriptors, by the alias of the device they belong to.
    pub descriptors: BTreeMap<String, i32>,
    /// Where the guest's emulated TPM listens.
    pub tpm: Option<PathBuf>,
    /// The host's mounts of huge pages.
    pub huge: Vec<HugeMount>,
    /// The host's NUMA nodes; `None`: nobody looked.
    pub nodes: Option<CpuSet>,
    /// Seconds since 1970 from which a clock counts; the host's when there are none.
    pub now: Option<i64>,
    /// The host's SMBIOS tables, for a guest that asks for them.
    pub host_smbios: Option<SmbiosInfo>,
}

impl Given {
    fn of(&self, alias: &str) -> Option<i32> {
        self.descriptors.get(alias).copied()
    }
}

/// What all parts read.
struct Context<'a> {
    doc: &'a Domain,
    emulator: &'a Emulator,
    given: &'a Given,
    chipset: Chipset,
    boot: BootOrder,
}

/// Arguments as they grow.
#[derive(Debug, Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.push(option.to_owned());
        self.0.push(value.into());
    }

    fn flag(&mut self, option: &str) {
        self.0.push(option.to_owned());
    }

    fn device(&mut self, object: json::Object) {
        self.add("-device", object.finish());
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// What all virtio devices can be told, behind the device's name.
fn virtio_options(object: json::Object, options: Option<&VirtioOptions>) -> json::Object {
    object.append(&virtio::options(options))
}

/// A comma in a value is doubled in QEMU's `key=value` lists.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

/// `bootindex` by class of device: only the first of each class gets it.
#[derive(Debug, Clone, Copy, Default)]
struct BootOrder {
    disk: Option<u32>,
    cdrom: Option<u32>,
    floppy: Option<u32>,
    network: Option<u32>,
}

impl BootOrder {
    fn of(doc: &Domain) -> Self {
        use ferrovirt_model::domain::BootDevice;
        let mut order = Self::default();
        for (at, device) in (1..).zip(&doc.os.boot) {
            let class = match device {
                BootDevice::Hd => &mut order.disk,
                BootDevice::Cdrom => &mut order.cdrom,
                BootDevice::Fd => &mut order.floppy,
                BootDevice::Network => &mut order.network,
            };
            class.get_or_insert(at);
        }
        order
    }
}

/// The arguments after the program's name, for a document that has its aliases.
///
/// # Errors
/// The document asks for something that has no form here; the text names it.
pub fn build(doc: &Domain, emulator: &Emulator, given: &Given) -> Result<Vec<String>> {
    let mut context = Context {
        doc,
        emulator,
        given,
        chipset: Chipset::of(doc),
        boot: BootOrder::of(doc),
    };
    let mut args = Arguments::default();
    machine::base(&context, &mut args)?;
    clock::clock_and_power(&context, &mut args)?;
    machine::boot(&context, &mut args);
    virtual_devices::iommus(&context, &mut args);
    controller::root(&context, &mut args);
    controller::all(&context, &mut args);
    memory::devices(&context, &mut args)?;
    virtual_devices::hubs(&context, &mut args);
    disk::all(&mut context, &mut args)?;
    virtual_devices::filesystems(&context, &mut args);
    net::all(&mut context, &mut args)?;
    smartcard::cards(&context, &mut args)?;
    chardev::serials(&context, &mut args)?;
    chardev::parallels(&context, &mut args)?;
    chardev::channels(&context, &mut args)?;
    chardev::consoles(&context, &mut args)?;
    tpm::all(&context, &mut args);
    input::all(&context, &mut args);
    audio::backends(&context, &mut args);
    display::all(&context, &mut args)?;
    video::all(&context, &mut args);
    audio::cards(&context, &mut args);
    lesser::watchdogs(&context, &mut args);
    smartcard::redirected(&context, &mut args)?;
    hostdev::all(&context, &mut args);
    lesser::balloon(&context, &mut args);
    lesser::rngs(&context, &mut args)?;
    lesser::tail(&context, &mut args);
    shmem::all(&context, &mut args);
    virtual_devices::vsocks(&context, &mut args);
    virtual_devices::cryptos(&context, &mut args);
    virtual_devices::pstores(&context, &mut args);
    lesser::teardown(&context, &mut args);
    lesser::messages(&mut args);
    if doc.qemu_override.is_some() {
        for at in 1..args.0.len() {
            if args.0[at - 1] == "-device" {
                let device = std::mem::take(&mut args.0[at]);
                args.0[at] = qemu_namespace::overridden(doc, device);
            }
        }
    }
    Ok(args.0)
}

/// QEMU's environment: where it may write what it thinks is a home, and what the document's displays and sound need.
#[must_use]
pub fn environment(doc: &Domain, guest_dir: &Path, privileged: bool) -> Vec<(String, String)> {
    let mut env = home(guest_dir, privileged);
    env.extend(audio::environment(doc));
    env.extend(display::environment(doc));
    env.extend(clock::variables(doc));
    env
}

fn home(guest_dir: &Path, privileged: bool) -> Vec<(String, String)> {
    let dir = guest_dir.display().to_string();
    let mut env = vec![("LC_ALL".to_owned(), "C".to_owned())];
    for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH"] {
        if let Ok(value) = std::env::var(name) {
            env.push((name.to_owned(), value));
        }
    }
    if !privileged {
        for name in ["HOME", "USER", "LOGNAME", "TMPDIR"] {
            if let Ok(value) = std::env::var(name) {
                env.push((name.to_owned(), value));
            }
        }
        return env;
    }
    env.push(("HOME".to_owned(), dir.clone()));
    for name in ["USER", "LOGNAME", "TMPDIR"] {
        if let Ok(value) = std::env::var(name) {
            env.push((name.to_owned(), value));
        }
    }
    for (name, below) in [
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_CONFIG_HOME", ".config"),
    ] {
        env.push((name.to_owned(), format!("{dir}/{below}")));
    }
    env
}

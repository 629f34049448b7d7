//! `<domain>`: one guest. Fields stand in the order in which libvirt writes them.

mod address;
mod bios;
mod blkiotune;
mod capability;
mod card;
mod chardev;
mod clock;
mod controller;
mod cpu;
mod cputune;
mod crypto;
mod device;
mod devices;
mod disk;
mod disk_source;
mod disk_tune;
mod encryption;
mod features;
mod filesystem;
mod firmware;
mod graphics;
mod host_bus;
mod host_card;
mod hostdev;
mod hub;
mod hyperv;
mod idmap;
mod input;
mod interface;
mod iommu;
mod iothread;
mod ip;
mod lease;
mod lesser;
mod memory_backing;
mod memory_device;
mod memtune;
mod namespace;
mod normalize;
mod numa;
mod os;
mod perf;
mod pinning;
mod place;
mod pstore;
mod qemu_namespace;
mod redirdev;
mod seclabel;
mod shmem;
mod smartcard;
mod sound;
mod sysinfo;
#[cfg(test)]
mod tests;
mod tpm;
mod vcpus;
mod video;
mod virtio_options;
mod vsock;

pub use address::*;
pub use bios::*;
pub use blkiotune::*;
pub use capability::*;
pub use card::*;
pub use chardev::*;
pub use clock::*;
pub use controller::*;
pub use cpu::*;
pub use cputune::*;
pub use crypto::*;
pub use device::*;
pub use devices::*;
pub use disk::*;
pub use disk_source::*;
pub use disk_tune::*;
pub use encryption::*;
pub use features::*;
pub use filesystem::*;
pub use firmware::*;
pub use graphics::*;
pub use host_bus::*;
pub use host_card::*;
pub use hostdev::*;
pub use hub::*;
pub use hyperv::*;
pub use idmap::*;
pub use input::*;
pub use interface::*;
pub use iommu::*;
pub use iothread::*;
pub use ip::*;
pub use lease::*;
pub use lesser::*;
pub use memory_backing::*;
pub use memory_device::*;
pub use memtune::*;
pub use namespace::*;
pub use numa::*;
pub use os::*;
pub use perf::*;
pub use pinning::*;
pub use place::*;
pub use pstore::*;
pub use qemu_namespace::*;
pub use redirdev::*;
pub use seclabel::*;
pub use shmem::*;
pub use smartcard::*;
pub use sound::*;
pub use sysinfo::*;
pub use tpm::*;
pub use vcpus::*;
pub use video::*;
pub use virtio_options::*;
pub use vsock::*;

use crate::{Form, Kib, Parsed, UnknownPolicy, Uuid, XmlError};
use ferrovirt_xml::{Rest, Xml};

/// Which virtualization runs the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum VirtType {
    /// QEMU's own emulation (TCG).
    #[default]
    Qemu,
    /// QEMU with hardware acceleration.
    Kvm,
    /// A container.
    Lxc,
}

/// `<domain>`: everything about one guest, live or stored.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Domain {
    /// Which virtualization.
    #[xml(attr = "type")]
    pub kind: VirtType,
    /// The number of this run; `None` when the guest is off. Only in the live form.
    #[xml(attr, live)]
    pub id: Option<i32>,
    /// The name, unique on the host.
    pub name: String,
    /// The UUID; `normalize` makes one where there is none.
    pub uuid: Option<Uuid>,
    /// What tells the guest's system that its memory went back in time; `normalize` makes one for an empty element.
    #[xml(name = "genid")]
    pub generation_id: Option<GenerationId>,
    /// A short description.
    pub title: Option<String>,
    /// A long description.
    pub description: Option<String>,
    /// `<metadata>` with all that other programs keep in it, verbatim.
    #[xml(raw)]
    pub metadata: Option<String>,
    /// How far memory can grow.
    #[xml(name = "maxMemory")]
    pub max_memory: Option<MaxMemory>,
    /// All memory at boot, that of the devices included.
    #[xml(default)]
    pub memory: Kib,
    /// Memory that the balloon leaves the guest; `normalize` sets it to `memory` where it is missing.
    #[xml(name = "currentMemory")]
    pub current_memory: Option<Kib>,
    /// Shares and limits of block I/O.
    pub blkiotune: Option<BlkioTune>,
    /// Limits of memory.
    pub memtune: Option<MemTune>,
    /// With what the host backs the memory.
    #[xml(name = "memoryBacking")]
    pub memory_backing: Option<MemoryBacking>,
    /// Number of CPUs.
    #[xml(default)]
    pub vcpu: Vcpu,
    /// Each CPU on its own, where that is said; `normalize` completes the list.
    #[xml(within = "vcpus", name = "vcpu")]
    pub vcpus: Vec<VcpuState>,
    /// Number of I/O threads.
    pub iothreads: Option<u32>,
    /// The I/O threads one by one, where their numbers matter.
    #[xml(name = "iothreadids")]
    pub iothread_ids: Option<IoThreadIds>,
    /// The hypervisor's own thread.
    #[xml(name = "defaultiothread")]
    pub default_iothread: Option<DefaultIoThread>,
    /// Limits that disks share.
    #[xml(name = "throttlegroup", within = "throttlegroups")]
    pub throttle_groups: Vec<ThrottleGroup>,
    /// Shares and limits of processor time.
    pub cputune: Option<CpuTune>,
    /// From which NUMA nodes memory is taken.
    pub numatune: Option<NumaTune>,
    /// The group of guests that it belongs to.
    pub resource: Option<Resource>,
    /// What firmware and guest are told of the machine.
    #[xml(name = "sysinfo")]
    pub sysinfos: Vec<SysInfo>,
    /// What is booted, on which machine.
    pub os: Os,
    /// Which users of the host those of a container are.
    #[xml(name = "idmap")]
    pub id_map: Option<IdMap>,
    /// What the machine has.
    pub features: Option<Features>,
    /// The CPU that the guest sees.
    pub cpu: Option<Cpu>,
    /// Clock and timers.
    #[xml(default)]
    pub clock: Clock,
    /// What a power-off from inside leads to.
    #[xml(default = "Lifecycle::Destroy")]
    pub on_poweroff: Lifecycle,
    /// What a reboot from inside leads to.
    #[xml(default = "Lifecycle::Restart")]
    pub on_reboot: Lifecycle,
    /// What a crash leads to.
    #[xml(default = "CrashLifecycle::Destroy")]
    pub on_crash: CrashLifecycle,
    /// What the loss of a lock leads to.
    pub on_lockfailure: Option<LockFailure>,
    /// Which sleep states the firmware offers.
    pub pm: Option<PowerManagement>,
    /// Which performance counters of the host are kept for the guest.
    pub perf: Option<Perf>,
    /// All devices.
    #[xml(default)]
    pub devices: Devices,
    /// Labels of the security drivers.
    #[xml(name = "seclabel")]
    pub seclabels: Vec<SecLabel>,
    /// Namespaces of others that a container uses.
    #[xml(
        name = "namespace",
        namespace = "lxc=http://libvirt.org/schemas/domain/lxc/1.0"
    )]
    pub lxc_namespace: Option<LxcNamespace>,
    /// Arguments and variables that QEMU gets beside ours.
    #[xml(
        name = "commandline",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub qemu_commandline: Option<QemuCommandline>,
    /// What QEMU is taken to have or not to have, whatever it says.
    #[xml(
        name = "capabilities",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub qemu_capabilities: Option<QemuCapabilities>,
    /// Properties of QEMU's devices that are other than ours.
    #[xml(
        name = "override",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub qemu_override: Option<QemuOverride>,
    /// What QEMU does with what its authors would rather not see used.
    #[xml(
        name = "deprecation",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub qemu_deprecation: Option<QemuDeprecation>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Domain {
    /// Reads a document, and completes it by what does not depend on the hypervisor (`normalize`).
    ///
    /// # Errors
    /// Malformed XML, values that cannot be, parts that contradict each other, and, with
    /// [`UnknownPolicy::Refuse`], whatever is not known.
    pub fn parse(text: &str, policy: UnknownPolicy) -> Result<Parsed<Domain>, XmlError> {
        let mut parsed: Parsed<Domain> = ferrovirt_xml::from_str("domain", text, policy)?;
        parsed.value.normalize()?;
        Ok(parsed)
    }

    /// Reads what was written of a running guest, as it is: nothing is filled in.
    ///
    /// # Errors
    /// As [`Domain::parse`], but for contradictions.
    pub fn parse_live(text: &str, policy: UnknownPolicy) -> Result<Parsed<Domain>, XmlError> {
        ferrovirt_xml::from_str("domain", text, policy)
    }

    /// Writes the document with a newline at its end, as libvirt formats it.
    pub fn to_xml(&self, form: &Form) -> String {
        ferrovirt_xml::to_string("domain", self, form)
    }

    /// All I/O threads, in order.
    pub fn io_threads(&self) -> Vec<IoThread> {
        iothread::all(self.iothreads, self.iothread_ids.as_ref())
    }

    /// The NUMA nodes that the guest sees.
    pub fn numa_cells(&self) -> &[NumaCell] {
        let numa = self.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref());
        numa.map_or(&[], |numa| &numa.cells)
    }

    /// What of it is a definition: without id, aliases, tap devices and all else that ends with the run.
    ///
    /// # Errors
    /// None in documents that were read by this model.
    pub fn to_config(&self) -> Result<Domain, XmlError> {
        let text = self.to_xml(&Form::STORED);
        Ok(ferrovirt_xml::from_str("domain", &text, UnknownPolicy::Salvage)?.value)
    }
}

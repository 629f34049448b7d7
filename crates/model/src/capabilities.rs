//! `<capabilities>`: what the host has and which guests it can run. The document is only written.

use crate::{Kib, Uuid};
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Cursor, Element, Form, Shape, Writer, Xml, XmlError};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Capabilities {
    /// The host.
    pub host: Host,
    /// Kinds of guests, one per OS type and architecture.
    pub guests: Vec<Guest>,
}

impl Capabilities {
    /// The document with a newline at its end, as libvirt formats it: an empty line between the parts.
    pub fn to_xml(&self) -> String {
        ferrovirt_xml::to_string("capabilities", self, &Form::LIVE)
    }
}

impl Element for Capabilities {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        Ok(Self {
            host: cursor.required("host")?,
            guests: cursor.many("guest")?,
        })
    }

    fn attributes(&self, _out: &mut Writer) {}

    fn content(&self, out: &mut Writer) {
        out.blank_line();
        out.element("host", &self.host);
        for guest in &self.guests {
            out.blank_line();
            out.element("guest", guest);
        }
        out.blank_line();
    }

    fn shape(shape: &mut Shape) {
        shape.child::<Host>("host", "The host.");
        shape.child::<Guest>("guest", "A kind of guests.");
    }
}

/// `<host>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Host {
    /// The host's UUID.
    pub uuid: Option<Uuid>,
    /// Its CPU.
    pub cpu: HostCpu,
    /// Which sleep states it has.
    #[xml(name = "power_management")]
    pub power: HostPower,
    /// Can devices be given to guests?
    #[xml(child = "iommu", attr = "support", with = "yes_no")]
    pub iommu: bool,
    /// How guests move to another host.
    #[xml(name = "migration_features")]
    pub migration: Option<Migration>,
    /// NUMA cells.
    #[xml(within = "topology", name = "cells")]
    pub topology: Vec<Cells>,
    /// Caches of the CPU.
    #[xml(within = "cache", name = "bank")]
    pub caches: Vec<CacheBank>,
    /// Security drivers.
    #[xml(name = "secmodel")]
    pub secmodels: Vec<SecModel>,
}

/// `<host><cpu>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct HostCpu {
    /// Architecture by libvirt's name.
    pub arch: String,
    /// Nearest model that libvirt knows.
    pub model: Option<String>,
    /// Its vendor.
    pub vendor: Option<String>,
    /// Version of its microcode.
    #[xml(child = "microcode", attr = "version")]
    pub microcode: Option<u64>,
    /// Family, model and stepping.
    pub signature: Option<Signature>,
    /// How many of what.
    pub topology: Option<CpuTopology>,
    /// Width of physical addresses.
    #[xml(name = "maxphysaddr")]
    pub physical_address: Option<PhysicalAddress>,
    /// What it has beyond the model.
    #[xml(child = "feature", attr = "name")]
    pub features: Vec<String>,
    /// Sizes of pages.
    pub pages: Vec<PageSize>,
}

/// `<signature>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct Signature {
    /// The CPU's family.
    #[xml(attr)]
    pub family: u32,
    /// Its model.
    #[xml(attr)]
    pub model: u32,
    /// Its stepping.
    #[xml(attr)]
    pub stepping: u32,
}

/// `<topology>` of a CPU; each number is per one of the thing before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct CpuTopology {
    /// Sockets (per NUMA cell).
    #[xml(attr)]
    pub sockets: u32,
    /// Dies.
    #[xml(attr)]
    pub dies: u32,
    /// Clusters.
    #[xml(attr)]
    pub clusters: u32,
    /// Cores.
    #[xml(attr)]
    pub cores: u32,
    /// Threads.
    #[xml(attr)]
    pub threads: u32,
}

/// `<maxphysaddr>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct PhysicalAddress {
    /// `emulate` or `passthrough`.
    #[xml(attr)]
    pub mode: String,
    /// How many bits.
    #[xml(attr)]
    pub bits: u32,
}

/// `<pages>`: a size of page.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct PageSize {
    /// Unit of the size.
    #[xml(attr)]
    pub unit: String,
    /// The size.
    #[xml(attr)]
    pub size: u64,
}

/// `<power_management>`: sleep states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct HostPower {
    /// To memory.
    #[xml(flag = "suspend_mem")]
    pub memory: bool,
    /// To disk.
    #[xml(flag = "suspend_disk")]
    pub disk: bool,
    /// To both.
    #[xml(flag = "suspend_hybrid")]
    pub hybrid: bool,
}

/// `<migration_features>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Migration {
    /// While the guest runs?
    #[xml(flag)]
    pub live: bool,
    /// Over which transports.
    #[xml(within = "uri_transports", name = "uri_transport")]
    pub transports: Vec<String>,
}

/// `<cells>`: the NUMA cells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Cells {
    /// How many.
    #[xml(attr)]
    pub num: u32,
    /// Each.
    #[xml(name = "cell")]
    pub list: Vec<Cell>,
}

/// `<cell>`: one NUMA cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Cell {
    /// Its number.
    #[xml(attr)]
    pub id: u32,
    /// Its memory.
    pub memory: Option<Kib>,
    /// Its pages.
    pub pages: Vec<CellPages>,
    /// Distances to the others.
    #[xml(within = "distances", name = "sibling")]
    pub distances: Vec<Distance>,
    /// Its CPUs.
    pub cpus: CellCpus,
}

/// `<pages>` of a cell: how many pages of a size.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct CellPages {
    /// Unit of the size.
    #[xml(attr)]
    pub unit: String,
    /// The size.
    #[xml(attr)]
    pub size: u64,
    /// How many.
    #[xml(text)]
    pub count: u64,
}

/// `<sibling>`: the distance to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct Distance {
    /// Which cell.
    #[xml(attr)]
    pub id: u32,
    /// How far; 10 is itself.
    #[xml(attr)]
    pub value: u32,
}

/// `<cpus>` of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CellCpus {
    /// How many.
    #[xml(attr)]
    pub num: u32,
    /// Each.
    #[xml(name = "cpu")]
    pub list: Vec<CellCpu>,
}

/// `<cpu>` of a cell: where one CPU sits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CellCpu {
    /// Its number.
    #[xml(attr)]
    pub id: u32,
    /// Its socket.
    #[xml(attr)]
    pub socket_id: u32,
    /// Its die.
    #[xml(attr)]
    pub die_id: u32,
    /// Its cluster.
    #[xml(attr)]
    pub cluster_id: u32,
    /// Its core.
    #[xml(attr)]
    pub core_id: u32,
    /// Threads of the same core, as a list of numbers and ranges.
    #[xml(attr)]
    pub siblings: String,
}

/// `<bank>`: one cache.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct CacheBank {
    /// Its number.
    #[xml(attr)]
    pub id: u32,
    /// Its level.
    #[xml(attr)]
    pub level: u32,
    /// `code`, `data` or `both`.
    #[xml(attr = "type")]
    pub kind: String,
    /// Its size…
    #[xml(attr)]
    pub size: u64,
    /// …in this unit.
    #[xml(attr)]
    pub unit: String,
    /// Whose cache it is, as a list of numbers and ranges.
    #[xml(attr)]
    pub cpus: String,
}

/// `<secmodel>`: a security driver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct SecModel {
    /// Its name.
    pub model: String,
    /// Its domain of interpretation.
    pub doi: String,
    /// The label that guests of each type get.
    #[xml(name = "baselabel")]
    pub labels: Vec<BaseLabel>,
}

/// `<baselabel>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct BaseLabel {
    /// Type of guest.
    #[xml(attr = "type")]
    pub kind: String,
    /// The label.
    #[xml(text)]
    pub label: String,
}

/// `<guest>`: a kind of guest that can run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Guest {
    /// `hvm` or `exe`.
    pub os_type: String,
    /// Its architecture.
    pub arch: GuestArch,
    /// What it can have.
    pub features: Option<GuestFeatures>,
}

/// `<arch>`: an architecture and what emulates it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct GuestArch {
    /// Its name.
    #[xml(attr)]
    pub name: String,
    /// 32 or 64.
    pub wordsize: u32,
    /// Path of the program.
    pub emulator: Option<String>,
    /// The machines.
    #[xml(name = "machine")]
    pub machines: Vec<GuestMachine>,
    /// The virtualizations (`<domain type='…'/>`).
    #[xml(child = "domain", attr = "type")]
    pub domains: Vec<String>,
}

/// `<machine>`: a machine type, or another name of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct GuestMachine {
    /// The machine that an alias stands for.
    #[xml(attr)]
    pub canonical: Option<String>,
    /// Most CPUs.
    #[xml(attr = "maxCpus")]
    pub max_cpus: Option<u32>,
    /// Will it go away?
    #[xml(attr, with = "yes_no")]
    pub deprecated: Option<bool>,
    /// The name.
    #[xml(text)]
    pub name: String,
}

/// `<features>` of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct GuestFeatures {
    /// Physical address extension.
    #[xml(flag)]
    pub pae: bool,
    /// None of it.
    #[xml(flag)]
    pub nonpae: bool,
    /// ACPI.
    pub acpi: Option<Toggle>,
    /// Programmable interrupt controller.
    pub apic: Option<Toggle>,
    /// Can the CPU be chosen?
    #[xml(flag)]
    pub cpuselection: bool,
    /// Can single devices have a place in the boot order?
    #[xml(flag)]
    pub deviceboot: bool,
    /// Snapshots of disks.
    pub disksnapshot: Option<Toggle>,
    /// Snapshots in files of their own.
    #[xml(flag = "externalSnapshot")]
    pub external_snapshot: bool,
}

/// A feature that is on or off by default, and may be changeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct Toggle {
    /// By default.
    #[xml(attr, with = "ferrovirt_xml::values::on_off")]
    pub default: bool,
    /// Changeable?
    #[xml(attr, with = "yes_no")]
    pub toggle: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "\
<capabilities>

  <host>
    <cpu>
      <arch>x86_64</arch>
    </cpu>
    <power_management/>
    <iommu support='no'/>
    <topology>
      <cells num='1'>
        <cell id='0'>
          <memory unit='KiB'>1000</memory>
          <cpus num='1'>
            <cpu id='0' socket_id='0' die_id='0' cluster_id='0' core_id='0' siblings='0'/>
          </cpus>
        </cell>
      </cells>
    </topology>
  </host>

  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <machine maxCpus='255'>pc-1.0</machine>
      <machine canonical='pc-1.0' maxCpus='255'>pc</machine>
      <domain type='qemu'/>
      <domain type='kvm'/>
    </arch>
    <features>
      <acpi default='on' toggle='yes'/>
      <deviceboot/>
    </features>
  </guest>

</capabilities>
";

    #[test]
    fn capabilities_have_empty_lines_between_their_parts() {
        let on = |toggle| {
            Some(Toggle {
                default: true,
                toggle,
            })
        };
        let machine = |name: &str, canonical: Option<&str>| GuestMachine {
            canonical: canonical.map(str::to_owned),
            max_cpus: Some(255),
            deprecated: None,
            name: name.to_owned(),
        };
        let cpus = CellCpus {
            num: 1,
            list: vec![CellCpu {
                siblings: "0".to_owned(),
                ..CellCpu::default()
            }],
        };
        let cell = Cell {
            id: 0,
            memory: Some(Kib(1000)),
            cpus,
            ..Cell::default()
        };
        let document = Capabilities {
            host: Host {
                cpu: HostCpu {
                    arch: "x86_64".to_owned(),
                    ..HostCpu::default()
                },
                topology: vec![Cells {
                    num: 1,
                    list: vec![cell],
                }],
                ..Host::default()
            },
            guests: vec![Guest {
                os_type: "hvm".to_owned(),
                arch: GuestArch {
                    name: "x86_64".to_owned(),
                    wordsize: 64,
                    machines: vec![machine("pc-1.0", None), machine("pc", Some("pc-1.0"))],
                    domains: vec!["qemu".to_owned(), "kvm".to_owned()],
                    ..GuestArch::default()
                },
                features: Some(GuestFeatures {
                    acpi: on(true),
                    deviceboot: true,
                    ..GuestFeatures::default()
                }),
            }],
        };
        assert_eq!(document.to_xml(), EXPECTED);
    }
}

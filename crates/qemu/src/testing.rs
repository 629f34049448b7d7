//! What tests of this crate share: an emulator that is always there, and readable differences.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::capabilities::{CpuModel, Emulator, MachineType};

/// QEMU 10.0 as far as documents and command lines ask.
pub(crate) fn emulator() -> Emulator {
    let machine = |name: &str, alias: &str, default: bool, cpu_max: u32| MachineType {
        name: name.to_owned(),
        alias: Some(alias.to_owned()),
        default,
        cpu_max,
        deprecated: false,
        ram_id: Some("pc.ram".to_owned()),
        default_cpu: Some("qemu64".to_owned()),
        hotpluggable_cpus: true,
        numa_mem: false,
    };
    let devices = "cirrus-vga VGA bochs-display virtio-gpu-pci virtio-vga vmware-svga virtio-net-pci \
        virtio-net-pci-transitional virtio-net-pci-non-transitional e1000 e1000e igb rtl8139 ne2k_pci pcnet vmxnet3 \
        i82551 i82557b i82559er e1000-82544gc e1000-82545em virtio-scsi-pci-transitional \
        piix3-usb-uhci piix4-usb-uhci usb-ehci ich9-usb-ehci1 ich9-usb-uhci1 ich9-usb-uhci2 ich9-usb-uhci3 pci-ohci \
        nec-usb-xhci qemu-xhci lsi megasas mptsas1068 virtio-scsi-pci pcie-root-port pci-bridge pcie-pci-bridge ahci \
         virtio-serial-pci virtio-blk-pci virtio-rng-pci virtio-balloon-pci i6300esb ib700 pvpanic pvpanic-pci \
         pc-dimm nvdimm virtio-mem-pci virtio-pmem-pci \
         usb-ccid ccid-card-emulated ccid-card-passthru usb-redir usb-audio AC97 ES1370 sb16 intel-hda ich9-intel-hda virtio-sound-pci ramfb";
    let cpus = ["qemu64", "qemu32", "max", "Nehalem", "Nehalem-v1"];
    Emulator {
        path: PathBuf::from("/usr/bin/qemu-system-x86_64"),
        arch: "x86_64".to_owned(),
        version: (10, 0, 2),
        package: "Debian 1:10.0.2+ds-2+deb13u1~bpo12+1".to_owned(),
        kvm: true,
        machines: vec![
            machine("pc-i440fx-10.0", "pc", true, 255),
            machine("pc-q35-10.0", "q35", false, 4096),
        ],
        devices: devices.split_whitespace().map(str::to_owned).collect(),
        cpus_tcg: cpus
            .iter()
            .map(|name| CpuModel {
                name: (*name).to_owned(),
                missing: Some(vec![]),
                alias_of: None,
            })
            .collect(),
        cpus_kvm: cpus
            .iter()
            .map(|name| CpuModel {
                name: (*name).to_owned(),
                missing: Some(vec![]),
                alias_of: None,
            })
            .collect(),
        commands: BTreeSet::new(),
    }
}

/// The first line in which two texts differ.
pub(crate) fn first_difference(ours: &str, theirs: &str) -> String {
    let (mut a, mut b) = (ours.trim().lines(), theirs.trim().lines());
    for number in 1.. {
        let (ours, theirs) = (a.next(), b.next());
        if ours != theirs || ours.is_none() {
            return format!("line {number}: ours {ours:?}, reference {theirs:?}");
        }
    }
    String::new()
}

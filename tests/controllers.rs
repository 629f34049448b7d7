//! Controllers of all models, and what hangs on them.

use ferrovirt_tests::{Machine, Tool, in_world};
use serde_json::Value;

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

#[test]
fn controllers_of_a_pc() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let qemu = Machine::new("pc", "pc")
            .devices(
                "<controller type='usb' index='0' model='piix3-uhci'/><controller type='usb' index='1' model='ehci'/>\
                 <controller type='usb' index='2' model='nec-xhci' ports='4'/><controller type='usb' index='3' model='pci-ohci'/>\
                 <controller type='usb' index='4' model='piix4-uhci'/><controller type='usb' model='ich9-ehci1'/>\
                 <controller type='usb' model='ich9-uhci1'/><controller type='usb' model='ich9-uhci2'/>\
                 <controller type='usb' model='ich9-uhci3'/>\
                 <controller type='scsi' index='0' model='lsilogic'/><controller type='scsi' index='1' model='lsisas1068'/>\
                 <controller type='scsi' index='2' model='lsisas1078'/><controller type='scsi' index='3' model='virtio-scsi'>\
                 <driver queues='2' cmd_per_lun='50' max_sectors='512'/></controller>\
                 <controller type='scsi' index='4' model='virtio-transitional'/>\
                 <controller type='virtio-serial' index='0' ports='7' vectors='3'/><controller type='sata' index='0'/>\
                 <controller type='pci' index='0' model='pci-root'/><controller type='pci' index='1' model='pci-bridge'/>\
                 <controller type='ccid' index='0'/><hub type='usb'><address type='usb' bus='2' port='1'/></hub>",
            )
            .start(w);
        for (alias, kind) in [
            ("usb1", "usb-ehci"),
            ("usb2", "nec-usb-xhci"),
            ("usb3", "pci-ohci"),
            ("usb4", "piix4-usb-uhci"),
            ("usb5", "ich9-usb-ehci1"),
            ("scsi0", "lsi53c895a"),
            ("scsi1", "mptsas1068"),
            ("scsi2", "megasas"),
            ("scsi3", "virtio-scsi-pci"),
            ("virtio-serial0", "virtio-serial-pci"),
            ("sata0", "ich9-ahci"),
            ("pci.1", "pci-bridge"),
            ("ccid0", "usb-ccid"),
            ("hub0", "usb-hub"),
        ] {
            assert_eq!(qemu.kind(alias), kind, "{alias}");
        }
        qemu.told(&["ich9-usb-uhci3", "\"masterbus\":\"usb5.0\"", "\"firstport\":4"]);
        assert_eq!(qemu.of_device("usb2", "p2"), 4);
        assert_eq!(qemu.of_device("scsi3", "num_queues"), 2);
        assert_eq!(qemu.of_device("scsi3", "cmd_per_lun"), 50);
        assert_eq!(qemu.of_device("scsi3", "max_sectors"), 512);
        assert_eq!(qemu.of_device("virtio-serial0", "max_ports"), 7);
        assert_eq!(qemu.of_device("virtio-serial0", "vectors"), 3);
        w.virsh("destroy pc").ok();
    });
}

#[test]
fn controllers_of_pci_express() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let qemu = Machine::new("express", "q35")
            .devices(
                "<controller type='pci' index='0' model='pcie-root'><pcihole64 unit='GiB'>8</pcihole64></controller>\
                 <controller type='pci' index='1' model='pcie-root-port'><target chassis='7' port='0x20' hotplug='off'/></controller>\
                 <controller type='pci' index='2' model='pcie-root-port'/>\
                 <controller type='pci' index='3' model='pcie-to-pci-bridge'/>\
                 <controller type='pci' index='4' model='dmi-to-pci-bridge'/>\
                 <controller type='pci' index='5' model='pcie-switch-upstream-port'/>\
                 <controller type='pci' index='6' model='pcie-switch-downstream-port'/>\
                 <controller type='pci' index='7' model='pcie-expander-bus'><target busNr='180'/></controller>\
                 <controller type='usb' index='0' model='qemu-xhci'/>",
            )
            .start(w);
        for (alias, kind) in [
            ("pci.1", "pcie-root-port"),
            ("pci.3", "pcie-pci-bridge"),
            ("pci.4", "i82801b11-bridge"),
            ("pci.5", "x3130-upstream"),
            ("pci.6", "xio3130-downstream"),
            ("pci.7", "pxb-pcie"),
            ("usb", "qemu-xhci"),
        ] {
            assert_eq!(qemu.kind(alias), kind, "{alias}");
        }
        assert_eq!(qemu.of_device("pci.1", "chassis"), 7);
        assert_eq!(qemu.of_device("pci.1", "hotplug"), false);
        assert_eq!(qemu.of_device("pci.7", "bus_nr"), 180);
        qemu.told(&["q35-pcihost.pci-hole64-size=8388608K"]);
        let buses = qemu.ask("query-pci", &Value::Null);
        assert!(buses.as_array().is_some_and(|buses| buses.len() == 2), "{buses}");
        w.virsh("destroy express").ok();
    });
}

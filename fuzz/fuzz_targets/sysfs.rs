//! Any bytes as what the kernel and udev say of devices: all devices are listed, described and judged, and each description is a document.
#![no_main]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::OnceLock;

use ferrovirt_host::{Places, Taken, Tree, group, usb};
use libfuzzer_sys::fuzz_target;

const CARD: &str = "sys/devices/pci0000:00/0000:00:01.0";
const DISK: &str = "sys/devices/pci0000:00/0000:00:01.0/host0/target0:0:0/0:0:0:0";

/// The files that are of any content, with one that makes sense. A piece of the input each, in this order.
const FILES: &[(&str, &[u8])] = &[
    ("CARD/uevent", b"PCI_CLASS=30000\nPCI_SLOT_NAME=0000:00:01.0\n"),
    ("CARD/config", &[0; 256]),
    ("CARD/vpd", b"\x82\x01\0x\x78"),
    ("CARD/class", b"0x030000\n"),
    ("CARD/vendor", b"0x10de\n"),
    ("CARD/device", b"0x2684\n"),
    ("CARD/resource", b"0xe0000000 0xe0ffffff 0x1\n"),
    ("CARD/numa_node", b"0\n"),
    ("CARD/boot_vga", b"1\n"),
    ("CARD/sriov_totalvfs", b"7\n"),
    ("CARD/net/eth0/uevent", b"INTERFACE=eth0\nIFINDEX=2\n"),
    ("CARD/net/eth0/address", b"52:54:00:00:00:01\n"),
    ("CARD/net/eth0/operstate", b"up\n"),
    ("CARD/net/eth0/speed", b"1000\n"),
    (
        "CARD/drm/card0/uevent",
        b"DEVTYPE=drm_minor\nMAJOR=226\nMINOR=0\nDEVNAME=dri/card0\n",
    ),
    ("CARD/host0/uevent", b"DEVTYPE=scsi_host\n"),
    ("CARD/host0/scsi_host/host0/unique_id", b"1\n"),
    ("CARD/host0/fc_host/host0/node_name", b"0x2000\n"),
    ("DISK/uevent", b"DEVTYPE=scsi_device\n"),
    ("DISK/type", b"0\n"),
    (
        "DISK/block/sda/uevent",
        b"DEVTYPE=disk\nMAJOR=8\nMINOR=0\nDEVNAME=sda\n",
    ),
    ("DISK/block/sda/size", b"2048\n"),
    ("DISK/block/sda/removable", b"0\n"),
    ("DISK/block/sda/queue/logical_block_size", b"512\n"),
    ("sys/devices/usb1/1-2/uevent", b"DEVTYPE=usb_device\n"),
    ("sys/devices/usb1/1-2/busnum", b"1\n"),
    ("sys/devices/usb1/1-2/devnum", b"2\n"),
    ("sys/devices/usb1/1-2/idVendor", b"046d\n"),
    ("sys/devices/usb1/1-2/idProduct", b"c52b\n"),
    ("sys/devices/usb1/1-2/product", b"stick\n"),
    (
        "sys/devices/usb1/1-2/1-2:1.0/uevent",
        b"DEVTYPE=usb_interface\nINTERFACE=3/1/2\n",
    ),
    (
        "run/udev/data/b8:0",
        b"E:ID_TYPE=disk\nE:ID_SERIAL=x\nS:disk/by-id/x\n",
    ),
    ("run/udev/data/+pci:0000:00:01.0", b"E:ID_MODEL_FROM_DATABASE=x\n"),
    ("proc/iomem", b"e0000000-e02fffff : BOOTFB\n"),
    ("proc/self/mountinfo", b"1 1 8:0 / / rw - ext4 /dev/sda rw\n"),
    ("proc/cpuinfo", b"vendor_id : AuthenticAMD\n"),
    ("proc/cmdline", b"ro quiet\n"),
    ("usr/share/misc/pci.ids", b"10de  NVIDIA\n\t2684  AD102\n"),
];

/// Where lists lead to.
const LINKS: &[(&str, &str)] = &[
    ("sys/bus/pci/devices/0000:00:01.0", "CARD"),
    ("sys/kernel/iommu_groups/1/devices/0000:00:01.0", "CARD"),
    ("CARD/iommu_group", "sys/kernel/iommu_groups/1"),
    ("sys/class/net/eth0", "CARD/net/eth0"),
    ("sys/class/drm/card0", "CARD/drm/card0"),
    ("sys/bus/scsi/devices/host0", "CARD/host0"),
    ("sys/bus/scsi/devices/0:0:0:0", "DISK"),
    ("sys/class/block/sda", "DISK/block/sda"),
    ("sys/dev/block/8:0", "DISK/block/sda"),
    ("sys/bus/usb/devices/1-2", "sys/devices/usb1/1-2"),
    ("sys/bus/usb/devices/1-2:1.0", "sys/devices/usb1/1-2/1-2:1.0"),
];

fn place(path: &str) -> PathBuf {
    root().join(path.replace("CARD", CARD).replace("DISK", DISK))
}

/// A directory of this process.
fn root() -> &'static PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let shm = PathBuf::from("/dev/shm");
        let base = if shm.is_dir() { shm } else { std::env::temp_dir() };
        base.join(format!("fuzz-sysfs-{}", std::process::id()))
    })
}

/// What has to work for there to be a machine at all.
fn must<T, E: std::fmt::Debug>(outcome: Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("the machine cannot be made: {error:?}"),
    }
}

/// The machine, made once.
fn make() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        if let Err(error) = try_make() {
            panic!("the machine cannot be made: {error}");
        }
    });
}

fn try_make() -> std::io::Result<()> {
    for (path, content) in FILES {
        let file = place(path);
        fs::create_dir_all(file.parent().unwrap_or(root()))?;
        fs::write(file, content)?;
    }
    for (at, to) in LINKS {
        let (at, depth) = (
            place(at),
            place(at).components().count() - root().components().count(),
        );
        fs::create_dir_all(at.parent().unwrap_or(root()))?;
        let to = place(to);
        let below = to.strip_prefix(root()).unwrap_or(&to);
        symlink(PathBuf::from("../".repeat(depth - 1)).join(below), at)?;
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    make();
    // Pieces: which file, how long, bytes. What no piece is for is what makes sense.
    let mut written = Vec::new();
    let mut rest = input;
    while let [file, low, high, content @ ..] = rest {
        let (path, _) = FILES[usize::from(*file) % FILES.len()];
        let length = usize::from(u16::from_le_bytes([*low, *high & 0x3])).min(content.len());
        // A full disk: the machine is as it was.
        let _ = fs::write(place(path), &content[..length]);
        written.push(usize::from(*file) % FILES.len());
        rest = &content[length..];
    }
    let places = Places::below(root());
    let tree = Tree::new(places.clone(), None);
    let snapshot = tree.snapshot();
    for device in snapshot.devices() {
        let _ = tree.words(device);
        if let Ok(document) = tree.describe(device) {
            let text = document.to_xml();
            assert!(roxmltree::Document::parse(&text).is_ok(), "no document:\n{text}");
        }
    }
    let taken = Taken::open(None);
    for device in group::survey(&places, &taken).devices {
        let look = group::look(&places, &taken, device.address);
        assert_eq!((look.there, look.group), (true, device.group));
    }
    let _ = group::remedy(&places);
    for device in usb::all(&places) {
        assert!(usb::by_address(&places, device.bus, device.device).is_ok());
    }
    for file in written {
        let (path, content) = FILES[file];
        must(fs::write(place(path), content));
    }
});

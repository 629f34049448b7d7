//! What could be given to guests: IOMMU groups with what is in them, who has it, and what keeps it from being given away.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ids;
use crate::pci::config::{Config, HeaderType};
use crate::pci::{self, PciAddress};
use crate::places::Places;
use crate::sysfs;
use crate::taken::{Doing, Guest, Taken};

/// A device as people look at it who want to give it to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub address: PciAddress,
    /// Vendor and product.
    pub ids: (u32, u32),
    /// Their names, as far as they are known.
    pub names: ids::Names,
    /// Class, subclass and programming interface.
    pub class: u32,
    /// The driver that it has.
    pub driver: Option<String>,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// The guest that has it.
    pub guest: Option<Guest>,
    /// Whether the host has given it up without a guest that has it.
    pub detached: bool,
    /// A bridge: it goes with its group, and no guest gets it.
    pub bridge: bool,
    /// Why it cannot be given away as it is; empty if it can.
    pub obstacles: Vec<String>,
    /// What may be a nuisance once it is.
    pub remarks: Vec<String>,
}

/// The machine as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Whether there is an IOMMU at work.
    pub iommu: bool,
    /// Whether VFIO is there, too.
    pub vfio: bool,
    /// What to do about it if not.
    pub advice: Option<String>,
    /// All PCI devices, by group, then by address.
    pub devices: Vec<Candidate>,
}

/// The class of bridges, also those to other kinds of buses.
const BRIDGES: u32 = 0x06;

/// Drivers of the host that do not hinder: they leave their devices alone.
const HARMLESS: [&str; 3] = ["pcieport", "pci-stub", "shpchp"];

/// Looks at the whole machine. Blocks for as long as a few thousand small reads take (some 20 ms).
pub fn survey(places: &Places, taken: &Taken) -> Survey {
    let groups = sysfs::names(&places.sys.join("kernel/iommu_groups"));
    let iommu = !groups.is_empty();
    let vfio = pci::has_vfio(places);
    let names = ids::Cache::default();
    let dir = places.sys.join("bus/pci/devices");
    let all = sysfs::names(&dir);
    let memory = console_memory(places);
    let mut devices: Vec<Candidate> = all
        .iter()
        .filter_map(|name| one(places, taken, &names, name.parse().ok()?))
        .collect();
    devices.sort_by_key(|device| (device.group.is_none(), device.group, device.address));
    let held: BTreeMap<PciAddress, Option<String>> = devices
        .iter()
        .map(|device| (device.address, hinders(places, device)))
        .collect();
    for device in &mut devices {
        let mut obstacles = obstacles(places, device, iommu);
        for member in device
            .group
            .map(|group| pci::members(places, group))
            .unwrap_or_default()
        {
            let other = held
                .get(&member)
                .and_then(Option::as_ref)
                .filter(|_| member != device.address && !device.bridge);
            obstacles.extend(other.map(|other| format!("{member} of the same group {other}")));
        }
        device.obstacles = obstacles;
        device.remarks = remarks(places, device, &memory);
    }
    Survey {
        iommu,
        vfio,
        advice: advice(places, iommu, vfio),
        devices,
    }
}

/// A device that somebody has named, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Where it is, or should be.
    pub address: PciAddress,
    /// Whether there is such a device.
    pub there: bool,
    /// Class, subclass and programming interface.
    pub class: u32,
    /// The driver that it has.
    pub driver: Option<String>,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// All that is in the group.
    pub members: Vec<PciAddress>,
    /// The others of its group that keep it from being given away by their drivers, with these.
    pub neighbours: Vec<(PciAddress, String)>,
    /// What is being done to it.
    pub doing: Option<Doing>,
}

/// Looks at one device and its group, and at nothing else. Blocks for a few small reads.
pub fn look(places: &Places, taken: &Taken, address: PciAddress) -> Look {
    let dir = pci::dir(places, address);
    let group = pci::group(&dir);
    let members = group.map(|group| pci::members(places, group)).unwrap_or_default();
    let neighbours = members.iter().filter(|member| **member != address);
    Look {
        address,
        there: dir.join("config").exists(),
        class: sysfs::hex(&dir.join("class")).unwrap_or(0),
        driver: pci::driver(&dir),
        group,
        neighbours: neighbours
            .filter_map(|member| Some((*member, hosts_driver(places, *member)?)))
            .collect(),
        members,
        doing: taken.doing(address),
    }
}

/// What to do so that devices can be given to guests at all; `None` if they can.
pub fn remedy(places: &Places) -> Option<String> {
    let iommu = !sysfs::names(&places.sys.join("kernel/iommu_groups")).is_empty();
    advice(places, iommu, pci::has_vfio(places))
}

fn one(places: &Places, taken: &Taken, names: &ids::Cache, address: PciAddress) -> Option<Candidate> {
    let dir = pci::dir(places, address);
    let ids = (sysfs::hex(&dir.join("vendor"))?, sysfs::hex(&dir.join("device"))?);
    let header = Config::read(&dir).map(|config| config.header_type());
    let class = sysfs::hex(&dir.join("class")).unwrap_or(0);
    Some(Candidate {
        address,
        ids,
        names: names.names(&places.pci_ids, ids.0, ids.1),
        class,
        driver: pci::driver(&dir),
        group: pci::group(&dir),
        guest: taken.guest_of(address),
        detached: taken.is_detached(address),
        // Host bridges have the header of an endpoint.
        bridge: header.is_some_and(|header| header != HeaderType::Endpoint) || class >> 16 == BRIDGES,
        obstacles: Vec::new(),
        remarks: Vec::new(),
    })
}

/// Why the others of its group cannot be given away while this is as it is.
fn hinders(places: &Places, device: &Candidate) -> Option<String> {
    if let Some(guest) = &device.guest {
        return Some(format!("is in use by domain {}", guest.name));
    }
    let driver = hosts_driver(places, device.address)?;
    Some(format!("has the host's driver {driver}"))
}

/// The driver of a device, if it keeps the device's group with the host.
fn hosts_driver(places: &Places, address: PciAddress) -> Option<String> {
    let dir = pci::dir(places, address);
    let driver = pci::driver(&dir)?;
    let harmless = HARMLESS.contains(&driver.as_str()) || pci::is_for_guests(&dir);
    (!harmless).then_some(driver)
}

fn obstacles(places: &Places, device: &Candidate, iommu: bool) -> Vec<String> {
    let mut obstacles = Vec::new();
    if device.bridge {
        obstacles.push("it is a bridge".to_owned());
        return obstacles;
    }
    match (iommu, device.group) {
        (false, _) => obstacles.push("there is no IOMMU at work".to_owned()),
        (true, None) => obstacles.push("it is in no IOMMU group".to_owned()),
        (true, Some(_)) => {}
    }
    if let Some(guest) = &device.guest {
        obstacles.push(format!("it is in use by domain {}", guest.name));
    }
    // Mounted, or a network's way out: who gives it away loses it.
    let dir = pci::dir(places, device.address);
    obstacles.extend(mounted(places, &dir).map(|what| format!("{what} is mounted")));
    obstacles
}

fn remarks(places: &Places, device: &Candidate, memory: &[Console]) -> Vec<String> {
    let dir = pci::dir(places, device.address);
    let mut remarks = Vec::new();
    if device.bridge {
        return remarks;
    }
    if sysfs::text(&dir.join("boot_vga")).as_deref() == Some("1") {
        remarks.push("it is the card that the machine boots with".to_owned());
    }
    for console in framebuffers(places, &dir) {
        remarks.push(format!("the console is on it ({console})"));
    }
    let regions = regions(&dir);
    for console in memory {
        let inside = regions
            .iter()
            .any(|(start, end)| *start <= console.start && console.end <= *end);
        if inside {
            let name = &console.name;
            remarks.push(format!(
                "the framebuffer of the firmware ({name}) holds its memory; the kernel's command line can leave it alone: initcall_blacklist=sysfb_init"
            ));
        }
    }
    if !dir.join("reset").exists() {
        remarks.push("it cannot be reset: a guest may find it as the one before has left it".to_owned());
    }
    remarks
}

/// Framebuffers that hang on a device.
fn framebuffers(places: &Places, device: &Path) -> Vec<String> {
    let all = places.sys.join("class/graphics");
    let own = device.canonicalize();
    let of_device = |name: &String| {
        let target = all.join(name).join("device").canonicalize().ok()?;
        let name = sysfs::word(&all.join(name).join("name")).unwrap_or_else(|| name.clone());
        own.as_ref()
            .is_ok_and(|own| target.starts_with(own))
            .then_some(name)
    };
    sysfs::names(&all).iter().filter_map(of_device).collect()
}

/// A range of memory that the firmware's framebuffer holds.
struct Console {
    start: u64,
    end: u64,
    name: String,
}

/// Those of `/proc/iomem`.
fn console_memory(places: &Places) -> Vec<Console> {
    let text = std::fs::read_to_string(places.proc.join("iomem")).unwrap_or_default();
    text.lines().filter_map(console_of).collect()
}

fn console_of(line: &str) -> Option<Console> {
    let (range, name) = line.trim().split_once(" : ")?;
    let (start, end) = range.split_once('-')?;
    let known = ["simplefb", "efifb", "vesafb", "BOOTFB"];
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let console = Console {
        start: number(start)?,
        end: number(end)?,
        name: name.to_owned(),
    };
    // Who may not see addresses sees zeros.
    (known.contains(&name) && console.end > 0).then_some(console)
}

/// Ranges of memory of a device: start, end and flags of each on a line.
fn regions(dir: &Path) -> Vec<(u64, u64)> {
    let text = sysfs::text(&dir.join("resource")).unwrap_or_default();
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let region = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        Some((number(words.next()?)?, number(words.next()?)?))
    };
    text.lines()
        .filter_map(region)
        .filter(|(_, end)| *end > 0)
        .collect()
}

/// A file system that lies on a disk of this device.
fn mounted(places: &Places, dir: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string(places.proc.join("self/mountinfo")).ok()?;
    let own = dir.canonicalize().ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (number, target) = (words.nth(2)?, words.nth(1)?);
        // Number 0 is no disk's.
        let device = Some(number).filter(|number| !number.starts_with("0:"))?;
        let disk = places.sys.join("dev/block").join(device).canonicalize().ok()?;
        disk.starts_with(&own).then(|| target.to_owned())
    })
}

/// What to do so that devices can be given away.
fn advice(places: &Places, iommu: bool, vfio: bool) -> Option<String> {
    if iommu && vfio {
        return None;
    }
    if iommu {
        return Some("there is no /dev/vfio/vfio: load the module vfio-pci".to_owned());
    }
    let cpu = std::fs::read_to_string(places.proc.join("cpuinfo")).unwrap_or_default();
    let (option, firmware) = match cpu.contains("AuthenticAMD") {
        true => ("amd_iommu=on", "AMD-Vi or IOMMU"),
        false => ("intel_iommu=on", "VT-d"),
    };
    let line = sysfs::text(&places.proc.join("cmdline")).unwrap_or_default();
    Some(match line.split_ascii_whitespace().any(|word| word == option) {
        true => format!(
            "there is no IOMMU although the kernel was told {option}: turn {firmware} on in the machine's firmware"
        ),
        false => format!(
            "there is no IOMMU at work: write {option} on the kernel's command line, and turn {firmware} on in the machine's firmware"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taken::{TakenDevice, Use};
    use crate::testing::{Machine, Pci};
    use proptest::prelude::*;

    fn find<'a>(survey: &'a Survey, address: &str) -> &'a Candidate {
        let address = address.parse().unwrap();
        survey
            .devices
            .iter()
            .find(|device| device.address == address)
            .unwrap()
    }

    #[test]
    fn what_keeps_a_device_is_named() {
        let machine = Machine::new();
        let gpu = machine.pci(&Pci {
            address: "0000:03:00.0",
            class: 0x30000,
            driver: Some("bochs-drm"),
            group: Some(15),
            ..Pci::default()
        });
        machine.pci(&Pci {
            address: "0000:03:00.1",
            class: 0x40300,
            driver: Some("snd_hda_intel"),
            group: Some(15),
            ..Pci::default()
        });
        let nic = machine.pci(&Pci::default());
        machine.file(&format!("{nic}/reset"), "");
        machine.pci(&Pci {
            address: "0000:00:10.0",
            driver: Some("pcieport"),
            group: Some(13),
            header: 1,
            ..Pci::default()
        });
        machine.file(&format!("{gpu}/boot_vga"), "1\n");
        machine.file(
            &format!("{gpu}/resource"),
            "0xe0000000 0xe0ffffff 0x1\n0x0 0x0 0x0\n",
        );
        machine.file(
            "proc/iomem",
            "e0000000-e0ffffff : PCI\n  e0000000-e02fffff : BOOTFB\n",
        );
        let seen = survey(&machine.places(), &Taken::open(None));
        assert!(seen.iommu && seen.vfio && seen.advice.is_none());
        assert_eq!(find(&seen, "0000:01:00.0").obstacles, Vec::<String>::new());
        assert_eq!(find(&seen, "0000:01:00.0").remarks, Vec::<String>::new());
        assert_eq!(find(&seen, "0000:00:10.0").obstacles, ["it is a bridge"]);
        let gpu = find(&seen, "0000:03:00.0");
        assert_eq!(
            gpu.obstacles,
            ["0000:03:00.1 of the same group has the host's driver snd_hda_intel"]
        );
        assert!(
            gpu.remarks[0].contains("boots with")
                && gpu.remarks[1].contains("BOOTFB")
                && gpu.remarks[2].contains("reset"),
            "{:?}",
            gpu.remarks
        );
        assert_eq!(
            seen.devices.iter().map(|device| device.group).collect::<Vec<_>>(),
            [Some(13), Some(13), Some(15), Some(15)]
        );
    }

    #[test]
    fn a_look_at_one_device_names_the_neighbours_that_keep_it() {
        let machine = Machine::new();
        for (address, class, driver) in [
            ("0000:03:00.0", 0x30000, Some("vfio-pci")),
            ("0000:03:00.1", 0x40300, Some("snd_hda_intel")),
            ("0000:03:00.2", 0xc0330, Some("pci-stub")),
            ("0000:03:00.3", 0xc0330, None),
        ] {
            machine.pci(&Pci {
                address,
                class,
                driver,
                group: Some(15),
                ..Pci::default()
            });
        }
        let taken = Taken::open(None);
        let at = |address: &str| look(&machine.places(), &taken, address.parse().unwrap());
        let gpu = at("0000:03:00.0");
        assert_eq!((gpu.there, gpu.class, gpu.group), (true, 0x30000, Some(15)));
        assert_eq!(gpu.driver.as_deref(), Some("vfio-pci"));
        let sound = ("0000:03:00.1".parse().unwrap(), "snd_hda_intel".to_owned());
        assert_eq!(gpu.neighbours, [sound]);
        assert_eq!(at("0000:03:00.1").neighbours, []);
        let busy = taken.begin(gpu.address, "unbind", None).unwrap();
        assert_eq!(at("0000:03:00.0").doing.unwrap().what, "unbind");
        drop(busy);
        let gone = at("0000:55:00.0");
        assert!(!gone.there && gone.driver.is_none() && gone.group.is_none() && gone.doing.is_none());
        assert_eq!(remedy(&machine.places()), None);
    }

    #[test]
    fn without_an_iommu_it_is_said_what_to_write() {
        let machine = Machine::new();
        machine.pci(&Pci {
            group: None,
            ..Pci::default()
        });
        machine.file("proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
        machine.file("proc/cmdline", "ro quiet\n");
        let seen = survey(&machine.places(), &Taken::open(None));
        assert!(seen.advice.unwrap().contains("write intel_iommu=on"));
        assert_eq!(seen.devices[0].obstacles, ["there is no IOMMU at work"]);
        machine.file("proc/cmdline", "ro intel_iommu=on\n");
        assert!(
            survey(&machine.places(), &Taken::open(None))
                .advice
                .unwrap()
                .contains("VT-d")
        );
        machine.file("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
        assert!(
            survey(&machine.places(), &Taken::open(None))
                .advice
                .unwrap()
                .contains("amd_iommu=on")
        );
    }

    #[test]
    fn who_has_a_device_hinders_its_group() {
        let machine = Machine::new();
        for address in ["0000:03:00.0", "0000:03:00.1"] {
            machine.pci(&Pci {
                address,
                driver: Some("vfio-pci"),
                ..Pci::default()
            });
        }
        let taken = Taken::open(None);
        taken
            .put(TakenDevice {
                address: "0000:03:00.1".parse().unwrap(),
                driver: "vfio-pci".to_owned(),
                usage: Use::Guest(Guest {
                    driver: "QEMU".to_owned(),
                    name: "g1".to_owned(),
                }),
                give_back: true,
                stays: false,
            })
            .unwrap();
        let seen = survey(&machine.places(), &taken);
        assert_eq!(
            seen.devices[0].obstacles,
            ["0000:03:00.1 of the same group is in use by domain g1"]
        );
        assert_eq!(seen.devices[1].obstacles, ["it is in use by domain g1"]);
    }

    proptest! {
        #[test]
        fn no_line_of_memory_makes_it_panic(line in "[0-9a-f]{0,20}-?[0-9a-f]{0,20}( : )?(BOOTFB|x)?") {
            let _ = console_of(&line);
        }
    }
}

//! What an error about a device of the host means: which device, who or what keeps it, and what to do about it.
//!
//! The errors are those of this daemon and of QEMU; what they do not say (who the neighbours are, which driver has the device)
//! comes from how the devices are now.

use serde::Serialize;

use super::words::{clean, seconds, shell_word};
use super::{Facts, HostDevice, Underway};

/// What is the matter with a device; in JSON the word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Another device of its IOMMU group has a driver of the host.
    GroupNotViable,
    /// A guest has it, or another one of its group.
    InUse,
    /// Its driver does not let go of it.
    DriverHangs,
    /// The file with its ROM is missing, or is none.
    Rom,
    /// QEMU may not lock enough memory.
    MemoryLock,
    /// The machine cannot give devices away: no IOMMU, no `/dev/vfio`.
    NoVfio,
    /// There is no such device.
    NotThere,
    /// More than one device is what was asked for.
    Ambiguous,
    /// It has a driver of the host, and nobody was told to take it away.
    NotDetached,
    /// The driver that it should get is not there, does not take it, or is none for guests.
    Driver,
    /// It is none that a guest can have.
    NotAssignable,
    /// QEMU may not see it: neither the document names it nor the settings.
    Hidden,
}

/// What is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) trouble: Trouble,
    /// The end of the headline.
    pub(super) brief: String,
    /// What to do, before the guest's document is changed or it is started again.
    pub(super) next: Vec<String>,
    /// What else is known.
    pub(super) remarks: Vec<String>,
}

/// Makes something of what stood in an error's holes.
type Teller = fn(&Facts, &[String]) -> Told;

/// The errors, each with a hole (`{}`) where a name stands; the first that fits. The last hole ends with its line.
const ERRORS: &[(&str, Teller)] = &[
    ("vfio {}: group {} is not viable", group),
    ("PCI device {} is in use by driver {}, domain {}", in_use),
    ("USB device {} is in use by driver {}, domain {}", usb_in_use),
    (
        "PCI device {}: the kernel has not answered for {} s; in use by {}",
        held,
    ),
    ("PCI device {}: the kernel has not answered for {} s", hangs),
    ("PCI device {} is busy: {}", busy),
    ("failed to find romfile \"{}\"", rom_missing),
    ("failed to load romfile \"{}\"", rom_unread),
    ("romfile \"{}\" is empty", rom_empty),
    ("romfile \"{}\" too large", rom_large),
    ("romfile \"{}\" ({} bytes) is too large", rom_large),
    ("VFIO_MAP_DMA failed: Cannot allocate memory", memory_lock),
    (
        "vfio_container_dma_map({}) = -12 (Cannot allocate memory)",
        memory_lock,
    ),
    ("RLIMIT_MEMLOCK: {}", limit_refused),
    ("Unable to set the memory lock limit of '{}': {}", limit_refused),
    ("host doesn't support passthrough of host PCI devices", no_vfio),
    (
        "VFIO device assignment is currently not supported on this system",
        no_vfio,
    ),
    ("Failed to open /dev/vfio/vfio", no_vfio),
    ("Could not open '/dev/vfio/vfio'", no_vfio),
    ("Path '/dev/vfio/{}' is not accessible: {}", no_group_node),
    ("Device {} not found: could not access /sys/bus/pci/", pci_gone),
    ("Did not find USB device {}", usb_gone),
    ("Multiple USB devices for {}, use", usb_many),
    ("Unmanaged PCI device {} must be manually detached", unmanaged),
    ("Failed to load PCI driver module {}: {}", no_driver),
    ("pci backend driver type '{}' is not supported", no_backend),
    ("PCI device {} is not bound to driver {}", not_taken),
    ("Non-endpoint PCI devices cannot be assigned to guests", bridge),
    ("PCI device {} is in no IOMMU group", no_group),
    ("open '/dev/{}': No such file or directory", hidden),
    ("open /dev/{}: No such file or directory", hidden),
    ("open '/dev/{}': Operation not permitted", hidden),
    ("open /dev/{}: Operation not permitted", hidden),
];

/// What an error, or what a program printed, tells about a device.
pub(super) fn of_text(facts: &Facts, text: &str) -> Option<Told> {
    ERRORS
        .iter()
        .find_map(|(pattern, tell)| Some(tell(facts, &holes(pattern, text)?)))
}

/// What stands in the holes of a pattern, on a single line of a text.
fn holes(pattern: &str, text: &str) -> Option<Vec<String>> {
    text.lines().find_map(|line| {
        let mut parts = pattern.split("{}");
        let first = parts.next()?;
        let mut rest = &line[line.find(first)? + first.len()..];
        let mut found = Vec::new();
        for part in parts {
            let at = match part {
                "" => rest.len(),
                _ => rest.find(part)?,
            };
            found.push(clean(&rest[..at]));
            rest = &rest[at + part.len()..];
        }
        Some(found)
    })
}

/// A device that waits for the kernel while something is done for this guest: its story so far.
pub(super) fn underway(facts: &Facts) -> Option<Told> {
    let found = facts
        .devices
        .iter()
        .find_map(|device| Some((device, device.doing.as_ref()?)));
    let (device, doing) = found?;
    let address = &device.address;
    let mut told = stuck(facts, address, &doing.holders);
    let took = seconds(doing.seconds);
    told.brief = match (doing.what.as_str(), &device.driver) {
        ("unbind", Some(driver)) => {
            format!(
                "driver {} has been asked for {took} to let go of PCI device {address}",
                clean(driver)
            )
        }
        _ => format!(
            "the kernel has had PCI device {address} in its hands for {took} ({})",
            doing.what
        ),
    };
    Some(told)
}

fn device<'a>(facts: &'a Facts, address: &str) -> Option<&'a HostDevice> {
    facts.devices.iter().find(|device| device.address == address)
}

/// How `virsh nodedev-*` calls a PCI device.
fn node_name(address: &str) -> String {
    shell_word(&format!("pci_{}", address.replace([':', '.'], "_")))
}

fn told(trouble: Trouble, brief: String, next: Vec<String>) -> Told {
    Told {
        trouble,
        brief,
        next,
        remarks: Vec::new(),
    }
}

fn group(facts: &Facts, holes: &[String]) -> Told {
    let (address, number) = (&holes[0], &holes[1]);
    let neighbours = device(facts, address).map_or(&[][..], |device| &device.neighbours);
    let keeps: Vec<String> = neighbours
        .iter()
        .map(|(neighbour, driver)| format!("{neighbour} has the host's driver {}", clean(driver)))
        .collect();
    let who = match keeps.is_empty() {
        true => "another device of the group has a driver of the host".to_owned(),
        false => keeps.join(", "),
    };
    let mut next: Vec<String> = neighbours
        .iter()
        .map(|(neighbour, driver)| {
            let name = node_name(neighbour);
            format!(
                "virsh nodedev-detach {name} # take it from {}, which loses it",
                clean(driver)
            )
        })
        .collect();
    next.push(format!(
        "ferrovirt devices --groups # all that is in group {number}"
    ));
    next.push(
        "Or give all of the group to the guest, each with a <hostdev managed='yes'> of its own.".to_owned(),
    );
    let brief = format!("group {number} of PCI device {address} is not given up as a whole: {who}");
    told(Trouble::GroupNotViable, brief, next)
}

fn in_use(facts: &Facts, holes: &[String]) -> Told {
    let (address, guest) = (&holes[0], &holes[2]);
    let other = facts
        .devices
        .iter()
        .find(|device| device.members.contains(address) && device.address != *address);
    let of_group = match other {
        Some(own) if device(facts, address).is_none() => {
            format!(", of the same group as {},", own.address)
        }
        _ => String::new(),
    };
    let brief = format!("PCI device {address}{of_group} is in use by guest {guest}");
    told(Trouble::InUse, brief, free(guest))
}

fn usb_in_use(_: &Facts, holes: &[String]) -> Told {
    let (place, guest) = (&holes[0], &holes[2]);
    let brief = format!("USB device {place} is in use by guest {guest}");
    told(Trouble::InUse, brief, free(guest))
}

/// What to do about another guest that has a device.
fn free(guest: &str) -> Vec<String> {
    vec![
        format!(
            "virsh shutdown {} # it has the device until it is off",
            shell_word(guest)
        ),
        "ferrovirt devices # which guest has which device".to_owned(),
    ]
}

/// The last hole: `Xorg (process 812, /dev/dri/card0), …`.
fn held(facts: &Facts, holes: &[String]) -> Told {
    let holders: Vec<String> = holes[2].split("), ").map(closed).collect();
    late(facts, &holes[0], &holes[1], &holders)
}

/// A list's item without, or with, the parenthesis that was taken for the list's comma.
fn closed(item: &str) -> String {
    match item.ends_with(')') {
        true => item.to_owned(),
        false => format!("{item})"),
    }
}

fn hangs(facts: &Facts, holes: &[String]) -> Told {
    let now = device(facts, &holes[0]).and_then(|device| device.doing.as_ref());
    let holders = now.map_or(&[][..], |doing| &doing.holders);
    late(facts, &holes[0], &holes[1], holders)
}

fn late(facts: &Facts, address: &str, waited: &str, holders: &[String]) -> Told {
    let mut told = stuck(facts, address, holders);
    told.brief.push_str(&format!("; it was waited for {waited} s"));
    told
}

fn busy(facts: &Facts, holes: &[String]) -> Told {
    let now = device(facts, &holes[0]).and_then(|device| device.doing.as_ref());
    let mut told = stuck(facts, &holes[0], now.map_or(&[][..], |doing| &doing.holders));
    told.brief = format!(
        "something is still being done to PCI device {}: {}",
        holes[0], holes[1]
    );
    told
}

/// A driver that does not let go of a device, and who has that open.
fn stuck(facts: &Facts, address: &str, holders: &[String]) -> Told {
    let known = device(facts, address);
    let driver = known.and_then(|device| device.driver.as_deref()).map_or_else(
        || "its driver".to_owned(),
        |driver| format!("driver {}", clean(driver)),
    );
    let by = match holders {
        [] => String::new(),
        _ => format!(", which is open in {}", clean(&holders.join(", "))),
    };
    let mut next: Vec<String> = holders.iter().filter_map(|holder| end(holder)).collect();
    if known.is_some_and(HostDevice::is_display) {
        next.push("systemctl stop display-manager # if a desktop runs on it".to_owned());
    }
    next.push(format!(
        "journalctl -k -g {} # what its driver says",
        shell_word(address)
    ));
    let mut told = told(
        Trouble::DriverHangs,
        format!("{driver} does not let go of PCI device {address}{by}"),
        next,
    );
    if let Some(Underway { seconds: so_far, .. }) = known.and_then(|device| device.doing.as_ref()) {
        told.remarks.push(format!(
            "{driver} still has {address}, after {}; once it lets go, the device goes back to the host if no guest waits for it any more",
            seconds(*so_far)
        ));
    }
    told
}

/// To end a process that has a device open: `Xorg (process 812, /dev/dri/card0)`.
fn end(holder: &str) -> Option<String> {
    let (name, rest) = holder.split_once(" (process ")?;
    let (pid, node) = rest.split_once(", ")?;
    let pid: u32 = pid.parse().ok()?;
    Some(format!(
        "kill {pid} # {}, which has {} open",
        clean(name),
        clean(node.trim_end_matches(')'))
    ))
}

fn rom_missing(_: &Facts, holes: &[String]) -> Told {
    rom(&holes[0], "is missing")
}

fn rom_unread(_: &Facts, holes: &[String]) -> Told {
    rom(&holes[0], "cannot be read")
}

fn rom_empty(_: &Facts, holes: &[String]) -> Told {
    rom(&holes[0], "is empty")
}

fn rom_large(_: &Facts, holes: &[String]) -> Told {
    rom(&holes[0], "is too large for a ROM")
}

fn rom(path: &str, wrong: &str) -> Told {
    let next = vec![
        format!("ls -l {} # whether it is there, and for whom", shell_word(path)),
        "Without <rom file='…'/> a device shows the ROM that it has.".to_owned(),
    ];
    told(Trouble::Rom, format!("its ROM file {path} {wrong}"), next)
}

fn memory_lock(_: &Facts, _: &[String]) -> Told {
    let next = vec![
        "Raise <memtune><hard_limit>, which is also how much memory QEMU may lock, or take it away: then it is the guest's memory \
         and 1 GiB."
            .to_owned(),
    ];
    let brief =
        "QEMU may not lock as much memory as a device of the host needs: all that the guest has".to_owned();
    told(Trouble::MemoryLock, brief, next)
}

/// The kernel does not let the daemon raise the limit.
fn limit_refused(_: &Facts, holes: &[String]) -> Told {
    let reason = holes.last().map_or("", String::as_str);
    let next = vec![
        "systemctl show -p LimitMEMLOCK,CapabilityBoundingSet ferrovirtd # it needs infinity, or CAP_SYS_RESOURCE".to_owned(),
    ];
    let brief =
        format!("the daemon may not let QEMU lock the memory that a device of the host needs: {reason}");
    told(Trouble::MemoryLock, brief, next)
}

fn no_vfio(facts: &Facts, _: &[String]) -> Told {
    let why = facts.host_remedy.as_deref().map(clean);
    let brief = match &why {
        Some(why) => format!("this machine cannot give PCI devices to guests: {why}"),
        // Somebody has mended it meanwhile.
        None => "this machine could not give PCI devices to guests; now it can".to_owned(),
    };
    let modprobe = why.as_deref().is_some_and(|why| why.contains("vfio-pci"));
    let mut next = Vec::new();
    if modprobe {
        next.push("modprobe vfio-pci # makes /dev/vfio/vfio".to_owned());
    }
    next.push("ferrovirt devices # what there is, and what keeps it".to_owned());
    told(Trouble::NoVfio, brief, next)
}

fn no_group_node(facts: &Facts, holes: &[String]) -> Told {
    let number = &holes[0];
    let own = facts
        .devices
        .iter()
        .find(|device| device.group.is_some_and(|group| group.to_string() == *number));
    let brief = match own {
        Some(device) => format!(
            "there is no /dev/vfio/{number}: the driver that PCI device {} was given to is none for guests",
            device.address
        ),
        None => {
            format!("there is no /dev/vfio/{number}: no device of group {number} has a driver for guests")
        }
    };
    let next = vec![
        "Without <driver model='…'> a device gets the driver that is made for guests.".to_owned(),
        format!("ferrovirt devices --groups # which driver each of group {number} has"),
    ];
    told(Trouble::Driver, brief, next)
}

fn pci_gone(_: &Facts, holes: &[String]) -> Told {
    let next = vec!["ferrovirt devices # where which device is".to_owned()];
    told(
        Trouble::NotThere,
        format!("there is no PCI device {}", holes[0]),
        next,
    )
}

fn usb_gone(_: &Facts, holes: &[String]) -> Told {
    let next = vec![
        "lsusb # what is plugged in".to_owned(),
        "With <source startupPolicy='optional'> a guest starts without it.".to_owned(),
    ];
    told(
        Trouble::NotThere,
        format!("there is no USB device {}", holes[0]),
        next,
    )
}

fn usb_many(_: &Facts, holes: &[String]) -> Told {
    let next = vec!["lsusb # bus and device number of each: write <address bus='…' device='…'/>".to_owned()];
    let brief = format!("there is more than one USB device {}", holes[0]);
    told(Trouble::Ambiguous, brief, next)
}

fn unmanaged(facts: &Facts, holes: &[String]) -> Told {
    let address = &holes[0];
    let driver = device(facts, address)
        .and_then(|device| device.driver.as_deref())
        .map_or_else(
            || "a driver of the host".to_owned(),
            |driver| format!("the host's driver {}", clean(driver)),
        );
    let next = vec![
        format!(
            "virsh nodedev-detach {} # take it from its driver",
            node_name(address)
        ),
        "Or write <hostdev managed='yes'>: then it is taken and given back with the guest.".to_owned(),
    ];
    let brief = format!("PCI device {address} has {driver}, and its <hostdev> is not managed");
    told(Trouble::NotDetached, brief, next)
}

fn no_driver(_: &Facts, holes: &[String]) -> Told {
    let (name, reason) = (&holes[0], &holes[1]);
    let colon = if reason.is_empty() { "" } else { ": " };
    let next = vec![
        format!("modinfo {} # whether the kernel has it", shell_word(name)),
        "Without <driver model='…'> a device gets the driver that is made for guests.".to_owned(),
    ];
    told(
        Trouble::Driver,
        format!("there is no driver {name}{colon}{reason}"),
        next,
    )
}

fn no_backend(_: &Facts, holes: &[String]) -> Told {
    let next = vec!["Write <driver name='vfio'/>, or leave it out.".to_owned()];
    let brief = format!(
        "driver type '{}' of a <hostdev> is not supported any more",
        holes[0]
    );
    told(Trouble::Driver, brief, next)
}

fn not_taken(_: &Facts, holes: &[String]) -> Told {
    let (address, driver) = (&holes[0], &holes[1]);
    let next = vec![format!(
        "journalctl -k -g {} # what the kernel says",
        shell_word(address)
    )];
    let brief = match driver.split_once(" but to ") {
        Some((wanted, found)) => {
            format!("driver {wanted} did not take PCI device {address}, but {found} did")
        }
        None => format!("driver {driver} did not take PCI device {address}"),
    };
    told(Trouble::Driver, brief, next)
}

fn bridge(_: &Facts, _: &[String]) -> Told {
    let next = vec!["ferrovirt devices --groups # what is a bridge, and what is behind it".to_owned()];
    told(
        Trouble::NotAssignable,
        "a guest cannot have a bridge".to_owned(),
        next,
    )
}

fn no_group(_: &Facts, holes: &[String]) -> Told {
    let next = vec!["ferrovirt devices --groups # what else is in no group".to_owned()];
    let brief = format!(
        "PCI device {} is in no IOMMU group: the IOMMU does not see it",
        holes[0]
    );
    told(Trouble::NotAssignable, brief, next)
}

/// What only the arguments of `<qemu:commandline>` name.
fn hidden(_: &Facts, holes: &[String]) -> Told {
    let path = format!("/dev/{}", holes[0].trim_end());
    let next = vec![
        format!("ls -l {} # whether the host has it", shell_word(&path)),
        format!(
            "Add \"{path}\" to cgroup_device_acl in /etc/libvirt/qemu.conf, beside what is there by default, and restart the daemon."
        ),
    ];
    let brief = format!(
        "QEMU may not open {path}: it has a /dev of its own, with what the document and cgroup_device_acl name"
    );
    told(Trouble::Hidden, brief, next)
}

//! File systems, network cards, consoles, and the host's devices.

use ferrovirt_model::domain::{
    AccessMode, CharType, Console, Device, DeviceInfo, Devices, Filesystem, FilesystemDriver,
    FilesystemDriverType, FilesystemType, Hostdev, HostdevKind, Interface, InterfaceType,
};

use ferrovirt_xml::what_is;

use crate::error::{Error, Result};

/// The longest name of a network device (`IFNAMSIZ` without its end).
const LONGEST_NAME: usize = 15;

/// Formats of images that libvirt has names for.
const FORMATS: [&str; 16] = [
    "raw", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "luks", "vhdx", "fat", "vhd", "cow", "qcow",
    "qcow2", "qed", "vmdk",
];

/// Settles all devices that containers have.
pub(super) fn settle(devices: &mut Devices) -> Result<()> {
    devices.filesystems.iter_mut().try_for_each(filesystem)?;
    devices.interfaces.iter_mut().try_for_each(interface)?;
    names_inside(&devices.interfaces)?;
    for (port, console) in (0..).zip(&mut devices.consoles) {
        settle_console(port, console)?;
    }
    devices.hostdevs.iter_mut().try_for_each(hostdev)
}

/// Settles a device that comes to these.
pub(super) fn settle_one(devices: &Devices, device: &mut Device) -> Result<()> {
    match device {
        Device::Filesystem(new) if new.target.as_deref() == Some("/") => {
            unsupported("the root of a running container cannot be changed".to_owned())
        }
        Device::Filesystem(new) => filesystem(new),
        Device::Hostdev(new) => hostdev(new),
        Device::Interface(new) => {
            interface(new)?;
            let mut all = devices.interfaces.clone();
            all.push(Interface::clone(new));
            names_inside(&all)
        }
        Device::Disk(_) | Device::Other(_) => {
            let kind = device.kind();
            unsupported(format!("not supported: element '{kind}', domain/devices/{kind}"))
        }
    }
}

fn unsupported<T>(text: String) -> Result<T> {
    Err(Error::Unsupported(text))
}

/// Nothing inside is placed on a bus, booted from, or named by the user; an alias that libvirt once gave belongs to its run.
fn info(element: &str, info: &mut DeviceInfo) -> Result<()> {
    let of_user = info.has_user_alias();
    info.alias.take_if(|_| !of_user);
    for (part, there) in [
        ("alias", of_user),
        ("boot", info.boot.is_some()),
        ("master", info.master_startport.is_some()),
        ("address", info.address.is_some()),
    ] {
        if there {
            let path = format!("domain/devices/{element}/{part}");
            return unsupported(format!("not supported: {}, {path}", what_is(&path)));
        }
    }
    Ok(())
}

/// The kernel takes no other path for a mount or a device.
fn absolute(element: &str, path: Option<&str>) -> Result<()> {
    match path {
        Some(path) if !path.starts_with('/') => unsupported(format!(
            "path '{path}' must be absolute: {}, domain/devices/{element}",
            what_is(element)
        )),
        _ => Ok(()),
    }
}

fn filesystem(filesystem: &mut Filesystem) -> Result<()> {
    let kind = filesystem.kind;
    if let FilesystemType::Template | FilesystemType::Volume = kind {
        return unsupported(format!(
            "filesystem type '{kind}' is not supported by the LXC driver"
        ));
    }
    if filesystem.access != AccessMode::Passthrough {
        let mode = filesystem.access;
        return unsupported(format!(
            "filesystem accessmode '{mode}' is not supported by the LXC driver"
        ));
    }
    if let Some(driver) = &filesystem.driver {
        check_driver(kind, driver)?;
    }
    absolute("filesystem/target", filesystem.target.as_deref())?;
    if let Some(source) = &filesystem.source {
        for path in [&source.dir, &source.file, &source.dev] {
            absolute("filesystem/source", path.as_deref())?;
        }
    }
    info("filesystem", &mut filesystem.info)
}

fn check_driver(kind: FilesystemType, driver: &FilesystemDriver) -> Result<()> {
    use FilesystemDriverType::{Loop, Nbd, Path};
    let Some(how) = driver.kind else {
        return unsupported(
            "attribute 'format' of a filesystem's driver needs its attribute 'type'".to_owned(),
        );
    };
    match (kind, how) {
        (FilesystemType::File, Loop | Nbd) | (FilesystemType::Mount | FilesystemType::Bind, Path) => {}
        _ => {
            return unsupported(format!(
                "filesystem driver '{how}' does not fit filesystem type '{kind}'"
            ));
        }
    }
    let Some(format) = driver.format.as_deref() else {
        return Ok(());
    };
    match how {
        Nbd if FORMATS.contains(&format) => Ok(()),
        Loop if format == "raw" => Ok(()),
        Nbd => unsupported(format!("unknown driver format value '{format}'")),
        Loop | Path => unsupported(format!(
            "filesystem driver '{how}' does not support format '{format}'"
        )),
    }
}

fn interface(interface: &mut Interface) -> Result<()> {
    let kind = interface.kind;
    if !matches!(
        kind,
        InterfaceType::Network | InterfaceType::Bridge | InterfaceType::Direct | InterfaceType::Ethernet
    ) {
        return unsupported(format!(
            "interface type '{kind}' is not supported by the LXC driver"
        ));
    }
    of_machines(interface)?;
    if let Some(model) = &interface.model {
        return unsupported(format!(
            "interface model '{model}' is not supported by the LXC driver"
        ));
    }
    // Names that the daemon gives belong to a run.
    if interface.target_is_generated() {
        interface.target = None;
    }
    let inside = interface.guest.as_ref().and_then(|guest| guest.dev.as_deref());
    for name in [interface.target_dev(), inside].into_iter().flatten() {
        let odd = |c: char| c == '/' || c.is_whitespace();
        if name.len() > LONGEST_NAME || name.contains(odd) || name == "." || name == ".." {
            return Err(Error::Xml(format!("'{name}' cannot be a network device's name")));
        }
    }
    info("interface", &mut interface.info)
}

/// What only the cards of a machine have.
fn of_machines(interface: &Interface) -> Result<()> {
    let target = interface.target.as_ref();
    let parts = [
        ("@trustGuestRxFilters", interface.trust_guest_rx_filters.is_some()),
        ("port", interface.isolated.is_some()),
        ("script", interface.script.is_some()),
        ("downscript", interface.down_script.is_some()),
        (
            "target/@managed",
            target.is_some_and(|target| target.managed.is_some()),
        ),
        ("driver", interface.driver.is_some()),
        ("backend", interface.backend.is_some()),
        ("teaming", interface.teaming.is_some()),
        ("tune", interface.tune.is_some()),
    ];
    for (part, there) in parts {
        if there {
            let path = format!("domain/devices/interface/{part}");
            return unsupported(format!("not supported: {}, {path}", what_is(&path)));
        }
    }
    Ok(())
}

/// No two interfaces can have one name inside.
fn names_inside(interfaces: &[Interface]) -> Result<()> {
    let mut names: Vec<&str> = interfaces
        .iter()
        .filter_map(|interface| interface.guest.as_ref()?.dev.as_deref())
        .collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(Error::Xml(format!("<guest dev='{}'> is there twice", twice[0]))),
        None => Ok(()),
    }
}

fn settle_console(port: u32, console: &mut Console) -> Result<()> {
    let kind = console.backend.kind;
    if kind != CharType::Pty {
        return unsupported(format!(
            "console type '{kind}' is not supported by the LXC driver"
        ));
    }
    if console.backend.log.is_some() {
        return unsupported("not supported: element 'log', domain/devices/console/log".to_owned());
    }
    // The terminal of a former run.
    console.backend.source = None;
    console.tty = None;
    let target = console.target.get_or_insert_default();
    target.port = Some(port);
    match target.kind.get_or_insert_with(|| "lxc".to_owned()).as_str() {
        "lxc" => info("console", &mut console.info),
        other => unsupported(format!("unsupported console target type '{other}'")),
    }
}

fn hostdev(hostdev: &mut Hostdev) -> Result<()> {
    match &hostdev.kind {
        HostdevKind::Storage(storage) => absolute("hostdev/source/block", Some(&storage.source.block))?,
        HostdevKind::Misc(misc) => absolute("hostdev/source/char", Some(&misc.source.char))?,
        HostdevKind::Net(_) => {}
        HostdevKind::Pci(_) | HostdevKind::Usb(_) => {
            return unsupported(format!(
                "not supported for containers: devices/hostdev, type '{}'",
                hostdev.kind.tag()
            ));
        }
    }
    info("hostdev", &mut hostdev.info)
}

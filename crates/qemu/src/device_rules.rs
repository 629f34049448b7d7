//! Which devices of the host QEMU may open: the rules of its control group. What every guest may is a list of the settings; more is what its
//! document names. Descriptors that the daemon hands over need no rule.

use std::path::PathBuf;

use ferrovirt_guest::Run;
use ferrovirt_host::Passthrough;
use ferrovirt_model::domain::{
    AudioType, BackingStore, CharType, Device, Disk, Domain, GraphicsType, HostdevKind, RngBackend,
};
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::{Access, CgroupError, DeviceKind, DeviceRule, Scope, rule_of};

use crate::config::QemuConfig;
use crate::{hostdev, launch, live, ownership};

/// What `cgroup_device_acl` of `qemu.conf` is unless it says otherwise.
pub const USUAL: [&str; 8] = [
    "/dev/null",
    "/dev/full",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/dev/ptmx",
    "/dev/kvm",
    "/dev/userfaultfd",
];

/// Major number of pseudo terminals.
const PTYS: u32 = 136;
/// Of sound cards: the Open Sound System's and ALSA's.
const OSS: u32 = 14;
const ALSA: u32 = 116;
/// Of graphics cards.
const DRM: u32 = 226;

const VFIO: &str = "/dev/vfio/vfio";

const READ: Access = Access {
    read: true,
    write: false,
    mknod: false,
};
const BOTH: Access = Access {
    read: true,
    write: true,
    mknod: false,
};

/// What a guest with this document may open: the usual devices and its own.
pub(crate) fn nodes(doc: &Domain, config: &QemuConfig, passthrough: &Passthrough) -> Vec<(PathBuf, Access)> {
    let usual = config.device_acl.iter().cloned().map(|path| (path, BOTH));
    let mut nodes: Vec<(PathBuf, Access)> = usual.collect();
    nodes.extend(doc.devices.disks.iter().flat_map(images));
    nodes.extend(named(doc).into_iter().map(|path| (path, BOTH)));
    nodes.extend(of_host(doc, passthrough).into_iter().map(|path| (path, BOTH)));
    nodes
}

/// The rules of a guest with this document. What is not there, or is no device, has none.
pub fn of(doc: &Domain, config: &QemuConfig, passthrough: &Passthrough) -> Vec<DeviceRule> {
    let nodes = nodes(doc, config, passthrough);
    let mut rules: Vec<DeviceRule> = Vec::new();
    let found = nodes
        .iter()
        .filter_map(|(path, access)| rule_of(path, *access).ok());
    for rule in found.chain(all_of(doc)) {
        // One device may be there under two names, or for two purposes.
        match { rules.iter_mut() }
            .find(|known| (known.kind, known.major, known.minor) == (rule.kind, rule.major, rule.minor))
        {
            Some(known) => known.access.write |= rule.access.write,
            None => rules.push(rule),
        }
    }
    rules
}

/// Files of a disk: what lies below its image is only read.
fn images(disk: &Disk) -> Vec<(PathBuf, Access)> {
    let mut nodes = Vec::new();
    let access = if disk.readonly { READ } else { BOTH };
    let source = disk.source.as_ref();
    let data = source.and_then(|source| source.data_store.as_ref()?.source.as_deref());
    let own = source.into_iter().chain(data).filter_map(|source| source.path());
    nodes.extend(own.map(|path| (PathBuf::from(path), access)));
    let mut below: Option<&BackingStore> = disk.backing_store.as_deref();
    while let Some(store) = below {
        let path = store.source.as_deref().and_then(|source| source.path());
        nodes.extend(path.map(|path| (PathBuf::from(path), READ)));
        below = store.backing_store.as_deref();
    }
    nodes
}

/// What else the document names.
fn named(doc: &Domain) -> Vec<PathBuf> {
    let devices = &doc.devices;
    let mut nodes = ownership::opened(doc);
    let backends = live::char_devices(doc).map(|(_, backend)| backend);
    let ports = backends.filter(|backend| backend.kind == CharType::Dev);
    nodes.extend(ports.filter_map(|backend| backend.path().map(PathBuf::from)));
    nodes.extend(devices.rngs.iter().filter_map(|rng| match &rng.backend {
        RngBackend::Random(path) => path.as_ref().map(PathBuf::from),
        RngBackend::Builtin | RngBackend::Egd(_) => None,
    }));
    nodes.extend({ devices.memories.iter() }.filter_map(|memory| memory.path().map(PathBuf::from)));
    let screens = devices
        .graphics
        .iter()
        .filter_map(|graphics| graphics.gl.as_ref());
    nodes.extend(screens.filter_map(|gl| gl.rendernode.as_ref().map(PathBuf::from)));
    let chips = devices.tpms.iter().filter_map(|tpm| tpm.backend());
    let chips = chips.filter_map(|backend| backend.device.as_ref()?.path.as_ref());
    nodes.extend(chips.map(PathBuf::from));
    nodes
}

fn of_host(doc: &Domain, passthrough: &Passthrough) -> Vec<PathBuf> {
    let mut nodes = Vec::new();
    for hostdev in hostdev::all(doc) {
        nodes.extend(hostdev::nodes([&hostdev], passthrough).unwrap_or_default());
        if matches!(hostdev.kind, HostdevKind::Pci(_)) {
            nodes.push(PathBuf::from(VFIO));
        }
    }
    nodes
}

/// Kinds of devices of which QEMU finds the one that it wants by itself.
fn all_of(doc: &Domain) -> Vec<DeviceRule> {
    let sounds = doc.devices.audios.iter().filter_map(|audio| match audio.kind {
        AudioType::Alsa => Some(ALSA),
        AudioType::Oss => Some(OSS),
        _ => None,
    });
    let drawn = draws(doc).then_some(DRM);
    let majors = std::iter::once(PTYS).chain(sounds).chain(drawn);
    majors
        .map(|major| DeviceRule {
            kind: DeviceKind::Character,
            major: Some(major),
            minor: None,
            access: BOTH,
        })
        .collect()
}

/// Whether QEMU draws with a graphics card that the document does not name.
pub(crate) fn draws(doc: &Domain) -> bool {
    doc.devices.graphics.iter().any(|graphics| {
        let gl = graphics.gl.as_ref();
        let draws = graphics.kind == GraphicsType::EglHeadless || gl.and_then(|gl| gl.enable) == Some(true);
        draws && gl.is_none_or(|gl| gl.rendernode.is_none())
    })
}

/// Sets the rules of a guest that starts.
pub fn set(scope: &Scope, doc: &Domain, config: &QemuConfig, passthrough: &Passthrough) {
    if config.device_rules {
        told(&doc.name, scope.set_devices(&of(doc, config, passthrough)));
    }
}

/// The rules of a running guest with one device more; for [`change`].
pub fn with(run: &Run, device: &Device, config: &QemuConfig, passthrough: &Passthrough) -> Vec<DeviceRule> {
    let mut doc = run.doc.clone();
    doc.devices.insert(device.clone());
    blocking::here(|| of(&doc, config, passthrough))
}

/// From one set of rules of a running guest to another.
pub fn change(run: &Run, from: &[DeviceRule], to: &[DeviceRule], config: &QemuConfig) {
    let scope = run
        .facts
        .get(launch::SCOPE)
        .filter(|_| config.device_rules && from != to);
    blocking::here(|| {
        if let Some(scope) = scope.and_then(|name| Scope::open(name)) {
            told(run.name(), scope.change_devices(from, to));
        }
    });
}

/// Control groups are used where they are: without one a guest may open what its user may.
fn told(guest: &str, outcome: Result<(), CgroupError>) {
    match outcome {
        Ok(()) => {}
        Err(error @ CgroupError::NoController(_)) => tracing::debug!("guest '{guest}': {error}"),
        Err(error) => tracing::warn!("guest '{guest}' may open all devices of the host: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_host::{Places, Taken};
    use ferrovirt_model::UnknownPolicy;
    use ferrovirt_sys::launch::Launcher;
    use std::path::Path;

    fn rules(devices: &str) -> Vec<String> {
        let text = format!(
            "<domain type='qemu'><name>g</name><memory>1024</memory><os><type machine='pc'>hvm</type></os>\
             <devices>{devices}</devices></domain>"
        );
        let doc = Domain::parse(&text, UnknownPolicy::Refuse).unwrap().value;
        let config = QemuConfig::below(Path::new("/nowhere"), Launcher::new(""));
        let passthrough = Passthrough::new(Places::below(Path::new("/nowhere")), Taken::open(None));
        of(&doc, &config, &passthrough)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_guest_may_open_the_usual_ones_and_no_more() {
        let usual = rules("");
        for rule in [
            "c 1:3 rw",
            "c 1:5 rw",
            "c 1:8 rw",
            "c 1:9 rw",
            "c 5:2 rw",
            "c 136:* rw",
        ] {
            assert!(usual.iter().any(|one| one == rule), "{rule}: {usual:?}");
        }
        assert!(
            !usual
                .iter()
                .any(|rule| rule.contains("m") || rule.starts_with('a')),
            "{usual:?}"
        );
    }

    #[test]
    fn what_the_document_names_is_allowed_as_it_is_used() {
        let port = "<serial type='dev'><source path='/dev/tty'/></serial>";
        assert!(rules(port).contains(&"c 5:0 rw".to_owned()));
        let sound = "<audio id='1' type='alsa'/>";
        assert!(rules(sound).contains(&"c 116:* rw".to_owned()));
        let screen = "<graphics type='egl-headless'/>";
        let without = rules("<graphics type='vnc'/>");
        let drawn = |rules: &[String]| rules.contains(&"c 226:* rw".to_owned());
        assert!(!drawn(&without), "{without:?}");
        assert!(drawn(&rules(screen)), "{:?}", rules(screen));
    }

    #[test]
    fn a_disk_that_is_only_read_is_not_written() {
        let disk = |more: &str| {
            let text = format!(
                "<disk type='block' device='disk'><source dev='/dev/tty'/><target dev='vda' bus='virtio'/>{more}</disk>"
            );
            rules(&text)
        };
        assert!(disk("").contains(&"c 5:0 rw".to_owned()));
        assert!(disk("<readonly/>").contains(&"c 5:0 r".to_owned()));
        // A file is no device.
        let file = "<disk type='file' device='disk'><source file='/etc/passwd'/><target dev='vda' bus='virtio'/></disk>";
        assert_eq!(rules(file), rules(""));
    }
}

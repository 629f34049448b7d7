//! QEMU's own `/dev` (`namespaces` of `qemu.conf`): the devices that its control group allows it, and no others, with its user as
//! their owner. The nodes of the host keep whom they belong to.

use std::collections::HashMap;
use std::path::PathBuf;

use ferrovirt_guest::{BackendError, Run};
use ferrovirt_host::Passthrough;
use ferrovirt_model::domain::{AudioType, Device, Domain};
use ferrovirt_sys::blocking;
use ferrovirt_sys::private_dev::{self, Node};

use crate::config::QemuConfig;
use crate::error::{Error, Plain, Result};
use crate::{device_rules, hostdev, ownership};

/// Where QEMU looks for graphics and sound cards by itself.
const DRI: &str = "/dev/dri";
const SOUND: &str = "/dev/snd";
const OSS: [&str; 3] = ["/dev/dsp", "/dev/mixer", "/dev/audio"];

/// The nodes of a guest with this document.
pub fn nodes(doc: &Domain, config: &QemuConfig, passthrough: &Passthrough) -> Vec<Node> {
    let owners = owners(doc, config, passthrough);
    let mut nodes: Vec<Node> = Vec::new();
    let named = device_rules::nodes(doc, config, passthrough);
    for path in named.into_iter().map(|(path, _)| path).chain(searched(doc)) {
        if nodes.iter().all(|known| known.path != path) {
            nodes.push(Node {
                owner: owners.get(&path).copied(),
                path,
            });
        }
    }
    nodes
}

/// Whose the devices shall be that QEMU opens for this guest alone.
fn owners(doc: &Domain, config: &QemuConfig, passthrough: &Passthrough) -> HashMap<PathBuf, (u32, u32)> {
    if ownership::is_off(doc, config) {
        return HashMap::new();
    }
    let own = (config.uid, config.gid);
    let files = ownership::files(doc).into_iter();
    let files = files.map(|(path, owner)| (path, owner.unwrap_or(own)));
    let hostdevs = hostdev::all(doc);
    let groups = { hostdevs.iter() }.filter_map(|hostdev| hostdev::nodes([hostdev], passthrough).ok());
    files.chain(groups.flatten().map(|path| (path, own))).collect()
}

/// Devices of kinds of which QEMU finds the one that it wants by itself.
fn searched(doc: &Domain) -> Vec<PathBuf> {
    let inside = |dir: &str| -> Vec<PathBuf> {
        let found = std::fs::read_dir(dir).into_iter().flatten().flatten();
        found.map(|entry| entry.path()).collect()
    };
    let mut paths = Vec::new();
    for audio in &doc.devices.audios {
        match audio.kind {
            AudioType::Alsa => paths.extend(inside(SOUND)),
            AudioType::Oss => paths.extend(OSS.map(PathBuf::from)),
            _ => {}
        }
    }
    if device_rules::draws(doc) {
        paths.extend(inside(DRI));
    }
    paths
}

/// The running guest gets the nodes of one device more.
///
/// # Errors
/// A node cannot be made; QEMU is gone.
pub fn add(
    run: &Run,
    device: &Device,
    config: &QemuConfig,
    passthrough: &Passthrough,
) -> std::result::Result<(), BackendError> {
    if !run.has_own_dev() {
        return Ok(());
    }
    blocking::here(|| {
        let there = nodes(&run.doc, config, passthrough);
        let mut more = with(run, device, config, passthrough);
        more.retain(|node| !there.contains(node));
        change(run, |process| private_dev::add(process, &more))
    })
    .map_err(BackendError::from)
}

/// The nodes of a running guest that has this device, too; for [`keep`].
pub fn with(run: &Run, device: &Device, config: &QemuConfig, passthrough: &Passthrough) -> Vec<Node> {
    if !run.has_own_dev() {
        return Vec::new();
    }
    let mut doc = run.doc.clone();
    doc.devices.insert(device.clone());
    nodes(&doc, config, passthrough)
}

/// Of the nodes that the guest had only those stay that its document still names.
pub fn keep(run: &Run, had: &[Node], config: &QemuConfig, passthrough: &Passthrough) {
    // It went with the last of a guest that has ended meanwhile.
    if !run.process().is_some_and(|process| process.is_alive()) {
        return;
    }
    let done = blocking::here(|| {
        let stay = nodes(&run.doc, config, passthrough).into_iter();
        let stay: Vec<PathBuf> = stay.map(|node| node.path).collect();
        let gone = { had.iter() }.filter(|node| !stay.contains(&node.path));
        let gone: Vec<PathBuf> = gone.map(|node| node.path.clone()).collect();
        match gone.is_empty() {
            true => Ok(()),
            false => change(run, |process| private_dev::remove(process, &gone, &stay)),
        }
    });
    if let Err(error) = done {
        tracing::warn!("guest '{}' keeps a device in its /dev: {error}", run.name());
    }
}

fn change(
    run: &Run,
    work: impl FnOnce(ferrovirt_sys::process::ProcessId) -> std::io::Result<()>,
) -> Result<()> {
    let process = run.process();
    let done = process.map_or_else(|| Err(std::io::ErrorKind::NotFound.into()), work);
    done.map_err(|error| Error::Failed(format!("cannot change QEMU's /dev: {}", Plain(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_host::{Places, Taken};
    use ferrovirt_model::UnknownPolicy;
    use ferrovirt_sys::launch::Launcher;
    use std::path::Path;

    fn nodes_of(parts: &str) -> Vec<Node> {
        let text = format!(
            "<domain type='qemu'><name>g</name><memory>1024</memory><os><type machine='pc'>hvm</type></os>{parts}</domain>"
        );
        let doc = Domain::parse(&text, UnknownPolicy::Refuse).unwrap().value;
        let config = QemuConfig::below(Path::new("/nowhere"), Launcher::new(""));
        let config = QemuConfig {
            uid: 12,
            gid: 34,
            ..config
        };
        let passthrough = Passthrough::new(Places::below(Path::new("/nowhere")), Taken::open(None));
        nodes(&doc, &config, &passthrough)
    }

    const DISK: &str = "<devices><disk type='block' device='disk'><source dev='/dev/x'/><target dev='vda' bus='virtio'/></disk>\
        <serial type='dev'><source path='/dev/ttyS0'/></serial><rng model='virtio'><backend model='random'>/dev/random</backend></rng></devices>";

    #[test]
    fn a_guest_s_own_devices_are_qemu_s_and_the_usual_ones_the_host_s() {
        let nodes = nodes_of(DISK);
        let owner = |path: &str| {
            { nodes.iter() }
                .find(|node| node.path == Path::new(path))
                .map(|node| node.owner)
        };
        assert_eq!(owner("/dev/null"), Some(None));
        assert_eq!(owner("/dev/random"), Some(None), "there once");
        assert_eq!(owner("/dev/x"), Some(Some((12, 34))));
        assert_eq!(owner("/dev/ttyS0"), Some(Some((12, 34))));
        let times = { nodes.iter() }
            .filter(|node| node.path == Path::new("/dev/random"))
            .count();
        assert_eq!(times, 1);
        let without = nodes_of("");
        assert!(
            without.iter().all(|node| node.path != Path::new("/dev/x")),
            "{without:?}"
        );
    }

    #[test]
    fn who_wants_no_labels_has_the_host_s_owners() {
        let nodes = nodes_of(&format!("<seclabel type='none' model='dac'/>{DISK}"));
        assert!(nodes.iter().all(|node| node.owner.is_none()), "{nodes:?}");
    }
}

//! What a document means for the controller.

use std::path::{Path, PathBuf};

use ferrovirt_model::domain::{
    CapabilityPolicy, Domain, Filesystem, FilesystemDriverType, FilesystemType, HostdevKind, IdMap, Share,
    ShareType,
};

use crate::config::LxcConfig;
use crate::error::{Error, Result};
use crate::protocol::{
    self, Capabilities, IdMaps, Init, Memory, Namespaces, Node, Orders, Policy, Shared, SharedKind, Source,
};

/// How another container is found whose namespaces shall be used.
pub trait Others: Sync {
    /// The first process of the running container of this name.
    fn init_of(&self, name: &str) -> Option<i32>;
}

/// The orders for a container. `group` is its memory control group, whose limits it sees.
///
/// # Errors
/// The document names a container that does not run, or something that cannot be mounted.
pub fn of(doc: &Domain, config: &LxcConfig, others: &dyn Others, group: Option<&Path>) -> Result<Orders> {
    let features = doc.features.as_ref();
    Ok(Orders {
        name: doc.name.clone(),
        uuid: doc.uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
        staging: config.run_dir.clone(),
        init: init(doc),
        namespaces: Namespaces {
            private_network: !doc.devices.interfaces.is_empty()
                || features.is_some_and(|features| features.privnet)
                || has_net(doc),
            shared: shared(doc, others)?,
            user: doc.id_map.as_ref().map(id_maps),
        },
        filesystems: doc
            .devices
            .filesystems
            .iter()
            .map(filesystem)
            .collect::<Result<_>>()?,
        nodes: doc
            .devices
            .hostdevs
            .iter()
            .filter_map(|hostdev| node(&hostdev.kind))
            .collect(),
        consoles: Vec::new(),
        capabilities: capabilities(doc),
        memory: group.map(|group| memory(doc, group)),
        no_new_privileges: false,
        seccomp: false,
    })
}

fn has_net(doc: &Domain) -> bool {
    let mut kinds = doc.devices.hostdevs.iter().map(|hostdev| &hostdev.kind);
    kinds.any(|kind| matches!(kind, HostdevKind::Net(_)))
}

fn init(doc: &Domain) -> Init {
    let os = &doc.os;
    Init {
        path: os.init.clone().unwrap_or_else(|| "/sbin/init".to_owned()),
        args: os.init_args.clone(),
        env: os
            .init_env
            .iter()
            .map(|env| (env.name.clone(), env.value.clone()))
            .collect(),
        dir: os.init_dir.clone(),
        user: os.init_user.clone(),
        group: os.init_group.clone(),
    }
}

fn id_maps(map: &IdMap) -> IdMaps {
    let ranges = |ranges: &[ferrovirt_model::domain::IdRange]| {
        let range = |range: &ferrovirt_model::domain::IdRange| protocol::IdRange {
            start: range.start,
            target: range.target,
            count: range.count,
        };
        ranges.iter().map(range).collect()
    };
    IdMaps {
        uids: ranges(&map.uids),
        gids: ranges(&map.gids),
    }
}

fn shared(doc: &Domain, others: &dyn Others) -> Result<Vec<Shared>> {
    let Some(namespace) = &doc.lxc_namespace else {
        return Ok(Vec::new());
    };
    let wanted = [
        (SharedKind::Net, "net", &namespace.net),
        (SharedKind::Ipc, "ipc", &namespace.ipc),
        (SharedKind::Uts, "uts", &namespace.uts),
    ];
    let mut shared = Vec::new();
    for (kind, word, share) in wanted {
        if let Some(share) = share {
            let path = file_of(share, word, others)?;
            shared.push(Shared { kind, path });
        }
    }
    Ok(shared)
}

/// The namespace's file of whom it is shared with.
fn file_of(share: &Share, word: &str, others: &dyn Others) -> Result<PathBuf> {
    let of_process = |pid: i32| PathBuf::from(format!("/proc/{pid}/ns/{word}"));
    match share.kind {
        ShareType::Netns => Ok(Path::new("/run/netns").join(&share.value)),
        ShareType::Pid => {
            let pid = share.value.parse().map_err(|_| {
                Error::Xml(format!(
                    "'{}' of lxc:share{word} is no process number",
                    share.value
                ))
            })?;
            Ok(of_process(pid))
        }
        ShareType::Name => others.init_of(&share.value).map(of_process).ok_or_else(|| {
            Error::Invalid(format!(
                "container '{}', whose {word} namespace shall be shared, does not run",
                share.value
            ))
        }),
    }
}

/// One `<filesystem>`, as the controller is told to mount it.
///
/// # Errors
/// It has no source, or is of a kind that cannot be mounted.
pub fn filesystem(filesystem: &Filesystem) -> Result<protocol::Filesystem> {
    let target = filesystem.target.clone().unwrap_or_default();
    let source = filesystem.source.as_ref();
    let path = |value: Option<&String>| {
        let value =
            value.ok_or_else(|| Error::Xml(format!("the filesystem for '{target}' has no source")))?;
        Ok::<_, Error>(PathBuf::from(value))
    };
    if filesystem.driver.as_ref().and_then(|driver| driver.kind) == Some(FilesystemDriverType::Nbd) {
        return Err(Error::unsupported(format!(
            "the filesystem for '{target}' has the driver 'nbd': images are mounted through loop devices only"
        )));
    }
    let dir = || path(source.and_then(|source| source.dir.as_ref()));
    let source = match filesystem.kind {
        FilesystemType::Mount => Source::Mount(dir()?),
        FilesystemType::Bind => Source::Bind(dir()?),
        FilesystemType::File => Source::File {
            path: path(source.and_then(|source| source.file.as_ref()))?,
            format: None,
        },
        FilesystemType::Block => Source::Block {
            path: path(source.and_then(|source| source.dev.as_ref()))?,
            format: None,
        },
        FilesystemType::Ram => Source::Ram {
            size_kib: source.and_then(|source| source.usage).unwrap_or_default(),
            options: String::new(),
        },
        FilesystemType::Template | FilesystemType::Volume => {
            return Err(Error::unsupported(format!(
                "filesystem of type '{}' is not supported for containers",
                filesystem.kind
            )));
        }
    };
    Ok(protocol::Filesystem {
        source,
        target: target.into(),
        read_only: filesystem.readonly,
    })
}

/// The node of a device that is given to the container; a network device has none.
#[must_use]
pub fn node(kind: &HostdevKind) -> Option<Node> {
    let path = match kind {
        HostdevKind::Storage(storage) => &storage.source.block,
        HostdevKind::Misc(misc) => &misc.source.char,
        HostdevKind::Net(_) | HostdevKind::Pci(_) | HostdevKind::Usb(_) => return None,
    };
    Some(Node {
        host: path.into(),
        inside: path.into(),
    })
}

fn capabilities(doc: &Domain) -> Capabilities {
    let Some(wanted) = doc
        .features
        .as_ref()
        .and_then(|features| features.capabilities.as_ref())
    else {
        return Capabilities::default();
    };
    let named = |state: bool| {
        let named = wanted.toggles.iter().filter(|(_, set)| **set == state);
        named
            .map(|(capability, _)| capability.as_str().to_owned())
            .collect()
    };
    Capabilities {
        policy: match wanted.policy {
            CapabilityPolicy::Default => Policy::Default,
            CapabilityPolicy::Allow => Policy::Allow,
            CapabilityPolicy::Deny => Policy::Deny,
        },
        on: named(true),
        off: named(false),
    }
}

fn memory(doc: &Domain, group: &Path) -> Memory {
    let total = doc
        .memtune
        .as_ref()
        .and_then(|tune| tune.hard_limit)
        .unwrap_or(doc.memory);
    let with_swap = doc.memtune.as_ref().and_then(|tune| tune.swap_hard_limit);
    Memory {
        group: group.to_owned(),
        total_kib: total.0,
        swap_kib: with_swap.map_or(0, |both| both.0.saturating_sub(total.0)),
    }
}

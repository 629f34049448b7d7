//! Which devices a list shows.

use super::{Device, Kind};
use crate::places::Places;
use crate::sysfs;

/// Bits of a filter, those of clients' flags. Kinds have their own (see [`Kind::bit`]); these are what a device can be besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter(pub u32);

/// A property that some devices of a kind have besides.
struct Besides {
    bit: u32,
    word: &'static str,
    kind: Kind,
    has: fn(&Places, &Device) -> bool,
}

const BESIDES: [Besides; 4] = [
    Besides {
        bit: 1 << 9,
        word: "fc_host",
        kind: Kind::ScsiHost,
        has: |places, device| fc_host(places, device, ""),
    },
    Besides {
        bit: 1 << 10,
        word: "vports",
        kind: Kind::ScsiHost,
        has: |places, device| fc_host(places, device, "/vport_create") || scsi_vport(places, device),
    },
    Besides {
        bit: 1 << 13,
        word: "mdev_types",
        kind: Kind::Pci,
        has: |places, device| device.dir(places).join("mdev_supported_types").is_dir(),
    },
    Besides {
        bit: 1 << 21,
        word: "vpd",
        kind: Kind::Pci,
        has: |places, device| super::describe::has_vpd(&device.dir(places)),
    },
];

fn fc_host(places: &Places, device: &Device, file: &str) -> bool {
    let name = device.path.rsplit('/').next().unwrap_or_default();
    places.sys.join(format!("class/fc_host/{name}{file}")).exists()
}

fn scsi_vport(places: &Places, device: &Device) -> bool {
    let name = device.path.rsplit('/').next().unwrap_or_default();
    places
        .sys
        .join(format!("class/scsi_host/{name}/vport_create"))
        .exists()
}

/// The words of kinds that only other machines have.
const ELSEWHERE: [(&str, u32); 7] = [
    ("mdev", 14),
    ("ccw", 15),
    ("css", 16),
    ("vdpa", 17),
    ("ap_card", 18),
    ("ap_queue", 19),
    ("ap_matrix", 20),
];

impl Filter {
    /// All bits that mean a kind, also kinds that this machine cannot have.
    pub const KINDS: u32 = (1 << 22) - 1;

    /// The filter for a word of old-style lists; none if it is no kind's.
    pub fn of_word(word: &str) -> Option<Filter> {
        let kinds = super::KINDS.iter().map(|kind| (kind.word(), kind.bit()));
        let besides = BESIDES.iter().map(|besides| (besides.word, besides.bit));
        let elsewhere = ELSEWHERE.iter().map(|(word, bit)| (*word, 1 << bit));
        let mut all = kinds.chain(besides).chain(elsewhere);
        all.find(|(known, _)| *known == word).map(|(_, bit)| Filter(bit))
    }

    /// Whether a device is shown; one without any bit shows all.
    pub(super) fn shows(self, places: &Places, device: &Device) -> bool {
        let bits = self.0 & Self::KINDS;
        bits == 0
            || bits & device.kind.bit() != 0
            || BESIDES.iter().any(|besides| {
                bits & besides.bit != 0 && besides.kind == device.kind && (besides.has)(places, device)
            })
    }

    /// The words for what a device is, in the order in which libvirt lists them.
    pub(super) fn words_of(places: &Places, device: &Device) -> Vec<&'static str> {
        let besides = BESIDES
            .iter()
            .filter(|besides| besides.kind == device.kind && (besides.has)(places, device));
        std::iter::once(device.kind.word())
            .chain(besides.map(|besides| besides.word))
            .collect()
    }
}

/// The world wide names of a Fibre Channel controller.
pub(super) fn wwns(places: &Places, device: &Device) -> Option<(String, String)> {
    let name = device.path.rsplit('/').next()?;
    let dir = places.sys.join("class/fc_host").join(name);
    let read = |file: &str| {
        let text = sysfs::word(&dir.join(file))?;
        Some(text.trim_start_matches("0x").to_owned())
    };
    Some((read("node_name")?, read("port_name")?))
}

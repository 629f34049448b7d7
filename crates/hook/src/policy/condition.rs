//! What a rule asks of a call: `[rule.when]`. All conditions must hold; of a list one item.

use std::path::Path;

use roxmltree::Node;
use toml::de::DeValue;

use crate::event::{Audience, Driver, HookEvent, Row, operations};
use crate::policy::document;
use crate::policy::finding::quoted;
use crate::policy::glob::{Glob, PathGlob};
use crate::policy::host_device::{self, Kind};
use crate::policy::moment::Moment;
use crate::policy::reader::{self, Key, Notes, Value};
use crate::policy::suggest;

/// Devices that a guest can have, for the sake of slips of the finger: others are asked for as well.
const DEVICES: [&str; 27] = [
    "audio",
    "channel",
    "console",
    "controller",
    "crypto",
    "disk",
    "emulator",
    "filesystem",
    "graphics",
    "hostdev",
    "hub",
    "input",
    "interface",
    "iommu",
    "lease",
    "memballoon",
    "memory",
    "panic",
    "parallel",
    "redirdev",
    "rng",
    "serial",
    "shmem",
    "smartcard",
    "sound",
    "tpm",
    "video",
];

/// Something that `<metadata>` has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    uri: String,
    element: Option<String>,
    value: Option<Glob>,
}

impl Metadata {
    fn fits(&self, node: Node<'_, '_>) -> bool {
        node.tag_name().namespace() == Some(self.uri.as_str())
            && self
                .element
                .as_deref()
                .is_none_or(|name| node.tag_name().name() == name)
            && self
                .value
                .as_ref()
                .is_none_or(|glob| glob.matches(document::text(node).unwrap_or_default()))
    }
}

/// `hostdev`, or `hostdev:pci`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    kind: String,
    subtype: Option<String>,
}

impl Device {
    fn fits(&self, node: Node<'_, '_>) -> bool {
        // Of a TPM, the backend is what has a type.
        let subtype = || {
            node.attribute("type")
                .or_else(|| document::attribute_of(node, "backend", "type"))
        };
        node.has_tag_name(self.kind.as_str())
            && self
                .subtype
                .as_deref()
                .is_none_or(|wanted| subtype() == Some(wanted))
    }
}

/// One condition beside driver and operation; any of the items has to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Script(Vec<PathGlob>),
    Guest(Vec<Glob>),
    Network(Vec<Glob>),
    Uuid(Vec<u128>),
    Metadata(Vec<Metadata>),
    Device(Vec<Device>),
    HasDevice(Vec<Kind>),
    OnNetwork(Vec<Glob>),
}

impl Condition {
    /// Whether it holds now, for this script if one is about to be run.
    fn holds(&self, moment: &Moment<'_>, script: Option<&Path>) -> bool {
        let any = |globs: &[Glob], name: Option<&str>| {
            name.is_some_and(|name| globs.iter().any(|glob| glob.matches(name)))
        };
        match self {
            Condition::Script(globs) => script.is_some_and(|path| {
                let whole = path.to_string_lossy();
                let below = below_hooks(path, moment.event());
                globs.iter().any(|glob| glob.matches(&whole, &below))
            }),
            Condition::Guest(globs) => any(globs, moment.guest_name()),
            Condition::Network(globs) => any(globs, moment.network_name()),
            Condition::Uuid(uuids) => moment
                .uuid()
                .and_then(uuid)
                .is_some_and(|uuid| uuids.contains(&uuid)),
            Condition::Metadata(wanted) => moment.object().is_some_and(|object| {
                document::metadata(object).any(|node| wanted.iter().any(|wanted| wanted.fits(node)))
            }),
            Condition::Device(wanted) => moment.guest().is_some_and(|guest| {
                document::devices(guest).any(|node| wanted.iter().any(|wanted| wanted.fits(node)))
            }),
            Condition::HasDevice(kinds) => moment
                .guest()
                .is_some_and(|guest| host_device::has(guest, moment.sysfs(), kinds)),
            Condition::OnNetwork(globs) => moment
                .on_networks()
                .into_iter()
                .any(|name| any(globs, Some(name))),
        }
    }
}

/// The end of a script's path that lies below the hooks directory: `qemu`, `qemu.d/10-gpu` (R1, R2), or a leaf of the
/// dispatcher's tree, `qemu.d/GUEST/OPERATION/SUB-OPERATION/10-gpu`. Of a script in a guest's own directory, its name.
fn below_hooks(path: &Path, event: &HookEvent) -> String {
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    let beside = format!("{}.d", event.driver());
    let [object, operation, sub_operation, _] = event.argv();
    let tree = [&beside, &object, &operation, &sub_operation];
    for above in [&tree[..], &tree[..1]] {
        let tail = names.len().checked_sub(above.len() + 1).map(|at| &names[at..]);
        if let Some(tail) = tail
            && tail.iter().zip(above).all(|(name, wanted)| name == *wanted)
        {
            return tail.join("/");
        }
    }
    names
        .last()
        .map_or_else(String::new, |name| name.clone().into_owned())
}

/// A UUID with its hyphens or without them.
fn uuid(text: &str) -> Option<u128> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.replace('-', "");
    let shaped = groups == [8, 4, 4, 4, 12] || groups == [32];
    if !shaped || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok()
}

/// When a rule applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct When {
    /// Empty: any.
    pub(crate) drivers: Vec<Driver>,
    /// Empty: all that scripts are called for.
    pub(crate) operations: Vec<&'static str>,
    pub(crate) conditions: Vec<Condition>,
}

impl When {
    /// Whether the event is one of those that the rule names.
    pub(crate) fn names(&self, event: &HookEvent) -> bool {
        self.names_row(event.driver(), event.row())
    }

    fn names_row(&self, driver: Driver, row: &Row) -> bool {
        let driver_fits = self.drivers.is_empty() || self.drivers.contains(&driver);
        driver_fits
            && match self.operations.as_slice() {
                [] => row.audience() == Audience::Scripts,
                named => named.contains(&row.operation()),
            }
    }

    /// The drivers that the rule is about.
    pub(crate) fn drivers(&self) -> &[Driver] {
        match self.drivers.as_slice() {
            [] => &Driver::ALL,
            named => named,
        }
    }

    /// All events that the rule names, those included that this build does not raise.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Driver, &'static Row)> {
        self.drivers()
            .iter()
            .flat_map(|driver| operations(*driver).map(move |row| (*driver, row)))
            .filter(|(driver, row)| self.names_row(*driver, row))
    }

    /// Whether the rule applies now, for this script if one is about to be run.
    pub(crate) fn holds(&self, moment: &Moment<'_>, script: Option<&Path>) -> bool {
        self.names(moment.event())
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(moment, script))
    }
}

/// `[rule.when]` as it is read: words are checked against each other when all are known.
#[derive(Debug, Default)]
pub(crate) struct WhenDraft {
    pub(crate) drivers: Vec<(usize, Driver)>,
    pub(crate) operations: Vec<(usize, String)>,
    pub(crate) conditions: Vec<Condition>,
}

/// A key that is a list of patterns.
macro_rules! names {
    ($name:literal, $condition:path) => {
        Key {
            name: $name,
            read: |to, value, notes| {
                let globs = reader::one_or_many(value, notes, |value, notes| {
                    reader::parsed(value, notes, |text| Glob::new(text).map_err(bad_pattern))
                });
                to.conditions.push($condition(globs));
            },
        }
    };
}

fn bad_pattern(reason: &'static str) -> String {
    format!("this pattern {reason}")
}

/// The keys of `[rule.when]`.
pub(crate) const KEYS: [Key<WhenDraft>; 10] = [
    Key {
        name: "driver",
        read: |to, value, notes| {
            let known = Driver::ALL.map(|driver| (driver.as_str(), driver));
            to.drivers = reader::one_or_many(value, notes, |value, notes| {
                let driver = reader::one_of(value, notes, "driver", &known)?;
                Some((reader::at(value), driver))
            });
        },
    },
    Key {
        name: "operation",
        read: |to, value, notes| {
            to.operations = reader::one_or_many(value, notes, |value, notes| {
                Some((reader::at(value), reader::text(value, notes)?.to_owned()))
            });
        },
    },
    Key {
        name: "script",
        read: |to, value, notes| {
            let globs = reader::one_or_many(value, notes, |value, notes| {
                reader::parsed(value, notes, |text| PathGlob::new(text).map_err(bad_pattern))
            });
            to.conditions.push(Condition::Script(globs));
        },
    },
    names!("guest", Condition::Guest),
    names!("network", Condition::Network),
    names!("on_network", Condition::OnNetwork),
    Key {
        name: "uuid",
        read: |to, value, notes| {
            let uuids = reader::one_or_many(value, notes, |value, notes| {
                reader::parsed(value, notes, |text| {
                    uuid(text).ok_or_else(|| {
                        "not a UUID, such as \"6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b\"".to_owned()
                    })
                })
            });
            to.conditions.push(Condition::Uuid(uuids));
        },
    },
    Key {
        name: "metadata",
        read: |to, value, notes| {
            to.conditions
                .push(Condition::Metadata(reader::one_or_many(value, notes, metadata)));
        },
    },
    Key {
        name: "device",
        read: |to, value, notes| {
            to.conditions
                .push(Condition::Device(reader::one_or_many(value, notes, device)));
        },
    },
    Key {
        name: "has_device",
        read: |to, value, notes| {
            let kinds = reader::one_or_many(value, notes, |value, notes| {
                reader::parsed(value, notes, Kind::parse)
            });
            to.conditions.push(Condition::HasDevice(kinds));
        },
    },
];

/// The URI of a namespace, or `{ uri = "…", element = "…", value = "…" }`.
fn metadata(value: &Value<'_>, notes: &mut Notes<'_>) -> Option<Metadata> {
    #[derive(Default)]
    struct Draft {
        uri: Option<String>,
        element: Option<String>,
        value: Option<Glob>,
    }
    const KEYS: [Key<Draft>; 3] = [
        Key {
            name: "uri",
            read: |to, value, notes| to.uri = reader::text(value, notes).map(str::to_owned),
        },
        Key {
            name: "element",
            read: |to, value, notes| to.element = reader::text(value, notes).map(str::to_owned),
        },
        Key {
            name: "value",
            read: |to, value, notes| {
                to.value = reader::parsed(value, notes, |text| Glob::new(text).map_err(bad_pattern));
            },
        },
    ];
    let DeValue::Table(table) = value.get_ref() else {
        let uri = reader::text(value, notes)?.to_owned();
        return Some(Metadata {
            uri,
            element: None,
            value: None,
        });
    };
    let mut draft = Draft::default();
    let places = reader::read(table, &KEYS, &mut draft, notes, reader::nowhere);
    if places.of("uri").is_none() {
        notes.error(
            reader::at(value),
            "'uri' is missing: the namespace of the element",
        );
    }
    let Draft { uri, element, value } = draft;
    Some(Metadata {
        uri: uri?,
        element,
        value,
    })
}

/// `KIND` or `KIND:TYPE`.
fn device(value: &Value<'_>, notes: &mut Notes<'_>) -> Option<Device> {
    let text = reader::text(value, notes)?;
    let (kind, subtype) = match text.split_once(':') {
        Some((kind, subtype)) => (kind, Some(subtype)),
        None => (text, None),
    };
    if kind.is_empty() || subtype.is_some_and(str::is_empty) {
        let message = format!(
            "{}: expected a kind of device, or kind:type, such as hostdev:pci",
            quoted(text)
        );
        notes.error(reader::at(value), message);
        return None;
    }
    if !DEVICES.contains(&kind) {
        let hint = suggest::closest(kind, &DEVICES)
            .map_or_else(String::new, |meant| format!("; did you mean '{meant}'?"));
        notes.warn(
            reader::at(value),
            format!("{} is no kind of device that is known here{hint}", quoted(kind)),
        );
    }
    Some(Device {
        kind: kind.to_owned(),
        subtype: subtype.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::GuestOperation;

    #[test]
    fn r2_paths_below_the_hooks_directory() {
        for (path, below) in [
            ("/etc/libvirt/hooks/qemu", "qemu"),
            ("/etc/libvirt/hooks/qemu.d/10-gpu", "qemu.d/10-gpu"),
            ("/srv/hooks.d/qemu", "qemu"),
            ("qemu", "qemu"),
            (
                "/h/qemu.d/g 1/prepare/begin/10-gpu",
                "qemu.d/g 1/prepare/begin/10-gpu",
            ),
            ("/srv/qemu.d/other/prepare/begin/qemu", "qemu"),
            ("/etc/ferrovirt/guests/g 1/prepare/10-gpu", "10-gpu"),
        ] {
            let event = HookEvent::guest(Driver::Qemu, "g 1", GuestOperation::Prepare).unwrap();
            assert_eq!(below_hooks(Path::new(path), &event), below);
        }
    }

    #[test]
    fn uuids_are_read_with_hyphens_and_without() {
        let plain = uuid("6f0e7a4c93a54a7b8f0651cbd6e91d2b");
        assert!(plain.is_some());
        assert_eq!(uuid("6F0E7A4C-93A5-4a7b-8f06-51cbd6e91d2b"), plain);
        for bad in [
            "",
            "6f0e7a4c",
            "6f0e7a4c-93a54a7b-8f06-51cbd6e91d2b",
            &"+".repeat(32),
            &"ä".repeat(16),
        ] {
            assert_eq!(uuid(bad), None, "{bad}");
        }
    }
}

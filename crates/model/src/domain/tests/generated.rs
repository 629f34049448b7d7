//! Documents that nobody thought of: generated trees come back as they were, broken texts never panic.

use super::*;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop::string::string_regex("[!-~äß€][ -~äß€\n\t]{0,10}").expect("a valid pattern")
}

fn maybe<T: std::fmt::Debug>(inner: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(inner)
}

/// Any value of an enum of words.
fn one_of<T: std::str::FromStr + std::fmt::Debug + Clone>(
    names: &'static [&'static str],
) -> impl Strategy<Value = T> {
    prop::sample::select(names).prop_map(|name| {
        name.parse()
            .unwrap_or_else(|_| panic!("{name} is a value of its own type"))
    })
}

fn info() -> impl Strategy<Value = DeviceInfo> {
    let pci = (0u32..9, 0u32..9, 0u32..32, 0u32..8, any::<Option<bool>>()).prop_map(
        |(domain, bus, slot, function, multifunction)| {
            let part = Some;
            let (domain, bus, slot, function) = (part(domain), part(bus), part(slot), part(function));
            Address::Pci(PciAddress {
                domain,
                bus,
                slot,
                function,
                multifunction,
            })
        },
    );
    let drive = (any::<u32>(), any::<u32>()).prop_map(|(controller, unit)| {
        Address::Drive(DriveAddress {
            controller,
            bus: 1,
            target: 0,
            unit,
        })
    });
    let usb = (any::<u32>(), maybe(text())).prop_map(|(bus, port)| Address::Usb(UsbAddress { bus, port }));
    let isa = (any::<Option<u32>>(), any::<Option<u32>>())
        .prop_map(|(iobase, irq)| Address::Isa(IsaAddress { iobase, irq }));
    let address = maybe(prop_oneof![pci, drive, usb, isa]);
    let rom = (any::<Option<bool>>(), any::<Option<bool>>(), maybe(text()));
    let rom = rom.prop_map(|(enabled, bar, file)| Rom { enabled, bar, file });
    (maybe(1u32..), maybe(text()), maybe(0u32..9), maybe(rom), address).prop_map(
        |(boot, alias, master_startport, rom, address)| DeviceInfo {
            boot,
            alias,
            master_startport,
            rom,
            address,
        },
    )
}

fn backing(depth: u32) -> BoxedStrategy<Option<Box<BackingStore>>> {
    if depth == 0 {
        return Just(None).boxed();
    }
    let kind = maybe(one_of::<DiskType>(DiskType::NAMES));
    let store = (kind, any::<Option<u32>>(), maybe(text()), backing(depth - 1)).prop_map(
        |(kind, index, format, backing_store)| {
            Box::new(BackingStore {
                kind,
                index,
                format,
                source: None,
                backing_store,
                detected: false,
            })
        },
    );
    maybe(store).boxed()
}

fn disk() -> impl Strategy<Value = Disk> {
    let source =
        (maybe(text()), maybe(text()), any::<Option<u32>>()).prop_map(|(file, dev, index)| DiskSource {
            file,
            dev,
            startup_policy: None,
            index,
        });
    let driver = (
        maybe(text()),
        maybe(one_of(DiskCache::NAMES)),
        maybe(one_of(DiskIo::NAMES)),
        maybe(one_of(Discard::NAMES)),
        any::<Option<bool>>(),
    );
    let driver = driver.prop_map(|(format, cache, io, discard, copy_on_read)| DiskDriver {
        format,
        cache,
        io,
        discard,
        copy_on_read,
        ..DiskDriver::default()
    });
    let kind = (
        one_of(DiskType::NAMES),
        one_of(DiskDevice::NAMES),
        maybe(one_of(DiskBus::NAMES)),
        text(),
    );
    (
        kind,
        maybe(driver),
        maybe(source),
        backing(3),
        any::<[bool; 2]>(),
        maybe(text()),
        info(),
    )
        .prop_map(
            |(
                (kind, device, bus, dev),
                driver,
                source,
                backing_store,
                [readonly, shareable],
                serial,
                info,
            )| Disk {
                kind,
                device,
                driver,
                source,
                backing_store,
                target: DiskTarget { dev, bus },
                readonly,
                shareable,
                serial,
                info,
                ..Disk::default()
            },
        )
}

fn interface() -> impl Strategy<Value = Interface> {
    let source =
        (maybe(text()), maybe(text()), any::<Option<[u8; 16]>>()).prop_map(|(network, bridge, port)| {
            InterfaceSource {
                network,
                bridge,
                portid: port.map(Uuid),
                ..InterfaceSource::default()
            }
        });
    let target = maybe(text()).prop_map(|dev| InterfaceTarget {
        dev,
        ..InterfaceTarget::default()
    });
    let mac = any::<Option<[u8; 6]>>();
    (
        one_of(InterfaceType::NAMES),
        mac,
        maybe(source),
        maybe(target),
        maybe(text()),
        info(),
    )
        .prop_map(|(kind, mac, source, target, model, info)| Interface {
            mac: mac.map(crate::MacAddress),
            source,
            target,
            model,
            info,
            ..Interface::new(kind)
        })
}

fn serial() -> impl Strategy<Value = Serial> {
    let source = (
        maybe(one_of(SocketMode::NAMES)),
        maybe(text()),
        any::<Option<bool>>(),
    )
        .prop_map(|(mode, path, append)| BackendSource {
            mode,
            path,
            append,
            ..BackendSource::default()
        });
    let target = (maybe(text()), any::<Option<u32>>(), maybe(text()))
        .prop_map(|(kind, port, model)| SerialTarget { kind, port, model });
    (one_of(CharType::NAMES), maybe(source), maybe(target), info()).prop_map(
        |(kind, source, target, info)| Serial {
            backend: Backend {
                kind,
                source,
                ..Backend::default()
            },
            target,
            info,
            ..Serial::default()
        },
    )
}

fn domain() -> impl Strategy<Value = Domain> {
    let head = (
        one_of(VirtType::NAMES),
        any::<Option<i32>>(),
        text(),
        any::<Option<[u8; 16]>>(),
        maybe(text()),
    );
    let body = (
        any::<u64>(),
        any::<Option<u64>>(),
        any::<u32>(),
        prop::collection::vec(one_of(BootDevice::NAMES), 0..3),
    );
    let devices = (
        prop::collection::vec(disk(), 0..3),
        prop::collection::vec(interface(), 0..3),
        prop::collection::vec(serial(), 0..3),
        maybe(text()),
    );
    (head, body, devices).prop_map(|(head, body, (disks, interfaces, serials, emulator))| {
        let (kind, id, name, uuid, title) = head;
        let (memory, current, count, boot) = body;
        Domain {
            kind,
            id,
            name,
            uuid: uuid.map(Uuid),
            title,
            memory: Kib(memory % Kib::MAX.0),
            current_memory: current.map(|kib| Kib(kib % Kib::MAX.0)),
            vcpu: Vcpu {
                count,
                ..Vcpu::default()
            },
            os: Os {
                kind: OsType {
                    kind: "hvm".to_owned(),
                    ..OsType::default()
                },
                boot,
                ..Os::default()
            },
            devices: Devices {
                emulator,
                disks,
                interfaces,
                serials,
                ..Devices::default()
            },
            ..Domain::default()
        }
    })
}

/// A piece of a sample between two of its lines, to be put elsewhere.
pub(super) fn shuffled(sample: &str, from: usize, len: usize, to: usize) -> String {
    let mut lines: Vec<&str> = sample.lines().collect();
    let count = lines.len();
    let from = from % count;
    let piece: Vec<&str> = lines.drain(from..(from + len).min(count)).collect();
    let to = to % (lines.len() + 1);
    lines.splice(to..to, piece);
    lines.join("\n")
}

/// A sample with other letters somewhere.
pub(super) fn broken(sample: &str, at: usize, drop: usize, insert: &str) -> String {
    let start = at % sample.len();
    let end = (start + drop).min(sample.len());
    format!("{}{insert}{}", &sample[..start], &sample[end..])
}

/// What is accepted can be written and accepted again, and says the same.
pub(super) fn check_accepted(text: &str) -> Result<(), TestCaseError> {
    for policy in [Refuse, Keep, Salvage] {
        let Ok(parsed) = Domain::parse(text, policy) else {
            continue;
        };
        let written = parsed.value.to_xml(&Form::STATUS);
        let again = Domain::parse(&written, policy);
        prop_assert!(again.is_ok(), "{:?}\n{}", again, written);
        let rewritten = again
            .map(|again| again.value.to_xml(&Form::STATUS))
            .unwrap_or_default();
        let differing = written
            .lines()
            .zip(rewritten.lines())
            .find(|(once, twice)| once != twice);
        // A second element where there can be one is kept; if its twin is what `normalize` drops, it takes the place.
        if policy == Refuse {
            prop_assert_eq!((differing, rewritten.len()), (None, written.len()));
        }
        prop_assert!(parsed.value.to_config().is_ok());
    }
    Ok(())
}

proptest! {
    #[test]
    fn reading_gives_back_what_was_written(domain in domain()) {
        let text = domain.to_xml(&Form::STATUS);
        let again = ferrovirt_xml::from_str::<Domain>("domain", &text, Refuse).map(|parsed| parsed.value);
        prop_assert_eq!(again, Ok(domain), "{}", text);
    }

    #[test]
    fn normalizing_twice_changes_nothing(mut domain in domain()) {
        if domain.normalize().is_ok() {
            let once = domain.clone();
            prop_assert_eq!(domain.normalize(), Ok(()));
            prop_assert_eq!(domain, once);
        }
    }

    #[test]
    fn moved_pieces_are_refused_or_understood(from in any::<usize>(), len in 0usize..12, to in any::<usize>()) {
        check_accepted(&shuffled(LIVE, from, len, to))?;
    }

    #[test]
    fn broken_pieces_are_refused_or_understood(at in 0..LIVE.len(), drop in 0usize..60, insert in "[<>/'= a-z0-9&;:-]{0,10}") {
        check_accepted(&broken(LIVE, at, drop, &insert))?;
    }
}

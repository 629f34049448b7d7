//! Command lines of our own documents against what the reference makes of them (`tests/documents/*.args`).

use std::path::{Path, PathBuf};

use ferrovirt_model::UnknownPolicy;
use ferrovirt_model::domain::{Domain, SmbiosInfo, SysInfoEntry, SysInfoTable};

use super::{Given, build};
use crate::{define, live, testing};

/// Where the reference says a guest that is not running would have its things.
fn given(doc: &Domain) -> Given {
    let name: String = doc.name.chars().take(20).collect();
    Given {
        guest_dir: PathBuf::from(format!("/var/lib/libvirt/qemu/domain--1-{name}")),
        ..Given::default()
    }
}

fn ours(input: &str) -> Result<Vec<String>, String> {
    let mut doc = Domain::parse(input, UnknownPolicy::Refuse)
        .map_err(|e| e.to_string())?
        .value;
    let emulator = testing::emulator();
    define::complete(&mut doc, &emulator).map_err(|e| e.to_string())?;
    live::alias::assign(&mut doc);
    let dir = PathBuf::from("/run/libvirt/qemu/channel").join(live_name(&doc));
    live::socket::channels(&mut doc, &dir);
    for graphics in &mut doc.devices.graphics {
        if let Some(first) = graphics.listens.first_mut() {
            first.address.get_or_insert_with(|| "127.0.0.1".to_owned());
        }
    }
    let args = build(&doc, &emulator, &given(&doc)).map_err(|e| e.to_string())?;
    Ok(lines(&args))
}

fn live_name(doc: &Domain) -> String {
    format!("-1-{}", doc.name.chars().take(20).collect::<String>())
}

/// One line per option, without what the reference changes when it only shows a command line: it has no network
/// and no user's stack there.
fn lines(args: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for arg in args {
        match lines.last_mut() {
            Some(last) if last.starts_with('-') && !last.contains(' ') && !arg.starts_with('-') => {
                last.push(' ');
                last.push_str(arg);
            }
            _ => lines.push(arg.clone()),
        }
    }
    lines.retain(|line| !line.starts_with("-netdev"));
    lines.iter().map(|line| strip(line)).collect()
}

fn strip(line: &str) -> String {
    let start = line.find("\"host_mtu\":");
    let Some(start) = start else {
        return line.to_owned();
    };
    let end = line[start..].find(',').map_or(line.len(), |end| start + end + 1);
    format!("{}{}", &line[..start], &line[end..])
}

fn theirs(text: &str) -> Vec<String> {
    let words: Vec<String> = text
        .lines()
        .skip_while(|line| !line.starts_with("-name"))
        .filter(|line| !line.is_empty())
        .flat_map(|line| match line.split_once(' ') {
            Some((option, value)) => vec![option.to_owned(), unquoted(value)],
            None => vec![line.to_owned()],
        })
        .collect();
    lines(&words)
}

fn unquoted(value: &str) -> String {
    value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(value)
        .to_owned()
}

#[test]
fn command_lines_are_as_the_reference_writes_them() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "args") {
            continue;
        }
        count += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let theirs = theirs(&std::fs::read_to_string(&path).unwrap());
        let ours = match ours(&std::fs::read_to_string(path.with_extension("in")).unwrap()) {
            Ok(ours) => ours,
            Err(error) => vec![error],
        };
        if ours != theirs {
            wrong.push(format!(
                "{name}: {}",
                testing::first_difference(&ours.join("\n"), &theirs.join("\n"))
            ));
        }
    }
    wrong.sort();
    assert!(count > 12);
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A guest with this clock and more behind the devices; its command line at a known second.
fn with(clock: &str, tail: &str) -> (Domain, Result<Vec<String>, String>) {
    let text = format!(
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>g</name><memory>1024</memory>\
         <os><type machine='pc'>hvm</type></os>{clock}<devices/>{tail}</domain>"
    );
    let mut doc = Domain::parse(&text, UnknownPolicy::Refuse).unwrap().value;
    let emulator = testing::emulator();
    define::complete(&mut doc, &emulator).unwrap();
    live::alias::assign(&mut doc);
    let given = Given {
        now: Some(1_000_000_000),
        ..given(&doc)
    };
    let args = build(&doc, &emulator, &given).map_err(|error| error.to_string());
    (doc, args)
}

#[test]
fn a_variable_clock_counts_from_now() {
    for (clock, base) in [
        ("<clock offset='variable'/>", "base=2001-09-09T01:46:40"),
        (
            "<clock offset='utc' adjustment='-100'/>",
            "base=2001-09-09T01:45:00",
        ),
        (
            "<clock offset='variable' adjustment='86400' basis='utc'/>",
            "base=2001-09-10T01:46:40",
        ),
    ] {
        let args = with(clock, "").1.unwrap();
        assert!(args.iter().any(|arg| arg == base), "{clock}: {args:?}");
    }
    let beyond = "<clock offset='variable' adjustment='9223372036854775807'/>";
    assert!(with(beyond, "").1.unwrap_err().contains("offset='variable'"));
}

#[test]
fn variables_are_the_documents_own() {
    let clock = "<clock offset='timezone' timezone='Europe/Berlin'/>";
    let tail = "<qemu:commandline><qemu:env name='A' value='b c'/><qemu:env name='B'/></qemu:commandline>";
    let (doc, args) = with(clock, tail);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [pair("TZ", "Europe/Berlin"), pair("A", "b c"), pair("B", "")];
    assert_eq!(super::clock::variables(&doc), expected);
    assert!(args.unwrap().iter().any(|arg| arg == "base=localtime"));
}

#[test]
fn a_comma_of_a_user_is_no_option_of_qemus() {
    let told = "<sysinfo type='fwcfg'><entry name='opt/x'>a,file=/etc/shadow</entry></sysinfo>";
    let args = with(told, "").1.unwrap();
    let expected = "name=opt/x,string=a,,file=/etc/shadow";
    assert!(args.iter().any(|arg| arg == expected), "{args:?}");
}

#[test]
fn what_only_a_start_finds_out() {
    for (cpu, words) in [
        ("<cpu><model>Foo</model></cpu>", "Unknown CPU model Foo"),
        ("<cpu><model>host</model></cpu>", "Unknown CPU model host"),
        ("<cpu mode='host-passthrough'/>", "'host-passthrough'"),
    ] {
        let error = with(cpu, "").1.unwrap_err();
        assert!(error.contains(words), "{cpu}: {error}");
    }
}

#[test]
fn the_hosts_model_is_what_the_accelerator_has() {
    for cpu in [
        "<cpu mode='host-model'><model vendor_id='GenuineIntel'/></cpu>",
        "<cpu match='minimum'><model vendor_id='GenuineIntel'>Nehalem</model></cpu>",
    ] {
        let args = with(cpu, "").1.unwrap();
        assert!(
            args.iter().any(|arg| arg == "max,vendor=GenuineIntel"),
            "{args:?}"
        );
    }
}

#[test]
fn the_hosts_tables_are_told_where_the_host_shows_them() {
    let text = "<domain type='qemu'><name>g</name><memory>1024</memory><os><type machine='pc'>hvm</type>\
        <smbios mode='host'/></os></domain>";
    let mut doc = Domain::parse(text, UnknownPolicy::Refuse).unwrap().value;
    let emulator = testing::emulator();
    define::complete(&mut doc, &emulator).unwrap();
    live::alias::assign(&mut doc);
    let error = build(&doc, &emulator, &given(&doc)).unwrap_err().to_string();
    assert!(error.contains("Host SMBIOS information"), "{error}");
    let table = SysInfoTable {
        entries: vec![SysInfoEntry {
            name: "vendor".to_owned(),
            value: "A, B".to_owned(),
        }],
    };
    let given = Given {
        host_smbios: Some(SmbiosInfo {
            bios: Some(table),
            ..SmbiosInfo::default()
        }),
        ..given(&doc)
    };
    let args = build(&doc, &emulator, &given).unwrap();
    assert!(args.iter().any(|arg| arg == "type=0,vendor=A,, B"), "{args:?}");
}

#[test]
fn cards_of_the_host_stand_among_its_devices() {
    let input = include_str!("../../tests/documents/host-cards.in");
    let all = ours(input).unwrap();
    let devices: Vec<&str> = { all.iter() }
        .filter_map(|line| line.split_once("\"driver\":\"vfio-pci\",").map(|(_, rest)| rest))
        .collect();
    let expected = [
        r#""host":"7fff:03:10.0","id":"hostdev0","bootindex":1,"bus":"pci.2","addr":"0x0"}"#,
        r#""host":"7fff:03:10.2","id":"hostdev1","failover_pair_id":"ua-stays","bus":"pci.3","addr":"0x0"}"#,
        r#""host":"7fff:03:02.1","id":"hostdev2","bus":"pci.4","addr":"0x0"}"#,
    ];
    assert_eq!(devices, expected, "{all:#?}");
}

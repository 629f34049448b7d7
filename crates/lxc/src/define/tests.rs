//! Completion of our own documents, and its laws.

use std::path::PathBuf;

use ferrovirt_guest::BackendError;
use ferrovirt_model::domain::{Capability, Domain};
use ferrovirt_model::{Form, UnknownPolicy, Uuid};
use proptest::prelude::*;

use super::{Host, complete, live};

/// A container as a user writes it, with something of everything.
const WRITTEN: &str = include_str!("tests/written.xml");
/// What is stored of it.
const STORED: &str = include_str!("tests/stored.xml");

fn host() -> Host {
    Host {
        arch: "x86_64".to_owned(),
    }
}

fn completed(text: &str) -> Result<Domain, String> {
    let mut doc = Domain::parse(text, UnknownPolicy::Refuse)
        .map_err(|e| e.to_string())?
        .value;
    complete(&mut doc, &host()).map_err(|e| e.to_string())?;
    Ok(doc)
}

/// A container with this on the level of `<domain>`, and these devices.
fn container(more: &str, devices: &str) -> String {
    format!(
        "<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'><name>c</name>\
         <uuid>00000000-0000-4000-8000-000000000001</uuid><memory>1024</memory>\
         <os><type>exe</type><init>/init</init></os>{more}<devices>{devices}</devices></domain>"
    )
}

#[test]
fn a_definition_is_filled_in_and_loses_nothing() {
    assert_eq!(completed(WRITTEN).unwrap().to_xml(&Form::STORED), STORED);
}

#[test]
fn completing_again_changes_nothing() {
    assert_eq!(completed(STORED).unwrap().to_xml(&Form::STORED), STORED);
}

/// Beside `<os>`, devices, and what the refusal says.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("<cpu mode='host-passthrough'/>", "", "element 'cpu', domain/cpu"),
    ("<features><acpi/></features>", "", "element 'acpi'"),
    (
        "<features><capabilities><fly/></capabilities></features>",
        "",
        "element 'fly'",
    ),
    ("<vcpu placement='auto'>1</vcpu>", "", "attribute 'placement'"),
    (
        "<clock><timer name='rtc' present='no'/></clock>",
        "",
        "element 'timer'",
    ),
    (
        "<memtune><min_guarantee>5</min_guarantee></memtune>",
        "",
        "element 'min_guarantee'",
    ),
    (
        "<cputune><global_quota>5000</global_quota></cputune>",
        "",
        "element 'global_quota'",
    ),
    (
        "<numatune><memory mode='preferred' nodeset='0'/></numatune>",
        "",
        "attribute 'mode'",
    ),
    (
        "<resource><partition>x</partition></resource>",
        "",
        "Resource partition 'x' must start with '/'",
    ),
    (
        "<resource><partition>/x</partition><fibrechannel appid='a'/></resource>",
        "",
        "element 'fibrechannel'",
    ),
    (
        "<on_crash>coredump-destroy</on_crash>",
        "",
        "'coredump-destroy' of 'on_crash'",
    ),
    (
        "<seclabel type='static' model='dac'><label>+0:+0</label></seclabel>",
        "",
        "model dac",
    ),
    ("<seclabel type='dynamic'/>", "", "missing security model"),
    (
        "<lxc:namespace><lxc:shareuts type='netns' value='a'/></lxc:namespace>",
        "",
        "lxc:shareuts of type 'netns'",
    ),
    (
        "<lxc:namespace><lxc:sharenet type='name' value='../a'/></lxc:namespace>",
        "",
        "'../a'",
    ),
    (
        "",
        "<disk type='block'><source dev='/dev/a'/><target dev='sda'/></disk>",
        "element 'disk'",
    ),
    ("", "<input type='mouse' bus='ps2'/>", "element 'input'"),
    ("", "<serial type='pty'/>", "element 'serial'"),
    (
        "",
        "<console type='file'><source path='/a'/></console>",
        "console type 'file'",
    ),
    (
        "",
        "<console type='pty'><target type='virtio'/></console>",
        "target type 'virtio'",
    ),
    (
        "",
        "<console type='pty'><alias name='ua-a'/></console>",
        "element 'alias'",
    ),
    (
        "",
        "<filesystem type='template'><source name='a'/><target dir='/'/></filesystem>",
        "filesystem type 'template'",
    ),
    (
        "",
        "<filesystem accessmode='mapped'><source dir='/a'/><target dir='/'/></filesystem>",
        "accessmode 'mapped'",
    ),
    (
        "",
        "<filesystem><source dir='a'/><target dir='/'/></filesystem>",
        "path 'a'",
    ),
    (
        "",
        "<filesystem type='file'><driver type='loop' format='qcow2'/><source file='/a'/><target dir='/'/></filesystem>",
        "format 'qcow2'",
    ),
    (
        "",
        "<filesystem type='mount'><driver type='loop'/><source dir='/a'/><target dir='/'/></filesystem>",
        "driver 'loop' does not fit",
    ),
    ("", "<interface type='user'/>", "interface type 'user'"),
    (
        "",
        "<interface type='ethernet'><model type='virtio'/></interface>",
        "model 'virtio'",
    ),
    (
        "",
        "<interface type='ethernet'><guest dev='a'/></interface><interface type='ethernet'><guest dev='a'/></interface>",
        "<guest dev='a'>",
    ),
    (
        "",
        "<interface type='ethernet'><target dev='0123456789abcdef'/></interface>",
        "'0123456789abcdef'",
    ),
    (
        "",
        "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>",
        "devices/hostdev, type 'usb'",
    ),
    (
        "",
        "<hostdev mode='capabilities' type='misc'><source><char>a</char></source></hostdev>",
        "path 'a'",
    ),
];

#[test]
fn what_has_no_effect_is_refused_by_name() {
    for (more, devices, words) in WITHOUT_EFFECT {
        let error = completed(&container(more, devices)).map(|_| ()).unwrap_err();
        assert!(error.contains(words), "{more}{devices}: {error}");
    }
}

#[test]
fn other_guests_are_not_containers() {
    for (from, to) in [
        ("type='lxc'", "type='kvm'"),
        ("<type>", "<type arch='aarch64'>"),
        (">exe<", ">hvm<"),
    ] {
        let error = completed(&container("", "").replace(from, to))
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains("could not find capabilities"), "{to}: {error}");
    }
    let narrow = container("", "").replace("<type>", "<type arch='i686'>");
    assert_eq!(completed(&narrow).unwrap().os.kind.arch.as_deref(), Some("i686"));
}

#[test]
fn refusals_have_libvirts_codes() {
    let code = |text: &str| {
        let mut doc = Domain::parse(text, UnknownPolicy::Refuse).unwrap().value;
        BackendError::from(complete(&mut doc, &host()).unwrap_err())
    };
    let cpu = code(&container("<cpu mode='host-model'/>", ""));
    assert!(matches!(cpu, BackendError::Unsupported(_)), "{cpu}");
    let labels = container("<seclabel type='none'/><seclabel type='none'/>", "");
    let label = Domain::parse(&labels, UnknownPolicy::Refuse)
        .unwrap_err()
        .to_string();
    assert!(
        label.contains("missing security model when using multiple labels"),
        "{label}"
    );
}

#[test]
fn toggles_are_kept_by_capability() {
    let more =
        "<features><capabilities policy='deny'><sys_time state='off'/><chown/></capabilities></features>";
    let doc = completed(&container(more, "")).unwrap();
    let kept = doc.features.unwrap().capabilities.unwrap().toggles;
    let kept: Vec<_> = kept.into_iter().collect();
    assert_eq!(kept, [(Capability::Chown, true), (Capability::SysTime, false)]);
}

#[test]
fn a_run_adds_its_names_step_by_step_and_leaves_the_first_ones() {
    let card =
        "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/></interface>";
    let named =
        "<interface type='bridge'><source bridge='b'/><target dev='own'/><guest dev='eth1'/></interface>";
    let mut doc = completed(&container(
        "",
        &format!("{card}{named}{card}<console type='pty'/>"),
    ))
    .unwrap();
    let prepare = live::at_rest(&doc).to_xml(&Form::LIVE);
    assert!(prepare.contains("<partition>/machine</partition>"), "{prepare}");
    assert!(
        !prepare.contains("alias") && !prepare.contains("eth0"),
        "{prepare}"
    );

    doc.id = Some(7);
    let source = doc.devices.interfaces[0].source.get_or_insert_default();
    source.portid = Some(Uuid([1; 16]));
    source.bridge = Some("virbr9".to_owned());
    live::begin(&mut doc);
    doc.devices.interfaces[0].target.get_or_insert_default().dev = Some("vnet3".to_owned());
    live::terminals(&mut doc, &[PathBuf::from("/dev/pts/4")]);
    let start = live::at_rest(&doc).to_xml(&Form::LIVE);
    for words in [
        "alias name='console0'",
        "guest dev='eth0'",
        "guest dev='eth2'",
        "target dev='own'",
    ] {
        assert!(start.contains(words), "{words}: {start}");
    }
    for words in [" id='7'", "portid", "virbr9", "vnet3", "pts"] {
        assert!(!start.contains(words), "{words}: {start}");
    }
    let started = doc.to_xml(&Form::LIVE);
    for words in [
        " id='7'",
        "<source network='n' portid='01010101-0101-0101-0101-010101010101' bridge='virbr9'/>",
        "target dev='vnet3'",
        "<console type='pty' tty='/dev/pts/4'>\n      <source path='/dev/pts/4'/>",
    ] {
        assert!(started.contains(words), "{words}: {started}");
    }
    live::forget(&mut doc);
    assert_eq!(live::at_rest(&doc).to_xml(&Form::LIVE), start);
}

/// A piece of the sample between two of its lines, to be put elsewhere.
fn shuffled(from: usize, len: usize, to: usize) -> String {
    let mut lines: Vec<&str> = WRITTEN.lines().collect();
    let from = from % lines.len();
    let until = (from + len).min(lines.len());
    let piece: Vec<&str> = lines.drain(from..until).collect();
    let to = to % (lines.len() + 1);
    lines.splice(to..to, piece);
    lines.join("\n")
}

/// What is accepted is stored as it was meant, and stays so.
fn check(text: &str) -> Result<(), TestCaseError> {
    let Ok(doc) = completed(text) else { return Ok(()) };
    let stored = doc.to_xml(&Form::STORED);
    let again = completed(&stored).map(|doc| doc.to_xml(&Form::STORED));
    prop_assert_eq!(again, Ok(stored));
    Ok(())
}

#[test]
fn what_nobody_knows_is_named_with_its_place_wherever_it_stands() {
    let lines = WRITTEN.lines().count();
    for at in 1..lines {
        let mut text: Vec<&str> = WRITTEN.lines().collect();
        text.insert(at, "<riddle deep='yes'/>");
        let error = completed(&text.join("\n")).map(|_| ()).unwrap_err();
        let place = format!("/riddle (line {}, column 1)", at + 1);
        assert!(
            error.contains("element 'riddle', domain") && error.contains(&place),
            "line {at}: {error}"
        );
    }
}

#[test]
fn an_attribute_that_nobody_knows_is_named_in_every_element() {
    let tags = WRITTEN.match_indices('<').map(|(at, _)| at);
    for at in tags.filter(|at| !WRITTEN[at + 1..].starts_with(['/', 'a'])) {
        let name = WRITTEN[at + 1..].find([' ', '>', '/']).unwrap_or_default();
        let end = at + 1 + name;
        let text = format!("{} riddle='1'{}", &WRITTEN[..end], &WRITTEN[end..]);
        // What is below `<metadata>`, and itself, belongs to others.
        if &WRITTEN[at + 1..end] == "metadata" {
            continue;
        }
        let error = completed(&text).map(|_| ()).unwrap_err();
        let line = WRITTEN[..at].matches('\n').count() + 1;
        assert!(
            error.contains("attribute 'riddle'") && error.contains(&format!("(line {line}, ")),
            "{}: {error}",
            &WRITTEN[at..end]
        );
    }
}

proptest! {
    #[test]
    fn moved_pieces_are_refused_or_stay(from in any::<usize>(), len in 0usize..8, to in any::<usize>()) {
        check(&shuffled(from, len, to))?;
    }

    #[test]
    fn broken_pieces_are_refused_or_stay(at in 0..WRITTEN.len(), drop in 0usize..60, insert in "[<>/'= a-z0-9&;:-]{0,10}") {
        prop_assume!(WRITTEN.is_char_boundary(at));
        let end = (at..=WRITTEN.len()).find(|end| *end >= at + drop && WRITTEN.is_char_boundary(*end));
        let end = end.unwrap_or(WRITTEN.len());
        check(&format!("{}{insert}{}", &WRITTEN[..at], &WRITTEN[end..]))?;
    }
}

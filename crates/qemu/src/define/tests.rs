//! Completion of our own documents, against what the reference fills in (`tests/documents`), and its laws.

use std::path::Path;

use ferrovirt_model::domain::{ControllerType, Domain};
use ferrovirt_model::{Form, UnknownPolicy};

use crate::testing;

/// Pairs of documents: as a user writes them and as they are stored.
fn cases() -> Vec<(String, String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "in") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let input = std::fs::read_to_string(&path).unwrap();
            let output = std::fs::read_to_string(path.with_extension("out")).unwrap();
            cases.push((name, input, output));
        }
    }
    cases.sort();
    cases
}

fn completed(input: &str) -> Result<Domain, String> {
    let mut doc = Domain::parse(input, UnknownPolicy::Refuse)
        .map_err(|e| e.to_string())?
        .value;
    super::complete(&mut doc, &testing::emulator()).map_err(|e| e.to_string())?;
    Ok(doc)
}

#[test]
fn documents_are_completed_as_the_reference_does() {
    let cases = cases();
    assert!(cases.len() > 20);
    let mut wrong = Vec::new();
    for (name, input, output) in cases {
        let ours = match completed(&input) {
            Ok(doc) => doc.to_xml(&Form::STORED),
            Err(error) => error,
        };
        if ours.trim() != output.trim() {
            wrong.push(format!("{name}: {}", testing::first_difference(&ours, &output)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn completing_again_changes_nothing() {
    for (name, input, _) in cases() {
        let Ok(once) = completed(&input) else { continue };
        let mut twice = Domain::parse(&once.to_xml(&Form::STORED), UnknownPolicy::Refuse)
            .unwrap()
            .value;
        super::complete(&mut twice, &testing::emulator()).unwrap();
        assert_eq!(once.to_xml(&Form::STORED), twice.to_xml(&Form::STORED), "{name}");
    }
}

/// A guest with these devices, and something more on the level of `<domain>`.
fn guest(machine: &str, more: &str, devices: &str) -> String {
    format!(
        "<domain type='qemu'><name>g</name><memory>1024</memory><os><type machine='{machine}'>hvm</type></os>{more}\
         <devices>{devices}</devices></domain>"
    )
}

#[test]
fn what_cannot_be_is_refused_with_what_it_is_about() {
    for (devices, words) in [
        (
            "<controller type='usb' model='none'/><controller type='usb'/>",
            "USB is disabled",
        ),
        (
            "<controller type='usb' index='0' model='ich9-uhci2'><master startport='2'/></controller>",
            "No master USB controller specified for 'ich9-uhci2'",
        ),
        (
            "<controller type='usb' model='qemu-xhci' ports='16'/>",
            "'qemu-xhci' controller only supports up to '15' ports",
        ),
        (
            "<disk type='file' device='cdrom'><target dev='sda' bus='usb'/></disk>",
            "'usb' disk must not be empty",
        ),
    ] {
        let error = completed(&guest("pc", "", devices)).map(|_| ()).unwrap_err();
        assert!(error.contains(words), "{devices}: {error}");
    }
}

/// After the type in `<os>`, and what the refusal names.
const OF_CONTAINERS: &[(&str, &str)] = &[
    ("<init>/sbin/init</init></os>", "domain/os/init"),
    (
        "</os><idmap><uid start='0' target='1' count='2'/><gid start='0' target='1' count='2'/></idmap>",
        "domain/idmap",
    ),
    (
        "</os><features><capabilities policy='deny'/></features>",
        "domain/features/capabilities",
    ),
    (
        "</os><devices><filesystem type='ram'><source usage='4'/><target dir='b'/></filesystem></devices>",
        "only supports mount filesystem type",
    ),
    (
        "</os><devices><hostdev mode='capabilities' type='misc'><source><char>/dev/x</char></source></hostdev></devices>",
        "hostdev mode 'capabilities'",
    ),
    (
        "</os><devices><interface type='network'><source network='n'/><guest dev='e'/></interface></devices>",
        "domain/devices/interface/guest",
    ),
    (
        "</os><devices><interface type='network'><source network='n'/><ip address='10.0.0.1'/></interface></devices>",
        "domain/devices/interface/ip",
    ),
    (
        "</os><devices><interface type='direct'><source dev='e'/></interface></devices>",
        "interface type 'direct'",
    ),
    (
        "</os><devices><interface type='internal'/></devices>",
        "interface type 'internal'",
    ),
];

#[test]
fn what_only_containers_have_is_refused_by_name() {
    let start = "<domain type='qemu'><name>g</name><memory>1024</memory><os><type>hvm</type>";
    for (inside, words) in OF_CONTAINERS {
        let error = completed(&format!("{start}{inside}</domain>"))
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains(words), "{inside}: {error}");
    }
}

#[test]
fn a_usb_controller_that_was_asked_for_is_another_than_the_one_that_comes_by_itself() {
    let model = |devices: &str| {
        let doc = completed(&guest("q35", "", devices)).unwrap();
        let mut all = doc.devices.controllers.into_iter();
        all.find(|c| c.kind == ferrovirt_model::domain::ControllerType::Usb)
            .and_then(|c| c.model)
    };
    assert_eq!(model("").as_deref(), Some("qemu-xhci"));
    assert_eq!(model("<controller type='usb'/>").as_deref(), Some("piix3-uhci"));
}

#[test]
fn a_replacement_for_no_model_is_none() {
    let cpu = "<cpu mode='host-model'><model fallback='forbid'/></cpu>";
    let text = completed(&guest("pc", cpu, "")).unwrap().to_xml(&Form::STORED);
    assert!(
        text.contains("<cpu mode='host-model' check='partial'/>"),
        "{text}"
    );
}

/// Beside the machine `pc` and its devices, and what the refusal says.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "<features><smm><tseg>8</tseg></smm></features>",
        "only supported with q35",
    ),
    (
        "<features><ps2 state='off'/><vmport/></features>",
        "vmport feature requires the ps2 feature",
    ),
    (
        "<features><tcg><tb-cache unit='KiB'>1</tb-cache></tcg></features>",
        "multiple of MiB",
    ),
    (
        "<features><hyperv mode='passthrough'><relaxed state='off'/></hyperv></features>",
        "mode='passthrough'",
    ),
    (
        "<features><hyperv><spinlocks state='on'/></hyperv></features>",
        "'retries' in element 'spinlocks'",
    ),
    (
        "<features><hyperv><spinlocks state='on' retries='4094'/></hyperv></features>",
        "at least 4095",
    ),
    (
        "<features><hyperv><vendor_id state='on'/></hyperv></features>",
        "'vendor_id'",
    ),
    (
        "<features><hyperv><vendor_id state='on' value='a,b'/></hyperv></features>",
        "vendor_id value is invalid",
    ),
    (
        "<features><hyperv><vendor_id state='on' value='1234567890123'/></hyperv></features>",
        "12 characters",
    ),
    (
        "<features><hyperv><new state='on'/></hyperv></features>",
        "domain/features/hyperv/new",
    ),
    (
        "<features><kvm><dirty-ring state='on'/></kvm></features>",
        "'size' in element 'dirty-ring'",
    ),
    (
        "<features><kvm><dirty-ring state='on' size='1025'/></kvm></features>",
        "power of 2",
    ),
    ("<features><gic version='2'/></features>", "domain/features/gic"),
    (
        "<clock offset='utc'><timer name='platform'/></clock>",
        "'platform'",
    ),
    (
        "<clock offset='utc'><timer name='rtc' tickpolicy='merge'/></clock>",
        "rtc timer tickpolicy 'merge'",
    ),
    (
        "<clock offset='utc'><timer name='pit' tickpolicy='merge'/></clock>",
        "pit timer tickpolicy 'merge'",
    ),
    (
        "<clock offset='utc'><timer name='rtc' track='boot'/></clock>",
        "track 'boot'",
    ),
    (
        "<clock offset='utc'><timer name='rtc' frequency='5'/></clock>",
        "setting of timer frequency",
    ),
    (
        "<clock offset='utc'><timer name='rtc'><catchup slew='1'/></timer></clock>",
        "tickpolicy='catchup'",
    ),
    (
        "<clock offset='utc' adjustment='soon'/>",
        "unknown clock adjustment 'soon'",
    ),
    ("<clock offset='utc' timezone='Europe/Berlin'/>", "'timezone'"),
    ("<clock offset='timezone'/>", "missing 'timezone'"),
    ("<clock offset='absolute'/>", "missing 'start'"),
    (
        "<clock offset='absolute' start='253402300800'/>",
        "maximum 'start'",
    ),
    (
        "<cpu><topology sockets='2' cores='1' threads='1'/></cpu>",
        "topology doesn't match",
    ),
    (
        "<cpu><topology sockets='0' cores='1' threads='1'/></cpu>",
        "'sockets'",
    ),
    (
        "<cpu mode='host-passthrough'><model>Nehalem</model></cpu>",
        "'Nehalem'",
    ),
    (
        "<cpu><model vendor_id='short'>Nehalem</model></cpu>",
        "12 characters",
    ),
    ("<cpu><cache mode='emulate'/></cpu>", "level='3'"),
    ("<cpu><cache mode='passthrough'/></cpu>", "'passthrough'"),
    (
        "<cpu><cache mode='disable' level='3'/></cpu>",
        "level for mode 'disable'",
    ),
    ("<cpu><maxphysaddr mode='passthrough' bits='4'/></cpu>", "'bits'"),
    ("<cpu><maxphysaddr mode='emulate' limit='4'/></cpu>", "'limit'"),
    (
        "<perf><event name='cmt' enabled='yes'/></perf>",
        "perf event 'cmt'",
    ),
    (
        "<sysinfo type='fwcfg'><entry name='etc/x'>1</entry></sysinfo>",
        "Invalid firmware name",
    ),
    (
        "<sysinfo type='fwcfg'><entry name='opt/ovmf/x'>1</entry></sysinfo>",
        "reserved",
    ),
    (
        "<sysinfo type='fwcfg'><entry name='opt/x' file='/y'>1</entry></sysinfo>",
        "'opt/x'",
    ),
    ("<sysinfo type='fwcfg'><entry name='opt/x'/></sysinfo>", "'file'"),
    (
        "<sysinfo type='smbios'><bios><entry name='date'>1/32/05</entry></bios></sysinfo>",
        "BIOS 'date'",
    ),
    (
        "<sysinfo type='smbios'><bios><entry name='colour'>x</entry></bios></sysinfo>",
        "'colour'",
    ),
    (
        "<sysinfo type='smbios'><system><entry name='uuid'>11111111-2222-4333-8444-517621573714</entry></system></sysinfo>",
        "UUID mismatch",
    ),
    (
        "<qemu:capabilities><qemu:del capability='blockdev'/></qemu:capabilities>",
        "'blockdev'",
    ),
    ("<qemu:deprecation behavior='never'/>", "'never'"),
    (
        "<qemu:commandline><qemu:env name='a-b'/></qemu:commandline>",
        "'a-b'",
    ),
    (
        "<qemu:override><qemu:device alias='a'><qemu:frontend><qemu:property name='p' type='bool' value='1'/>\
         </qemu:frontend></qemu:device></qemu:override>",
        "invalid value '1'",
    ),
];

#[test]
fn what_has_no_effect_is_refused_by_name() {
    for (inside, words) in WITHOUT_EFFECT {
        let text = guest("pc", inside, "").replace(
            "<domain type='qemu'>",
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
        );
        let error = completed(&text).map(|_| ()).unwrap_err();
        assert!(error.contains(words), "{inside}: {error}");
    }
}

#[test]
fn single_vcpus_fit_together() {
    for (vcpus, words) in [
        ("<vcpu id='0' enabled='no'/>", "vcpu 0 can't be offline"),
        ("<vcpu id='7' enabled='yes'/>", "vcpu id '7'"),
        (
            "<vcpu id='0' enabled='yes' hotpluggable='yes'/>",
            "vcpu0 can't be hotpluggable",
        ),
        (
            "<vcpu id='0' enabled='yes' order='2'/>",
            "vcpu0 must be enabled first",
        ),
        (
            "<vcpu id='0' enabled='yes' order='1'/><vcpu id='1' enabled='yes'/>",
            "either set or unset order",
        ),
        (
            "<vcpu id='0' enabled='yes' order='1'/><vcpu id='1' enabled='yes' hotpluggable='yes' order='2'/>\
             <vcpu id='2' enabled='yes' order='3'/>",
            "need to be ordered prior",
        ),
        (
            "<vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no' hotpluggable='no'/>",
            "both offline and not hotpluggable",
        ),
        (
            "<vcpu id='0' enabled='yes'/><vcpu id='0' enabled='yes'/>",
            "vcpu id '0' is named twice",
        ),
    ] {
        let inside = format!("<vcpu>3</vcpu><vcpus>{vcpus}</vcpus>");
        let error = completed(&guest("pc", &inside, "")).map(|_| ()).unwrap_err();
        assert!(error.contains(words), "{vcpus}: {error}");
    }
}

/// Numbers of the USB controllers of these models, as they stand in the document; `MODEL:NUMBER` has one already.
fn numbers_of_usb(models: &str) -> String {
    let element = |model: &str| match model.split_once(':') {
        Some((model, index)) => format!("<controller type='usb' index='{index}' model='{model}'/>"),
        None => format!("<controller type='usb' model='{model}'/>"),
    };
    let devices: String = models.split(' ').map(element).collect();
    let doc = completed(&guest("pc", "", &devices)).unwrap();
    let usb = doc
        .devices
        .controllers
        .iter()
        .filter(|c| c.kind == ControllerType::Usb);
    let told: Vec<String> = usb
        .map(|c| format!("{}:{}", c.model.as_deref().unwrap_or_default(), c.number()))
        .collect();
    told.join(" ")
}

#[test]
fn parts_of_one_usb_2_controller_find_each_other() {
    for (given, expected) in [
        (
            "ich9-ehci1 ich9-uhci1 ich9-uhci2 ich9-uhci3",
            "ich9-ehci1:0 ich9-uhci1:0 ich9-uhci2:0 ich9-uhci3:0",
        ),
        (
            "ich9-uhci2 ich9-uhci1 ich9-ehci1 ich9-uhci1 nec-xhci ich9-ehci1",
            "ich9-ehci1:0 ich9-uhci2:0 ich9-uhci1:0 ich9-uhci1:1 nec-xhci:2 ich9-ehci1:3",
        ),
        (
            "ich9-ehci1:3 ich9-uhci2:3 ich9-uhci1 ich9-uhci2",
            "ich9-uhci2:0 ich9-ehci1:3 ich9-uhci2:3 ich9-uhci1:3",
        ),
        ("ehci ich9-uhci1 ich9-ehci1", "ehci:0 ich9-ehci1:1 ich9-uhci1:1"),
    ] {
        assert_eq!(numbers_of_usb(given), expected, "{given}");
    }
}

//! What the machine of a guest is: CPU, features, clock, what its firmware is told, and what a document gives QEMU past us.
//! The documents start, and QEMU has what they say.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// Defines and starts a guest whose document has more before its devices and after them.
fn start(w: &World, vcpu: &str, os: &str, more: &str, tail: &str) {
    let xml = Guest::new("g")
        .xml()
        .replace(
            "<domain type='qemu'>",
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
        )
        .replace("machine='pc'", "machine='q35'")
        .replace("<vcpu>1</vcpu>", vcpu)
        .replace("hvm</type>", &format!("hvm</type>{os}"))
        .replace("<features><acpi/></features>", more)
        .replace("</domain>", &format!("{tail}</domain>"));
    let path = w.file("g.xml", &xml);
    w.virsh_args(&["define", &path.display().to_string()]).ok();
    w.virsh("start g").ok();
}

/// QEMU's arguments or its variables.
fn of_qemu(w: &World, file: &str) -> Vec<String> {
    let pid = w.qemu_pid("g").expect("QEMU runs");
    let text = w.read(format!("/proc/{pid}/{file}"));
    text.split('\0').map(str::to_owned).collect()
}

/// The value of an option.
fn value(args: &[String], option: &str) -> String {
    let at = args.iter().position(|arg| arg == option);
    let value = at.and_then(|at| args.get(at + 1));
    value.unwrap_or_else(|| panic!("no {option} in {args:?}")).clone()
}

#[test]
fn cpu_features_and_clock_reach_qemu() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let more = "<features><acpi/><apic/><hyperv><relaxed state='on'/><vapic state='on'/>\
            <spinlocks state='on' retries='8191'/><vendor_id state='on' value='someone'/></hyperv>\
            <kvm><hidden state='on'/></kvm><pmu state='off'/><vmport state='off'/>\
            <smm state='on'><tseg unit='MiB'>16</tseg></smm><vmcoreinfo/><tcg><tb-cache unit='MiB'>64</tb-cache></tcg>\
            <async-teardown enabled='yes'/></features>\
            <cpu><model vendor_id='AuthenticAMD'>qemu64</model><topology sockets='1' cores='2' threads='1'/>\
            <cache level='3' mode='emulate'/><maxphysaddr mode='emulate' bits='42'/>\
            <feature policy='disable' name='svm'/></cpu>\
            <clock offset='absolute' start='1234567890'><timer name='rtc' tickpolicy='catchup' track='guest'/>\
            <timer name='hpet' present='no'/></clock>\
            <pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>";
        start(w, "<vcpu>2</vcpu>", "", more, "");
        let args = of_qemu(w, "cmdline");
        assert_eq!(
            value(&args, "-cpu"),
            "qemu64,vendor=AuthenticAMD,svm=off,hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-vendor-id=someone,kvm=off,\
             pmu=off,l3-cache=on,phys-bits=42"
        );
        assert_eq!(
            value(&args, "-smp"),
            "2,sockets=1,dies=1,clusters=1,cores=2,threads=1"
        );
        assert_eq!(value(&args, "-accel"), "tcg,tb-size=64");
        assert_eq!(
            value(&args, "-rtc"),
            "base=2009-02-13T23:31:30,clock=vm,driftfix=slew"
        );
        assert_eq!(value(&args, "-run-with"), "async-teardown=on");
        let machine = value(&args, "-machine");
        assert!(machine.contains(",usb=off,vmport=off,smm=on,"), "{machine}");
        assert!(machine.contains(",hpet=off,acpi=on"), "{machine}");
        assert!(
            args.contains(&"mch.extended-tseg-mbytes=16".to_owned()),
            "{args:?}"
        );
        w.virsh("destroy g").ok();
    });
}

#[test]
fn what_the_firmware_is_told_and_what_goes_past_us() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.file("told", "from a file");
        let file = w.file("told", "from a file").display().to_string();
        let more = format!(
            "<genid>e9392370-2917-565e-692d-d057f46512d6</genid><features><acpi/></features>\
             <sysinfo type='smbios'><bios><entry name='vendor'>A, B</entry></bios><system><entry name='product'>P</entry>\
             </system><oemStrings><entry>one</entry></oemStrings></sysinfo>\
             <sysinfo type='fwcfg'><entry name='opt/org.example/v'>a,b</entry>\
             <entry name='opt/org.example/f' file='{file}'/></sysinfo>\
             <clock offset='timezone' timezone='Europe/Berlin'/>"
        );
        let tail = "<qemu:commandline><qemu:arg value='-name'/><qemu:arg value='process=mine'/>\
            <qemu:env name='OWN' value='x y'/></qemu:commandline>\
            <qemu:override><qemu:device alias='vmgenid0'><qemu:frontend>\
            <qemu:property name='guid' type='string' value='auto'/></qemu:frontend></qemu:device></qemu:override>\
            <qemu:deprecation behavior='omit'/>";
        let os = "<smbios mode='sysinfo'/><bios rebootTimeout='5'/>";
        start(w, "<vcpu>1</vcpu>", os, &more, tail);
        let args = of_qemu(w, "cmdline");
        for value in [
            "type=0,vendor=A,, B",
            "type=1,product=P",
            "type=11,value=one",
            "name=opt/org.example/v,string=a,,b",
            "reboot-timeout=5,strict=on",
            "process=mine",
            r#"{"driver":"vmgenid","guid":"auto","id":"vmgenid0"}"#,
            r#"{"deprecated-output":"hide"}"#,
        ] {
            assert!(args.iter().any(|arg| arg == value), "{value} in {args:?}");
        }
        assert!(
            args.contains(&format!("name=opt/org.example/f,file={file}")),
            "{args:?}"
        );
        let variables = of_qemu(w, "environ");
        for variable in ["TZ=Europe/Berlin", "OWN=x y"] {
            assert!(
                variables.contains(&variable.to_owned()),
                "{variable} in {variables:?}"
            );
        }
        let shown = w.virsh("dumpxml g").ok().to_owned();
        assert!(
            shown.contains("<genid>e9392370-2917-565e-692d-d057f46512d6</genid>"),
            "{shown}"
        );
        assert!(shown.contains("<entry name='vendor'>A, B</entry>"), "{shown}");
        w.virsh("destroy g").ok();
    });
}

#[test]
fn a_cpu_that_can_be_taken_away_is_there_when_the_guest_runs() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let vcpus = "<vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes' hotpluggable='no' order='1'/>\
            <vcpu id='1' enabled='no'/><vcpu id='2' enabled='yes' hotpluggable='yes' order='2'/>\
            <vcpu id='3' enabled='no'/></vcpus>";
        start(w, vcpus, "", "<features><acpi/></features>", "");
        let args = of_qemu(w, "cmdline");
        assert_eq!(value(&args, "-smp"), "1,maxcpus=4,sockets=4,cores=1,threads=1");
        let pid = w.qemu_pid("g").expect("QEMU runs");
        let threads = w.sh(&format!("cat /proc/{pid}/task/*/comm"));
        assert!(threads.contains("CPU 2/TCG"), "{threads}");
        assert!(!threads.contains("CPU 3/TCG"), "{threads}");
        let shown = w.virsh("dumpxml g").ok().to_owned();
        assert!(
            shown.contains("<vcpu placement='static' current='2'>4</vcpu>"),
            "{shown}"
        );
        w.virsh("destroy g").ok();
        w.virsh("setvcpus g 3 --config").ok();
        let shown = w.virsh("dumpxml g").ok().to_owned();
        assert!(
            shown.contains("<vcpu id='1' enabled='yes' hotpluggable='yes'/>"),
            "{shown}"
        );
    });
}

//! Devices that come to a running container and go, and those of its definition: with the hooks of ports (R74), events,
//! what is to be seen inside, and across the death of a daemon (R96).

use std::time::Duration;

use ferrovirt_tests::tools::proof;
use ferrovirt_tests::{Net, Output, Tool, World, in_world};

use crate::events::{heard, listen_to_containers};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Linux];
const ALL: &[Tool] = &[Tool::Virsh, Tool::Linux, Tool::Dnsmasq, Tool::Nft];
const MAC: &str = "52:54:00:00:00:a1";

fn virsh(w: &World, line: &str) -> Output {
    w.virsh(&format!("-c lxc:///system {line}"))
}

/// `virsh VERB-device c` with this device.
fn device(w: &World, verb: &str, xml: &str, flags: &str) -> Output {
    w.file("device.xml", xml);
    virsh(w, &format!("{verb}-device c /run/world/device.xml {flags}"))
}

fn xml(w: &World, flags: &str) -> String {
    virsh(w, &format!("dumpxml c {flags}")).ok().to_owned()
}

/// Starts a container of busybox that sleeps, with a network of its own.
fn up(w: &World, devices: &str) {
    w.sh(
        "mkdir -p root/bin root/data root/tmp && cp \"$(command -v busybox)\" root/bin/busybox && \
          ln -sf busybox root/bin/sleep && mkdir -p shared && echo shared > shared/file",
    );
    let text = format!(
        "<domain type='lxc'><name>c</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type>exe</type><init>/bin/sleep</init><initarg>100000</initarg></os>\
         <features><privnet/></features><devices><filesystem type='mount'><source dir='/run/world/root'/>\
         <target dir='/'/></filesystem>{devices}<console type='pty'/></devices></domain>"
    );
    w.file("c.xml", &text);
    virsh(w, "define /run/world/c.xml").ok();
    virsh(w, "start c").ok();
}

/// The number of its first process.
fn init(w: &World) -> String {
    let found = w.sh("grep -lsz '^LIBVIRT_LXC_NAME=c$' /proc/[0-9]*/environ | head -n 1");
    found.split('/').nth(2).expect("an init").to_owned()
}

/// Whether a shell command succeeds on what the container sees at a path.
fn inside(w: &World, test: &str, path: &str) -> bool {
    w.succeeds(&format!("{test} /proc/{}/root{path}", init(w)))
}

/// Whether something is mounted at a path inside.
fn mounted(w: &World, path: &str) -> bool {
    w.succeeds(&format!("grep -q ' {path} ' /proc/{}/mountinfo", init(w)))
}

/// The network devices inside.
fn links(w: &World) -> String {
    w.sh(&format!(
        "nsenter --net=/proc/{}/ns/net ip -o addr; nsenter --net=/proc/{0}/ns/net ip -o link",
        init(w)
    ))
}

fn mount(target: &str) -> String {
    format!("<filesystem type='mount'><source dir='/run/world/shared'/><target dir='{target}'/></filesystem>")
}

fn node(path: &str) -> String {
    format!("<hostdev mode='capabilities' type='misc'><source><char>{path}</char></source></hostdev>")
}

fn nic(name: &str) -> String {
    format!(
        "<hostdev mode='capabilities' type='net'><source><interface>{name}</interface></source></hostdev>"
    )
}

fn card(network: &str) -> String {
    format!("<interface type='network'><mac address='{MAC}'/><source network='{network}'/></interface>")
}

#[test]
fn a_file_system_comes_and_goes() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        up(w, "");
        let added = listen_to_containers(w, "device-added");
        let removed = listen_to_containers(w, "device-removed");
        let before = xml(w, "");
        device(w, "attach", &mount("/data"), "--live").ok();
        assert!(inside(w, "grep -q shared", "/data/file"));
        assert!(xml(w, "").contains("<alias name='fs1'/>"), "{}", xml(w, ""));
        assert!(!xml(w, "--inactive").contains("/data"));
        device(w, "attach", &mount("/data"), "--live").fails_with(&["Target already exists"]);
        device(w, "attach", &mount("/"), "--live").fails_with(&["the root of a running container"]);
        device(
            w,
            "attach",
            &mount("/else").replace("/shared", "/nosuch"),
            "--live",
        )
        .fails_with(&["/run/world/nosuch", "No such file or directory"]);
        device(w, "detach", &mount("/else"), "--live")
            .fails_with(&["no matching filesystem device was found"]);
        let ram =
            "<filesystem type='ram'><source usage='64' units='KiB'/><target dir='/mem/ory'/></filesystem>";
        device(w, "attach", ram, "--live").ok();
        assert!(mounted(w, "/mem/ory"));
        virsh(w, "detach-device-alias c fs2 --live").ok();
        assert!(!mounted(w, "/mem/ory"));
        device(w, "detach", &mount("/data"), "--live").ok();
        assert!(!inside(w, "test -e", "/data/file"));
        assert_eq!(xml(w, ""), before);
        assert_eq!(
            heard(added),
            ["'device-added' 'c': fs1", "'device-added' 'c': fs2"]
        );
        assert_eq!(
            heard(removed),
            ["'device-removed' 'c': fs2", "'device-removed' 'c': fs1"]
        );
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn a_device_of_the_host_comes_and_goes() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh("mknod /run/world/odd c 1 7; mknod /run/world/block b 7 77");
        up(w, "");
        let before = xml(w, "");
        device(w, "attach", &node("/run/world/odd"), "--live").ok();
        assert!(inside(w, "test -c", "/run/world/odd"));
        assert!(xml(w, "").contains("<alias name='hostdev0'/>"));
        device(w, "attach", &node("/run/world/odd"), "--live").fails_with(&["host device already exists"]);
        device(w, "attach", &node("/run/world/block"), "--live")
            .fails_with(&["Hostdev source /run/world/block must be a character device"]);
        device(w, "attach", &node("/bin/busybox"), "--live").fails_with(&["/bin/busybox"]);
        device(w, "attach", &node("/dev/null"), "--live").fails_with(&["already exists in the container"]);
        assert!(inside(w, "test -c", "/dev/null"));
        let storage = "<hostdev mode='capabilities' type='storage'><source><block>/run/world/block</block></source></hostdev>";
        device(w, "attach", storage, "--live").ok();
        assert!(inside(w, "test -b", "/run/world/block"));
        device(w, "detach", storage, "--live").ok();
        device(w, "detach", storage, "--live").fails_with(&["hostdev /run/world/block not found"]);
        device(w, "detach", &node("/run/world/odd"), "--live").ok();
        assert!(!inside(w, "test -e", "/run/world/odd") && !inside(w, "test -e", "/run/world/block"));
        w.sh("ip link add given type veth peer name givenpeer");
        device(w, "attach", &nic("given"), "--live").ok();
        assert!(links(w).contains("given") && !w.succeeds("ip link show given"));
        device(w, "detach", &nic("given"), "--live").ok();
        assert!(!links(w).contains("given") && w.succeeds("ip link show given"));
        device(w, "attach", &nic("nosuch"), "--live").fails_with(&["nosuch"]);
        let disk = "<disk type='block'><source dev='/dev/loop0'/><target dev='vda'/></disk>";
        device(w, "attach", disk, "--live").fails_with(&["live attach of device 'disk' is not supported"]);
        device(w, "attach", "<sound model='ich6'/>", "--config")
            .fails_with(&["persistent attach of device 'sound' is not supported"]);
        assert_eq!(xml(w, ""), before);
        virsh(w, "destroy c").ok();
    });
}

/// The rules of the container's control group.
fn rules(w: &World) -> String {
    w.sh(
        "cat /sys/fs/cgroup/devices/machine.slice/machine-lxc*c.scope/libvirt/devices.list 2> /dev/null || \
          find /sys/fs/cgroup/devices/machine.slice -path '*lxc*' -name devices.list | tail -n 1 | xargs cat",
    )
}

#[test]
fn rules_come_and_go_with_the_devices_that_need_them() {
    in_world(NEEDS, |w| {
        let mounted = "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/devices && \
                       mount -t cgroup -o devices cgroup /sys/fs/cgroup/devices";
        if !w.succeeds(mounted) {
            println!("\nnote: this machine has no control group of version 1 for devices");
            return;
        }
        w.daemon_start();
        w.sh("mknod /run/world/odd c 10 200; truncate -s 4M image && mkfs.ext4 -q image");
        up(w, "");
        let before = rules(w);
        assert!(before.contains("c 1:3 rwm"), "{before}");
        device(w, "attach", &node("/run/world/odd"), "--live").ok();
        assert!(rules(w).contains("c 10:200 rwm"), "{}", rules(w));
        let image = "<filesystem type='file'><driver type='loop' format='raw'/>\
                     <source file='/run/world/image'/><target dir='/data'/></filesystem>";
        device(w, "attach", image, "--live").ok();
        assert!(inside(w, "test -d", "/data/lost+found"));
        assert!(rules(w).contains("b 7:* rwm"), "{}", rules(w));
        device(w, "detach", image, "--live").ok();
        // Its node is gone from the host, but what was allowed for it is known.
        w.sh("rm /run/world/odd");
        device(w, "detach", &node("/run/world/odd"), "--live").ok();
        assert!(!inside(w, "test -e", "/run/world/odd"));
        let mut now: Vec<_> = rules(w).lines().map(str::to_owned).collect();
        let mut then: Vec<_> = before.lines().map(str::to_owned).collect();
        now.sort();
        then.sort();
        assert_eq!(now, then);
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn r74_a_card_comes_and_goes_with_the_hooks_of_its_port() {
    in_world(ALL, |w| {
        w.record(&["network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 195));
        up(w, "");
        let before = xml(w, "");
        w.forget_calls();
        device(w, "attach", &card("n"), "--live").ok();
        w.assert_calls(&["network n port-created begin -"]);
        let port = w.document("network n port-created begin -");
        assert!(port.contains(MAC) && port.contains("<name>c</name>"), "{port}");
        for part in [
            "bridge='virbr195'",
            "<target dev='vnet0'/>",
            "<alias name='net0'/>",
            "<guest dev='eth0'",
        ] {
            assert!(xml(w, "").contains(part), "no {part} in {}", xml(w, ""));
        }
        assert!(links(w).contains("eth0") && links(w).contains(MAC));
        assert!(w.sh("ip -o link show master virbr195").contains("vnet0"));
        w.forget_calls();
        virsh(w, &format!("detach-interface c network --mac {MAC} --live")).ok();
        w.assert_calls(&["network n port-deleted begin -"]);
        assert!(!links(w).contains(MAC) && !w.succeeds("ip link show vnet0"));
        assert_eq!(xml(w, ""), before);
        w.rule("[ $2 != port-created ] || exit 7");
        device(w, "attach", &card("n"), "--live --config").fails_with(&["unexpected exit status 7"]);
        assert_eq!(xml(w, ""), before);
        assert!(!xml(w, "--inactive").contains(MAC) && !w.succeeds("ip link show vnet0"));
        w.rule("true");
        // With the end of the container.
        device(w, "attach", &card("n"), "--live --config").ok();
        assert!(xml(w, "--inactive").contains(MAC));
        w.forget_calls();
        virsh(w, "destroy c").ok();
        w.assert_calls(&["network n port-deleted begin -"]);
        assert!(!w.succeeds("ip link show vnet0"));
        virsh(w, "start c").ok();
        // One that was there from the start has no alias.
        virsh(w, &format!("detach-interface c network --mac {MAC} --live")).ok();
        assert!(!links(w).contains(MAC) && !w.succeeds("ip link show vnet0"));
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn cards_of_other_kinds_come_and_go() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh("ip link add br7 type bridge; ip link set br7 up; ip link add lower type veth peer name lowerpeer; ip link set lower up");
        up(w, "");
        let before = xml(w, "");
        let mac = format!("<mac address='{MAC}'/>");
        let bridged = format!("<interface type='bridge'>{mac}<source bridge='br7'/></interface>");
        let direct = format!("<interface type='direct'>{mac}<source dev='lower' mode='bridge'/></interface>");
        let plain = format!(
            "<interface type='ethernet'>{mac}<ip address='10.9.8.7' prefix='24'/><guest dev='wire'/></interface>"
        );
        for (text, seen) in [(&bridged, "eth0"), (&direct, "eth0"), (&plain, "10.9.8.7/24")] {
            device(w, "attach", text, "--live").ok();
            let inside = links(w);
            assert!(inside.contains(MAC) && inside.contains(seen), "{text}: {inside}");
            if *text == direct {
                // What it is called inside is the container's matter.
                let its = format!("nsenter --net=/proc/{}/ns/net ip link set eth0", init(w));
                w.sh(&format!("{its} down && {its} name mine"));
            }
            device(w, "detach", text, "--live").ok();
            assert!(!links(w).contains(MAC), "{text}: {}", links(w));
            assert_eq!(xml(w, ""), before);
            let host = w.sh("ip -o link");
            assert!(
                !host.contains("vnet") && !host.contains("macvlan"),
                "{text}: {host}"
            );
        }
        device(w, "attach", &bridged.replace("br7", "nosuch"), "--live").fails_with(&["nosuch"]);
        device(w, "attach", &direct.replace("lower", "nosuch"), "--live").fails_with(&["nosuch"]);
        // Its name inside is taken by something that the document does not know.
        w.sh(&format!(
            "nsenter --net=/proc/{}/ns/net ip link add wire type veth peer name wirepeer",
            init(w)
        ));
        device(w, "attach", &plain, "--live").fails_with(&["File exists"]);
        let host = w.sh("ip -o link");
        assert!(
            !host.contains("vnet") && !host.contains("macvlan") && !host.contains("fv"),
            "{host}"
        );
        assert_eq!(xml(w, ""), before);
        device(w, "update", &bridged, "--live").fails_with(&[]);
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn devices_of_the_definition_come_and_go() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh("ip link add br7 type bridge");
        up(w, "");
        let (live, before) = (xml(w, ""), xml(w, "--inactive"));
        let bridged =
            format!("<interface type='bridge'><mac address='{MAC}'/><source bridge='br7'/></interface>");
        let all = [mount("/data"), node("/dev/fuse"), nic("given"), bridged];
        for text in &all {
            device(w, "attach", text, "--config").ok();
        }
        assert_eq!(xml(w, ""), live);
        let stored = xml(w, "--inactive");
        for part in [
            "<target dir='/data'/>",
            "<char>/dev/fuse</char>",
            "<interface>given</interface>",
            MAC,
        ] {
            assert!(stored.contains(part), "no {part} in {stored}");
        }
        device(w, "attach", &all[0], "--config").fails_with(&["Target already exists"]);
        device(w, "attach", &all[1], "--config")
            .fails_with(&["device is already in the domain configuration"]);
        w.sh("ip link add given type veth peer name givenpeer");
        virsh(w, "destroy c").ok();
        virsh(w, "start c").ok();
        assert!(inside(w, "test -c", "/dev/fuse") && inside(w, "grep -q shared", "/data/file"));
        assert!(links(w).contains("given") && links(w).contains(MAC));
        // Those of the start have no aliases, and are found all the same.
        for text in &all {
            device(w, "detach", text, "--live --config").ok();
        }
        assert!(!inside(w, "test -e", "/dev/fuse") && !inside(w, "test -e", "/data/file"));
        assert!(w.succeeds("ip link show given") && !links(w).contains(MAC));
        assert_eq!(xml(w, "--inactive"), before);
        device(w, "detach", &all[1], "--config").fails_with(&["hostdev /dev/fuse not found"]);
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn r96_what_is_attached_is_known_to_the_next_daemon() {
    in_world(ALL, |w| {
        w.record(&["network", "lxc"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 196));
        up(w, "");
        w.sh("mknod /run/world/odd c 1 7; ip link add given type veth peer name givenpeer");
        let before = xml(w, "");
        let all = [
            mount("/data"),
            mount("/new/place"),
            node("/run/world/odd"),
            nic("given"),
            card("n"),
        ];
        for text in &all {
            device(w, "attach", text, "--live").ok();
        }
        let with = xml(w, "");
        w.daemon_kill();
        w.forget_calls();
        // What the container itself has let go of meanwhile is forgotten.
        w.sh(&format!(
            "nsenter --mount=/proc/{0}/ns/mnt --root=/proc/{0}/root /bin/busybox umount /new/place",
            init(w)
        ));
        w.daemon_start();
        w.wait_ended("lxc c reconnect begin -");
        w.wait_for("the daemon has settled", Duration::from_secs(20), || {
            !xml(w, "").contains("'/new/place'")
        });
        let now = xml(w, "");
        assert!(
            now.len() < with.len() && now.contains("'/data'") && now.contains(MAC),
            "{now}"
        );
        w.forget_calls();
        for text in [&all[0], &all[2], &all[3], &all[4]] {
            device(w, "detach", text, "--live").ok();
        }
        w.assert_calls(&["network n port-deleted begin -"]);
        assert!(!inside(w, "test -e", "/data/file") && !inside(w, "test -e", "/run/world/odd"));
        assert!(w.succeeds("ip link show given") && !links(w).contains(MAC));
        assert_eq!(xml(w, ""), before);
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn r96_an_attachment_that_the_daemons_death_cut_short_is_undone() {
    in_world(ALL, |w| {
        w.record(&["network", "lxc"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 197));
        up(w, "");
        let before = xml(w, "");
        w.rule("[ $2 != port-created ] || { sleep 300 & wait; }");
        w.forget_calls();
        w.file("card.xml", &card("n"));
        let attached = w.virsh_background("-c lxc:///system attach-device c /run/world/card.xml --live");
        w.wait_called("network n port-created begin -");
        w.daemon_kill();
        attached.join().fails_with(&[]);
        w.rule("true");
        w.forget_calls();
        w.daemon_start();
        w.wait_ended("lxc c reconnect begin -");
        w.assert_calls(&[
            "network n port-created begin -",
            "network n port-deleted begin -",
            "lxc c reconnect begin -",
        ]);
        assert_eq!(xml(w, ""), before);
        assert!(!w.succeeds("ip link show vnet0"));
        device(w, "attach", &card("n"), "--live").ok();
        virsh(w, "destroy c").ok();
    });
}

/// Whether the container has the device of this document, whatever the daemon says.
fn has(w: &World, text: &str) -> bool {
    match text {
        text if text.contains("/data") => mounted(w, "/data"),
        text if text.contains("/run/world/odd") => inside(w, "test -e", "/run/world/odd"),
        text if text.contains("given") => links(w).contains("given@"),
        _ => links(w).contains(MAC),
    }
}

#[test]
fn r96_document_and_container_agree_whenever_the_daemon_dies() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh(
            "mknod odd c 1 7; ip link add given type veth peer name givenpeer; ip link add br7 type bridge; \
              ip link add lower type veth peer name lowerpeer; ip link set lower up",
        );
        up(w, "");
        let before = xml(w, "");
        let mac = format!("<mac address='{MAC}'/>");
        let all = [
            mount("/data"),
            node("/run/world/odd"),
            nic("given"),
            format!("<interface type='bridge'>{mac}<source bridge='br7'/></interface>"),
            format!("<interface type='direct'>{mac}<source dev='lower' mode='bridge'/></interface>"),
        ];
        let (mut cut, rounds) = (0, u64::try_from(proof(50)).unwrap());
        for round in 0..rounds.max(10) {
            let text = &all[usize::try_from(round).unwrap() % all.len()];
            let verb = if has(w, text) { "detach" } else { "attach" };
            let had = has(w, text);
            w.file("device.xml", text);
            let asked = w.virsh_background(&format!(
                "-c lxc:///system {verb}-device c /run/world/device.xml --live"
            ));
            // virsh needs some 20 ms until it asks.
            std::thread::sleep(Duration::from_micros(18_000 + round * 7_919 % 16_000));
            w.daemon_kill();
            cut += u32::from(asked.join().code != 0);
            w.daemon_start();
            virsh(w, "domstate c").ok();
            let shown = xml(w, "");
            assert_eq!(
                shown != before,
                has(w, text),
                "{verb} {text} (had it: {had}): {shown}"
            );
            if has(w, text) {
                device(w, "detach", text, "--live").ok();
                assert!(!has(w, text), "{text}");
            }
            assert_eq!(xml(w, ""), before);
            let host = w.sh("ip -o link");
            assert!(
                host.contains("given@") && !host.contains("vnet"),
                "{text}: {host}"
            );
            assert!(
                !host.contains("macvlan") && !host.contains("fv"),
                "{text}: {host}"
            );
        }
        println!("\nnote: {cut} of {rounds} requests were cut short");
        virsh(w, "destroy c").ok();
    });
}

#[test]
fn a_paused_container_keeps_its_files() {
    in_world(NEEDS, |w| {
        let mounted = "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/freezer && \
                       mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer && \
                       mkdir /sys/fs/cgroup/devices && mount -t cgroup -o devices cgroup /sys/fs/cgroup/devices";
        if !w.succeeds(mounted) {
            println!("\nnote: this machine has no freezer of version 1");
            return;
        }
        w.daemon_start();
        up(w, "");
        virsh(w, "suspend c").ok();
        let before = xml(w, "");
        device(w, "attach", &mount("/data"), "--live").fails_with(&["'c' is paused"]);
        device(w, "attach", &node("/dev/fuse"), "--live").fails_with(&["'c' is paused"]);
        assert_eq!(xml(w, ""), before);
        virsh(w, "resume c").ok();
        device(w, "attach", &mount("/data"), "--live").ok();
        virsh(w, "destroy c").ok();
    });
}

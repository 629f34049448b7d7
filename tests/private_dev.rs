//! QEMU's own `/dev`: what a guest does not need is not there, what it has is its own, and the host's nodes stay the host's.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// A `/dev` of the test's own, where it may make nodes: a disk under two names, a port, and somebody else's disk. Mounts are shared, as
/// systemd has them.
fn make_dev(w: &World) {
    w.sh(
        "set -e; mkdir /run/dev; mount -t tmpfs -o mode=755 dev /run/dev; cd /run/dev
        cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/ptmx .
        [ ! -e /dev/kvm ] || cp -a /dev/kvm .
        mkdir pts shm disk disk/by-id net; mount --rbind /dev/pts pts; mount -t tmpfs shm shm
        [ ! -e /dev/net/tun ] || cp -a /dev/net/tun net
        mknod -m 600 backup c 1 5; mknod -m 660 other c 1 5; mknod -m 600 port c 1 3
        ln -s ../../backup disk/by-id/stick; mount --move /run/dev /dev; mount --make-rshared /",
    );
}

fn disk(source: &str, target: &str) -> String {
    format!(
        "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='writethrough'/><source dev='{source}'/>\
         <target dev='{target}' bus='scsi'/><shareable/></disk>"
    )
}

/// Names of what is in the `/dev` of a guest's QEMU, directories left out.
fn seen(w: &World, guest: &str) -> Vec<String> {
    let pid = w.qemu_pid(guest).expect("QEMU runs");
    let all = w.sh(&format!(
        "cd /proc/{pid}/root/dev && find . -xdev -not -type d | sort"
    ));
    all.lines()
        .map(|line| line.trim_start_matches("./").to_owned())
        .collect()
}

/// User, group, mode and numbers of a node, as QEMU sees it.
fn node(w: &World, guest: &str, name: &str) -> String {
    let pid = w.qemu_pid(guest).expect("QEMU runs");
    w.sh(&format!("stat -c '%u %g %a %t:%T' /proc/{pid}/root/dev/{name}"))
        .trim()
        .to_owned()
}

/// The same as the host sees it.
fn host_s(w: &World, name: &str) -> String {
    w.sh(&format!("stat -c '%u %g %a %t:%T' /dev/{name}"))
        .trim()
        .to_owned()
}

/// QEMU runs as a user who has no more than he is given; `more` is a line of settings.
fn settings(w: &World, more: &str) {
    w.sh(&format!(
        "printf '%s\\n' 'user = \"+1234\"' 'group = \"+1235\"' '{more}' > /etc/libvirt/qemu.conf"
    ));
}

#[test]
fn a_guest_has_its_devices_and_the_host_keeps_its_own() {
    in_world(NEEDS, |w| {
        make_dev(w);
        settings(w, "");
        w.daemon_start();
        let port = "<serial type='dev'><source path='/dev/port'/><target port='1'/></serial>";
        let scsi = "<controller type='scsi' index='0' model='virtio-scsi'/>";
        w.define(
            &Guest::new("g")
                .device(scsi)
                .device(port)
                .device(&disk("/dev/disk/by-id/stick", "sda")),
        );
        w.virsh("start g").ok();
        let names = seen(w, "g");
        for there in [
            "null",
            "full",
            "zero",
            "random",
            "urandom",
            "ptmx",
            "port",
            "backup",
            "disk/by-id/stick",
        ] {
            assert!(names.iter().any(|name| name == there), "{there}: {names:?}");
        }
        for not_there in ["other", "net/tun", "console"] {
            assert!(
                names.iter().all(|name| name != not_there),
                "{not_there}: {names:?}"
            );
        }
        assert_eq!(node(w, "g", "backup"), "1234 1235 600 1:5");
        assert_eq!(node(w, "g", "port"), "1234 1235 600 1:3");
        assert_eq!(node(w, "g", "null"), host_s(w, "null"));
        assert_eq!(
            host_s(w, "backup"),
            "0 0 600 1:5",
            "the host's own is nobody else's"
        );
        // A disk that comes has its node before QEMU opens it, and takes it along when it goes; also after a new daemon.
        let other = w.file("other.xml", &disk("/dev/other", "sdb"));
        let other = other.display().to_string();
        for restart in [false, true] {
            w.virsh_args(&["attach-device", "g", &other]).ok();
            assert_eq!(node(w, "g", "other"), "1234 1235 660 1:5");
            if restart {
                w.daemon_kill();
                w.daemon_start();
            }
            w.virsh("detach-disk g sdb").ok();
            let names = seen(w, "g");
            assert!(names.iter().all(|name| name != "other"), "{names:?}");
            assert!(names.iter().any(|name| name == "backup"), "{names:?}");
        }
        assert_eq!(host_s(w, "other"), "0 0 660 1:5");
        // The same disk by its other name: its node stays with the one that is left.
        let twin = w.file("twin.xml", &disk("/dev/backup", "sdc"));
        w.virsh_args(&["attach-device", "g", &twin.display().to_string()])
            .ok();
        w.virsh("detach-disk g sdc").ok();
        assert_eq!(node(w, "g", "backup"), "1234 1235 600 1:5");
        // What the host mounts later is there for QEMU, too; what is mounted below /dev is the host's.
        w.sh(
            "mkdir -p /mnt/later && mount -t tmpfs later /mnt/later && touch /mnt/later/file /dev/shm/shared",
        );
        let pid = w.qemu_pid("g").expect("QEMU runs");
        w.sh(&format!(
            "stat /proc/{pid}/root/mnt/later/file /proc/{pid}/root/dev/shm/shared"
        ));
        w.virsh("destroy g").ok();
    });
}

/// A port that only QEMU's own arguments name.
fn by_argument(guest: &Guest) -> String {
    let arguments = "<qemu:commandline><qemu:arg value='-chardev'/><qemu:arg value='serial,id=own,path=/dev/other'/>\
                     </qemu:commandline>";
    guest
        .xml()
        .replace(
            "<domain ",
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ",
        )
        .replace("</domain>", &format!("{arguments}</domain>"))
}

#[test]
fn a_device_that_nobody_named_is_explained_and_can_be_named() {
    in_world(NEEDS, |w| {
        make_dev(w);
        let conf = "/etc/libvirt/qemu.conf";
        w.daemon_start();
        let path = w
            .file("g.xml", &by_argument(&Guest::new("g")))
            .display()
            .to_string();
        w.virsh_args(&["define", &path]).ok();
        w.virsh("start g").fails_with(&["/dev/other"]);
        let why = w.ferrovirt("why g --json");
        assert!(why.out.contains("\"hidden\""), "{} {}", why.out, why.err);
        assert!(
            w.ferrovirt("why g")
                .out
                .contains("Add \"/dev/other\" to cgroup_device_acl")
        );
        w.daemon_stop();
        let list = "cgroup_device_acl = [ \"/dev/null\", \"/dev/full\", \"/dev/zero\", \"/dev/random\", \"/dev/urandom\", \"/dev/ptmx\", \"/dev/other\" ]";
        w.sh(&format!("echo '{list}' >> {conf}"));
        w.daemon_start();
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
    });
}

#[test]
fn who_turns_it_off_has_the_host_s_devices_with_qemu_s_owner_for_a_while() {
    in_world(NEEDS, |w| {
        make_dev(w);
        settings(w, "namespaces = [ ]");
        w.daemon_start();
        let port = "<serial type='dev'><source path='/dev/port'/><target port='1'/></serial>";
        w.define(&Guest::new("g").device(port));
        w.virsh("start g").ok();
        assert!(seen(w, "g").iter().any(|name| name == "other"));
        assert_eq!(host_s(w, "port"), "1234 1235 600 1:3");
        w.virsh("destroy g").ok();
        assert_eq!(host_s(w, "port"), "0 0 600 1:3");
    });
}

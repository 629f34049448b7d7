//! What a container looks like from inside.

use std::fs;

use ferrovirt_lxc::protocol::{Capabilities, Ending, Memory, Policy, Shared, SharedKind};

use crate::support::{Cell, SHIFT, is_able};

#[tokio::test]
async fn init_finds_what_libvirt_gives_it() {
    if !is_able(&[]) {
        return;
    }
    let mut cell = Cell::new("c1");
    cell.orders.init.env = vec![("MINE".to_owned(), "a b".to_owned())];
    let text = cell
        .output("tr '\\0' '\\n' < /proc/1/environ; hostname; echo pid $$; umask; pwd; ls -l /proc/1/fd")
        .await;
    for line in [
        "PATH=/bin:/sbin",
        "TERM=linux",
        "container=lxc-libvirt",
        "HOME=/",
        "container_uuid=33333333-3333-4333-8333-333333333301",
        "LIBVIRT_LXC_UUID=33333333-3333-4333-8333-333333333301",
        "LIBVIRT_LXC_NAME=c1",
        "MINE=a b",
        "c1",
        "pid 1",
        "0022",
        "/",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
    assert!(
        !text.contains("container_ttys"),
        "there is but one console: {text}"
    );
}

#[tokio::test]
async fn mounts_and_devices_are_those_of_libvirts_containers() {
    if !is_able(&[]) {
        return;
    }
    let text = Cell::new("c1")
        .private_network()
        .output("cat /proc/mounts; ls -l /dev; ip addr show lo; cat /proc/1/status; id -G; ls -A /")
        .await;
    for line in [
        "devfs /dev tmpfs rw,nosuid,relatime,size=64k,mode=755 0 0",
        "devpts /dev/pts devpts rw,nosuid,relatime,gid=5,mode=620,ptmxmode=666 0 0",
        "devpts /dev/ptmx devpts rw,nosuid,relatime,gid=5,mode=620,ptmxmode=666 0 0",
        "devpts /dev/tty1 devpts rw,nosuid,relatime,gid=5,mode=620,ptmxmode=666 0 0",
        "devpts /dev/console devpts rw,nosuid,relatime,gid=5,mode=620,ptmxmode=666 0 0",
        "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0",
        "proc /proc/sys proc ro,nosuid,nodev,noexec,relatime 0 0",
        "proc /proc/sys/net/ipv4 proc rw,nosuid,nodev,noexec,relatime 0 0",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime 0 0",
        "CapInh:\t0000000000000000",
        "SigBlk:\t0000000000000000",
        "NoNewPrivs:\t0",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
    for words in [
        "1,   3",
        "1,   5",
        "1,   7",
        "1,   8",
        "1,   9",
        "5,   0",
        "fd -> /proc/self/fd",
        "127.0.0.1/8",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(
        !text.contains("oldroot"),
        "nothing of ours stays in the root: {text}"
    );
}

#[tokio::test]
async fn root_inside_is_nobody_outside() {
    if !is_able(&[]) {
        return;
    }
    let cell = Cell::new("c1").own_users().private_network();
    let mut container = cell
        .script("id -u > /new; cat /proc/self/uid_map /proc/self/gid_map >> /new; ls -ln /dev/null /dev/console >> /new; cat /proc/mounts >> /new; echo there >> /dev/console; read stop")
        .start()
        .await
        .unwrap();
    container.hears("there").await;
    let text = container.file("new").await;
    assert!(
        text.starts_with("0\n         0     100000      65536\n         0     100000      65536\n"),
        "{text}"
    );
    assert!(text.contains("gid=100005,mode=620"), "{text}");
    assert!(
        text.contains("crw-rw-rw-    1 0        0           1,   3"),
        "{text}"
    );
    let stat = fs::metadata(container.cell.root().join("new")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((stat.uid(), stat.gid()), (SHIFT, SHIFT));
    let status = fs::read_to_string(format!("/proc/{}/status", container.init)).unwrap();
    assert!(
        status.contains("Uid:\t100000\t100000\t100000\t100000"),
        "{status}"
    );
    container.typed("\n");
    assert_eq!(container.ended().await, Ending::Exited(0));
}

#[tokio::test]
async fn in_a_users_namespace_the_hosts_network_can_stay() {
    if !is_able(&[]) {
        return;
    }
    let text = Cell::new("c1")
        .own_users()
        .output("ls /sys/class/net; grep ' /sys ' /proc/mounts")
        .await;
    assert!(
        text.contains("lo\n") && text.contains(" /sys sysfs ro,"),
        "{text}"
    );
}

#[tokio::test]
async fn capabilities_follow_the_policy() {
    if !is_able(&[]) {
        return;
    }
    let sets = |policy, on: &[&str], off: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut cell = Cell::new("c1");
        cell.orders.capabilities = Capabilities {
            policy,
            on: owned(on),
            off: owned(off),
        };
        cell.output("grep Cap /proc/self/status")
    };
    let host = fs::read_to_string("/proc/self/status").unwrap();
    let bound = |text: &str, kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let all = bound(&host, "CapBnd:");
    for (policy, on, off, want) in [
        (Policy::Default, &[][..], &[][..], all & !0x2_4a01_0000),
        (
            Policy::Default,
            &["mknod"],
            &["kill"],
            all & !(0x2_4a01_0000 & !(1 << 27) | 1 << 5),
        ),
        (Policy::Allow, &[], &[], all),
        (Policy::Allow, &[], &["sys_admin"], all & !(1 << 21)),
        (Policy::Deny, &["chown", "dac_override"], &[], 3),
    ] {
        let text = sets(policy, on, off).await;
        for kind in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(bound(&text, kind), want, "{kind} {policy:?} {on:?} {off:?}");
        }
    }
}

#[tokio::test]
async fn init_can_be_another_user() {
    if !is_able(&[]) {
        return;
    }
    let mut cell = Cell::new("c1");
    let etc = cell.root().join("etc");
    fs::write(
        etc.join("passwd"),
        "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n",
    )
    .unwrap();
    fs::write(etc.join("group"), "extra:x:77:web\nmore:x:88:\n").unwrap();
    cell.orders.init.user = Some("web".to_owned());
    cell.orders.init.group = Some("more".to_owned());
    cell.orders.init.dir = Some("/tmp".to_owned());
    cell.orders.no_new_privileges = true;
    let script = "(id -u; id -g; id -G; pwd; grep -E 'CapEff|NoNewPrivs' /proc/self/status; echo done) > /dev/console; read stop";
    let container = cell.script(script).start().await.unwrap();
    let text = container.hears("done").await;
    for line in [
        "33",
        "88",
        "88 77",
        "/tmp",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text:?}");
    }
}

#[tokio::test]
async fn a_network_of_another_can_be_shared() {
    if !is_able(&[]) {
        return;
    }
    let first = Cell::new("c1").private_network().start().await.unwrap();
    let link = |kind: &str| fs::read_link(format!("/proc/{}/ns/{kind}", first.init)).unwrap();
    let mut cell = Cell::new("c2");
    cell.orders.namespaces.shared = vec![
        Shared {
            kind: SharedKind::Net,
            path: format!("/proc/{}/ns/net", first.init).into(),
        },
        Shared {
            kind: SharedKind::Uts,
            path: format!("/proc/{}/ns/uts", first.init).into(),
        },
        Shared {
            kind: SharedKind::Ipc,
            path: format!("/proc/{}/ns/ipc", first.init).into(),
        },
    ];
    let text = cell.output("ls -l /proc/1/ns; hostname").await;
    for kind in ["net", "uts", "ipc"] {
        assert!(text.contains(link(kind).to_str().unwrap()), "{kind}: {text}");
    }
    assert!(
        !text.contains(link("pid").to_str().unwrap()) && text.ends_with("c1\n"),
        "{text}"
    );
}

#[tokio::test]
async fn meminfo_shows_the_limits() {
    if !is_able(&[]) {
        return;
    }
    for own_users in [false, true] {
        let mut cell = Cell::new("c1");
        let group = cell.directory.path().join("group");
        fs::create_dir(&group).unwrap();
        fs::write(group.join("memory.usage_in_bytes"), "1048576\n").unwrap();
        cell.orders.memory = Some(Memory {
            group,
            total_kib: 65_536,
            swap_kib: 32,
        });
        let cell = if own_users { cell.own_users() } else { cell };
        let text = cell
            .output("cat /proc/meminfo; echo \"pieces: $(dd if=/proc/meminfo bs=7 2>/dev/null | head -n 1)\"; echo x > /proc/meminfo")
            .await;
        for line in [
            "MemTotal:          65536 kB",
            "MemFree:           64512 kB",
            "SwapTotal:            32 kB",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
        // In small pieces, it is the same file; and nobody can write to it.
        assert!(text.contains("pieces: MemTotal:          65536 kB"), "{text}");
        assert!(text.contains("can't create /proc/meminfo"), "{text}");
        assert!(
            text.lines().any(|line| line.starts_with("HugePages_Total:")),
            "{text}"
        );
    }
}

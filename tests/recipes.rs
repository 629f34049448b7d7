//! The recipes of `docs/hooks/recipes`, run as they stand there: each test installs the files that the manual names
//! where the manual says, and looks for the effect that it promises.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_tests::network::HOST_ADDRESS;
use ferrovirt_tests::world::write;
use ferrovirt_tests::{Guest, Net, Tool, World, in_world};

const GUESTS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const NETWORKS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Dnsmasq, Tool::Nft];
const DISKS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::QemuImg];
const FORWARDING: &[Tool] = &[
    Tool::Virsh,
    Tool::Qemu,
    Tool::Dnsmasq,
    Tool::Nft,
    Tool::Iptables,
    Tool::Linux,
];
const MAC: &str = "52:54:00:00:00:a1";
const OTHER_MAC: &str = "52:54:00:00:00:a2";
const UUID: &str = "6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b";
const HOOKS: &str = "/etc/libvirt/hooks";
const RULES: &str = "/etc/ferrovirt/hooks.d";

/// Where the recipes lie.
fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hooks/recipes")
}

/// Installs a file of a recipe: rules as text, everything else as a program.
pub(crate) fn install(recipe: &str, directory: &str, name: &str) {
    let file = recipes().join(recipe);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mode = if recipe.ends_with(".toml") { 0o644 } else { 0o755 };
    write(&Path::new(directory).join(name), &text, mode);
}

/// The world's own script, where a recipe is a rule about a script of the reader's.
fn script(name: &str, text: &str) {
    write(&Path::new(HOOKS).join(name), text, 0o755);
}

fn forwards(w: &World, recipe: &str, is_there: impl Fn(&World) -> bool) {
    w.make_outside();
    install(recipe, HOOKS, "qemu.d/50-port-forward");
    install("one-iptables-at-a-time.toml", RULES, "50-port-forward.toml");
    w.daemon_start();
    w.net_up(&Net::new("n", 152).host(MAC, "192.168.152.50"));
    w.define(&Guest::new("web1").linux("").on_network("n", MAC));
    w.define(&Guest::new("other"));
    w.virsh("start other").ok();
    assert!(!is_there(w), "another guest's start is no concern of it");
    w.virsh("start web1").ok();
    assert!(is_there(w));
    w.wait_reachable(8080, "hello from web1");
    // a new daemon calls `reconnect`: the same again, once
    w.daemon_kill();
    w.daemon_start();
    w.wait_reachable(8080, "hello from web1");
    w.virsh("destroy web1").ok();
    assert!(!is_there(w), "{}", w.sh("nft -s list ruleset"));
    assert!(w.fetch_from_outside(HOST_ADDRESS, 8080).is_none());
    let log = w.daemon_log();
    assert!(!log.contains("Hook script execution failed"), "{log}");
}

#[test]
fn port_forwarding_with_iptables() {
    in_world(FORWARDING, |w| {
        forwards(w, "port-forward-iptables", |w| {
            w.sh("iptables-save").contains("192.168.152.50:80")
        });
    });
}

#[test]
fn port_forwarding_with_nft() {
    in_world(FORWARDING, |w| {
        forwards(w, "port-forward-nft", |w| {
            w.sh("nft list tables").contains("forward_web1")
        });
    });
}

#[test]
fn scripts_of_one_lock_run_one_at_a_time() {
    in_world(GUESTS, |w| {
        install("one-iptables-at-a-time.toml", RULES, "50-port-forward.toml");
        script(
            "qemu.d/60-port-forward-all",
            "#!/bin/sh\n[ $2 = prepare ] || exit 0\nmkdir /run/world/inside || echo together >> /run/world/seen\n\
             sleep 1\nrmdir /run/world/inside\necho alone >> /run/world/seen\n",
        );
        w.daemon_start();
        for name in ["a", "b", "c"] {
            w.define(&Guest::new(name));
        }
        let starts: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|name| w.virsh_background(&format!("start {name}")))
            .collect();
        for start in starts {
            start.join().ok();
        }
        assert_eq!(w.read("seen"), "alone\n".repeat(3));
    });
}

#[test]
fn names_of_guests_for_dnsmasq() {
    in_world(NETWORKS, |w| {
        install("guest-names", HOOKS, "network.d/50-guest-names");
        w.daemon_start();
        w.net_up(
            &Net::new("n", 153)
                .host(MAC, "192.168.153.50")
                .host(OTHER_MAC, "192.168.153.51"),
        );
        for (name, mac) in [("web1", MAC), ("web2", OTHER_MAC), ("guest", "52:54:00:00:00:a3")] {
            w.define(&Guest::new(name).on_network("n", mac));
        }
        let starts = ["web1", "web2", "guest"].map(|name| w.virsh_background(&format!("start {name}")));
        for start in starts {
            start.join().ok();
        }
        let file = |mac: &str| w.read(format!("/run/guest-names/n.{mac}"));
        assert_eq!(file(MAC), "192.168.153.50 web1.guests.example web1\n");
        assert_eq!(file(OTHER_MAC), "192.168.153.51 web2.guests.example web2\n");
        assert_eq!(
            w.sh("ls -A /run/guest-names | wc -l").trim(),
            "2",
            "no address, no name"
        );
        w.sh("dnsmasq --pid-file=names.pid --conf-file=/dev/null --port=5399 --listen-address=127.0.0.1 --bind-interfaces \
              --no-resolv --no-hosts --hostsdir=/run/guest-names");
        w.wait_for("web1's address", Duration::from_secs(10), || {
            asked("web1.guests.example").ends_with(&[192, 168, 153, 50])
        });
        w.virsh("destroy web1").ok();
        assert_eq!(file(MAC), "");
        assert_ne!(file(OTHER_MAC), "");
    });
}

/// The answer of the DNS server on port 5399 to a question for an address; nothing if it does not answer.
fn asked(name: &str) -> Vec<u8> {
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let mut answer = vec![0; 512];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.connect("127.0.0.1:5399").unwrap();
    let received = socket.send(&question).and_then(|_| socket.recv(&mut answer));
    answer.truncate(received.unwrap_or(0));
    answer
}

#[test]
fn disks_are_made_and_disposable_ones_go() {
    in_world(DISKS, |w| {
        install("disks", HOOKS, "qemu.d/20-disks");
        w.daemon_start();
        let (kept, lost) = (
            "/var/lib/libvirt/images/made/g.qcow2",
            "/var/lib/libvirt/images/disposable/g.qcow2",
        );
        let disk = |file: &str, target: &str| {
            format!(
                "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{file}'/>\
                 <target dev='{target}' bus='virtio'/></disk>"
            )
        };
        w.define(
            &Guest::new("g")
                .device(&disk(kept, "vda"))
                .device(&disk(lost, "vdb")),
        );
        let inode = || w.sh(&format!("stat -c %i {kept}"));
        w.virsh("start g").ok();
        let first = inode();
        assert!(Path::new(lost).exists());
        let info = w.sh(&format!("qemu-img info -U {lost}"));
        assert!(info.contains("qcow2") && info.contains("10 GiB"), "{info}");
        w.virsh("destroy g").ok();
        assert!(!Path::new(lost).exists());
        w.virsh("start g").ok();
        assert_eq!(inode(), first, "a disk that is there is left alone");
        assert!(Path::new(lost).exists());
    });
}

#[test]
fn a_guests_cpus_are_pinned() {
    in_world(GUESTS, |w| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(processors > 1, "this recipe needs a second processor");
        install("pin-cpus", HOOKS, "qemu.d/60-pin-cpus");
        install("pin-cpus.toml", RULES, "60-pin-cpus.toml");
        w.daemon_start();
        w.define(&Guest::new("fast-1"));
        w.define(&Guest::new("slow"));
        w.virsh("start fast-1").ok();
        w.virsh("start slow").ok();
        let threads = |guest: &str| -> Vec<(String, String)> {
            let pid = w.qemu_pid(guest).unwrap();
            let text = w.sh(&format!(
                "for t in /proc/{pid}/task/*; do echo \"$(cat $t/comm):$(grep Cpus_allowed_list $t/status)\"; done"
            ));
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, cpus)| {
                    (
                        name.to_owned(),
                        cpus.rsplit('\t').next().unwrap_or_default().to_owned(),
                    )
                })
                .collect()
        };
        let fast = threads("fast-1");
        assert!(fast.iter().any(|(name, _)| name.starts_with("CPU ")), "{fast:?}");
        for (name, cpus) in &fast {
            let wanted = if name.starts_with("CPU ") { "1" } else { "0" };
            assert_eq!(cpus, wanted, "{name} in {fast:?}");
        }
        let slow = threads("slow");
        assert!(
            slow.iter().all(|(_, cpus)| cpus != "0" && cpus != "1"),
            "{slow:?}"
        );
    });
}

#[test]
fn a_guest_is_put_into_its_vlan() {
    in_world(NETWORKS, |w| {
        install("vlan", HOOKS, "qemu.d/30-vlan");
        w.daemon_start();
        w.net_up(&Net::new("n", 154));
        let metadata = "<metadata><vlan:tag xmlns:vlan='https://example.org/vlan' id='10'/></metadata>";
        w.define(&Guest::new("tagged").events(metadata).on_network("n", MAC));
        w.define(&Guest::new("plain").on_network("n", OTHER_MAC));
        w.virsh("start plain").ok();
        if !w.succeeds("ip link add probe type bridge vlan_filtering 1") {
            println!("\nnote: this kernel's bridges know no VLANs; only the refusal is tested");
            w.virsh("start tagged")
                .fails_with(&["30-vlan tagged start begin -"]);
            assert!(w.qemu_pid("tagged").is_none(), "no guest outside its VLAN");
            return;
        }
        w.virsh("start tagged").ok();
        let vlans = |tap: &str| w.sh(&format!("bridge vlan show dev {tap}"));
        let tagged = vlans("vnet1");
        assert!(
            tagged.contains("10 PVID Egress Untagged") && !tagged.contains(" 1 "),
            "{tagged}"
        );
        let plain = vlans("vnet0");
        assert!(
            plain.contains("1 PVID Egress Untagged") && !plain.contains("10 "),
            "{plain}"
        );
        let filtering = w.read("/sys/class/net/virbr154/bridge/vlan_filtering");
        assert_eq!(filtering.trim(), "1");
    });
}

#[test]
fn guests_of_one_network_are_kept_apart() {
    in_world(NETWORKS, |w| {
        install("isolate", HOOKS, "qemu.d/30-isolate");
        install("isolate.toml", RULES, "30-isolate.toml");
        w.daemon_start();
        for (name, network, number, mac) in [("a", "tenants", 155, MAC), ("b", "others", 156, OTHER_MAC)] {
            w.net_up(&Net::new(network, number));
            w.define(&Guest::new(name).on_network(network, mac));
            w.virsh(&format!("start {name}")).ok();
        }
        let flags = |tap: &str| w.sh(&format!("bridge -d link show dev {tap}"));
        assert!(flags("vnet0").contains("isolated on"), "{}", flags("vnet0"));
        assert!(flags("vnet1").contains("isolated off"), "{}", flags("vnet1"));
    });
}

#[test]
fn notifications_are_json_and_nobody_waits() {
    in_world(GUESTS, |w| {
        install("notify", "/etc/ferrovirt/bin", "notify");
        install("notify.toml", RULES, "90-notify.toml");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        // who is waited for would be ended at its limit: nobody reads before the guest has ended
        w.sh("mkfifo /run/guest-events.jsonl");
        w.virsh("destroy g").ok();
        let events = w.sh("exec 3<> /run/guest-events.jsonl; timeout 30 head -n 2 <&3");
        for operation in ["stopped", "release"] {
            let line = events
                .lines()
                .find(|line| line.contains(&format!("\"operation\":\"{operation}\"")));
            let line = line.unwrap_or_else(|| panic!("no {operation} in {events}"));
            assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
            assert!(line.contains("\"object\":\"g\""), "{line}");
        }
        assert!(events.contains("\"extra\":\"destroyed\""), "{events}");
    });
}

#[test]
fn a_flaky_hook_keeps_no_guest_from_running() {
    in_world(GUESTS, |w| {
        install("flaky.toml", RULES, "80-monitoring.toml");
        script(
            "qemu.d/80-monitoring",
            "#!/bin/sh\necho nobody answers >&2\nexit 1\n",
        );
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        assert_eq!(w.virsh("domstate g").ok().trim(), "running");
        let log = w.daemon_log();
        assert!(
            log.contains("warning") && log.contains("unexpected exit status 1: nobody answers"),
            "{log}"
        );
    });
}

#[test]
fn storage_that_hangs_is_a_start_that_fails() {
    in_world(GUESTS, |w| {
        install("storage-timeout.toml", RULES, "20-storage.toml");
        script(
            "qemu.d/20-storage",
            "#!/bin/sh\n[ $2 != prepare ] || { sleep 310 & wait; }\n",
        );
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").fails_with(&[
            "error: Failed to start domain 'g'",
            "/etc/libvirt/hooks/qemu.d/20-storage",
            "took longer than its limit of 3s and was ended",
        ]);
        assert!(
            !w.processes().iter().any(|(_, line)| line.contains("sleep 310")),
            "the tree goes with the script"
        );
        w.assert_calls(&[
            "qemu g prepare begin -",
            "qemu g stopped end -",
            "qemu g release end failed",
        ]);
    });
}

#[test]
fn a_guest_has_a_directory_of_its_own() {
    in_world(GUESTS, |w| {
        for operation in ["prepare", "release"] {
            let recipe = format!("guests/build-1/{operation}/10-scratch");
            install(
                &recipe,
                "/etc/ferrovirt",
                &format!("guests/build-1/{operation}/10-scratch"),
            );
            install(
                &recipe,
                "/etc/ferrovirt",
                &format!("guests/{UUID}/{operation}/10-scratch"),
            );
        }
        w.daemon_start();
        w.define(&Guest::new("build-1"));
        w.define(&Guest::new("by-uuid").uuid(UUID));
        w.define(&Guest::new("other"));
        for name in ["build-1", "by-uuid", "other"] {
            w.virsh(&format!("start {name}")).ok();
        }
        assert_eq!(w.sh("ls /run/scratch"), "build-1\nby-uuid\n");
        w.virsh("destroy build-1").ok();
        w.virsh("destroy by-uuid").ok();
        assert_eq!(w.sh("ls /run/scratch"), "");
    });
}

/// A dispatcher of the well-known kind: it runs what lies below `qemu.d/GUEST/OPERATION/SUB-OPERATION`.
const DISPATCHER: &str = "#!/bin/bash\ndirectory=\"$(dirname \"$0\")/qemu.d/$1/$2/$3\"\n\
    [ -d \"$directory\" ] || exit 0\nxml=$(cat)\nfor f in \"$directory\"/*; do \"$f\" \"$@\" <<< \"$xml\" || exit; done\n";

#[test]
fn moving_the_tree_is_read_with_its_setting_and_never_run_twice() {
    in_world(GUESTS, |w| {
        let leaf = "#!/bin/sh\nread -r first\necho \"$* ${first%% *}\" >> /run/world/seen\n";
        script("qemu.d/g/prepare/begin/10-a", leaf);
        script("qemu.d/g/release/end/10-a", leaf);
        let once = "g prepare begin - <domain\ng release end destroyed <domain\n";
        for (dispatcher, setting, seen) in [
            (true, false, once),
            (true, true, once),
            (false, true, once),
            (false, false, ""),
        ] {
            let settings = format!("[hooks]\nguest_tree = {setting}\n");
            write(Path::new("/etc/ferrovirt/ferrovirtd.toml"), &settings, 0o644);
            if dispatcher {
                script("qemu", DISPATCHER);
            } else {
                w.sh("rm -f /etc/libvirt/hooks/qemu");
            }
            w.sh("rm -f seen");
            w.daemon_start();
            w.define(&Guest::new("g").uuid(UUID));
            w.virsh("start g").ok();
            w.virsh("destroy g").ok();
            assert_eq!(w.daemon_stop(), 0);
            assert_eq!(w.read("seen"), seen, "dispatcher {dispatcher}, setting {setting}");
        }
    });
}

#[test]
fn moving_a_tree_to_directories_of_guests() {
    in_world(GUESTS, |w| {
        let leaf = "#!/bin/sh\necho \"$2 ${0##*/}\" >> /run/world/seen\n";
        script("qemu.d/g h/prepare/begin/10-a", leaf);
        script("qemu.d/g h/release/end", leaf);
        install("move-tree", "/run/world", "move-tree");
        let moved = w.sh("./move-tree");
        assert_eq!(moved.lines().count(), 2, "{moved}");
        assert!(!w.succeeds("./move-tree"), "nothing is written over");
        w.sh("rm -r /etc/libvirt/hooks/qemu.d");
        w.daemon_start();
        let path = w.file("g.xml", &Guest::new("g").xml().replace("<name>g<", "<name>g h<"));
        w.virsh_args(&["define", &path.display().to_string()]).ok();
        w.virsh_args(&["start", "g h"]).ok();
        w.virsh_args(&["destroy", "g h"]).ok();
        assert_eq!(w.read("seen"), "prepare 10-a\nrelease end\n");
    });
}

#[test]
fn every_recipe_says_where_it_goes_and_is_run_here() {
    let source = [include_str!("recipes.rs"), include_str!("recipes_gpu.rs")].concat();
    for entry in std::fs::read_dir(recipes()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") || entry.path().is_dir() {
            continue;
        }
        assert!(source.contains(&format!("\"{name}\"")), "no test runs {name}");
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(text.contains("/etc/"), "{name} does not say where it goes");
        let pages = std::fs::read_dir(recipes()).unwrap().flatten();
        let named = pages
            .filter(|page| page.path().extension().is_some_and(|end| end == "md"))
            .any(|page| {
                std::fs::read_to_string(page.path()).is_ok_and(|text| text.contains(&format!("({name})")))
            });
        assert!(named, "no page shows {name}");
    }
}

#[test]
fn the_comparison_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("docs/comparison.md")).unwrap();
    let names: Vec<(&str, &str)> = text
        .split('`')
        .filter_map(|part| part.split_once(".rs::"))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let table = readme
        .split("## Beside others")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    assert!(rows.len() > 20, "{rows:?}");
    // The cell of ferrovirt is a link to a file, with the test's name as its title.
    let linked = rows.iter().map(|row| {
        let cell = row.split(" | ").nth(1).unwrap_or_default();
        let link = cell.rsplit("](").next().unwrap_or_default();
        link.trim_end_matches("\")")
            .split_once(".rs \"")
            .unwrap_or_else(|| panic!("no link to a test: {row}"))
    });
    for (file, test) in names.into_iter().chain(linked) {
        let source = std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
        assert!(
            source.contains(&format!("fn {test}(")),
            "{file}.rs has no test {test}"
        );
    }
}

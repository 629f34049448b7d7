//! Containers that cannot be, those that do their worst, and those that hooks and rules look after.

use std::time::Duration;

use ferrovirt_tests::{Container, Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Busybox, Tool::Cgroups];
const NETWORKS: &[Tool] = &[
    Tool::Virsh,
    Tool::Busybox,
    Tool::Cgroups,
    Tool::Dnsmasq,
    Tool::Nft,
];
const MAC: &str = "52:54:00:00:00:92";

#[track_caller]
fn nothing_is_left(w: &World) {
    assert_eq!(w.left_of_containers(), Vec::<String>::new());
}

/// It can be defined, but not be started, for a reason that is told; then nothing of it is left.
#[track_caller]
fn does_not_start(w: &World, container: &Container, words: &[&str]) {
    w.define_container(container);
    w.forget_calls();
    w.lxc("start c1").fails_with(words);
    w.assert_calls(&[
        "lxc c1 prepare begin -",
        "network n port-created begin -",
        "lxc c1 start begin -",
        "lxc c1 stopped end -",
        "network n port-deleted begin -",
        "lxc c1 release end failed",
    ]);
    assert_eq!(w.lxc("domstate c1 --reason").ok().trim(), "shut off (failed)");
    nothing_is_left(w);
}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing() {
    in_world(NETWORKS, |w| {
        w.record(&["lxc", "network"]);
        w.daemon_start();
        w.net_up(&Net::new("n", 172));
        let c1 = || Container::new("c1").on_network("n", MAC);
        w.container(&c1());
        w.sh("touch c1.root/etc/text");
        does_not_start(w, &c1().init("/no/such"), &["/no/such"]);
        does_not_start(
            w,
            &c1().init("/etc/text"),
            &["cannot execute /etc/text in the container: Permission denied"],
        );
        does_not_start(
            w,
            &c1().device(
                "<filesystem type='mount'><source dir='/no/data'/><target dir='/data'/></filesystem>",
            ),
            &["cannot open /no/data: No such file or directory"],
        );
        does_not_start(
            w,
            &c1()
                .element("<blkiotune><device><path>/no/such</path><weight>500</weight></device></blkiotune>"),
            &["/no/such"],
        );
        w.sh("mv c1.root elsewhere; ln -s nowhere c1.root");
        w.file("c1.xml", &c1().xml());
        w.lxc("define /run/world/c1.xml").ok();
        w.forget_calls();
        w.lxc("start c1")
            .fails_with(&["/run/world/c1.root", "No such file or directory"]);
        assert_eq!(w.calls().last().unwrap(), "lxc c1 release end failed");
        nothing_is_left(w);
        // And it starts when all is well again.
        w.sh("rm c1.root; mv elsewhere c1.root");
        w.define_container(&c1());
        w.start_container("c1");
        assert_eq!(w.links_of_containers().len(), 1);
        w.lxc("destroy c1").ok();
        nothing_is_left(w);
    });
}

#[test]
fn what_cannot_be_is_refused_where_it_is_defined() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        for (container, words) in [
            (
                Container::new("c1").element("<idmap><uid start='0' target='1000' count='10'/><uid start='5' target='5000' count='10'/><gid start='0' target='1000' count='10'/></idmap>"),
                "overlap",
            ),
            (Container::new("c1").element("<idmap><uid start='1' target='1000' count='10'/><gid start='0' target='1000' count='10'/></idmap>"), "map the root user"),
            (Container::new("c1").element("<features><capabilities policy='default'><fly state='on'/></capabilities></features>"), "fly"),
            (Container::new("c1").device("<disk type='file'><source file='/x'/><target dev='vda'/></disk>"), "disk"),
            (Container::new("c1").device("<filesystem type='mount'><source dir='relative'/><target dir='/data'/></filesystem>"), "relative"),
            (Container::new("c1").element("<nonsense/>"), "nonsense"),
        ] {
            let path = w.container(&container);
            let refused = w.lxc_args(&["define", &path.display().to_string()]);
            println!("note: {}", refused.fails_with(&[words]).trim());
        }
        assert_eq!(w.lxc("list --all --name").ok().trim(), "");
    });
}

const SHARES: &str = "<lxc:namespace xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'><lxc:sharenet type='name' value='c2'/></lxc:namespace>";

#[test]
fn a_network_can_be_shared_only_with_one_that_runs() {
    in_world(NEEDS, |w| {
        w.record(&["lxc"]);
        w.daemon_start();
        w.define_container(&Container::new("c2").element("<features><privnet/></features>"));
        w.define_container(&Container::new("c1").element(SHARES));
        w.lxc("start c1").fails_with(&["'c2'", "does not run"]);
        assert_eq!(w.calls().last().unwrap(), "lxc c1 release end failed");
        nothing_is_left(w);
        w.start_container("c2");
        w.start_container("c1");
        let net = |name: &str| w.sh(&format!("readlink /proc/{}/ns/net", w.init_pid(name).unwrap()));
        assert_eq!(net("c1"), net("c2"));
        w.lxc("destroy c1").ok();
        assert_eq!(w.lxc("domstate c2").ok().trim(), "running");
        w.lxc("destroy c2").ok();
        nothing_is_left(w);
    });
}

#[test]
fn who_forks_without_bound_is_ended_by_destroy() {
    in_world(NEEDS, |w| {
        w.record(&["lxc"]);
        w.daemon_start();
        for own_users in [false, true] {
            let script = "trap '' TERM HUP INT; ulimit -u 300 2>/dev/null; f() { sleep 0.3; f & f & }; echo ready > /ready; \
                          f; f; while :; do sleep 1; done";
            let container = Container::new("c1").script(script);
            w.define_container(&if own_users {
                container.own_users()
            } else {
                container
            });
            w.start_container("c1");
            w.wait_for("many processes", Duration::from_secs(60), || {
                let procs = w.group_of("c1", "libvirt/cgroup.procs").unwrap_or_default();
                procs.lines().count() > 40
            });
            w.lxc("destroy c1").ok();
            nothing_is_left(w);
        }
    });
}

/// From the lines of a script that has just started, until it is destroyed.
#[test]
fn r95_a_destroy_gets_through_whatever_hook_runs() {
    in_world(NEEDS, |w| {
        w.record(&["lxc"]);
        w.daemon_start();
        w.define_container(&Container::new("c1"));
        for operation in ["prepare", "start", "started"] {
            w.forget_calls();
            w.rule(&format!("[ $2 != {operation} ] || {{ sleep 300 & wait; }}"));
            let start = w.lxc_background("start c1");
            w.wait_called(&format!("lxc c1 {operation} begin -"));
            w.lxc("destroy c1").within(Duration::from_secs(20)).ok();
            start.join().fails_with(&["hook", "destroy"]);
            assert_eq!(
                w.calls().last().unwrap(),
                "lxc c1 release end destroyed",
                "{operation}"
            );
            nothing_is_left(w);
        }
    });
}

/// For `c2`, what its hook says counts for nothing; a rule hears of what has no hook.
const RULES: &str = "[[rule]]
on_failure = 'warn'
when = { driver = 'lxc', operation = 'start', guest = 'c2' }
[[rule]]
run = '/run/world/tell'
when = { driver = 'lxc', operation = ['suspended', 'resumed'] }
";

#[test]
fn r93_rules_history_why_and_the_page_know_containers() {
    in_world(NEEDS, |w| {
        ferrovirt_tests::world::write(
            std::path::Path::new("/etc/ferrovirt/ferrovirtd.toml"),
            "[page]\nlisten = 'unix:/run/libvirt/page.sock'\n",
            0o644,
        );
        w.record(&["lxc"]);
        w.rule("[ \"$2\" != start ] || { echo no-way >&2; exit 3; }");
        w.script("tell", "#!/bin/sh\necho \"$*\" >> /run/world/told\n");
        w.rules(RULES);
        w.daemon_start();
        for name in ["c1", "c2"] {
            w.define_container(&Container::new(name));
        }
        w.lxc("start c1").fails_with(&["no-way"]);
        w.forget_calls();
        w.start_container("c2");
        w.assert_calls(&[
            "lxc c2 prepare begin -",
            "lxc c2 start begin -",
            "lxc c2 started begin -",
        ]);
        w.lxc("suspend c2").ok();
        w.lxc("resume c2").ok();
        w.wait_text("told", "c2 resumed", 30);
        assert!(w.read("told").contains("c2 suspended"));
        let why = w.ferrovirt("why c1");
        for words in ["c1", "start", "/etc/libvirt/hooks/lxc", "no-way"] {
            assert!(
                format!("{}{}", why.out, why.err).contains(words),
                "{words} in {}{}",
                why.out,
                why.err
            );
        }
        let history = w.ferrovirt("history");
        for words in ["c1 start begin -", "c1 release end failed", "c2 started begin -"] {
            assert!(history.ok().contains(words), "{words} in {}", history.out);
        }
        let list = w.ferrovirt("list --driver lxc --guest c1");
        assert!(list.ok().contains("/etc/libvirt/hooks/lxc"), "{}", list.out);
        let stream = std::os::unix::net::UnixStream::connect("/run/libvirt/page.sock").unwrap();
        let page = crate::page::talk(stream, "GET", "/", "any");
        for words in ["c1", "c2", "lxc"] {
            assert!(page.contains(words), "{words} in {page}");
        }
        w.lxc("destroy c2").ok();
        nothing_is_left(w);
    });
}

//! Directories of single guests: found without a reload, by name and by uuid, whatever becomes of the name.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const UUID: &str = "11111111-2222-4333-8444-555555555555";
const OWN: &str = "#!/bin/sh\necho \"${0#/etc/ferrovirt/guests/} $*\" >> /run/world/own\n";

/// A script in the directory of a guest.
fn own(w: &World, path: &str) {
    w.hook(&format!("../../ferrovirt/guests/{path}"), OWN);
}

/// What the scripts of the directories were called for since the last look.
fn called(w: &World) -> Vec<String> {
    let text = w.read("own");
    w.sh("rm -f own");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_first_one_counts_without_a_reload_and_comes_after_the_common_scripts() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.define(&Guest::new("g").uuid(UUID));
        w.define(&Guest::new("h"));
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        // The driver has no hook, and there was no directory of guests at all.
        for path in [
            "g/prepare/20-b".to_owned(),
            "g/prepare/10-a".to_owned(),
            "g/release/10-a".to_owned(),
            "h/prepare/10-a".to_owned(),
            format!("{UUID}/prepare/05-u"),
        ] {
            own(w, &path);
        }
        w.virsh("start g").ok();
        w.virsh("destroy g").ok();
        assert_eq!(
            called(w),
            [
                "g/prepare/10-a g prepare begin -".to_owned(),
                "g/prepare/20-b g prepare begin -".to_owned(),
                format!("{UUID}/prepare/05-u g prepare begin -"),
                "g/release/10-a g release end destroyed".to_owned(),
            ]
        );
        // Common scripts are called before them.
        w.hook("qemu", OWN);
        w.sh(&format!("kill -HUP {}", w.daemon_pid()));
        w.wait_for("the script is found", std::time::Duration::from_secs(20), || {
            w.ferrovirt("list --guest h --operation prepare")
                .out
                .contains("1. /etc/libvirt/hooks/qemu\n")
        });
        w.virsh("start h").ok();
        assert_eq!(
            called(w)[..2],
            [
                "/etc/libvirt/hooks/qemu h prepare begin -",
                "h/prepare/10-a h prepare begin -"
            ]
        );
        // A failure counts as that of any script.
        w.hook("../../ferrovirt/guests/g/prepare/10-a", "#!/bin/sh\nexit 6\n");
        w.virsh("start g").fails_with(&[
            "/etc/ferrovirt/guests/g/prepare/10-a g prepare begin -) unexpected exit status 6",
        ]);
    });
}

#[test]
fn those_by_uuid_follow_the_guest_through_new_names() {
    in_world(NEEDS, |w| {
        own(w, &format!("{UUID}/prepare/10-own"));
        own(w, "one/prepare/10-name");
        w.daemon_start();
        let run = |name: &str| {
            w.virsh(&format!("start {name}")).ok();
            w.virsh(&format!("destroy {name}")).ok();
            called(w)
        };
        let by_uuid = |name: &str| format!("{UUID}/prepare/10-own {name} prepare begin -");
        w.define(&Guest::new("one").uuid(UUID));
        assert_eq!(
            run("one"),
            [
                "one/prepare/10-name one prepare begin -".to_owned(),
                by_uuid("one")
            ]
        );
        w.virsh("domrename one two").ok();
        assert_eq!(run("two"), [by_uuid("two")]);
        // The same definition again, changed.
        w.define(
            &Guest::new("two")
                .uuid(UUID)
                .events("<on_crash>restart</on_crash>"),
        );
        assert_eq!(run("two"), [by_uuid("two")]);
        w.virsh("undefine two").ok();
        w.define(&Guest::new("three").uuid(UUID));
        assert_eq!(run("three"), [by_uuid("three")]);
        // Whoever takes the name over does not get the scripts of the uuid.
        w.define(&Guest::new("one"));
        assert_eq!(run("one"), ["one/prepare/10-name one prepare begin -"]);
    });
}

#[test]
fn new_events_reach_them_too_but_no_common_script() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        own(w, "g/suspended/10-a");
        own(w, "g/defined/10-a");
        w.daemon_start();
        w.define(&Guest::new("g"));
        w.virsh("start g").ok();
        w.virsh("suspend g").ok();
        w.wait_text("own", "g/suspended/10-a g suspended end -", 20);
        assert_eq!(
            called(w),
            [
                "g/defined/10-a g defined end -",
                "g/suspended/10-a g suspended end -"
            ]
        );
        assert_eq!(w.calls().len(), 3, "no script of the driver: {:?}", w.calls());
    });
}

//! A destroy gets through, whatever hook runs (R95).

use std::time::Duration;

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

fn recorded_guest(w: &World) {
    w.record(&["qemu"]);
    w.daemon_start();
    w.define(&Guest::new("g"));
}

#[test]
fn r95_destroy_ends_a_start_in_any_of_its_hooks() {
    in_world(NEEDS, |w| {
        recorded_guest(w);
        for operation in ["prepare", "start", "started"] {
            w.forget_calls();
            w.rule(&format!("[ $2 != {operation} ] || {{ sleep 300 & wait; }}"));
            let start = w.virsh_background("start g");
            w.wait_called(&format!("qemu g {operation} begin -"));
            w.virsh("destroy g").within(Duration::from_secs(10)).ok();
            start
                .join()
                .within(Duration::from_secs(30))
                .fails_with(&["hook", "destroy"]);
            let calls = w.calls();
            assert_eq!(
                calls[calls.len() - 2..],
                ["qemu g stopped end -", "qemu g release end destroyed"],
                "{operation}"
            );
            assert!(w.qemu_pid("g").is_none());
            assert!(
                !w.processes().iter().any(|(_, line)| line.contains("sleep 300")),
                "the script's tree lives"
            );
            assert_eq!(w.virsh("domstate g").ok().trim(), "shut off");
        }
        w.rule("");
        w.virsh("start g").ok();
    });
}

#[test]
fn r95_a_script_that_ignores_sigterm_is_killed() {
    in_world(NEEDS, |w| {
        recorded_guest(w);
        w.rule("[ $2 != prepare ] || { trap '' TERM; while :; do sleep 1; done; }");
        let start = w.virsh_background("start g");
        w.wait_called("qemu g prepare begin -");
        w.virsh("destroy g").within(Duration::from_secs(15)).ok();
        start.join().fails_with(&[]);
        w.wait_called("qemu g release end destroyed");
    });
}

#[test]
fn r95_a_hanging_stopped_does_not_hold_a_second_destroy() {
    in_world(NEEDS, |w| {
        recorded_guest(w);
        w.virsh("start g").ok();
        w.rule("[ $2 != stopped ] || sleep 8");
        let first = w.virsh_background("destroy g");
        w.wait_called("qemu g stopped end -");
        w.virsh("destroy g")
            .within(Duration::from_secs(3))
            .fails_with(&["hook"]);
        w.virsh("list --all").within(Duration::from_secs(2)).ok();
        first.join().ok();
        assert_eq!(
            w.calls().iter().filter(|call| call.contains("stopped")).count(),
            1
        );
    });
}

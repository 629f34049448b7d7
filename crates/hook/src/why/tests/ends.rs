//! How a guest that was up came to its end, and daemons that died.

use super::*;

const START: &str = "virsh start g # start it";

fn told_end(end: Operation, state: &str) -> Story {
    story(&guest(state, vec![operation("start"), later(end, 60)]))
}

#[test]
fn a_guest_that_powered_off_has_done_so_itself() {
    let end = with_reason(operation("end"), "shutdown");
    let end = with_runs(end, vec![run(60_500, "stopped")]);
    let told = told_end(end, "shut off (shutdown)");
    assert_eq!(told.headline, "Guest g ended: it was powered off from inside");
    assert_eq!((told.answer, words(&told)), (Verdict::Ended, ""));
    assert_eq!(
        told.afterwards,
        ["hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms"]
    );
    assert_eq!(told.next, [START]);
}

#[test]
fn a_guest_that_was_asked_to_power_off_names_who_asked() {
    let asked = later(by_virsh(operation("shutdown")), 50);
    let end = later(with_reason(operation("end"), "shutdown"), 60);
    let told = story(&guest(
        "shut off (shutdown)",
        vec![operation("start"), asked, end],
    ));
    assert_eq!(
        told.headline,
        "Guest g ended: it powered off, as /usr/bin/virsh (process 4242, user 0) had asked it to"
    );
}

#[test]
fn a_signal_from_outside_is_no_power_off_but_one_from_the_daemon_is() {
    let end = |log: &str| {
        let mut end = with_reason(operation("end"), "shutdown");
        end.hypervisor_log = Some(log.to_owned());
        told_end(end, "shut off (shutdown)").headline
    };
    assert_eq!(
        end("qemu-system-x86_64: terminating on signal 15 from pid 77 (kill)"),
        "Guest g ended: QEMU was ended by signal 15 (SIGTERM) of process 77 (kill)"
    );
    for daemon in ["from pid 77 (/usr/sbin/ferrovirtd)", "from pid 77"] {
        assert_eq!(
            end(&format!("qemu-system-x86_64: terminating on signal 15 {daemon}")),
            "Guest g ended: it was powered off from inside"
        );
    }
}

#[test]
fn who_destroyed_a_guest_is_named() {
    let destroy = with_reason(by_virsh(operation("destroy")), "destroyed");
    let told = told_end(destroy, "shut off (destroyed)");
    assert_eq!(
        told.headline,
        "Guest g ended: it was destroyed by /usr/bin/virsh (process 4242, user 0)"
    );
    assert_eq!((told.answer, told.next), (Verdict::Ended, vec![START.to_owned()]));
    let nobody = told_end(operation("destroy"), "shut off (destroyed)");
    assert_eq!(
        nobody.headline,
        "Guest g ended: it was destroyed, by whom is not known"
    );
    let mut from_hook = operation("destroy");
    from_hook.row.asked_by.hook = Some(RunId(7));
    assert_eq!(
        told_end(from_hook, "shut off (destroyed)").headline,
        "Guest g ended: it was destroyed from inside hook run 7"
    );
}

#[test]
fn other_reasons_have_their_words() {
    for (reason, words) in [
        ("migrated", "it went to another host"),
        ("saved", "it was saved to an image"),
        ("from snapshot", "it was set back to a snapshot"),
        ("unknown", "why is not known"),
    ] {
        let told = told_end(with_reason(operation("end"), reason), "shut off");
        assert_eq!(told.headline, format!("Guest g ended: {words}"));
        // A second one beside the one that went to another host would ruin its disks.
        assert_eq!(told.next.is_empty(), reason == "migrated");
    }
}

#[test]
fn an_end_while_no_daemon_ran_is_told_so() {
    let reconnect = with_reason(operation("reconnect"), "shutdown");
    let told = told_end(reconnect, "shut off (shutdown)");
    assert_eq!(
        told.headline,
        "Guest g ended while no daemon ran: it was powered off from inside"
    );
}

#[test]
fn r96_a_daemon_that_died_in_a_start_and_what_the_next_one_undid() {
    let mut row = run(12, "prepare");
    (row.how, row.took) = (Some(How::Lost), None);
    let mut start = with_runs(operation("start"), vec![row]);
    (start.row.lost, start.row.ended) = (true, None);
    let undo = with_reason(later(operation("reconnect"), 30), "failed");
    let undo = with_runs(undo, vec![run(30_100, "stopped"), run(30_200, "release")]);
    assert_eq!(wanted(std::slice::from_ref(&start)), [RunId(12)]);
    let told = story(&guest("shut off (failed)", vec![start, undo]));
    assert_eq!(
        told.headline,
        "Guest g did not start: the daemon died while its hook /etc/libvirt/hooks/qemu (prepare) ran"
    );
    assert_eq!((told.answer, words(&told)), (Verdict::Failed, ""));
    assert_eq!(
        told.afterwards,
        [
            "at 2026-03-01 12:00:30 UTC the next daemon found it and took back what was there",
            "hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms",
            "hook /etc/libvirt/hooks/qemu (qemu g release end -) succeeded after 12 ms"
        ]
    );
    assert_eq!(
        told.next,
        [
            "ferrovirt show 12 # all that it printed, and the document that it got",
            "journalctl -u ferrovirtd # why the daemon died",
            START
        ]
    );
}

#[test]
fn r96_a_daemon_that_died_between_hooks_or_in_a_destroy() {
    let mut start = with_step(operation("start"), "launch", 100, None);
    (start.row.lost, start.row.ended) = (true, None);
    let told = story(&guest("shut off (failed)", vec![start]));
    assert_eq!(told.headline, "Guest g did not start: the daemon died");
    assert!(told.afterwards.is_empty());
    assert_eq!(told.first.unwrap().what, "the daemon died after step 'launch'");
    let mut destroy = operation("destroy");
    (destroy.row.lost, destroy.row.ended) = (true, None);
    let told = story(&guest("shut off (destroyed)", vec![operation("start"), destroy]));
    assert_eq!(told.headline, "Guest g was being destroyed when the daemon died");
}

#[test]
fn a_destroy_that_failed_is_a_failure_while_the_guest_runs() {
    let failure = "Failed to terminate process 77 with SIGKILL: Device or resource busy";
    let destroy = failed(operation("destroy"), failure);
    let told = story(&guest("running", vec![operation("start"), later(destroy, 9)]));
    assert_eq!(told.headline, format!("Guest g was not destroyed: {failure}"));
    assert_eq!(told.next, ["virsh destroy g # try again"]);
    assert_eq!(told.answer, Verdict::Failed);
}

#[test]
fn the_state_explains_what_the_history_does_not() {
    let mut facts = guest("shut off (crashed)", Vec::new());
    facts.hypervisor_log = Some("qemu-system-x86_64: Assertion `x' failed.".to_owned());
    let told = story(&facts);
    assert_eq!(told.headline, "Guest g ended: QEMU died: Assertion `x' failed.");
    assert_eq!(words(&told), "qemu-system-x86_64: Assertion `x' failed.");
    assert_eq!(told.first.unwrap().when, None);
    assert_eq!(
        told.remarks,
        ["the history has nothing about it: it may be off, or too young, or has forgotten it"]
    );
    let told = story(&guest("shut off", vec![operation("start")]));
    assert_eq!(
        told.headline,
        "Guest g has run since 2026-03-01 12:00:01 UTC and runs no more; the history has no end of it"
    );
    assert_eq!(told.answer, Verdict::Ended);
}

//! What is so now: hooks that run, guests that run, and nothing to tell.

use super::*;

fn unfinished(kind: &str, runs: Vec<RunRow>) -> Operation {
    let mut operation = with_runs(operation(kind), runs);
    operation.row.ended = None;
    operation
}

fn open(id: u64, operation: &str) -> RunRow {
    let mut row = run(id, operation);
    (row.how, row.took) = (None, None);
    row
}

#[test]
fn r92_a_start_that_waits_for_a_hook() {
    let mut facts = guest("running", vec![unfinished("start", vec![open(3, "started")])]);
    facts.running = vec![RunningNow {
        late: true,
        limit_left: Some(17.7),
        ..hook_now(3, "started")
    }];
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g is being started and waits for its hook /etc/libvirt/hooks/qemu (started), which has run for 42 s"
    );
    assert_eq!(told.answer, Verdict::WaitsForHook);
    let first = told.first.clone().unwrap();
    assert_eq!(
        first.what,
        "hook /etc/libvirt/hooks/qemu (qemu g started begin -) still runs"
    );
    assert_eq!((first.when, first.run), (Some(at(3)), Some(RunId(3))));
    assert_eq!(
        told.next,
        [
            "ferrovirt ps --tree # what it is doing",
            "ferrovirt cancel 3 # end it and its tree; what waits then fails",
            "virsh destroy g # give the whole start up"
        ]
    );
    assert_eq!(
        told.remarks,
        [
            "the hook takes longer than it should: its soft limit has passed",
            "the hook is ended in 17 s if it is not over by then"
        ]
    );
}

#[test]
fn a_start_that_waits_for_a_lock_also_without_a_history() {
    let mut facts = guest("shut off", Vec::new());
    facts.running = vec![RunningNow {
        waits_for: Some("storage".to_owned()),
        ..hook_now(3, "prepare")
    }];
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g is being started and waits: its hook /etc/libvirt/hooks/qemu (prepare) has waited for lock 'storage' for \
         42 s"
    );
    assert_eq!(told.answer, Verdict::WaitsForHook);
    assert_eq!(
        told.next,
        [
            "ferrovirt ps # which hook has the lock",
            "ferrovirt cancel 3 # end it and its tree; what waits then fails",
            "virsh destroy g # give the whole start up"
        ]
    );
}

#[test]
fn r33_a_release_that_hangs_after_a_failure_is_told_with_the_failure() {
    let refused = exits(run(12, "prepare"), 3, "no\n");
    let start = unfinished("start", vec![refused, run(13, "stopped"), open(14, "release")]);
    let mut facts = guest("shut off", vec![start]);
    facts.running = vec![hook_now(14, "release")];
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) failed with exit status 3; its end waits for \
         its hook /etc/libvirt/hooks/qemu (release), which has run for 42 s"
    );
    assert_eq!(words(&told), "no");
    assert_eq!(
        told.afterwards,
        ["hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms"]
    );
    assert_eq!(
        told.next,
        [
            "ferrovirt ps --tree # what it is doing",
            "ferrovirt cancel 14 # end it and its tree; what waits then goes on"
        ]
    );
    assert_eq!(told.remarks, ["the hook has no time limit: it may run for ever"]);
}

#[test]
fn a_port_hook_of_a_network_may_be_what_a_guest_waits_for() {
    let mut facts = guest("shut off", vec![unfinished("start", Vec::new())]);
    let mut hook = hook_now(3, "port-created");
    hook.arguments[0] = "default".to_owned();
    facts.running = vec![hook];
    assert_eq!(
        story(&facts).headline,
        "Guest g is being started and waits for the hook /etc/libvirt/hooks/qemu (port-created) of network default, which \
         has run for 42 s"
    );
}

#[test]
fn a_hook_that_nobody_waits_for_is_a_remark() {
    let mut facts = guest(
        "running",
        vec![with_runs(operation("start"), vec![open(3, "started")])],
    );
    facts.running = vec![hook_now(3, "started")];
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g runs since 2026-03-01 12:00:01 UTC; nothing failed"
    );
    assert_eq!(
        told.remarks,
        ["its hook /etc/libvirt/hooks/qemu (started) has run for 42 s (ferrovirt cancel 3)"]
    );
}

#[test]
fn what_is_under_way_without_a_hook_is_told_with_its_last_step() {
    let start = with_step(unfinished("start", Vec::new()), "resources", 10, None);
    let told = story(&guest("paused (starting up)", vec![start]));
    assert_eq!(
        told.headline,
        "Guest g is being started, since 2026-03-01 12:00:00 UTC, and waits for no hook"
    );
    assert_eq!(told.answer, Verdict::Running);
    assert_eq!(told.remarks, ["step 'resources' was the last to be done"]);
    assert_eq!(told.next, ["ferrovirt ps # the hooks that run now"]);
}

#[test]
fn a_failure_that_a_rule_ignores_is_told_although_the_guest_runs() {
    let mut row = exits(run(12, "started"), 3, "no monitoring\n");
    row.ignored = true;
    row.rule = Some("lenient".to_owned());
    let start = with_runs(operation("start"), vec![run(11, "prepare"), row]);
    assert_eq!(wanted(std::slice::from_ref(&start)), [RunId(12)]);
    let told = story(&guest("running", vec![start]));
    assert_eq!(
        told.headline,
        "Guest g runs since 2026-03-01 12:00:01 UTC, but a hook failed, which a rule ignores"
    );
    assert_eq!((told.answer, told.first), (Verdict::Running, None));
    assert_eq!(
        told.ignored,
        [
            "hook /etc/libvirt/hooks/qemu (qemu g started begin -) failed with exit status 3 after 12 ms: no monitoring; \
          rule 'lenient' says that this stops nothing (run 12)"
        ]
    );
    assert_eq!(
        told.next,
        ["ferrovirt show 12 # all that it printed, and the document that it got"]
    );
}

#[test]
fn a_guest_that_runs_and_of_which_nothing_failed() {
    let told = story(&guest(
        "running",
        vec![operation("start"), later(operation("suspend"), 5)],
    ));
    assert_eq!(
        told.headline,
        "Guest g runs since 2026-03-01 12:00:01 UTC; nothing failed"
    );
    assert_eq!(
        (told.answer, told.next.len(), told.remarks.len()),
        (Verdict::Running, 0, 0)
    );
    let told = story(&guest("paused (I/O error)", vec![operation("start")]));
    assert_eq!(
        told.headline,
        "Guest g is paused (I/O error), up since 2026-03-01 12:00:01 UTC; no hook failed"
    );
    assert_eq!(
        told.next,
        ["less /var/log/libvirt/qemu/g.log # all that QEMU said"]
    );
    let told = story(&guest(
        "running",
        vec![operation("start"), later(operation("reconnect"), 5)],
    ));
    assert_eq!(
        told.headline,
        "Guest g runs; the daemon took it over at 2026-03-01 12:00:06 UTC; nothing failed"
    );
}

#[test]
fn a_failure_beside_is_the_story_when_it_is_the_newest_and_a_remark_otherwise() {
    let suspend = later(failed(operation("suspend"), "it does not stand still"), 5);
    let told = story(&guest("running", vec![operation("start"), suspend.clone()]));
    assert_eq!(
        told.headline,
        "The operation 'suspend' of guest g failed: it does not stand still"
    );
    assert!(told.next.is_empty(), "{:?}", told.next);
    let told = story(&guest(
        "running",
        vec![operation("start"), suspend, later(operation("resume"), 9)],
    ));
    assert_eq!(told.answer, Verdict::Running);
    assert_eq!(
        told.remarks,
        ["later, at 2026-03-01 12:00:05 UTC, the operation 'suspend' failed: it does not stand still"]
    );
}

#[test]
fn an_attempt_on_what_is_so_already_does_not_hide_the_story() {
    let again = later(failed(operation("start"), "domain is already running"), 5);
    let told = story(&guest("running", vec![operation("start"), again]));
    assert_eq!(told.answer, Verdict::Running);
    let refused = refused_start(exits(run(12, "prepare"), 3, "no\n"));
    let again = later(failed(operation("destroy"), "domain is not running"), 5);
    let told = story(&guest("shut off (failed)", vec![refused, again]));
    assert!(
        told.headline.ends_with("(prepare) failed with exit status 3"),
        "{}",
        told.headline
    );
    assert_eq!(told.remarks.len(), 1);
}

#[test]
fn a_guest_that_was_never_started() {
    let told = story(&guest("shut off", vec![operation("define")]));
    assert_eq!(
        told.headline,
        "Guest g is shut off: as far as the history knows, it was never started"
    );
    assert_eq!((told.answer, told.remarks.len()), (Verdict::Fine, 0));
    assert_eq!(told.next, ["virsh start g # start it"]);
}

#[test]
fn a_history_that_is_off_is_said() {
    let told = story(&guest("running", Vec::new()));
    assert_eq!(
        told.headline,
        "Guest g runs; the history does not know since when"
    );
    assert_eq!(
        told.remarks,
        ["the history has nothing about it: it may be off, or too young, or has forgotten it"]
    );
}

#[test]
fn an_object_that_is_unknown_or_gone_or_another_one() {
    let told = story(&Facts::new(Driver::Qemu, "g"));
    assert_eq!(
        told.headline,
        "There is no guest g, and the history does not know one"
    );
    assert_eq!(told.answer, Verdict::Unknown);
    assert_eq!(told.next, ["virsh list --all # what there is"]);

    let mut facts = Facts::new(Driver::Qemu, "g");
    facts.operations = vec![refused_start(exits(run(12, "prepare"), 3, "no\n"))];
    let told = story(&facts);
    assert_eq!(told.answer, Verdict::Failed);
    assert_eq!(told.remarks, ["it is not defined any more"]);
    assert!(!told.next.contains(&"virsh start g # start it".to_owned()));

    facts.operations[0].row.uuid = Some("a".to_owned());
    (facts.uuid, facts.state) = (Some("b".to_owned()), Some("shut off".to_owned()));
    let told = story(&facts);
    assert_eq!(told.answer, Verdict::Fine);
    assert_eq!(
        told.remarks,
        ["earlier there was another guest g, with another UUID"]
    );
}

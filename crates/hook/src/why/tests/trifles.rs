//! What else is said, or left out, beside the headline.

use super::*;

#[test]
fn a_long_list_says_how_much_is_left_out() {
    let stopped = |count: u64| {
        let refused = exits(run(1, "prepare"), 3, "no\n");
        let mut runs = vec![refused];
        runs.extend((2..2 + count).map(|id| run(id, "stopped")));
        story(&guest(
            "shut off",
            vec![failed(with_runs(operation("start"), runs), "no")],
        ))
        .afterwards
    };
    assert_eq!(stopped(24).len(), 24);
    assert!(stopped(24)[23].starts_with("hook "));
    let more = stopped(27);
    assert_eq!((more.len(), more[24].as_str()), (25, "and 3 more"));
}

#[test]
fn a_hook_that_was_refused_for_another_reason_needs_no_other_mode() {
    let next = |why: &str, id: u64| {
        let how = How::Refused { why: why.to_owned() };
        let row = broken(run(id, "prepare"), how, "refused");
        story(&guest("shut off", vec![refused_start(row)])).next
    };
    assert!(next("it is writable by others", 12)[0].starts_with("chmod go-w"));
    let other = next("there is no user 'x'", 12);
    assert!(other.iter().all(|line| !line.starts_with("chmod")), "{other:?}");
    // What the history has no number for cannot be run again.
    assert!(other.iter().any(|line| line.starts_with("ferrovirt replay 12 ")));
    let unknown = next("there is no user 'x'", 0);
    assert!(unknown.iter().all(|line| !line.contains("replay")), "{unknown:?}");
}

#[test]
fn hooks_of_the_way_up_are_no_consequence_of_a_step_that_failed() {
    let start = with_step(operation("start"), "launch", 100, Some("no room"));
    let runs = vec![run(100, "started"), run(150, "stopped")];
    let start = failed(with_runs(start, runs), "no room");
    assert_eq!(
        story(&guest("shut off", vec![start])).afterwards,
        ["hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms"]
    );
}

#[test]
fn memory_that_ran_out_is_read_from_the_error_or_from_the_log() {
    let told = |failure: &str, log: Option<&str>| {
        let mut start = failed(operation("start"), failure);
        start.hypervisor_log = log.map(str::to_owned);
        story(&guest("shut off", vec![start])).headline
    };
    let oom = "Guest g did not start: the kernel ran out of memory and killed QEMU";
    assert_eq!(told("QEMU was killed by the kernel's OOM killer", None), oom);
    assert_eq!(
        told("no answer", Some("oom-kill: constraint=CONSTRAINT_NONE")),
        oom
    );
    assert_eq!(
        told("no answer", Some("something else")),
        "Guest g did not start: no answer"
    );
}

#[test]
fn an_end_has_the_words_of_its_reason_and_keeps_the_error_for_below() {
    let told = |reason: &str, failure: Option<&str>| {
        let mut end = with_reason(later(operation("end"), 60), reason);
        end.row.failure = failure.map(str::to_owned);
        end.hypervisor_log = Some("qemu: last words".to_owned());
        story(&guest("shut off", vec![operation("start"), end]))
    };
    let end = told("failed", Some("the disk is full"));
    assert_eq!(
        end.headline,
        "Guest g ended: it could not be kept up after a failure"
    );
    assert_eq!(words(&end), "the disk is full");
    assert_eq!(words(&told("daemon", None)), "qemu: last words");
    // What went well has no words of error.
    assert_eq!(words(&told("saved", Some("nothing to speak of"))), "");
    // Whoever destroys a guest need not read what QEMU says of it.
    assert_eq!(words(&told("destroyed", None)), "");
    assert_eq!(words(&told("destroyed", Some("it hung"))), "it hung");
}

#[test]
fn the_end_of_a_network_has_its_reason_too() {
    let told = |mut end: Operation, failure: Option<&str>| {
        end.row.failure = failure.map(str::to_owned);
        let facts = Facts {
            state: Some("inactive".to_owned()),
            operations: vec![operation("net-start"), later(end, 60)],
            ..Facts::new(Driver::Network, "default")
        };
        story(&facts).headline
    };
    assert_eq!(
        told(by_virsh(operation("net-destroy")), None),
        "Network default ended: it was destroyed by /usr/bin/virsh (process 4242, user 0)"
    );
    assert_eq!(
        told(operation("net-end"), Some("its bridge is gone")),
        "Network default ended: its bridge is gone"
    );
    assert_eq!(
        told(
            with_reason(operation("net-end"), "failed"),
            Some("its bridge is gone")
        ),
        "Network default ended: it could not be kept up after a failure"
    );
}

#[test]
fn an_error_after_a_script_that_did_well_is_not_called_its_success() {
    let mut row = run(12, "prepare");
    (row.failed, row.failure) = (true, Some("cannot read what it wrote".to_owned()));
    let told = story(&guest("shut off", vec![refused_start(row)]));
    assert_eq!(
        told.headline,
        "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) was followed by an error, although it \
         succeeded"
    );
}

#[test]
fn words_come_from_standard_error_or_from_the_error_and_last_from_standard_output() {
    let told = |operation: &str, failure: &str, stdout: &str, stderr: &str| {
        let mut row = exits(run(12, operation), 3, "");
        row.failure = Some(r13(&row, 3, failure));
        let mut facts = guest("shut off", vec![refused_start(row.clone())]);
        facts.runs = vec![in_full(&row, stdout, stderr)];
        let told = story(&facts);
        let on_stdout = told
            .remarks
            .iter()
            .any(|remark| remark.contains("standard output"));
        (words(&told).to_owned(), on_stdout)
    };
    let said = |text: &str, on_stdout| (text.to_owned(), on_stdout);
    assert_eq!(told("prepare", "old", "out", "err"), said("err", false));
    assert_eq!(told("prepare", "old", "out", " \n"), said("old", false));
    assert_eq!(told("prepare", "", "out", ""), said("out", true));
    assert_eq!(told("prepare", "", " \n", ""), said("", false));
    assert_eq!(told("restore", "", "<domain/>", ""), said("", false));
}

#[test]
fn what_is_said_already_is_not_said_again() {
    let told = |stderr: &str| {
        let row = exits(run(12, "stopped"), 3, stderr);
        let end = with_runs(with_reason(operation("end"), "shutdown"), vec![row]);
        story(&guest("shut off", vec![operation("start"), later(end, 0)])).afterwards
    };
    let line = "hook /etc/libvirt/hooks/qemu (qemu g stopped end -) failed with exit status 3 after 12 ms";
    let end = "; that changes nothing";
    assert_eq!(told("first\nlast\n"), [format!("{line}: last{end}")]);
    assert_eq!(told("exit status 3\n"), [format!("{line}{end}")]);
    assert_eq!(told(""), [format!("{line}{end}")]);
}

#[test]
fn a_guest_that_runs_has_no_word_of_a_later_failure_that_is_told_below() {
    let up = || operation("start");
    let refused = later(failed(operation("start"), "it runs already"), 60);
    let told = story(&guest("running", vec![up(), refused]));
    assert_eq!(told.headline, "Guest g runs since 2026-03-01 12:00:01 UTC");
    assert_eq!(
        told.remarks,
        ["later, at 2026-03-01 12:01:00 UTC, the operation 'start' failed: it runs already"]
    );
}

#[test]
fn failures_of_a_guest_that_runs_are_counted_and_each_has_its_advice() {
    let broken_run = |id: u64, ignored: bool| {
        let mut row = exits(run(id, "started"), 1, "no\n");
        row.ignored = ignored;
        row
    };
    let told = |runs: Vec<RunRow>| story(&guest("running", vec![with_runs(operation("start"), runs)]));
    let head = "Guest g runs since 2026-03-01 12:00:01 UTC";
    let one = told(vec![broken_run(1, true), run(2, "started")]);
    assert_eq!(
        one.headline,
        format!("{head}, but a hook failed, which a rule ignores")
    );
    assert_eq!(
        one.next,
        ["ferrovirt show 1 # all that it printed, and the document that it got"]
    );
    let two = told(vec![broken_run(1, true), broken_run(2, true)]);
    assert_eq!(
        two.headline,
        format!("{head}, but 2 hooks failed, which rules ignore")
    );
    assert_eq!(two.next.len(), 2);
    // One of them by its nature, one by a rule: the rule's is what counts in the headline.
    let mut harmless = exits(run(3, "release"), 1, "no\n");
    harmless.ignored = false;
    let both = told(vec![broken_run(1, true), harmless.clone()]);
    assert_eq!(
        both.headline,
        format!("{head}, but a hook failed, which a rule ignores")
    );
    let alone = told(vec![harmless]);
    assert_eq!(alone.headline, head);
    assert_eq!(alone.next.len(), 1, "{:?}", alone.next);
    // A replay says nothing about the guest.
    let mut replay = broken_run(4, true);
    replay.kind = KindRow::Replay(RunId(1));
    let only_tried = told(vec![replay]);
    assert_eq!(only_tried.headline, format!("{head}; nothing failed"));
    assert!(only_tried.next.is_empty(), "{:?}", only_tried.next);
}

#[test]
fn a_script_that_is_not_run_is_a_remark_until_it_has_run() {
    let skip = |path: &str, reason: &str, at_ms: u64| SkipRow {
        driver: Driver::Qemu,
        path: path.into(),
        reason: reason.to_owned(),
        at: at(at_ms),
    };
    let remarks = |skips: Vec<SkipRow>, began: u64| {
        let mut row = run(12, "prepare");
        row.began = at(began);
        let row = exits(row, 3, "no\n");
        let mut facts = guest("shut off", vec![refused_start(row)]);
        facts.skips = skips;
        story(&facts).remarks
    };
    // It has run since.
    assert_eq!(remarks(vec![skip(QEMU, "old", 20)], 21), Vec::<String>::new());
    // It has run before that, or at the same moment.
    for began in [19, 20] {
        assert_eq!(
            remarks(vec![skip(QEMU, "old", 20)], began),
            [format!("{QEMU} is not run: old")]
        );
    }
    // The newest of each file counts, wherever it stands.
    for skips in [
        vec![skip("/a", "old", 10), skip("/b", "b", 5), skip("/a", "new", 20)],
        vec![skip("/a", "new", 20), skip("/b", "b", 5), skip("/a", "old", 10)],
    ] {
        let mut said = remarks(skips, 5);
        said.sort();
        assert_eq!(said, ["/a is not run: new", "/b is not run: b"]);
    }
    // Of two at the same moment the last one.
    assert_eq!(
        remarks(vec![skip("/a", "first", 10), skip("/a", "last", 10)], 5),
        ["/a is not run: last"]
    );
}

#[test]
fn a_hook_that_runs_is_found_in_the_operation_that_is_open() {
    let mut start = operation("start");
    start.row.ended = None;
    // An earlier run had the same number: its history was begun anew.
    let earlier = with_runs(operation("destroy"), vec![run(3, "stopped")]);
    let mut facts = guest("shut off", vec![start, earlier]);
    facts.running = vec![hook_now(3, "prepare")];
    assert_eq!(
        story(&facts).headline,
        "Guest g is being started and waits for its hook /etc/libvirt/hooks/qemu (prepare), which has run for 42 s"
    );
}

#[test]
fn a_hook_is_called_by_what_it_holds_up_also_without_a_history() {
    let headline = |operation: &str, object: &str| {
        let mut facts = guest("running", Vec::new());
        let mut hook = hook_now(3, operation);
        hook.arguments[0] = object.to_owned();
        facts.running = vec![hook];
        story(&facts).headline
    };
    assert_eq!(
        headline("stopped", "g"),
        "Guest g is ending and waits for its hook /etc/libvirt/hooks/qemu (stopped), which has run for 42 s"
    );
    assert_eq!(
        headline("nobody-knows", "g"),
        "Guest g is busy and waits for its hook /etc/libvirt/hooks/qemu (nobody-knows), which has run for 42 s"
    );
    assert_eq!(
        headline("prepare", "other"),
        "Guest g is being started and waits for the hook /etc/libvirt/hooks/qemu (prepare) of other, which has run for \
         42 s"
    );
}

//! Hooks that said no, could not run, or were ended.

use super::*;
use crate::history::SkipRow;

const SHOW: &str = "ferrovirt show 12 # all that it printed, and the document that it got";
const CHECK: &str = "ferrovirt check /etc/libvirt/hooks/qemu # mistakes in it, found without running it";
const REPLAY: &str = "ferrovirt replay 12 # run it again with the same document";
const START: &str = "virsh start g # start it";

/// The story of a start that this run made fail.
fn told(row: RunRow) -> Story {
    story(&guest("shut off (failed)", vec![refused_start(row)]))
}

#[test]
fn r30_a_prepare_that_says_no_is_named_with_its_words_and_what_followed() {
    let row = exits(run(12, "prepare"), 3, "no bridge\n");
    let mut facts = guest("shut off (failed)", vec![refused_start(row.clone())]);
    facts.runs = vec![in_full(&row, "", "looking for br7\nno such bridge: br7\n")];
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) failed with exit status 3"
    );
    assert_eq!(told.answer, Verdict::Failed);
    let first = told.first.clone().unwrap();
    assert_eq!(
        first.what,
        "hook /etc/libvirt/hooks/qemu (qemu g prepare begin -) failed with exit status 3"
    );
    assert_eq!(first.words, "looking for br7\nno such bridge: br7");
    assert_eq!(
        (first.when, first.took, first.run),
        (Some(at(12)), Some(ms(12)), Some(RunId(12)))
    );
    assert_eq!(
        told.afterwards,
        [
            "hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms",
            "hook /etc/libvirt/hooks/qemu (qemu g release end -) succeeded after 12 ms"
        ]
    );
    assert_eq!(told.next, [SHOW, CHECK, REPLAY, START]);
    assert!(told.remarks.is_empty() && told.ignored.is_empty());
}

#[test]
fn r30_without_the_run_in_full_the_error_has_its_words() {
    let told = told(exits(run(12, "prepare"), 3, "no such bridge: br7\n"));
    assert_eq!(words(&told), "no such bridge: br7");
}

#[test]
fn a_script_that_complains_on_standard_output_is_heard() {
    let row = exits(run(12, "prepare"), 1, "");
    let mut facts = guest("shut off (failed)", vec![refused_start(row.clone())]);
    facts.runs = vec![in_full(&row, "no such bridge\n", "")];
    let told = story(&facts);
    assert_eq!(words(&told), "no such bridge");
    assert_eq!(
        told.remarks,
        ["its words are from its standard output; errors belong on standard error"]
    );
}

#[test]
fn a_status_that_shells_give_is_explained() {
    let told = told(exits(run(12, "prepare"), 127, "qemu: line 3: ip: not found"));
    assert_eq!(
        told.remarks,
        ["exit status 127: a shell says so of a command that it does not find"]
    );
}

/// How a file that cannot be executed is told: the reason, the headline's end, what to do first.
#[test]
fn r6_what_cannot_be_executed_is_told_with_its_reason_and_its_remedy() {
    let crlf = "its first line ends with a carriage return (CRLF, the line ends of Windows), so the interpreter that is \
                looked for is not '#!/bin/sh'; remove it with: sed -i 's/\\r$//' FILE";
    let table = [
        (
            8,
            Some("it is a script without a first line like #!/bin/sh"),
            "(Exec format error): it is a script without a first line like #!/bin/sh",
            "sed -i '1i #!/bin/sh' /etc/libvirt/hooks/qemu # if it is a script for the shell",
        ),
        (
            2,
            Some("its interpreter /no/such/python3 does not exist"),
            "(No such file or directory): its interpreter /no/such/python3 does not exist",
            "head -n 1 /etc/libvirt/hooks/qemu # install the interpreter that it names, or name another one",
        ),
        (
            2,
            Some(crlf),
            "(No such file or directory): its first line ends with a carriage return",
            "sed -i 's/\\r$//' /etc/libvirt/hooks/qemu # take the line ends of Windows away",
        ),
        (
            13,
            None,
            "(Permission denied)",
            "chmod +x /etc/libvirt/hooks/qemu # it must be executable",
        ),
    ];
    for (errno, reason, end, remedy) in table {
        let how = How::NotStarted {
            errno,
            reason: reason.map(str::to_owned),
        };
        let failure = "internal error: Child process (LC_ALL=C /etc/libvirt/hooks/qemu g prepare begin -) unexpected exit \
                       status 127: libvirt:  error : cannot execute binary /etc/libvirt/hooks/qemu: it does not go\n";
        let told = told(broken(run(12, "prepare"), how, failure));
        assert_eq!(
            told.headline,
            format!(
                "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) cannot be executed {end}"
            )
        );
        assert_eq!(
            words(&told),
            "libvirt:  error : cannot execute binary /etc/libvirt/hooks/qemu: it does not go"
        );
        assert_eq!(told.next, [remedy, SHOW, CHECK, REPLAY, START]);
    }
}

#[test]
fn r92_a_hook_over_its_limit_is_told_with_the_limit_and_its_rule() {
    let how = How::TimedOut { after: ms(30_000) };
    let failure = "internal error: /etc/libvirt/hooks/qemu (qemu g prepare begin -) took longer than its limit of 30s and \
                   was ended";
    let mut row = broken(run(12, "prepare"), how, failure);
    row.rule = Some("storage".to_owned());
    row.took = Some(ms(30_004));
    let told = told(row);
    assert_eq!(
        told.headline,
        "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) took longer than its limit of 30 s and was \
         ended"
    );
    assert_eq!(words(&told), "");
    assert_eq!(
        told.next[0],
        "Make the script need less, or raise 'timeout' of rule storage in /etc/ferrovirt/hooks.d."
    );
}

#[test]
fn a_hook_that_was_killed_is_told_with_the_signal() {
    let failure = "internal error: Child process (LC_ALL=C /etc/libvirt/hooks/qemu g prepare begin -) unexpected fatal \
                   signal 9: half\n";
    let killed = told(broken(run(12, "prepare"), How::Signal(9), failure));
    assert_eq!(
        killed.headline,
        "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) was killed by signal 9 (SIGKILL)"
    );
    assert_eq!(words(&killed), "half");
    assert_eq!(
        killed.next[0],
        "journalctl -k -g 'Out of memory' # whether the kernel killed it"
    );
    let failure = format!("{}(its memory limit was reached)", failure.trim_end());
    let limited = told(broken(run(12, "prepare"), How::Signal(9), &failure));
    assert_eq!(words(&limited), "half");
    assert_eq!(
        limited.next[0],
        "Make the script need less, or raise 'memory' of the sandbox in /etc/ferrovirt/hooks.d."
    );
    assert!(
        limited
            .headline
            .ends_with("because the memory limit of its rule was reached")
    );
    let crashed = told(broken(run(12, "prepare"), How::Signal(11), "internal error: x"));
    assert!(
        crashed
            .headline
            .ends_with("(prepare) was killed by signal 11 (SIGSEGV)")
    );
    assert_eq!(crashed.next[0], SHOW);
}

#[test]
fn r92_a_hook_that_somebody_cancelled_is_told_so() {
    let how = How::Cancelled {
        by: "ferrovirt cancel".to_owned(),
    };
    let told = told(broken(
        run(12, "prepare"),
        how,
        "internal error: /etc/libvirt/hooks/qemu (qemu g prepare begin -) was ended by ferrovirt cancel",
    ));
    assert_eq!(
        told.headline,
        "Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) was ended by ferrovirt cancel"
    );
    assert_eq!(told.next, [SHOW, REPLAY, START]);
}

#[test]
fn r95_a_start_that_a_destroy_ended_names_who_and_the_hook() {
    let how = How::Cancelled {
        by: "destroy".to_owned(),
    };
    let start = refused_start(broken(
        run(12, "prepare"),
        how,
        "internal error: /etc/libvirt/hooks/qemu (qemu g prepare begin -) was ended by destroy",
    ));
    let destroy = by_virsh(with_reason(later(operation("destroy"), 5), "destroyed"));
    let told = story(&guest("shut off (destroyed)", vec![start, destroy]));
    assert_eq!(
        told.headline,
        "Guest g did not start: it was destroyed by /usr/bin/virsh (process 4242, user 0) while its hook \
         /etc/libvirt/hooks/qemu (prepare) ran"
    );
    assert_eq!(told.answer, Verdict::Failed);
    assert_eq!(
        told.afterwards.last().unwrap(),
        "at 2026-03-01 12:00:05 UTC began the operation 'destroy'"
    );
    assert_eq!(told.next, [SHOW, START]);
}

#[test]
fn r37_output_of_a_filter_that_is_no_document_is_quoted() {
    let wrong = "not UTF-8: invalid utf-8 sequence of 1 bytes from index 0";
    let detail = format!("internal error: output of /etc/libvirt/hooks/qemu: {wrong}");
    let row = broken(run(12, "restore"), How::Exit(0), &detail);
    let restore = failed(with_runs(operation("restore"), vec![row]), &detail);
    let told = story(&guest("shut off (saved)", vec![restore]));
    assert_eq!(
        told.headline,
        format!(
            "Guest g was not restored: its hook /etc/libvirt/hooks/qemu (restore) wrote what is no document: {wrong}"
        )
    );
    assert_eq!(words(&told), wrong);
    assert_eq!(told.next, [SHOW, CHECK, REPLAY, START]);
}

#[test]
fn r36_output_that_is_no_xml_is_blamed_on_the_filter_although_it_did_well() {
    let failure = "XML error: (domain_definition):1: Start tag expected, '<' not found";
    let restore = failed(with_runs(operation("restore"), vec![run(12, "restore")]), failure);
    assert_eq!(wanted(std::slice::from_ref(&restore)), [RunId(12)]);
    let told = story(&guest("shut off (saved)", vec![restore]));
    assert_eq!(
        told.headline,
        format!(
            "Guest g was not restored: its hook /etc/libvirt/hooks/qemu (restore) wrote what is no document: {failure}"
        )
    );
    assert_eq!(words(&told), failure);
    assert_eq!(told.first.unwrap().run, Some(RunId(12)));
}

#[test]
fn r73_a_port_hook_that_says_no_is_told_with_its_network_and_script() {
    let mut row = at_script(run(12, "port-created"), "network");
    row.driver = Driver::Network;
    row.object = "default".to_owned();
    let row = exits(row, 1, "no address left\n");
    let told = told(row);
    assert_eq!(
        told.headline,
        "Guest g did not start: the hook /etc/libvirt/hooks/network (port-created) of network default failed with exit \
         status 1"
    );
    assert_eq!(words(&told), "no address left");
    assert_eq!(
        told.next[1],
        "ferrovirt check /etc/libvirt/hooks/network # mistakes in it, found without running it"
    );
}

#[test]
fn r38_a_reconnect_hook_that_says_no_has_ended_the_guest() {
    let row = exits(run(12, "reconnect"), 1, "who are you\n");
    let mut reconnect = refused_start(row);
    reconnect.row.kind = "reconnect".to_owned();
    reconnect.row.reason = Some("daemon".to_owned());
    let told = story(&guest(
        "shut off (daemon)",
        vec![operation("start"), later(reconnect.clone(), 9)],
    ));
    assert_eq!(
        told.headline,
        "Guest g was ended: its hook /etc/libvirt/hooks/qemu (reconnect) failed with exit status 1"
    );
    assert_eq!((told.answer, words(&told)), (Verdict::Failed, "who are you"));
    assert_eq!(told.next, [SHOW, CHECK, REPLAY, START]);
    // Also when nobody was there to be told of an error.
    let mut quiet = guest("shut off (daemon)", vec![reconnect]);
    quiet.operations[0].row.failure = None;
    assert_eq!(story(&quiet).headline, told.headline);
}

#[test]
fn r14_of_several_failures_the_first_and_the_last_are_named() {
    let first = exits(run(12, "prepare"), 3, "first\n");
    let mut middle = at_script(run(13, "prepare"), "qemu.d/10");
    let mut last = exits(at_script(run(14, "prepare"), "qemu.d/20"), 4, "last\n");
    (middle.call, last.call) = (12, 12);
    let failure = format!("Hook script execution failed: {}", last.failure.clone().unwrap());
    let start = failed(with_runs(operation("start"), vec![first, middle, last]), &failure);
    let told = story(&guest("shut off (failed)", vec![start]));
    assert!(told.headline.ends_with("(prepare) failed with exit status 3"));
    assert_eq!(
        told.remarks,
        [
            "2 of the 3 hooks of this call failed: /etc/libvirt/hooks/qemu first, /etc/libvirt/hooks/qemu.d/20 last; the \
          client was told of the last"
        ]
    );
    assert_eq!(
        told.afterwards,
        [
            "hook /etc/libvirt/hooks/qemu.d/10 (qemu g prepare begin -) succeeded after 12 ms",
            "hook /etc/libvirt/hooks/qemu.d/20 (qemu g prepare begin -) failed with exit status 4 after 12 ms: last"
        ]
    );
}

#[test]
fn r34_what_fails_afterwards_is_told_and_changes_nothing() {
    let mut start = refused_start(exits(run(12, "prepare"), 3, "no\n"));
    start.runs[2] = exits(run(14, "release"), 5, "nothing to release\n");
    let start = with_step(start, "kill", 13, None);
    let start = with_step(start, "unplug", 14, Some("cannot delete port"));
    let start = with_step(start, "release", 15, Some("Hook script execution failed: x"));
    let told = story(&guest("shut off (failed)", vec![start]));
    assert_eq!(
        told.afterwards,
        [
            "hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms",
            "its process was ended (50 ms)",
            "hook /etc/libvirt/hooks/qemu (qemu g release end -) failed with exit status 5 after 12 ms: nothing to \
             release; that changes nothing",
            "its ports on networks were taken away (50 ms): failed: cannot delete port"
        ]
    );
}

#[test]
fn r94_a_script_that_others_may_change_is_told_with_the_remedy() {
    let why = "it is writable by others than its owner".to_owned();
    let failure = format!("internal error: /etc/libvirt/hooks/qemu is not run: {why}");
    let told = told(broken(run(12, "prepare"), How::Refused { why }, &failure));
    assert!(
        told.headline
            .ends_with("(prepare) was not run: it is writable by others than its owner")
    );
    assert_eq!(
        told.next[0],
        "chmod go-w /etc/libvirt/hooks/qemu # only its owner may change it"
    );
}

#[test]
fn a_command_of_a_rule_is_not_looked_at_for_mistakes() {
    let mut row = exits(run(12, "prepare"), 1, "");
    row.kind = KindRow::Rule("gpu".to_owned());
    assert_eq!(told(row).next, [SHOW, REPLAY, START]);
}

#[test]
fn replays_and_simulations_are_nobodys_fault() {
    let mut replay = exits(run(12, "prepare"), 1, "no\n");
    replay.kind = KindRow::Replay(RunId(3));
    let start = with_runs(operation("start"), vec![replay]);
    assert_eq!(story(&guest("running", vec![start])).answer, Verdict::Running);
}

#[test]
fn r3_a_script_without_its_run_bit_is_mentioned_once_until_it_has_run() {
    let skip = |script: &str, driver, at| SkipRow {
        driver,
        path: format!("{HOOKS}/{script}").into(),
        reason: "its mode 0644 has no execute bit".to_owned(),
        at,
    };
    let mut facts = guest(
        "shut off (failed)",
        vec![refused_start(exits(run(12, "prepare"), 3, "no\n"))],
    );
    facts.skips = vec![
        skip("qemu.d/10-bridge", Driver::Qemu, at(0)),
        skip("qemu.d/10-bridge", Driver::Qemu, at(5)),
        skip("network", Driver::Network, at(0)),
        skip("qemu", Driver::Qemu, at(0)),
    ];
    let told = story(&facts);
    assert_eq!(
        told.remarks,
        ["/etc/libvirt/hooks/qemu.d/10-bridge is not run: its mode 0644 has no execute bit"]
    );
    assert_eq!(
        told.next[told.next.len() - 2],
        "chmod +x /etc/libvirt/hooks/qemu.d/10-bridge # if it is meant to be a hook"
    );
}

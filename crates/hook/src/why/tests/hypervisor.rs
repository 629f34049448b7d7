//! What is no hook's fault: disks, devices, memory.

use super::*;

const LOG: &str = "less /var/log/libvirt/qemu/g.log # all that QEMU said";
const EDIT: &str = "virsh edit g # change it";
const START: &str = "virsh start g # start it";

#[test]
fn a_missing_disk_is_named() {
    let failure = "Cannot access storage file '/x.qcow2': No such file or directory";
    let start = with_runs(operation("start"), vec![run(1, "prepare"), run(500, "release")]);
    let start = with_step(start, "prepare", 0, None);
    let start = with_step(start, "resources", 100, Some(failure));
    let start = with_step(start, "labels", 200, None);
    let told = story(&guest("shut off (failed)", vec![failed(start, failure)]));
    assert_eq!(
        told.headline,
        "Guest g did not start: its disk /x.qcow2 is missing"
    );
    assert_eq!((told.answer, words(&told)), (Verdict::Failed, failure));
    let first = told.first.clone().unwrap();
    assert_eq!(first.what, "step 'resources' failed: a disk cannot be used");
    assert_eq!(
        (first.when, first.took, first.run),
        (Some(at(100)), Some(ms(50)), None)
    );
    assert_eq!(
        told.afterwards,
        [
            "labels and locks were taken back (50 ms)",
            "hook /etc/libvirt/hooks/qemu (qemu g release end -) succeeded after 12 ms"
        ]
    );
    assert_eq!(
        told.next,
        ["ls -l /x.qcow2 # whether it is there, and for whom", EDIT, START]
    );
}

#[test]
fn a_disk_that_is_closed_is_told_with_the_reason() {
    let failure = "Cannot access storage file '/x.qcow2' (as uid:64055, gid:64055): Permission denied";
    let told = story(&guest(
        "shut off (failed)",
        vec![failed(operation("start"), failure)],
    ));
    assert_eq!(
        told.headline,
        "Guest g did not start: its disk /x.qcow2 cannot be used: (as uid:64055, gid:64055): Permission denied"
    );
}

#[test]
fn a_device_that_qemu_refuses_is_told_in_its_own_words() {
    let failure = "internal error: QEMU unexpectedly closed the monitor (vm='g'): 2026-03-01T12:00:00.5Z \
                   qemu-system-x86_64: -device foo: 'foo' is not a valid device model name";
    // Recorded with the last step of the way down: the launch failed all the same.
    let start = with_step(operation("start"), "launch", 100, None);
    let start = with_step(start, "release", 300, Some(failure));
    let told = story(&guest("shut off (failed)", vec![failed(start, failure)]));
    assert_eq!(
        told.headline,
        "Guest g did not start: QEMU ended at once: -device foo: 'foo' is not a valid device model name"
    );
    assert_eq!(
        words(&told),
        "qemu-system-x86_64: -device foo: 'foo' is not a valid device model name"
    );
    assert_eq!(
        told.first.clone().unwrap().what,
        "step 'launch' failed: QEMU ended at once"
    );
    assert_eq!(
        told.next,
        [
            "qemu-system-x86_64 -device help # what devices this QEMU has",
            LOG,
            EDIT,
            START
        ]
    );
}

#[test]
fn when_the_error_has_no_words_the_log_has() {
    let mut start = failed(
        operation("start"),
        "internal error: QEMU unexpectedly closed the monitor (vm='g'): ",
    );
    start.hypervisor_log =
        Some("2026-03-01T12:00:00.5Z qemu-system-x86_64: warning: old\nqemu-system-x86_64: no".to_owned());
    let told = story(&guest("shut off (failed)", vec![start]));
    assert_eq!(told.headline, "Guest g did not start: QEMU ended at once: no");
    assert_eq!(
        words(&told),
        "qemu-system-x86_64: warning: old\nqemu-system-x86_64: no"
    );
}

#[test]
fn the_kernels_oom_killer_is_told_from_the_error_and_from_the_log() {
    let end = with_reason(operation("end"), "crashed");
    let by_error = failed(end.clone(), "QEMU was killed by the kernel's OOM killer");
    let mut by_log = end;
    by_log.hypervisor_log = Some("qemu-system-x86_64: out of memory".to_owned());
    for (end, own) in [
        (by_error, "QEMU was killed by the kernel's OOM killer"),
        (by_log, "qemu-system-x86_64: out of memory"),
    ] {
        let told = story(&guest(
            "shut off (crashed)",
            vec![operation("start"), later(end, 9)],
        ));
        assert_eq!(
            told.headline,
            "Guest g ended: the kernel ran out of memory and killed QEMU"
        );
        assert_eq!((told.answer, words(&told)), (Verdict::Ended, own));
        assert_eq!(
            told.next,
            [
                "journalctl -k -g 'Out of memory' # what the kernel killed, and why",
                "free -m # how much memory is left",
                EDIT,
                START
            ]
        );
    }
}

#[test]
fn a_crash_is_told_with_its_signal_or_its_last_words() {
    let crash = |failure: Option<&str>, log: &str| {
        let mut end = with_reason(operation("end"), "crashed");
        end.row.failure = failure.map(str::to_owned);
        let mut facts = guest("shut off (crashed)", vec![end]);
        facts.hypervisor_log = Some(log.to_owned());
        story(&facts)
    };
    let told = crash(Some("the process was killed by signal 11"), "");
    assert_eq!(
        told.headline,
        "Guest g ended: QEMU was killed by signal 11 (SIGSEGV)"
    );
    assert_eq!(told.next, [LOG, START]);
    let told = crash(
        None,
        "2026-03-01T12:00:00.5Z qemu-system-x86_64: Assertion `x' failed.",
    );
    assert_eq!(told.headline, "Guest g ended: QEMU died: Assertion `x' failed.");
    let told = crash(
        None,
        "qemu-system-x86_64: terminating on signal 15 from pid 77 (kill)",
    );
    assert_eq!(
        told.headline,
        "Guest g ended: QEMU was ended by signal 15 (SIGTERM) of process 77 (kill)"
    );
    let told = crash(None, "");
    assert_eq!(
        told.headline,
        "Guest g ended: it panicked, or QEMU died without a word"
    );
}

#[test]
fn any_other_error_is_told_as_it_is() {
    let failure = "internal error: cannot create cgroup";
    let told = story(&guest(
        "shut off (failed)",
        vec![failed(operation("start"), failure)],
    ));
    assert_eq!(told.headline, "Guest g did not start: cannot create cgroup");
    assert_eq!(words(&told), failure);
    assert_eq!(told.first.unwrap().took, Some(ms(1000)));
    assert_eq!(told.next, [START]);
}

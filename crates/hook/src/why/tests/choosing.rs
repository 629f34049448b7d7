//! Which operation tells the story when several could.

use super::*;

/// A start that a destroy ended, by the text of its error alone.
fn ended_by_destroy() -> Operation {
    failed(
        operation("start"),
        "The start of guest 'g' was given up because of destroy",
    )
}

fn lost(mut operation: Operation) -> Operation {
    (operation.row.lost, operation.row.ended) = (true, None);
    operation
}

/// Facts about a guest whose UUID is known, or not, with a start that is known to be of that UUID, or not.
fn with_uuids(known: Option<&str>, of_start: Option<&str>) -> Story {
    let mut start = failed(operation("start"), "no");
    start.row.uuid = of_start.map(str::to_owned);
    let mut facts = guest("shut off", vec![start]);
    facts.uuid = known.map(str::to_owned);
    story(&facts)
}

#[test]
fn only_an_operation_that_is_known_to_be_of_another_guest_is_left_out() {
    for (known, of_start) in [
        (None, None),
        (Some("a"), None),
        (None, Some("a")),
        (Some("a"), Some("a")),
    ] {
        let told = with_uuids(known, of_start);
        assert_eq!(
            told.headline, "Guest g did not start: no",
            "{known:?} {of_start:?}"
        );
        assert!(told.remarks.is_empty(), "{known:?} {of_start:?}");
    }
    let told = with_uuids(Some("a"), Some("b"));
    assert_eq!(
        told.remarks,
        ["earlier there was another guest g, with another UUID"]
    );
}

#[test]
fn a_takeover_that_found_an_end_is_an_end_whatever_its_hooks_said_afterwards() {
    let found = |row: RunRow| {
        let reconnect = with_runs(with_reason(operation("reconnect"), "shutdown"), vec![row]);
        let facts = guest("shut off", vec![operation("start"), later(reconnect, 60)]);
        story(&facts).headline
    };
    let mut ignored = exits(run(60_100, "reconnect"), 1, "no\n");
    ignored.ignored = true;
    for row in [
        run(60_100, "reconnect"),
        ignored,
        exits(run(60_100, "stopped"), 1, "no\n"),
    ] {
        assert_eq!(
            found(row),
            "Guest g ended while no daemon ran: it was powered off from inside"
        );
    }
    // A hook that says no to the takeover ends the guest.
    assert_eq!(
        found(exits(run(60_100, "reconnect"), 1, "no\n")),
        "Guest g was ended: its hook /etc/libvirt/hooks/qemu (reconnect) failed with exit status 1"
    );
}

#[test]
fn r95_a_start_that_a_destroy_ended_says_so_and_no_other_does() {
    let told = |start: Operation| story(&guest("shut off", vec![start])).headline;
    assert_eq!(
        told(ended_by_destroy()),
        "Guest g did not start: it was destroyed meanwhile"
    );
    // A hook that has done well has nothing to do with it.
    let start = with_runs(failed(operation("start"), "no room"), vec![run(12, "prepare")]);
    assert_eq!(told(start), "Guest g did not start: no room");
}

#[test]
fn an_earlier_failure_does_not_tell_of_a_later_success_or_of_an_end_of_its_own() {
    let told = |state: &str, all: Vec<Operation>| story(&guest(state, all)).headline;
    let all = vec![ended_by_destroy(), later(operation("start"), 60)];
    assert_eq!(
        told("running", all),
        "Guest g runs since 2026-03-01 12:01:01 UTC; nothing failed"
    );
    let end = failed(with_reason(operation("end"), "failed"), "its disk is full");
    let all = vec![ended_by_destroy(), later(end, 60)];
    assert_eq!(
        told("shut off (failed)", all),
        "Guest g ended: it could not be kept up after a failure"
    );
    // The start went well: what failed came later.
    let end = with_reason(operation("end"), "failed");
    assert_eq!(
        told("shut off (failed)", vec![operation("start"), later(end, 60)]),
        "Guest g ended: it could not be kept up after a failure"
    );
    let mut under_way = later(operation("destroy"), 60);
    under_way.row.ended = None;
    assert_eq!(
        told("running", vec![ended_by_destroy(), under_way]),
        "Guest g is being destroyed, since 2026-03-01 12:01:00 UTC, and waits for no hook"
    );
}

#[test]
fn r96_what_undid_a_start_that_was_lost_belongs_to_it() {
    for end in [
        with_reason(operation("reconnect"), "crashed"),
        with_reason(operation("end"), "daemon"),
    ] {
        let told = story(&guest("shut off", vec![lost(operation("start")), later(end, 60)]));
        assert_eq!(told.headline, "Guest g did not start: the daemon died");
        assert_eq!(
            told.afterwards,
            ["at 2026-03-01 12:01:00 UTC the next daemon found it and took back what was there"]
        );
    }
    // Somebody's own destroy does not.
    let destroy = later(by_virsh(operation("destroy")), 60);
    let told = story(&guest("shut off", vec![lost(operation("start")), destroy]));
    assert_eq!(
        told.headline,
        "Guest g ended: it was destroyed by /usr/bin/virsh (process 4242, user 0)"
    );
}

#[test]
fn the_output_of_hooks_that_did_well_is_not_wanted() {
    let start = failed(operation("start"), "no room");
    assert_eq!(wanted(&[with_runs(start.clone(), vec![run(12, "prepare")])]), []);
    // But that of a filter is, which may be what the start failed of; and only then.
    assert_eq!(wanted(&[with_runs(start, vec![run(12, "restore")])]), [RunId(12)]);
    assert_eq!(
        wanted(&[with_runs(operation("start"), vec![run(12, "restore")])]),
        []
    );
}

//! The story as text and as JSON.

use super::*;

fn refused() -> Story {
    let row = exits(run(12, "prepare"), 3, "looking for br7\nno such bridge: br7\n");
    story(&guest("shut off (failed)", vec![refused_start(row)]))
}

#[test]
fn the_readable_answer() {
    let expected = "\
Guest g did not start: its hook /etc/libvirt/hooks/qemu (prepare) failed with exit status 3

2026-03-01 12:00:00 UTC, took 12 ms, run 12:
  hook /etc/libvirt/hooks/qemu (qemu g prepare begin -) failed with exit status 3
  | looking for br7
  | no such bridge: br7

Afterwards:
  - hook /etc/libvirt/hooks/qemu (qemu g stopped end -) succeeded after 12 ms
  - hook /etc/libvirt/hooks/qemu (qemu g release end -) succeeded after 12 ms

What to do next:
  ferrovirt show 12                             # all that it printed, and the document that it got
  ferrovirt check /etc/libvirt/hooks/qemu       # mistakes in it, found without running it
  ferrovirt replay 12                           # run it again with the same document
  virsh start g                                 # start it";
    assert_eq!(refused().to_string(), expected);
}

#[test]
fn the_answer_of_one_line() {
    let told = story(&guest("running", vec![operation("start")]));
    assert_eq!(
        told.to_string(),
        "Guest g runs since 2026-03-01 12:00:01 UTC; nothing failed"
    );
}

#[test]
fn what_the_headline_says_is_not_said_again() {
    let end = with_reason(later(operation("end"), 60), "shutdown");
    let told = story(&guest("shut off (shutdown)", vec![operation("start"), end]));
    let expected = "\
Guest g ended: it was powered off from inside

2026-03-01 12:01:00 UTC, took 1 s

What to do next:
  virsh start g                                 # start it";
    assert_eq!(told.to_string(), expected);
}

#[test]
fn the_answer_for_programs() {
    let json = serde_json::to_value(refused()).unwrap();
    assert_eq!(json["answer"], "failed");
    assert_eq!(json["first"]["when"], "2026-03-01T12:00:00.012000Z");
    assert_eq!(json["first"]["took_ms"], 12.0);
    assert_eq!(json["first"]["run"], 12);
    assert_eq!(json["ignored"], serde_json::json!([]));
}

#[test]
fn no_more_is_wanted_than_can_be_told() {
    let runs = (1..=40).map(|id| exits(run(id, "prepare"), 1, "no")).collect();
    let asked = wanted(&[with_runs(operation("start"), runs)]);
    assert_eq!(asked.len(), MOST_WANTED);
    assert!(wanted(&[with_runs(operation("start"), vec![run(1, "prepare")])]).is_empty());
}

/// How an operation may have ended, with what may have run in it.
fn endings(kind: &str) -> Vec<Operation> {
    let plain = operation(kind);
    let mut lost = with_runs(plain.clone(), vec![broken(run(5, "start"), How::Lost, "")]);
    (lost.row.lost, lost.row.ended) = (true, None);
    let mut open = with_step(plain.clone(), "resources", 3, None);
    open.row.ended = None;
    let refused = exits(run(7, "prepare"), 3, "no\n");
    vec![
        failed(plain.clone(), "an error"),
        failed(
            with_runs(plain.clone(), vec![refused]),
            "Hook script execution failed: x",
        ),
        with_reason(plain.clone(), "failed"),
        with_reason(plain.clone(), "crashed"),
        with_step(plain, "", 0, Some("")),
        lost,
        open,
    ]
}

#[test]
fn whatever_happened_there_is_an_answer_that_fits_the_page() {
    let kinds = [
        "start",
        "destroy",
        "end",
        "reconnect",
        "suspend",
        "net-start",
        "net-end",
        "",
    ];
    let all: Vec<Operation> = kinds.iter().flat_map(|kind| endings(kind)).collect();
    let states = [
        None,
        Some("running"),
        Some("shut off (crashed)"),
        Some("inactive"),
        Some(""),
    ];
    for (first, second) in all
        .iter()
        .flat_map(|first| all.iter().map(move |second| (first, second)))
    {
        for state in states {
            let mut facts = guest("", vec![first.clone(), later(second.clone(), 9)]);
            facts.state = state.map(str::to_owned);
            if first.row.ended.is_none() {
                facts.running = vec![hook_now(5, "start")];
            }
            let told = story(&facts);
            let text = told.to_string();
            assert!(
                !text.contains("  \n") && text.lines().all(|line| line.chars().count() <= 100),
                "{text}"
            );
            assert!(
                !told.headline.is_empty() && told.answer != Verdict::Unknown || state.is_none(),
                "{text}"
            );
            let up = state == Some("running") && facts.running.is_empty();
            assert!(!up || told.answer != Verdict::Ended, "{text}");
        }
    }
}

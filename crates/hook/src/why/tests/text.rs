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

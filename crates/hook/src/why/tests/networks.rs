//! Stories of networks.

use super::*;

fn network(state: Option<&str>, operations: Vec<Operation>) -> Facts {
    Facts {
        state: state.map(str::to_owned),
        operations,
        ..Facts::new(Driver::Network, "default")
    }
}

fn network_run(id: u64, operation: &str) -> RunRow {
    let mut row = at_script(run(id, operation), "network");
    row.driver = Driver::Network;
    row.object = "default".to_owned();
    row
}

#[test]
fn r70_a_network_whose_hook_says_no() {
    let row = exits(network_run(12, "start"), 1, "not today\n");
    let failure = format!("Hook script execution failed: {}", row.failure.clone().unwrap());
    let runs = vec![row, network_run(13, "stopped")];
    let start = failed(with_runs(operation("net-start"), runs), &failure);
    let told = story(&network(Some("inactive"), vec![start]));
    assert_eq!(
        told.headline,
        "Network default did not start: its hook /etc/libvirt/hooks/network (start) failed with exit status 1"
    );
    assert_eq!((told.answer, words(&told)), (Verdict::Failed, "not today"));
    assert_eq!(
        told.afterwards,
        ["hook /etc/libvirt/hooks/network (network default stopped end -) succeeded after 12 ms"]
    );
    assert_eq!(
        told.next,
        [
            "ferrovirt show 12 # all that it printed, and the document that it got",
            "ferrovirt check /etc/libvirt/hooks/network # mistakes in it, found without running it",
            "ferrovirt replay 12 # run it again with the same document",
            "virsh net-start default # start it"
        ]
    );
}

#[test]
fn a_network_is_up_or_was_destroyed_or_is_unknown() {
    let up = story(&network(Some("active"), vec![operation("net-start")]));
    assert_eq!(
        up.headline,
        "Network default is up since 2026-03-01 12:00:01 UTC; nothing failed"
    );
    assert_eq!(up.answer, Verdict::Running);
    let destroy = later(by_virsh(operation("net-destroy")), 9);
    let down = story(&network(Some("inactive"), vec![operation("net-start"), destroy]));
    assert_eq!(
        down.headline,
        "Network default ended: it was destroyed by /usr/bin/virsh (process 4242, user 0)"
    );
    let gone = story(&network(None, Vec::new()));
    assert_eq!(
        gone.headline,
        "There is no network default, and the history does not know one"
    );
    assert_eq!(gone.next, ["virsh net-list --all # what there is"]);
}

#[test]
fn an_end_of_a_network_by_itself_is_told_with_its_error() {
    let end = failed(operation("net-end"), "its bridge virbr0 is gone");
    let told = story(&network(
        Some("inactive"),
        vec![operation("net-start"), later(end, 9)],
    ));
    assert_eq!(told.headline, "Network default ended: its bridge virbr0 is gone");
    assert_eq!(told.answer, Verdict::Ended);
}

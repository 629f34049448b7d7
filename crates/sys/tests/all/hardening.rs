//! Scripts that do what they can to get away, or in the way; with a control group around them and without.

use std::time::Duration;

use ferrovirt_sys::keeper::{Ended, Surroundings};
use ferrovirt_sys::process::{self, ProcessId};

use crate::support::{Home, Running, can, ended, is_root, started, until};

/// The script in a keeper with a control group of its own, and in one where there are none.
async fn both(text: &str) -> Vec<Running> {
    let mut caged = Running::script(text).await;
    started(caged.next().await);
    let mut all = vec![caged];
    if is_root() {
        let home = Home::without_groups();
        let mut free = Running::on(home.keeper().await, text, Surroundings::default()).await;
        started(free.next().await);
        assert!(!in_own_group(&free));
        all.push(free);
    }
    all
}

fn in_own_group(it: &Running) -> bool {
    let pid = it.keeper.id().pid;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    groups.contains(&format!("ferrovirt-hook-{pid}"))
}

async fn until_ready(it: &Running) {
    until("the script is ready", || !it.text("ready").is_empty()).await;
}

fn below(it: &Running) -> Vec<ProcessId> {
    process::descendants(it.keeper.id().pid)
}

fn stopped(it: &Running) -> usize {
    let tree = process::tree_of(it.keeper.id());
    tree.iter().filter(|process| process.state == 'T').count()
}

#[tokio::test]
async fn r95_two_thousand_children_that_ignore_sigterm_are_ended() {
    let text = "trap '' TERM; mkfifo $D/never; i=0
        while [ $i -lt 2000 ]; do (read line < $D/never) & i=$((i+1)); done; echo > $D/ready; wait";
    for mut it in both(text).await {
        until_ready(&it).await;
        assert_eq!(below(&it).len(), 2001);
        it.keeper.end(Duration::from_millis(20)).await.unwrap();
        it.until_empty(Ended::Signal(9)).await;
        assert_eq!(below(&it), []);
        assert!(it.keeper.is_there());
    }
}

#[tokio::test]
async fn r95_who_forks_twice_and_starts_a_session_does_not_get_away() {
    let text = "(setsid sh -c '(trap \"\" TERM; echo $$ > $D/leader; exec sleep 1000) & exit 0' &)
        while ! grep -q . $D/leader 2>/dev/null; do sleep 0.01; done
        while kill -0 $(cat $D/leader) 2>/dev/null; do sleep 0.01; done
        echo > $D/ready; exec sleep 1000";
    for mut it in both(text).await {
        until_ready(&it).await;
        let tree = process::tree_of(it.keeper.id());
        let keeper = it.keeper.id().pid;
        let away = tree.iter().filter(|process| process.parent == keeper);
        assert_eq!(away.count(), 2, "the script, and what lost its parent: {tree:?}");
        it.keeper.end(Duration::from_millis(20)).await.unwrap();
        it.until_empty(Ended::Signal(15)).await;
        assert!(tree.iter().all(|process| !process.id.is_alive()));
    }
}

#[tokio::test]
async fn r95_who_ignores_sigterm_is_killed_after_the_grace() {
    for mut it in both("trap '' TERM; echo > $D/ready; while :; do sleep 0.01; done").await {
        until_ready(&it).await;
        it.keeper.end(Duration::from_millis(20)).await.unwrap();
        it.until_empty(Ended::Signal(9)).await;
    }
}

#[tokio::test]
async fn r95_a_stopped_tree_is_ended() {
    let body = "sleep 1000 & a=$!; sleep 1000 & kill -STOP $a $!; echo > $D/ready; kill -STOP $$; wait";
    for (trap, signal) in [("", 15), ("trap '' TERM;", 9)] {
        for mut it in both(&format!("{trap} {body}")).await {
            until_ready(&it).await;
            until("all of it is stopped", || stopped(&it) == 3).await;
            it.keeper.end(Duration::from_millis(20)).await.unwrap();
            it.until_empty(Ended::Signal(signal)).await;
            assert_eq!(below(&it), []);
        }
    }
}

#[tokio::test]
async fn r8_who_kills_its_process_group_hits_itself_only() {
    for mut it in both("sleep 1000 & sleep 1000 & kill -KILL 0").await {
        it.until_empty(Ended::Signal(9)).await;
        assert!(it.keeper.is_there());
    }
}

#[tokio::test]
async fn r12_who_closes_its_pipes_is_not_over() {
    let text = "exec <&- >&- 2>&-; while [ ! -e $D/go ]; do sleep 0.01; done; exit 7";
    for mut it in both(text).await {
        assert_eq!(it.stdout.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(it.stderr.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(below(&it).len().min(1), 1, "it goes on");
        it.put("go");
        assert_eq!(it.next().await, ended(Ended::Exit(7)));
    }
}

#[tokio::test]
async fn r95_a_tree_that_forks_while_it_is_killed_is_ended() {
    let text = "trap '' TERM; fork() { while :; do sleep 0.02 & sleep 0.01; done; }
        fork & fork & fork & echo > $D/ready; wait";
    for mut it in both(text).await {
        until_ready(&it).await;
        it.keeper.end(Duration::from_millis(20)).await.unwrap();
        it.until_empty(Ended::Signal(9)).await;
        assert_eq!(below(&it), []);
    }
}

#[tokio::test]
async fn r95_who_is_never_the_same_process_twice_is_caught_by_its_group() {
    // Each process starts the next one and ends at once: a list of processes is out of date when it is made.
    let text =
        "trap '' TERM; printf 'sh $D/next & exit' > $D/next; sh $D/next; echo > $D/ready; exec sleep 1000";
    let mut it = Running::script("exit 0").await;
    assert_eq!(it.finished().await.0, ended(Ended::Exit(0)));
    // Without a group it may get away for long.
    if !can(in_own_group(&it), "no control groups may be made here") {
        return;
    }
    let mut it = Running::on(it.keeper, text, Surroundings::default()).await;
    started(it.next().await);
    until_ready(&it).await;
    it.keeper.end(Duration::from_millis(20)).await.unwrap();
    it.until_empty(Ended::Signal(9)).await;
    assert_eq!(below(&it), []);
}

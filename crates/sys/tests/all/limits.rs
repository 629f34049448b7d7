//! Scripts with limits of memory and processor time, where control groups may be made.

use std::fs;
use std::path::{Path, PathBuf};

use ferrovirt_sys::keeper::{Ended, Keeper, Report, Sandbox, Script, Step, Surroundings};

use crate::support::{Home, Running, can, ended, is_root, keeper, run, started, until};

const MIB: u64 = 1 << 20;

fn limited(memory_bytes: Option<u64>, cpu_percent: Option<u32>) -> Surroundings {
    Surroundings {
        sandbox: Some(Sandbox {
            memory_bytes,
            cpu_percent,
            ..Sandbox::default()
        }),
        ..Surroundings::default()
    }
}

/// The groups that limit what this keeper runs.
fn groups(keeper: &Keeper) -> Vec<PathBuf> {
    let name = format!("ferrovirt-limit-{}", keeper.id().pid);
    let mut found = Vec::new();
    let mut next = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_name() == *name {
                found.push(entry.path());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                next.push(entry.path());
            }
        }
    }
    found
}

/// A keeper whose machine can limit, and that has shown so.
async fn limiting_keeper() -> Option<Keeper> {
    if !is_root() {
        return None;
    }
    let mut it = Running::within("true", limited(Some(512 * MIB), Some(100))).await;
    let report = it.next().await;
    let can_limit = matches!(report, Report::Started(_));
    if !can(can_limit, &format!("no limits here: {report:?}")) {
        return None;
    }
    it.until_empty(Ended::Exit(0)).await;
    assert_eq!(groups(&it.keeper), [""; 0].map(PathBuf::from));
    Some(it.keeper)
}

fn first(groups: &[PathBuf], files: [&str; 2]) -> Option<String> {
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    groups
        .iter()
        .find_map(|group| files.iter().find_map(|file| read(group.join(file))))
}

#[tokio::test]
async fn a_script_is_born_within_its_limits_and_its_groups_go_with_it() {
    let Some(keeper) = limiting_keeper().await else {
        return;
    };
    let text = "(while [ ! -e $D/end ]; do sleep 0.01; done) & cat /proc/self/cgroup > $D/groups
        echo > $D/ready; while [ ! -e $D/go ]; do sleep 0.01; done";
    let mut it = Running::on(keeper, text, limited(Some(64 * MIB), Some(150))).await;
    started(it.next().await);
    until("it runs", || !it.text("ready").is_empty()).await;
    let name = format!("/ferrovirt-limit-{}", it.keeper.id().pid);
    assert!(it.text("groups").contains(&name), "{}", it.text("groups"));
    let found = groups(&it.keeper);
    let memory = first(&found, ["memory.max", "memory.limit_in_bytes"]).unwrap();
    assert_eq!(memory.trim(), (64 * MIB).to_string());
    let cpu = first(&found, ["cpu.max", "cpu.cfs_quota_us"]).unwrap();
    assert_eq!(cpu.split_whitespace().next(), Some("150000"));
    it.put("go");
    assert_eq!(it.next().await, crate::support::left_behind(Ended::Exit(0)));
    assert_eq!(groups(&it.keeper), found, "not before the tree is gone");
    it.keeper.release(false).await.unwrap();
    it.put("end");
    assert_eq!(it.next().await, Report::Empty);
    assert!(groups(&it.keeper).is_empty());
}

#[tokio::test]
async fn who_takes_more_memory_than_allowed_is_killed_and_that_is_said() {
    let Some(keeper) = limiting_keeper().await else {
        return;
    };
    // Keeps the last line, which does not end.
    let text = "exec tail /dev/zero";
    let mut it = Running::on(keeper, text, limited(Some(32 * MIB), None)).await;
    let killed = Report::Exited {
        how: Ended::Signal(9),
        empty: true,
        oom: true,
    };
    assert_eq!(it.finished().await.0, killed);
    assert!(groups(&it.keeper).is_empty());
    // The keeper itself was not hit, and the next script starts from nothing.
    let mut it = Running::on(it.keeper, "kill -9 $$", limited(Some(32 * MIB), None)).await;
    assert_eq!(it.finished().await.0, ended(Ended::Signal(9)));
}

#[tokio::test]
async fn r95_a_limited_tree_is_ended() {
    let Some(keeper) = limiting_keeper().await else {
        return;
    };
    let text = "trap '' TERM; setsid sleep 1000 & sleep 1000 & echo > $D/ready; wait";
    let mut it = Running::on(keeper, text, limited(Some(64 * MIB), Some(50))).await;
    started(it.next().await);
    until("it runs", || !it.text("ready").is_empty()).await;
    it.keeper.end(std::time::Duration::from_millis(20)).await.unwrap();
    it.until_empty(Ended::Signal(9)).await;
    assert!(groups(&it.keeper).is_empty());
}

#[tokio::test]
async fn a_limit_that_cannot_be_set_is_never_left_out() {
    let refused = |errno| Report::NotStarted {
        errno,
        step: Step::Sandbox,
    };
    let nothing = limited(Some(0), None);
    let mut it = Running::on(keeper().await, "true", nothing).await;
    assert_eq!(it.next().await, refused(libc::EINVAL));
    if !is_root() {
        return;
    }
    let home = Home::without_groups();
    for limits in [limited(Some(MIB), None), limited(None, Some(10))] {
        let mut it = Running::on(home.keeper().await, "true", limits).await;
        assert_eq!(it.next().await, refused(libc::EOPNOTSUPP));
    }
}

#[tokio::test]
async fn a_script_that_is_not_executed_leaves_no_groups_behind() {
    let Some(mut keeper) = limiting_keeper().await else {
        return;
    };
    let script = Script {
        program: Path::new("/no/such").into(),
        surroundings: limited(Some(32 * MIB), Some(10)),
        ..Script::default()
    };
    let _pipes = run(&mut keeper, script).await;
    let (errno, step) = (libc::ENOENT, Step::Exec);
    assert_eq!(keeper.next().await.unwrap(), Report::NotStarted { errno, step });
    assert!(groups(&keeper).is_empty());
}

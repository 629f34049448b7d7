//! Keepers with real scripts, as the daemon sees them; and what they do when there is no daemon any more.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ferrovirt_sys::keeper::{Ended, Keeper, Report, Script, Step};
use ferrovirt_sys::process::ProcessId;
use ferrovirt_sys::{KeeperError, signals};

use crate::support::{Running, ended, keeper, left_behind, run, shell, started, until};

fn not_executed(errno: i32) -> Report {
    let step = Step::Exec;
    Report::NotStarted { errno, step }
}

#[tokio::test]
async fn r12_a_script_is_reported_from_start_to_end() {
    let mut it =
        Running::script("while [ ! -e $D/go ]; do sleep 0.01; done; echo out; echo err >&2; exit 3").await;
    started(it.next().await);
    // Only then it is certain that the pipes have left this process, and it can be empty.
    it.put("go");
    assert_eq!(it.next().await, ended(Ended::Exit(3)));
    let mut buffer = [0; 100];
    assert_eq!(it.stdout.read(&mut buffer).await.unwrap(), 4);
    assert_eq!(it.stderr.read(&mut buffer).await.unwrap(), 4);
    assert_eq!(
        it.stderr.read(&mut buffer).await.unwrap(),
        0,
        "nobody holds the writing end"
    );
    assert!(it.keeper.is_there());
    // Used again.
    let (_stdout, _stderr) = run(
        &mut it.keeper,
        shell(
            "while [ ! -e $D/again ]; do sleep 0.01; done; kill -9 $$",
            it.dir.path(),
        ),
    )
    .await;
    started(it.next().await);
    it.put("again");
    assert_eq!(it.next().await, ended(Ended::Signal(9)));
}

#[tokio::test]
async fn r6_what_is_not_executed_is_reported_with_its_number() {
    let mut keeper = keeper().await;
    for (program, errno) in [("/no/such", 2), ("/etc/passwd", 13), ("/etc", 13), ("nul\0", 22)] {
        let script = Script {
            program: program.into(),
            ..Script::default()
        };
        let _ends = run(&mut keeper, script).await;
        assert_eq!(keeper.next().await.unwrap(), not_executed(errno), "{program}");
    }
    let huge = Script {
        program: "/bin/true".into(),
        args: vec!["x".repeat(1 << 20).into()],
        ..Script::default()
    };
    let _ends = run(&mut keeper, huge).await;
    assert_eq!(
        keeper.next().await.unwrap(),
        not_executed(7),
        "E2BIG, after a message larger than the socket"
    );
    let fine = Script {
        program: "/bin/true".into(),
        args: vec!["x".repeat(100_000).into()],
        ..Script::default()
    };
    let _ends = run(&mut keeper, fine).await;
    started(keeper.next().await.unwrap());
}

#[tokio::test]
async fn r12_what_a_script_leaves_behind_keeps_the_keeper_until_it_is_gone() {
    let mut it = Running::script("(sleep 0.5; echo late; echo $? > $D/late) & exit 0").await;
    started(it.next().await);
    assert_eq!(it.next().await, left_behind(Ended::Exit(0)));
    let began = Instant::now();
    it.keeper.release(false).await.unwrap();
    assert_eq!(it.next().await, Report::Empty);
    assert!(began.elapsed() > Duration::from_millis(200));
    assert_eq!(it.text("late"), "0\n", "no SIGPIPE, no error");
}

#[tokio::test]
async fn r12_a_writer_outside_the_tree_keeps_the_pipe_open() {
    // A process that is not below the keeper opens the script's output for writing.
    let mut it = Running::script("echo $$ > $D/pid; while [ ! -e $D/go ]; do sleep 0.01; done; exit 0").await;
    let pid = started(it.next().await);
    let outside = fs::File::options()
        .write(true)
        .open(format!("/proc/{pid}/fd/1"))
        .unwrap();
    fs::write(it.dir.path().join("go"), "").unwrap();
    assert_eq!(it.next().await, left_behind(Ended::Exit(0)));
    it.keeper.release(false).await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), it.keeper.next())
            .await
            .is_err()
    );
    drop(outside);
    assert_eq!(it.next().await, Report::Empty);
}

#[tokio::test]
async fn r95_the_end_of_a_tree_is_reported_when_all_of_it_is_gone() {
    let text = "setsid sh -c 'trap \"\" TERM; echo $$ > $D/child; while :; do sleep 0.05; done' & \
                while [ ! -s $D/child ]; do sleep 0.01; done; echo > $D/ready; sleep 60";
    let mut it = Running::script(text).await;
    started(it.next().await);
    until("the child is there", || !it.text("ready").is_empty()).await;
    let child = ProcessId::of(it.text("child").trim().parse().unwrap()).unwrap();
    it.keeper.end(Duration::from_millis(300)).await.unwrap();
    assert_eq!(it.next().await, left_behind(Ended::Signal(15)));
    assert!(child.is_alive());
    it.keeper.release(false).await.unwrap();
    assert_eq!(it.next().await, Report::Empty);
    assert!(!child.is_alive());
    assert!(it.keeper.is_there());
}

#[tokio::test]
async fn r95_a_stopped_script_is_ended_too() {
    let mut it = Running::script("trap 'exit 9' TERM; kill -STOP $$; sleep 60").await;
    let pid = started(it.next().await);
    until("it is stopped", || {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
    })
    .await;
    it.keeper.end(Duration::from_secs(5)).await.unwrap();
    assert_eq!(it.next().await, ended(Ended::Exit(9)));
}

#[tokio::test]
async fn r96_without_its_daemon_a_keeper_stays_until_the_script_is_over() {
    let text = "echo early; sleep 0.5; head -c 200000 /dev/zero; echo $? > $D/done";
    let it = Running::script(text).await;
    let id = it.keeper.id();
    let Running {
        keeper,
        stdout,
        stderr,
        dir,
    } = it;
    drop((keeper, stdout, stderr));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(id.is_alive());
    let done = dir.path().join("done");
    until("the script is done", || {
        fs::read_to_string(&done).is_ok_and(|text| text == "0\n")
    })
    .await;
    until("the keeper is gone", || !id.is_alive()).await;
}

#[tokio::test]
async fn r96_without_its_daemon_an_idle_keeper_goes() {
    let keeper = keeper().await;
    let id = keeper.id();
    assert!(id.is_alive());
    drop(keeper);
    until("it is gone", || !id.is_alive()).await;
}

#[tokio::test]
async fn r96_sigterm_ends_the_tree_and_the_keeper() {
    let text = "trap 'echo cleaned > $D/end; exit 0' TERM; echo > $D/ready; while :; do sleep 0.05; done";
    let mut it = Running::script(text).await;
    started(it.next().await);
    until("it runs", || !it.text("ready").is_empty()).await;
    let id = it.keeper.id();
    signals::send(id, libc::SIGTERM).unwrap();
    assert_eq!(it.next().await, ended(Ended::Exit(0)));
    assert!(matches!(it.keeper.next().await, Err(KeeperError::Gone { keeper }) if keeper == id.pid));
    assert!(!it.keeper.is_there());
    assert_eq!(it.text("end"), "cleaned\n");
    until("it is gone", || !id.is_alive()).await;
}

#[tokio::test]
async fn r96_terminal_signals_do_not_reach_a_keeper() {
    let mut it = Running::script("sleep 0.3; exit 5").await;
    started(it.next().await);
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
        signals::send(it.keeper.id(), signal).unwrap();
    }
    assert_eq!(it.next().await, ended(Ended::Exit(5)));
    let own_group = rustix::process::Pid::from_raw(it.keeper.id().pid);
    assert_eq!(rustix::process::getpgid(own_group).unwrap(), own_group.unwrap());
}

#[tokio::test]
async fn a_keeper_lives_in_its_own_control_group_and_leaves_none_behind() {
    let it = Running::script("cat /proc/self/cgroup > $D/groups; echo > $D/ready; sleep 0.2").await;
    until("it has looked", || !it.text("ready").is_empty()).await;
    let mine = fs::read_to_string("/proc/self/cgroup").unwrap();
    let groups = it.text("groups");
    let name = format!("ferrovirt-hook-{}", it.keeper.id().pid);
    // Where groups may not be made (containers) there is none, and nothing else is different.
    if groups == mine {
        return;
    }
    let own: Vec<&str> = groups.lines().filter(|line| line.ends_with(&name)).collect();
    assert_eq!(own.len(), 1, "{groups}");
    let found = || {
        let roots = ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup"].map(Path::new);
        let path = own[0].splitn(3, ':').nth(2).unwrap().trim_start_matches('/');
        roots.iter().any(|root| root.join(path).is_dir())
    };
    assert!(found());
    let id = it.keeper.id();
    drop(it);
    until("keeper and group are gone", || !id.is_alive() && !found()).await;
}

#[tokio::test]
async fn a_keeper_that_cannot_be_started_is_named() {
    let error = Keeper::start("/no/such/keeper".as_ref()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start /no/such/keeper: No such file or directory (os error 2)"
    );
}

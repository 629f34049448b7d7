//! The launcher with real programs: what they are started as is read from inside.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::time::Duration;

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use ferrovirt_sys::launch::{LaunchError, Launcher, Orders};
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::private_dev::{self, Node};
use ferrovirt_sys::process::ProcessId;
use ferrovirt_sys::{process, signals};

use crate::support::{is_root, turn};

/// The launcher that cargo built for this test.
fn helper() -> PathBuf {
    env!("CARGO_BIN_EXE_ferrovirt-launch").into()
}

/// Launches in turn with the other tests of this program.
async fn start(orders: Orders) -> Result<ProcessId, LaunchError> {
    let _turn = turn().await;
    Launcher::new(helper()).launch(orders).await
}

/// Runs a shell script through the launcher to its end; what it wrote.
async fn output_of(script: &str, change: impl FnOnce(&mut Orders)) -> String {
    let mut file = tempfile::tempfile().unwrap();
    let mut orders = Orders::new("/bin/sh");
    orders.args = vec!["-c".into(), format!("sleep 0.3; {script}").into()];
    orders.stdout = Some(file.try_clone().unwrap().into());
    orders.stderr = Some(file.try_clone().unwrap().into());
    change(&mut orders);
    let id = start(orders).await.unwrap();
    let handle = PidFd::open(id).unwrap();
    tokio::time::timeout(Duration::from_secs(10), handle.exited())
        .await
        .unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// The session of a process; 0 where its leader is outside of our process namespace.
fn session_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(3).unwrap().parse().unwrap()
}

#[tokio::test]
async fn r15_the_program_is_nobody_s_child_in_its_own_session() {
    let mut orders = Orders::new("/bin/sleep");
    orders.args = vec!["30".into()];
    let id = start(orders).await.unwrap();
    let me = i32::try_from(std::process::id()).unwrap();
    assert!(id.is_alive());
    assert!(!process::ancestors(id.pid).contains(&me));
    assert_ne!(session_of(id.pid), session_of(me));
    assert_ne!(session_of(id.pid), id.pid, "not a session leader");
    assert_eq!(
        fs::read(format!("/proc/{}/cmdline", id.pid)).unwrap(),
        b"/bin/sleep\x0030\0"
    );
    assert_eq!(fs::read(format!("/proc/{}/environ", id.pid)).unwrap(), b"");
    signals::send(id, libc::SIGKILL).unwrap();
}

#[tokio::test]
async fn r15_descriptors_signals_and_surroundings_are_clean() {
    let text = output_of(
        "pwd; umask; ls /proc/self/fd | tr '\\n' ' '; echo; readlink /proc/self/fd/0; grep -E 'Sig(Blk|Ign)' /proc/self/status; echo $A",
        |orders| {
            orders.umask = Some(0o27);
            orders.cwd = Some("/usr".into());
            orders.env = vec![("A".into(), "b c".into()), ("PATH".into(), "/usr/bin:/bin".into())];
        },
    )
    .await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "/usr");
    assert_eq!(lines[1], "0027");
    assert_eq!(lines[2].trim(), "0 1 2 3", "3 is the directory that ls reads");
    assert_eq!(lines[3], "/dev/null");
    assert_eq!(lines[4], "SigBlk:\t0000000000000000");
    assert_eq!(lines[5], "SigIgn:\t0000000000000000");
    assert_eq!(lines[6], "b c");
}

#[tokio::test]
async fn r15_descriptors_get_their_numbers_even_crosswise() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        fs::File::create_new(&path).unwrap();
        OwnedFd::from(File::open(&path).unwrap())
    };
    let (a, b, c) = (file("a"), file("b"), file("c"));
    let text = output_of(
        "for n in 3 4 5; do readlink /proc/self/fd/$n; done; ls /proc/self/fd | tr '\\n' ' '",
        |orders| {
            orders.fds = vec![(a, 5), (b, 4), (c, 3)];
            orders.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        },
    )
    .await;
    let path = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [&path("c"), &path("b"), &path("a"), "0 1 2 3 4 5 6 "],
        "6 is the directory that ls reads"
    );
}

#[tokio::test]
async fn r15_user_groups_limits_and_capabilities() {
    if !is_root() {
        return;
    }
    let show = "id -u; id -g; id -G; ulimit -n; ulimit -c; cat /proc/self/oom_score_adj; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status";
    let path = || vec![("PATH".into(), "/usr/bin:/bin".into())];
    let text = output_of(show, |orders| {
        orders.uid = Some(65534);
        orders.gid = Some(65534);
        orders.groups = Some(vec![7, 9]);
        orders.nofile = Some(777);
        orders.core = Some(0);
        orders.oom_score_adj = Some(123);
        orders.env = path();
    })
    .await;
    let none = "0000000000000000";
    let expected = ["65534", "65534", "65534 7 9", "777", "0", "123"];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..6], expected, "{text}");
    for (line, name) in lines[6..].iter().zip(["CapPrm", "CapEff", "CapBnd"]) {
        assert_eq!(*line, format!("{name}:\t{none}"));
    }
    let show = "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status";
    let dropped = output_of(show, |orders| orders.env = path()).await;
    assert_eq!(dropped.matches(none).count(), 3, "also as root: {dropped}");
    let kept = output_of(show, |orders| {
        orders.keep_capabilities = true;
        orders.env = path();
    })
    .await;
    let mine = fs::read_to_string("/proc/self/status").unwrap();
    let line = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("CapPrm"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(line(&kept), line(&mine));
}

#[tokio::test]
async fn r6_what_cannot_be_started_is_named() {
    let error = start(Orders::new("/no/such/qemu")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot execute /no/such/qemu: No such file or directory"
    );
    assert!(matches!(
        error,
        LaunchError::Exec {
            errno: libc::ENOENT,
            ..
        }
    ));
    let error = start(Orders::new("/etc/passwd")).await.unwrap_err();
    assert!(
        matches!(
            error,
            LaunchError::Exec {
                errno: libc::EACCES,
                ..
            }
        ),
        "{error}"
    );
    let mut orders = Orders::new("/bin/true");
    orders.cwd = Some("/no/such".into());
    let error = start(orders).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start /bin/true: chdir /no/such: No such file or directory"
    );
    let mut orders = Orders::new("/bin/true");
    orders.fds = vec![(File::open("/dev/null").unwrap().into(), 1)];
    assert!(matches!(
        start(orders).await,
        Err(LaunchError::Step {
            errno: libc::EINVAL,
            ..
        })
    ));
    let mut orders = Orders::new("/bin/true");
    orders.args = vec!["nul\0".into()];
    assert!(matches!(
        start(orders).await,
        Err(LaunchError::Step {
            errno: libc::EINVAL,
            ..
        })
    ));
    let error = { Launcher::new("/no/such/helper") }
        .launch(Orders::new("/bin/true"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot start /bin/true through /no/such/helper: "),
        "{error}"
    );
}

#[tokio::test]
async fn r96_who_it_is_is_known_before_it_does_anything() {
    let dir = tempfile::tempdir().unwrap();
    let orders = || {
        let mut orders = Orders::new("/bin/sh");
        orders.args = vec!["-c".into(), "touch it; exec sleep 30".into()];
        orders.cwd = Some(dir.path().to_owned());
        orders
    };
    let _turn = turn().await;
    let waiting = Launcher::new(helper()).ready(orders()).await.unwrap();
    let id = waiting.id();
    assert!(id.is_alive());
    // Nobody tells it to go on: it ends, and has done nothing.
    let handle = PidFd::open(id).unwrap();
    drop(waiting);
    tokio::time::timeout(Duration::from_secs(10), handle.exited())
        .await
        .unwrap();
    assert!(!dir.path().join("it").exists());
    let waiting = Launcher::new(helper()).ready(orders()).await.unwrap();
    let id = waiting.id();
    assert_eq!(waiting.go().await.unwrap(), id);
    for _ in 0..200 {
        if dir.path().join("it").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(dir.path().join("it").exists() && id.is_alive());
    signals::send(id, 9).unwrap();
}

/// The launcher of ours that waits for orders, if there is one.
fn waiting() -> Option<ProcessId> {
    let own = i32::try_from(std::process::id()).unwrap();
    let is_launcher = |process: &ProcessId| {
        let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        line.starts_with(helper().as_os_str().as_encoded_bytes())
    };
    process::descendants(own).into_iter().find(is_launcher)
}

async fn until_waiting() -> ProcessId {
    for _ in 0..500 {
        if let Some(process) = waiting() {
            return process;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no launcher waits");
}

#[tokio::test]
async fn a_launcher_waits_for_the_next_start_and_is_not_needed_for_it() {
    let _turn = turn().await;
    let launcher = Launcher::new(helper());
    let orders = || Orders::new("/bin/true");
    launcher.launch(orders()).await.unwrap();
    assert_eq!(waiting(), None, "none is started before somebody wants it");
    launcher.refill();
    let first = until_waiting().await;
    launcher.refill();
    launcher.launch(orders()).await.unwrap();
    assert!(!first.is_alive(), "it has done its work");
    launcher.refill();
    let second = until_waiting().await;
    assert_ne!(second, first);
    // Whoever kills it does no harm.
    PidFd::open(second).unwrap().kill(9).unwrap();
    launcher.launch(orders()).await.unwrap();
    launcher.refill();
    let third = until_waiting().await;
    drop(launcher);
    // It is seen before whoever starts it has it in hand; then that one lets go of it.
    for _ in 0..500 {
        if !third.is_alive() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it stays without a daemon");
}

#[tokio::test]
async fn a_program_with_a_dev_of_its_own_sees_no_other_devices() {
    if !is_root() || !ferrovirt_sys::capability::may_make_dev() {
        return;
    }
    let node = |path: &str, owner| Node {
        path: path.into(),
        owner,
    };
    let listing = "cd /dev && find . -xdev -type c | sort | tr '\\n' ' '; stat -c '%u:%g' /dev/zero";
    let text = output_of(listing, |orders| {
        orders.dev = Some(vec![
            node("/dev/null", None),
            node("/dev/zero", Some((41, 42))),
            node("/dev/never-there", None),
        ]);
    })
    .await;
    if ferrovirt_sys::private_dev::holds("/dev/zero".as_ref()) {
        assert_eq!(text, "./null ./zero 41:42\n");
    } else {
        // Somebody mounted the nodes here one by one: those are the host's.
        assert!(!text.contains("tty"), "{text}");
    }
}

#[tokio::test]
async fn nodes_come_and_go_in_the_dev_of_a_program_that_runs() {
    if !is_root() || !ferrovirt_sys::private_dev::holds("/dev/zero".as_ref()) {
        return;
    }
    let zero = Node {
        path: "/dev/zero".into(),
        owner: Some((41, 42)),
    };
    let mut orders = Orders::new("/bin/sleep");
    orders.args = vec!["30".into()];
    orders.dev = Some(Vec::new());
    let id = start(orders).await.unwrap();
    let seen = PathBuf::from(format!("/proc/{}/root/dev/zero", id.pid));
    assert!(!seen.exists());
    for _ in 0..2 {
        private_dev::add(id, std::slice::from_ref(&zero)).unwrap();
        let meta = fs::metadata(&seen).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (41, 42));
    }
    for _ in 0..2 {
        private_dev::remove(id, std::slice::from_ref(&zero.path), &[]).unwrap();
        assert!(!seen.exists());
    }
    assert!(fs::metadata("/dev/zero").unwrap().uid() != 41);
    let me = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let error = private_dev::add(me, &[zero]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(22), "its /dev is the host's: {error}");
    PidFd::open(id).unwrap().kill(9).unwrap();
}

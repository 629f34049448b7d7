//! How a script is run (R7 to R9, R12, R15, R16, R92).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{World, prepare, shown_environment, until};
use ferrovirt_hook::{Call, DaemonOperation, Driver, Ended, HookEvent, Outcome};
use ferrovirt_sys::process::ProcessId;
use ferrovirt_sys::signals;
use tracing::Level;

#[tokio::test]
async fn r7_exactly_four_arguments_arrive_unchanged() {
    let world = World::with(&[(
        "qemu",
        r#"echo $# >&2; for a in "$0" "$@"; do echo "[$a]" >&2; done"#,
    )]);
    let event = HookEvent::release(Driver::Qemu, "-a 'b' \"ü\" $c\nd", "from snapshot").unwrap();
    let report = world.engine.call(Call::new(event, None)).await.unwrap();
    let path = world.hook("qemu");
    let expected = format!(
        "4\n[{}]\n[-a 'b' \"ü\" $c\nd]\n[release]\n[end]\n[from snapshot]\n",
        path.display()
    );
    assert_eq!(report.runs[0].stderr.text(), expected);
    assert_eq!(report.runs[0].outcome, Outcome::Ended(Ended::Exit(0)));
}

#[tokio::test]
async fn r7_the_reason_of_a_release_can_be_left_out() {
    let scripts = [("qemu", "echo \"$*\" >&2")];
    let without = World::changed(&scripts, |config| config.release_reason = false);
    let event = HookEvent::release(Driver::Qemu, "g1", "destroyed").unwrap();
    let report = without.engine.call(Call::new(event.clone(), None)).await.unwrap();
    assert_eq!(report.runs[0].stderr.text(), "g1 release end -\n");
    let event_of_the_daemon = HookEvent::daemon(DaemonOperation::Reload);
    without.put("daemon", "echo \"$*\" >&2", 0o755);
    without.engine.rediscover();
    let report = without
        .engine
        .call(Call::new(event_of_the_daemon, None))
        .await
        .unwrap();
    assert_eq!(
        report.runs[0].stderr.text(),
        "- reload begin SIGHUP\n",
        "other arguments stay"
    );
    let with = World::with(&scripts);
    let report = with.engine.call(Call::new(event, None)).await.unwrap();
    assert_eq!(report.runs[0].stderr.text(), "g1 release end destroyed\n");
}

#[tokio::test]
async fn r8_the_environment_is_as_promised_and_nothing_else() {
    let world = World::with(&[("qemu", "tr '\\0' ' ' < /proc/$$/environ >&2")]);
    let report = world.prepare("").await.unwrap();
    assert_eq!(
        report.runs[0].stderr.text().trim_end(),
        shown_environment().replace('\'', "")
    );
}

#[tokio::test]
async fn r8_surroundings_are_the_daemon_s_but_for_the_process_group() {
    let show = "pwd; umask; id -u; id -g; id -G; grep -E '^(Sig(Blk|Ign)|Cap(Prm|Eff|Bnd))' /proc/$$/status; \
                cut -d' ' -f5,6 /proc/$$/stat; echo $$";
    let world = World::with(&[("qemu", &format!("({show}) >&2"))]);
    let report = world.prepare("").await.unwrap();
    let text = report.runs[0].stderr.text();
    let lines: Vec<&str> = text.lines().collect();
    let here = std::env::current_dir().unwrap();
    assert_eq!(lines[0], here.to_str().unwrap());
    let of_this = |command: &str| {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(lines[1], of_this("umask"));
    assert_eq!(lines[2], of_this("id -u"));
    assert_eq!(lines[3], of_this("id -g"));
    assert_eq!(lines[4], of_this("id -G"));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in &lines[5..10] {
        if line.starts_with("Sig") {
            assert_eq!(line.split('\t').nth(1), Some("0000000000000000"), "{line}");
        } else {
            assert!(status.contains(line), "{line}");
        }
    }
    // The script leads its own process group in the daemon's session, so its `kill 0` hits nobody else.
    let (group, session) = lines[10].split_once(' ').unwrap();
    assert_eq!(group, lines[11]);
    assert_eq!(session, of_this("cut -d' ' -f6 /proc/$$/stat"));
}

#[tokio::test]
async fn r8_only_three_descriptors_are_inherited() {
    // A descriptor that a careless parent left open to the daemon.
    let leak = fs::File::open("/dev/null").unwrap();
    let world = World::with(&[("qemu", "ls /proc/self/fd | tr '\\n' ' ' >&2")]);
    let report = world.prepare("").await.unwrap();
    assert_eq!(
        report.runs[0].stderr.text(),
        "0 1 2 3 ",
        "3 is the directory that ls reads"
    );
    drop(leak);
}

#[tokio::test]
async fn r8_a_script_that_kills_its_group_hits_only_itself() {
    let world = World::with(&[("qemu", "kill -9 0")]);
    let error = world.prepare("").await.unwrap_err();
    assert!(error.detail().ends_with("unexpected fatal signal 9"), "{error}");
    world.put("qemu", "", 0o755);
    world.prepare("").await.unwrap();
}

#[tokio::test]
async fn r9_the_document_arrives_whole_then_the_end_of_file() {
    let world = World::with(&[("qemu", r#"cat > "$(dirname "$0")/../got""#)]);
    for document in [
        "<domain/>\n".to_owned(),
        String::new(),
        "ä".repeat(400_000) + "no newline at the end",
    ] {
        world.prepare(&document).await.unwrap();
        assert!(world.text("got") == document, "{} bytes", document.len());
    }
}

#[tokio::test]
async fn r9_no_document_is_dev_null_for_reading_and_writing() {
    let show = "readlink /proc/self/fd/0 >&2; grep flags /proc/self/fdinfo/0 >&2";
    let world = World::with(&[("daemon", show), ("qemu", "readlink /proc/self/fd/0 >&2")]);
    let call = Call::new(HookEvent::daemon(DaemonOperation::Start), None);
    let report = world.engine.call(call).await.unwrap();
    let text = report.runs[0].stderr.text();
    let (target, flags) = text.split_once('\n').unwrap();
    assert_eq!(target, "/dev/null");
    let flags = i32::from_str_radix(flags.split_whitespace().nth(1).unwrap(), 8).unwrap();
    assert_eq!(flags & 3, 2, "O_RDWR");
    let report = world.prepare("x").await.unwrap();
    assert!(report.runs[0].stderr.text().starts_with("pipe:"));
}

#[tokio::test]
async fn r9_a_script_that_does_not_read_is_no_error_and_blocks_nobody() {
    let big = "x".repeat(3 << 20);
    for body in [
        "exit 0",
        "exec 0<&-; sleep 0.2",
        "sleep 0.2",
        "head -c 10 > /dev/null",
    ] {
        let world = World::with(&[("qemu", body)]);
        tokio::time::timeout(Duration::from_secs(10), world.prepare(&big))
            .await
            .unwrap()
            .unwrap();
    }
    let world = World::with(&[("qemu", "sleep 0.3; wc -c >&2")]);
    let report = world.prepare(&big).await.unwrap();
    assert_eq!(
        report.runs[0].stderr.text().trim(),
        (3 << 20).to_string(),
        "read late, read whole"
    );
}

#[tokio::test]
async fn r12_the_call_is_over_with_the_main_process() {
    let body = r#"d=$(dirname "$0")/..
        (while [ ! -e $d/go ]; do sleep 0.05; done; echo late; echo late >&2; echo survived > $d/child) & echo early >&2"#;
    let world = World::with(&[("qemu", body)]);
    let report = world.prepare("").await.unwrap();
    assert_eq!(report.runs[0].stderr.text(), "early\n");
    // Another call meanwhile, which must get another keeper.
    world.put("qemu", "echo second >&2", 0o755);
    assert_eq!(world.prepare("").await.unwrap().runs[0].stderr.text(), "second\n");
    // R9: the pipes stay writable, nobody dies of SIGPIPE.
    fs::write(world.file("go"), "").unwrap();
    until("the child has written", || world.text("child") == "survived\n").await;
}

#[tokio::test]
async fn r12_a_child_that_writes_without_end_does_not_hold_the_call() {
    let body =
        r#"d=$(dirname "$0")/..; yes & echo $! > $d/out; yes >&2 & echo $! > $d/err; sleep 0.2; exit 3"#;
    let world = World::with(&[("qemu", body)]);
    let error = world.prepare("").await.unwrap_err();
    assert!(error.detail().contains("unexpected exit status 3: "));
    // Still alive: its output is thrown away, not its pipe.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for name in ["out", "err"] {
        let yes = ProcessId::of(world.text(name).trim().parse().unwrap()).unwrap();
        assert!(yes.is_alive());
        signals::send(yes, 9).unwrap();
    }
}

#[tokio::test]
async fn r12_a_keeper_is_used_again_as_soon_as_it_is_empty() {
    let show = r#"echo $PPID >> "$(dirname "$0")/../parents""#;
    let world = World::with(&[("qemu", show)]);
    for _ in 0..3 {
        world.prepare("").await.unwrap();
    }
    let keepers: Vec<String> = world.text("parents").lines().map(str::to_owned).collect();
    assert_eq!(keepers.len(), 3);
    assert!(keepers.iter().all(|keeper| *keeper == keepers[0]), "{keepers:?}");
    // With a child left behind it is not, until that is gone.
    world.put("qemu", &format!("{show}; sleep 0.7 > /dev/null 2>&1 &"), 0o755);
    world.prepare("").await.unwrap();
    world.put("qemu", show, 0o755);
    world.prepare("").await.unwrap();
    let keepers: Vec<String> = world.text("parents").lines().map(str::to_owned).collect();
    assert_eq!(keepers[3], keepers[0]);
    assert_ne!(keepers[4], keepers[0]);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.prepare("").await.unwrap();
    let keepers: Vec<String> = world.text("parents").lines().map(str::to_owned).collect();
    assert_eq!(keepers[5], keepers[0], "last in, first out");
}

#[tokio::test]
async fn r12_scripts_of_different_calls_run_side_by_side() {
    // Each waits for all the others.
    let body = r#"d=$(dirname "$0")/..; echo >> $d/begun; while [ $(wc -l < $d/begun) -lt 10 ]; do sleep 0.05; done"#;
    let world = World::with(&[("qemu", body)]);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let engine = world.engine.clone();
            tokio::spawn(async move { engine.call(prepare(None)).await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn r12_a_dropped_future_abandons_no_script() {
    let body = r#"d=$(dirname "$0")/..; while [ ! -e $d/go ]; do sleep 0.05; done; echo done > $d/done"#;
    let world = World::with(&[("qemu", body)]);
    let runs = || world.engine.running().iter().any(|hook| hook.pid.is_some());
    tokio::select! {
        _ = world.prepare("") => panic!("it waits for us"),
        () = until("the script runs", runs) => {}
    }
    assert_eq!(world.engine.running().len(), 1);
    std::fs::write(world.file("go"), "").unwrap();
    until("the script is done", || world.text("done") == "done\n").await;
    until("it is off the list", || world.engine.running().is_empty()).await;
}

#[tokio::test]
async fn r90_running_hooks_are_listed() {
    let world = World::with(&[("qemu", "echo $$ > \"$(dirname \"$0\")/../pid\"; sleep 0.5")]);
    assert!(world.engine.running().is_empty());
    let before = Instant::now();
    let engine = world.engine.clone();
    let call = tokio::spawn(async move { engine.call(prepare(None)).await });
    until("the script runs", || {
        let running = world.engine.running();
        running.iter().any(|hook| hook.pid.is_some()) && !world.text("pid").is_empty()
    })
    .await;
    let running = world.engine.running();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].script, world.hook("qemu"));
    assert_eq!(running[0].event, prepare(None).event);
    assert_eq!(running[0].pid.unwrap().to_string(), world.text("pid").trim());
    assert!(running[0].keeper.unwrap().is_alive());
    assert!((before..=Instant::now()).contains(&running[0].since));
    call.await.unwrap().unwrap();
    assert!(world.engine.running().is_empty());
}

#[tokio::test]
async fn r92_a_slow_script_is_worth_one_warning() {
    let scripts = [("qemu", "sleep 0.6")];
    let world = World::changed(&scripts, |config| config.warn_after = Duration::from_millis(200));
    world.prepare("").await.unwrap();
    let path = world.hook("qemu");
    let warning = format!(
        "Hook script {} (qemu g1 prepare begin -) has been running for 0.2 s",
        path.display()
    );
    assert_eq!(world.log(), [(Level::WARN, warning)]);
    let world = World::with(&[("qemu", "")]);
    world.prepare("").await.unwrap();
    assert_eq!(world.log(), []);
}

/// Set where a test runs again, as another user.
const INSIDE: &str = "FERROVIRT_TEST_INSIDE";

/// As an ordinary user: this test program runs this test again, as nobody.
#[test]
fn r16_a_session_daemon_calls_the_same_files_as_its_user() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(as_an_ordinary_user());
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: PathBuf, name: &str| {
        fs::copy(from, dir.path().join(name)).unwrap();
    };
    copy(crate::support::keeper_program(), "ferrovirt-keeper");
    copy(std::env::current_exe().unwrap(), "test");
    fs::create_dir(dir.path().join("tmp")).unwrap();
    for (name, mode) in [
        ("", 0o755),
        ("ferrovirt-keeper", 0o755),
        ("test", 0o755),
        ("tmp", 0o777),
    ] {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let program = dir.path().join("test");
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    let this = "running::r16_a_session_daemon_calls_the_same_files_as_its_user";
    let output = command
        .args(["--exact", this, "--nocapture"])
        .env(INSIDE, "1")
        .env("TMPDIR", dir.path().join("tmp"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

async fn as_an_ordinary_user() {
    let world = World::with(&[("qemu", "id -u >&2; ps -o uid= -p $PPID >&2")]);
    let report = world.prepare("").await.unwrap();
    let me = fs::metadata("/proc/self").unwrap().uid();
    assert_ne!(me, 0);
    let text = report.runs[0].stderr.text();
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>(),
        [me.to_string(), me.to_string()]
    );
    // What only others may execute is not run, and the reason is not the mode alone.
    world.put("qemu.d/1", "exit 1", 0o611);
    world.put("qemu", "", 0o755);
    world.prepare("").await.unwrap();
    let path = world.hook("qemu.d/1");
    let warning = format!(
        "Non-executable hook script {}: this daemon may not execute it (mode 0611, owner {me}:",
        path.display()
    );
    let warnings = world.logged(Level::WARN);
    assert!(warnings[0].starts_with(&warning), "{warnings:?}");
    // Scripts can be ended, and callers recognised, without any privilege.
    world.put("qemu", "echo > \"$(dirname \"$0\")/../ready\"; sleep 60", 0o755);
    let call = prepare(None);
    let cancel = call.cancel.clone();
    let engine = world.engine.clone();
    let task = tokio::spawn(async move { engine.call(call).await });
    until("it runs", || !world.text("ready").is_empty()).await;
    until("its number is known", || world.engine.running()[0].pid.is_some()).await;
    assert!(
        world
            .engine
            .origin_of(world.engine.running()[0].pid.unwrap())
            .is_some()
    );
    cancel.cancel();
    assert!(task.await.unwrap().unwrap_err().is_cancelled());
}

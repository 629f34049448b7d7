//! What rules make of scripts and add to them, and what the history keeps of it (R92, R93).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{World, prepare, until};
use ferrovirt_hook::history::{AskedBy, History, How, KindRow, Query, Reader, Run, Settings};
use ferrovirt_hook::{Call, Driver, GuestOperation, HookEvent, Policy, Source, Trial};
use tracing::Level;

/// A world with rules and a history. `{D}` in rules is the world's directory.
fn world(scripts: &[(&str, &str)], rules: &str) -> World {
    let world = World::changed(scripts, |config| {
        let dir = config.hooks_dir.parent().unwrap().to_owned();
        config.history = History::open(Settings::new(dir.join("history/history.db"))).unwrap();
        config.policy = policy(&dir, rules);
    });
    world.engine.rediscover();
    world
}

fn policy(dir: &Path, rules: &str) -> Policy {
    let rules_dir = dir.join("hooks.d");
    fs::create_dir_all(&rules_dir).unwrap();
    let text = rules.replace("{D}", dir.to_str().unwrap());
    fs::write(rules_dir.join("10-test.toml"), text).unwrap();
    Policy::load(&rules_dir).unwrap_or_else(|errors| panic!("{errors}"))
}

async fn runs(world: &World) -> Vec<Run> {
    world.engine.history().flush().await;
    let reader = Reader::open(world.engine.history().path().unwrap()).unwrap();
    let rows = reader.runs(&Query::default()).unwrap();
    rows.iter()
        .map(|row| reader.run(row.id).unwrap().unwrap())
        .collect()
}

fn event(operation: GuestOperation) -> HookEvent {
    HookEvent::guest(Driver::Qemu, "g1", operation).unwrap()
}

#[tokio::test]
async fn r92_the_tree_is_ended_at_its_limit_and_the_failure_says_so() {
    let world = world(
        &[(
            "qemu",
            r#"sleep 300 & echo $! > "$(dirname "$0")/../child"; wait"#,
        )],
        "[[rule]]\ntimeout = '300ms'\n",
    );
    let error = world.prepare("x").await.unwrap_err();
    let path = world.hook("qemu");
    assert_eq!(
        error.detail(),
        format!(
            "internal error: {} (qemu g1 prepare begin -) took longer than its limit of 300ms and was ended",
            path.display()
        )
    );
    let child: i32 = world.text("child").trim().parse().unwrap();
    assert!(
        !Path::new(&format!("/proc/{child}/exe")).exists(),
        "the tree lives"
    );
    let runs = runs(&world).await;
    let limit = Duration::from_millis(300);
    assert_eq!(runs[0].row.how, Some(How::TimedOut { after: limit }));
    assert!(runs[0].row.failed && !runs[0].row.ignored);
}

#[tokio::test]
async fn r92_what_runs_shows_its_limits() {
    let world = world(
        &[("qemu", "sleep 2")],
        "[[rule]]\nwarn_after = '100ms'\ntimeout = '1s'\n",
    );
    let engine = world.engine.clone();
    let task = tokio::spawn(async move { engine.call(prepare(None)).await });
    until("it is late", || {
        world.engine.running().first().is_some_and(|hook| hook.late)
    })
    .await;
    let running = world.engine.running();
    assert!(running[0].until.is_some_and(|until| until > Instant::now()));
    assert_eq!(world.logged(Level::WARN).len(), 1);
    assert!(task.await.unwrap().is_err());
}

#[tokio::test]
async fn a_failure_counts_as_its_rule_says() {
    for (on_failure, level) in [("warn", Some(Level::WARN)), ("ignore", None)] {
        let rules = format!("[[rule]]\non_failure = '{on_failure}'\n");
        let world = world(&[("qemu", "echo why >&2; exit 3"), ("qemu.d/1", "")], &rules);
        let report = world.prepare("x").await.unwrap();
        assert_eq!(report.runs.len(), 2);
        assert_eq!(world.logged(Level::ERROR), Vec::<String>::new());
        let expected = usize::from(level.is_some());
        assert_eq!(world.logged(Level::WARN).len(), expected, "{on_failure}");
        let runs = runs(&world).await;
        assert!(runs[0].row.failed && runs[0].row.ignored);
        assert!(
            runs[0]
                .row
                .failure
                .as_deref()
                .is_some_and(|text| text.contains("exit status 3: why"))
        );
        assert!(!runs[1].row.failed && !runs[1].row.ignored);
    }
}

#[tokio::test]
async fn scripts_of_one_lock_run_one_at_a_time() {
    let body = r#"d=$(dirname "$0")/..; echo "$1 in" >> $d/order; sleep 0.3; echo "$1 out" >> $d/order"#;
    let world = world(&[("qemu", body)], "[[rule]]\nlock = 'iptables'\n");
    let calls: Vec<_> = (0..3)
        .map(|number| {
            let engine = world.engine.clone();
            tokio::spawn(async move {
                let name = format!("g{number}");
                let event = HookEvent::guest(Driver::Qemu, &name, GuestOperation::Prepare).unwrap();
                engine.call(Call::new(event, None)).await
            })
        })
        .collect();
    until("two wait", || {
        let waiting = |hook: &ferrovirt_hook::RunningHook| hook.waits_for.as_deref() == Some("iptables");
        world.engine.running().iter().filter(|hook| waiting(hook)).count() == 2
    })
    .await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let order = world.text("order");
    for pair in order.lines().collect::<Vec<_>>().chunks(2) {
        assert_eq!(pair[0].replace("in", "out"), pair[1], "{order}");
    }
}

#[tokio::test]
async fn r95_who_waits_for_a_lock_can_be_ended_and_never_waits_for_itself() {
    let world = world(
        &[("qemu", "[ $1 = g1 ] && sleep 300; :")],
        "[[rule]]\nlock = 'one'\n",
    );
    let first = prepare(None);
    let end = first.cancel.clone();
    let engine = world.engine.clone();
    let task = tokio::spawn(async move { engine.call(first).await });
    until("the first runs", || {
        world
            .engine
            .running()
            .first()
            .is_some_and(|hook| hook.pid.is_some())
    })
    .await;
    // Inside the first hook: the lock is its own.
    let pid = world.engine.running()[0].pid.unwrap();
    let other = HookEvent::guest(Driver::Qemu, "g2", GuestOperation::Prepare).unwrap();
    let mut inside = Call::new(other.clone(), None);
    inside.origin = world.engine.origin_of(pid).unwrap();
    world.engine.call(inside).await.unwrap();
    // From outside: it waits, until it is ended.
    let outside = Call::new(other, None);
    let cancel = outside.cancel.clone();
    let engine = world.engine.clone();
    let waiting = tokio::spawn(async move { engine.call(outside).await });
    until("it waits", || world.engine.running().len() == 2).await;
    cancel.cancel();
    assert!(waiting.await.unwrap().unwrap_err().is_cancelled());
    end.cancel();
    assert!(task.await.unwrap().is_err());
}

#[tokio::test]
async fn r8_a_script_gets_what_its_rule_says() {
    let body = "d=$(dirname \"$0\")/..; cat > $d/stdin; { pwd; id -un; echo $FERROVIRT_A:$HOME:$4; } > $d/seen; exit 1";
    let world = world(
        &[("qemu", body)],
        "[[rule]]\nuser = 'root'\ncwd = '/usr'\npayload = 'json'\nrelease_reason = false\n\
         env = { FERROVIRT_A = 'secret' }\n",
    );
    let event = HookEvent::release(Driver::Qemu, "g1", "destroyed").unwrap();
    let document = "<domain type='qemu'><name>g1</name></domain>\n";
    let call = Call::new(event, Some(document.into()));
    let error = world.engine.call(call).await.unwrap_err();
    assert_eq!(world.text("seen"), "/usr\nroot\nsecret:/root:-\n");
    assert!(!error.detail().contains("secret"), "{error}");
    let payload = world.text("stdin");
    assert!(
        payload.starts_with("{\"version\":1,") && payload.contains("\"xml\":\"<domain"),
        "{payload}"
    );
    let runs = runs(&world).await;
    assert_eq!(runs[0].environment, ["FERROVIRT_A"]);
    assert_eq!(runs[0].row.extra, "-");
}

#[tokio::test]
async fn r8_a_script_of_another_user_has_that_user_s_home_and_name() {
    use std::os::unix::fs::PermissionsExt;
    let body = r#"echo "$(id -un) $HOME $USER $LOGNAME" >&2"#;
    let world = world(&[("qemu", body)], "[[rule]]\nuser = 'daemon'\n");
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let report = world.prepare("x").await.unwrap();
    assert_eq!(report.runs[0].stderr.text(), "daemon /usr/sbin daemon daemon\n");
}

#[tokio::test]
async fn other_rules_count_from_the_next_call_on() {
    let world = world(&[("qemu", "exit 1")], "[[rule]]\non_failure = 'ignore'\n");
    world.prepare("x").await.unwrap();
    assert!(!world.engine.policy().rules().is_empty());
    world.engine.set_policy(Policy::empty());
    world.prepare("x").await.unwrap_err();
    assert!(world.engine.policy().rules().is_empty());
}

#[tokio::test]
async fn who_has_its_lock_waits_for_it_no_more() {
    let world = world(
        &[(
            "qemu",
            "while [ ! -e \"$(dirname \"$0\")/../go\" ]; do sleep 0.05; done",
        )],
        "[[rule]]\nlock = 'l'\n",
    );
    let engine = world.engine.clone();
    let call = tokio::spawn(async move { engine.call(prepare(None)).await });
    until("the script runs", || {
        world.engine.running().iter().any(|hook| hook.pid.is_some())
    })
    .await;
    assert_eq!(world.engine.running()[0].waits_for, None);
    fs::write(world.file("go"), "").unwrap();
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn r34_a_rule_for_one_script_goes_before_the_setting_for_all() {
    let note = r#"echo "${0##*/} $4" >> "$(dirname "$0")/../told""#;
    let world = World::changed(&[("qemu", note)], |config| {
        let dir = config.hooks_dir.parent().unwrap().to_owned();
        config.release_reason = false;
        config.policy = policy(
            &dir,
            "[[rule]]\nrelease_reason = true\n[rule.when]\nscript = 'qemu.d/*'\n",
        );
    });
    world.put(
        "qemu.d/new",
        r#"echo "${0##*/} $4" >> "$(dirname "$0")/../../told""#,
        0o755,
    );
    world.engine.rediscover();
    let event = HookEvent::release(Driver::Qemu, "g1", "from snapshot").unwrap();
    world.engine.call(Call::new(event, None)).await.unwrap();
    assert_eq!(world.text("told"), "qemu -\nnew from snapshot\n");
}

#[tokio::test]
async fn a_user_that_is_not_there_fails_the_call_and_is_named() {
    let world = world(&[("qemu", "")], "[[rule]]\nuser = 'nobody-of-that-name'\n");
    let error = world.prepare("x").await.unwrap_err();
    assert!(
        error.detail().ends_with("there is no user 'nobody-of-that-name'"),
        "{error}"
    );
    assert!(matches!(runs(&world).await[0].row.how, Some(How::Refused { .. })));
}

#[tokio::test]
async fn a_sandbox_keeps_a_script_from_writing() {
    let world = world(
        &[("qemu", "echo x > $0.no; echo y > ${0%/*}/../ok/file")],
        "[[rule]]\n[rule.sandbox]\nread_only = true\nwritable = ['{D}/ok']\n",
    );
    fs::create_dir(world.file("ok")).unwrap();
    let _ = world.prepare("x").await;
    assert_eq!(world.text("ok/file"), "y\n");
    assert!(!world.hook("qemu.no").exists());
}

#[tokio::test]
async fn a_rule_adds_commands_behind_the_scripts_and_alone_for_new_events() {
    let note = r#"echo "${0##*/} $*" >> "$(dirname "$0")/../called""#;
    let world = world(
        &[("qemu", note)],
        "[[rule]]\nname = 'tell'\nrun = [['{D}/bin/tell', 'own']]\n\
         [rule.when]\ndriver = 'qemu'\noperation = ['prepare', 'suspended']\n",
    );
    world.put("../bin/tell", note, 0o755);
    world.prepare("x").await.unwrap();
    world
        .engine
        .call(Call::new(event(GuestOperation::Suspended), None))
        .await
        .unwrap();
    world
        .engine
        .call(Call::new(event(GuestOperation::Resumed), None))
        .await
        .unwrap();
    assert_eq!(
        world.text("called"),
        "qemu g1 prepare begin -\ntell own g1 prepare begin -\ntell own g1 suspended end -\n"
    );
    let runs = runs(&world).await;
    assert_eq!(runs[1].row.kind, KindRow::Rule("tell".to_owned()));
    assert_eq!(runs[1].row.rule.as_deref(), Some("tell"));
}

#[tokio::test]
async fn nobody_waits_for_what_is_asynchronous() {
    let world = world(
        &[(
            "qemu",
            r#"d=$(dirname "$0")/..; while [ ! -e $d/go ]; do sleep 0.05; done; echo >> $d/done"#,
        )],
        "[[rule]]\nasync = true\n[rule.when]\ndriver = 'qemu'\noperation = 'stopped'\n",
    );
    let call = Call::new(event(GuestOperation::Stopped), None);
    world.engine.call(call).await.unwrap();
    fs::write(world.file("go"), "").unwrap();
    until("it ran all the same", || world.text("done") == "\n").await;
    // Others are waited for.
    world.prepare("x").await.unwrap();
    assert_eq!(world.text("done"), "\n\n");
    // The end of the daemon is theirs.
    fs::remove_file(world.file("go")).unwrap();
    let call = Call::new(event(GuestOperation::Stopped), None);
    world.engine.call(call).await.unwrap();
    until("it runs", || !world.engine.running().is_empty()).await;
    world.engine.end_async().await;
    assert!(world.engine.running().is_empty(), "it is gone");
}

#[tokio::test]
async fn r93_what_children_print_later_is_in_the_history() {
    let world = world(
        &[("qemu", "echo first; (sleep 0.5; echo later; echo trouble >&2) &")],
        "",
    );
    world.prepare("<x/>").await.unwrap();
    let mut found = runs(&world).await;
    for _ in 0..200 {
        if !found[0].later_stderr.bytes.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        found = runs(&world).await;
    }
    let run = &found[0];
    assert_eq!(run.stdout.bytes, b"first\n");
    assert_eq!(
        (
            run.later_stdout.bytes.as_slice(),
            run.later_stderr.bytes.as_slice()
        ),
        (&b"later\n"[..], &b"trouble\n"[..])
    );
    assert_eq!(
        run.document.as_ref().map(|document| document.text.as_str()),
        Some("<x/>")
    );
    assert_eq!(run.row.how, Some(How::Exit(0)));
    assert!(run.row.digest.is_some());
}

#[tokio::test]
async fn what_would_run_is_what_runs() {
    let world = world(
        &[("qemu", ""), ("qemu.d/10-a", "exit 1"), ("qemu.d/20-b", "")],
        "[[rule]]\nname = 'no'\non_failure = 'ignore'\n[rule.when]\nscript = 'qemu.d/10-*'\n\
         [[rule]]\nname = 'more'\nrun = ['{D}/bin/more']\n[rule.when]\ndriver = 'qemu'\noperation = 'prepare'\n",
    );
    world.put("qemu.d/20-b", "", 0o644);
    world.put("../bin/more", "", 0o755);
    let plan = world
        .engine
        .plan(event(GuestOperation::Prepare), None, None)
        .await;
    let shown: Vec<_> = plan
        .iter()
        .map(|step| {
            (
                step.path.file_name().unwrap().to_str().unwrap(),
                step.skipped.is_none(),
                step.treatment.rules.join(","),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("qemu", true, String::new()),
            ("10-a", true, "no".into()),
            ("20-b", false, String::new()),
            ("more", true, "more".into())
        ]
    );
    assert_eq!(plan[3].source, Source::Rule("more".to_owned()));
    let report = world.prepare("x").await.unwrap();
    let ran: Vec<_> = report.runs.iter().map(|run| run.script.clone()).collect();
    let would: Vec<_> = plan
        .iter()
        .filter(|step| step.skipped.is_none())
        .map(|step| step.path.clone())
        .collect();
    assert_eq!(ran, would);
}

#[tokio::test]
async fn r93_a_run_can_be_repeated_and_tried_with_another_script() {
    let world = world(&[("qemu", "cat >> \"$(dirname \"$0\")/../seen\"; exit 2")], "");
    world.prepare("<one/>").await.unwrap_err();
    let first = runs(&world).await.remove(0);
    let trial = Trial {
        event: ferrovirt_hook::event_of(&first).unwrap(),
        document: first
            .document
            .as_ref()
            .map(|document| document.text.as_str().into()),
        uuid: None,
        script: Some(first.row.script.clone()),
        replay: Some(first.row.id),
        origin: ferrovirt_hook::Origin::client(),
        cancel: Default::default(),
    };
    let tried = world.engine.try_out(trial.clone()).await;
    assert_eq!(tried.len(), 1);
    assert!(tried[0].result.is_err());
    assert_eq!(world.text("seen"), "<one/><one/>");
    world.put("../other", "exit 0", 0o755);
    let other = Trial {
        script: Some(world.file("other")),
        ..trial
    };
    assert!(world.engine.try_out(other).await[0].result.is_ok());
    let all = runs(&world).await;
    let kinds: Vec<_> = all.iter().map(|run| run.row.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            KindRow::Script,
            KindRow::Replay(first.row.id),
            KindRow::Replay(first.row.id)
        ]
    );
}

#[tokio::test]
async fn a_simulated_filter_shows_what_each_script_makes_of_the_document() {
    let world = world(
        &[
            ("qemu", "sed s/a/b/"),
            ("qemu.d/1", "sed s/b/c/"),
            ("qemu.d/2", "cat > /dev/null"),
        ],
        "",
    );
    let tried = world
        .engine
        .try_out(Trial {
            event: event(GuestOperation::Restore),
            document: Some("<a/>".into()),
            uuid: None,
            script: None,
            replay: None,
            origin: ferrovirt_hook::Origin::client(),
            cancel: Default::default(),
        })
        .await;
    let seen: Vec<_> = tried
        .iter()
        .map(|one| {
            (
                one.input.as_deref().unwrap(),
                one.result.as_ref().unwrap().as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("<a/>", Some("<b/>")), ("<b/>", Some("<c/>")), ("<c/>", None)]
    );
}

#[tokio::test]
async fn r93_a_trial_is_written_down_with_who_asked_and_ends_when_it_is_told_to() {
    let world = world(&[("qemu", "")], "");
    let asked_by = AskedBy {
        pid: Some(7),
        ..AskedBy::default()
    };
    let trial = Trial {
        event: event(GuestOperation::Prepare),
        document: None,
        uuid: Some("u-1".to_owned()),
        script: None,
        replay: None,
        origin: ferrovirt_hook::Origin::client().by(asked_by.clone()),
        cancel: Default::default(),
    };
    assert_eq!(world.engine.try_out(trial.clone()).await.len(), 1);
    let rows = runs(&world).await;
    let row = &rows[0].row;
    assert_eq!((row.uuid.as_deref(), &row.asked_by), (Some("u-1"), &asked_by));
    assert_eq!(row.kind, KindRow::Simulation);
    // Whoever asked has gone.
    trial.cancel.cancel();
    assert!(world.engine.try_out(trial).await.is_empty());
    // Also while a script runs.
    world.put("qemu", "exec sleep 60", 0o755);
    let trial = Trial {
        event: event(GuestOperation::Prepare),
        document: None,
        uuid: None,
        script: None,
        replay: None,
        origin: ferrovirt_hook::Origin::client(),
        cancel: Default::default(),
    };
    let (engine, cancel) = (world.engine.clone(), trial.cancel.clone());
    let task = tokio::spawn(async move { engine.try_out(trial).await });
    until("it runs", || {
        world.engine.running().iter().any(|hook| hook.pid.is_some())
    })
    .await;
    cancel.cancel();
    let tried = task.await.unwrap();
    assert!(tried[0].result.as_ref().unwrap_err().is_cancelled());
}

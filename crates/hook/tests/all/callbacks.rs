//! Who calls from inside a hook, ending hooks, and what a dead daemon leaves behind (R91, R95, R96).

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{World, prepare, until};
use ferrovirt_hook::{BoxFuture, Call, CallJournal, Driver, Object, Origin};
use ferrovirt_sys::process::ProcessId;
use ferrovirt_sys::signals;
use tracing::Level;

const NOTE_PID: &str = r#"echo $$ > "$(dirname "$0")/../pid"; "#;

fn pid_in(world: &World, name: &str) -> i32 {
    world.text(name).trim().parse().unwrap()
}

/// Starts the call in the background and waits until `$../pid` is written.
async fn started(
    world: &World,
    call: Call,
) -> tokio::task::JoinHandle<Result<(), ferrovirt_hook::HookError>> {
    let engine = world.engine.clone();
    let task = tokio::spawn(async move { engine.call(call).await.map(drop) });
    until("the script runs", || world.text("pid").ends_with('\n')).await;
    task
}

#[tokio::test]
async fn r91_callers_from_inside_a_hook_are_recognised_by_ancestry() {
    // The caller is a grandchild in its own session whose parent is gone.
    let body = r#"d=$(dirname "$0")/..; (setsid sh -c "echo \$\$ > $d/pid; exec sleep 30" &) ; sleep 1.5"#;
    let world = World::with(&[("qemu", body)]);
    let g1 = Object::new(Driver::Qemu, "g1");
    let call = Call {
        origin: Origin::client().with(g1.clone()),
        ..prepare(None)
    };
    let task = started(&world, call).await;
    let caller = pid_in(&world, "pid");
    let origin = world.engine.origin_of(caller).expect("inside");
    let hook = origin.waiting_for(&g1).unwrap();
    assert_eq!(hook.script, world.hook("qemu"));
    assert_eq!(
        hook.to_string(),
        format!("{} (qemu g1 prepare begin -)", world.hook("qemu").display())
    );
    assert!(origin.waiting_for(&Object::new(Driver::Qemu, "g2")).is_none());
    until("its number is known", || world.engine.running()[0].pid.is_some()).await;
    let running = world.engine.running();
    let script = world.engine.origin_of(running[0].pid.unwrap()).unwrap();
    assert!(script.waiting_for(&g1).is_some());
    // Not inside: this program, init, nobody.
    for pid in [std::process::id().cast_signed(), 1, 0, -1, i32::MAX] {
        assert!(world.engine.origin_of(pid).is_none(), "{pid}");
    }
    task.await.unwrap().unwrap();
    // Nothing waits for what the script left behind.
    assert!(world.engine.origin_of(caller).is_none());
    signals::send(ProcessId::of(caller).unwrap(), 9).unwrap();
}

#[tokio::test]
async fn r91_each_hook_has_its_own_origin() {
    let world = World::with(&[("qemu", &format!("{NOTE_PID} sleep 1")), ("lxc", "sleep 1")]);
    let (g1, c1) = (Object::new(Driver::Qemu, "g1"), Object::new(Driver::Lxc, "c1"));
    let event =
        ferrovirt_hook::HookEvent::guest(Driver::Lxc, "c1", ferrovirt_hook::GuestOperation::Start).unwrap();
    let other = Call {
        origin: Origin::client().with(c1.clone()),
        ..Call::new(event, None)
    };
    let engine = world.engine.clone();
    let lxc = tokio::spawn(async move { engine.call(other).await.map(drop) });
    let call = Call {
        origin: Origin::client().with(g1.clone()),
        ..prepare(None)
    };
    let qemu = started(&world, call).await;
    until("both run", || {
        world
            .engine
            .running()
            .iter()
            .filter(|hook| hook.pid.is_some())
            .count()
            == 2
    })
    .await;
    for hook in world.engine.running() {
        let origin = world.engine.origin_of(hook.pid.unwrap()).unwrap();
        let is_qemu = hook.event.driver() == Driver::Qemu;
        assert_eq!(origin.waiting_for(&g1).is_some(), is_qemu);
        assert_eq!(origin.waiting_for(&c1).is_some(), !is_qemu);
        // The history of what it asks for names it.
        assert_eq!(
            origin.asked_by().hook,
            Some(ferrovirt_hook::history::RunId(hook.id))
        );
        let serves = [
            (Driver::Qemu, "g1"),
            (Driver::Lxc, "c1"),
            (Driver::Lxc, "g1"),
            (Driver::Qemu, "c1"),
        ]
        .map(|(driver, name)| hook.serves(driver, name));
        assert_eq!(serves, [is_qemu, !is_qemu, false, false]);
    }
    qemu.await.unwrap().unwrap();
    lxc.await.unwrap().unwrap();
}

#[tokio::test]
async fn r95_a_cancelled_script_gets_sigterm_and_may_clean_up() {
    let trap = r#"d=$(dirname "$0")/..; trap 'echo cleaned > $d/end; exit 4' TERM; echo $$ > $d/pid; while :; do sleep 0.05; done"#;
    let world = World::with(&[
        ("qemu", trap),
        ("qemu.d/1", r#"echo no > "$(dirname "$0")/../../next""#),
    ]);
    let call = prepare(Some("x"));
    let cancel = call.cancel.clone();
    let task = started(&world, call).await;
    cancel.cancel();
    let error = task.await.unwrap().unwrap_err();
    assert!(error.is_cancelled());
    let path = world.hook("qemu");
    let detail = format!(
        "internal error: {} (qemu g1 prepare begin -) was ended by destroy",
        path.display()
    );
    assert_eq!(
        error.to_string(),
        format!("Hook script execution failed: {detail}")
    );
    assert_eq!(error.event(), &prepare(None).event);
    assert_eq!(world.log(), [(Level::WARN, detail.clone())]);
    assert_eq!(
        error.cancelled_by("shutdown").detail(),
        detail.replace("destroy", "shutdown")
    );
    assert_eq!(world.text("end"), "cleaned\n");
    assert_eq!(world.text("next"), "", "no further script is called");
}

#[tokio::test]
async fn r95_the_whole_tree_is_ended_and_killed_after_five_seconds() {
    // The script dies of SIGTERM; a child in its own session does not care, and starts others all the time.
    let body = r#"d=$(dirname "$0")/..
setsid sh -c "trap '' TERM; echo \$\$ > $d/stubborn; while :; do sleep 0.02; done" &
while [ ! -s $d/stubborn ]; do sleep 0.01; done
echo $$ > $d/pid
sleep 60"#;
    let world = World::with(&[("qemu", body)]);
    let call = prepare(None);
    let cancel = call.cancel.clone();
    let task = started(&world, call).await;
    let stubborn = ProcessId::of(pid_in(&world, "stubborn")).unwrap();
    let keeper = world.engine.running()[0].keeper.unwrap();
    let began = Instant::now();
    cancel.cancel();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(stubborn.is_alive());
    assert_eq!(
        world.engine.running().len(),
        1,
        "the call waits for the whole tree"
    );
    assert!(world.engine.origin_of(stubborn.pid).is_some());
    assert!(task.await.unwrap().unwrap_err().is_cancelled());
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(4900),
        "not before its time: {took:?}"
    );
    assert!(!stubborn.is_alive());
    assert_eq!(world.logged(Level::ERROR), Vec::<String>::new());
    // The keeper is empty and used again.
    world.put("qemu", r#"echo $PPID > "$(dirname "$0")/../parent""#, 0o755);
    world.prepare("").await.unwrap();
    assert_eq!(pid_in(&world, "parent"), keeper.pid);
}

#[tokio::test]
async fn r95_a_keeper_that_hangs_does_not_hold_the_cancel() {
    let world = World::with(&[("qemu", &format!("{NOTE_PID} exec sleep 60"))]);
    let call = prepare(None);
    let cancel = call.cancel.clone();
    let task = started(&world, call).await;
    let keeper = world.engine.running()[0].keeper.unwrap();
    let script = ProcessId::of(pid_in(&world, "pid")).unwrap();
    signals::send(keeper, 19).unwrap();
    let began = Instant::now();
    cancel.cancel();
    assert!(task.await.unwrap().unwrap_err().is_cancelled());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(9500), "it has its time: {took:?}");
    until("script and keeper are gone", || {
        !script.is_alive() && !keeper.is_alive()
    })
    .await;
    let path = world.hook("qemu");
    let expected = format!(
        "internal error: cannot run {}: hook keeper {} is gone",
        path.display(),
        keeper.pid
    );
    assert_eq!(world.logged(Level::ERROR), [expected]);
}

#[tokio::test]
async fn r95_after_a_cancel_nothing_begins() {
    let world = World::with(&[("qemu", "echo no >&2; exit 1")]);
    let call = prepare(None);
    call.cancel.cancel();
    let error = world.engine.call(call).await.unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(
        error.detail(),
        "internal error: hook qemu g1 prepare begin - was not called because of destroy"
    );
    assert_eq!(world.log(), []);
}

/// Writes down what it is told, and whether the script had already run then.
struct Notebook {
    witness: PathBuf,
    notes: Mutex<Vec<String>>,
    keepers: Mutex<Vec<ProcessId>>,
}

impl Notebook {
    fn new(world: &World) -> Arc<Notebook> {
        Arc::new(Notebook {
            witness: world.file("pid"),
            notes: Mutex::default(),
            keepers: Mutex::default(),
        })
    }

    fn note(&self, what: &str) {
        let when = if self.witness.exists() { "after" } else { "before" };
        self.notes.lock().unwrap().push(format!("{what} {when}"));
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

impl CallJournal for Notebook {
    fn begin(&self, keeper: ProcessId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.keepers.lock().unwrap().push(keeper);
            self.note("begin");
        })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.note("end") })
    }
}

#[tokio::test]
async fn r96_the_journal_knows_the_keeper_before_the_script_runs() {
    let parent = r#"echo $PPID > "$(dirname "$0")/../parent"; "#;
    let world = World::with(&[
        ("qemu", &format!("{parent}{NOTE_PID}")),
        ("qemu.d/1", ""),
        ("qemu.d/2", "exit 1"),
    ]);
    let notebook = Notebook::new(&world);
    let call = Call {
        journal: Some(notebook.clone()),
        ..prepare(None)
    };
    world.engine.call(call).await.unwrap_err();
    // The pipes may look open for a moment, while another test starts a program: then another keeper goes on.
    let mut notes = notebook.notes();
    notes.retain(|note| note != "begin after");
    assert_eq!(notes, ["begin before", "end after"]);
    assert_eq!(notebook.keepers.lock().unwrap()[0].pid, pid_in(&world, "parent"));
    // Another keeper is told of, too.
    world.put("qemu", "sleep 3 > /dev/null 2>&1 &", 0o755);
    let notebook = Notebook::new(&world);
    let call = Call {
        journal: Some(notebook.clone()),
        ..prepare(None)
    };
    world.engine.call(call).await.unwrap_err();
    let notes = notebook.notes();
    assert!(notes.len() >= 3, "{notes:?}");
    assert_eq!(notes.last().map(String::as_str), Some("end after"), "{notes:?}");
    let begins = &notes[..notes.len() - 1];
    assert!(begins.iter().all(|note| note == "begin after"), "{notes:?}");
    let keepers = notebook.keepers.lock().unwrap().clone();
    assert_ne!(keepers[0], keepers[1]);
    // Without scripts there is nothing to tell.
    std::fs::remove_file(world.hook("qemu")).unwrap();
    std::fs::remove_dir_all(world.hook("qemu.d")).unwrap();
    let notebook = Notebook::new(&world);
    world
        .engine
        .call(Call {
            journal: Some(notebook.clone()),
            ..prepare(None)
        })
        .await
        .unwrap();
    assert_eq!(notebook.notes(), Vec::<String>::new());
}

/// A journal with a bug.
struct Panics;

impl CallJournal for Panics {
    fn begin(&self, _: ProcessId) -> BoxFuture<'_, ()> {
        Box::pin(async { panic!("on purpose") })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_panic_ends_one_call_and_nothing_else() {
    let world = World::with(&[("qemu", "")]);
    let error = world
        .engine
        .call(Call {
            journal: Some(Arc::new(Panics)),
            ..prepare(None)
        })
        .await
        .unwrap_err();
    assert_eq!(error.event(), &prepare(None).event);
    let expected = format!(
        "internal error: cannot run {}: task ",
        world.hook("qemu").display()
    );
    assert!(error.detail().starts_with(&expected), "{error}");
    assert!(error.detail().contains("on purpose"), "{error}");
    world.prepare("").await.unwrap();
}

#[tokio::test]
async fn r96_the_next_daemon_ends_an_orphaned_tree() {
    let body = r#"d=$(dirname "$0")/..; trap 'echo ended > $d/end; exit' TERM; setsid sleep 60 & echo $! > $d/child; echo $$ > $d/pid; wait"#;
    let world = World::with(&[("qemu", body)]);
    let task = started(&world, prepare(None)).await;
    let keeper = world.engine.running()[0].keeper.unwrap();
    let child = ProcessId::of(pid_in(&world, "child")).unwrap();
    let next = ferrovirt_hook::Engine::new(world.config.clone());
    next.end_orphan(keeper).await;
    assert!(!keeper.is_alive());
    assert!(!child.is_alive());
    assert_eq!(world.text("end"), "ended\n");
    next.end_orphan(keeper).await;
    // To the engine that lived on, the script ended like any other.
    drop(task.await);
}

#[tokio::test]
async fn r96_an_orphaned_keeper_that_hangs_is_killed_with_its_tree() {
    let world = World::with(&[("qemu", &format!("{NOTE_PID} exec sleep 60"))]);
    let task = started(&world, prepare(None)).await;
    let keeper = world.engine.running()[0].keeper.unwrap();
    let script = ProcessId::of(pid_in(&world, "pid")).unwrap();
    signals::send(keeper, 19).unwrap();
    world.engine.end_orphan(keeper).await;
    assert!(!keeper.is_alive());
    assert!(!script.is_alive());
    let error = task.await.unwrap().unwrap_err();
    assert!(
        error
            .detail()
            .contains(&format!("hook keeper {} is gone", keeper.pid)),
        "{error}"
    );
}

#[tokio::test]
async fn r96_a_script_whose_keeper_is_killed_is_killed_too() {
    let world = World::with(&[("qemu", &format!("{NOTE_PID} sleep 60; :"))]);
    let task = started(&world, prepare(None)).await;
    until("its number is known", || world.engine.running()[0].pid.is_some()).await;
    let keeper = world.engine.running()[0].keeper.unwrap();
    let script = ProcessId::of(pid_in(&world, "pid")).unwrap();
    signals::send(keeper, 9).unwrap();
    let error = task.await.unwrap().unwrap_err();
    let path = world.hook("qemu");
    let detail = format!(
        "internal error: cannot run {}: hook keeper {} is gone",
        path.display(),
        keeper.pid
    );
    assert_eq!(error.detail(), detail);
    until("it is gone", || !script.is_alive()).await;
    let warning = format!("Hook script {} lost its keeper; killed: true", path.display());
    assert_eq!(world.logged(Level::WARN), [warning]);
    // The next call gets a new keeper.
    world.put("qemu", "", 0o755);
    world.prepare("").await.unwrap();
}

#[tokio::test]
async fn r96_a_script_that_kills_its_keeper_at_once_is_killed_too() {
    let script = r#"echo $$ > "${0%/*}/../pid"; kill -9 $PPID; sleep 60; :"#;
    let world = World::with(&[("qemu", script)]);
    let error = world.prepare("").await.unwrap_err();
    assert!(error.detail().contains("hook keeper"), "{error}");
    let path = world.hook("qemu");
    let warning = format!("Hook script {} lost its keeper; killed: true", path.display());
    assert_eq!(world.logged(Level::WARN), [warning]);
    let pid = pid_in(&world, "pid");
    until("it is gone", || {
        ProcessId::of(pid).map_or(true, |id| !id.is_alive())
    })
    .await;
}

#[tokio::test]
async fn r96_an_idle_keeper_that_was_killed_is_not_used() {
    let world = World::with(&[("qemu", r#"echo $PPID > "$(dirname "$0")/../parent""#)]);
    world.prepare("").await.unwrap();
    let keeper = ProcessId::of(pid_in(&world, "parent")).unwrap();
    signals::send(keeper, 9).unwrap();
    until("it is gone", || !keeper.is_alive()).await;
    world.prepare("").await.unwrap();
    assert_ne!(pid_in(&world, "parent"), keeper.pid);
}

#[tokio::test]
async fn r92_one_script_is_ended_by_its_number_and_the_next_one_runs() {
    let world = World::with(&[
        ("qemu", r#"echo $$ > "$(dirname "$0")/../pid"; sleep 60 & wait"#),
        ("qemu.d/1", r#"echo yes > "$(dirname "$0")/../../next""#),
    ]);
    let task = started(&world, prepare(Some("x"))).await;
    let running = world.engine.running();
    assert_eq!(running.len(), 1);
    assert!(!running[0].late);
    let id = running[0].id;
    assert!(world.engine.cancel(id + 1, "nobody").is_none());
    let ended = world.engine.cancel(id, "ferrovirt cancel").unwrap();
    assert_eq!((ended.id, ended.script), (id, world.hook("qemu")));
    let error = task.await.unwrap().unwrap_err();
    let path = world.hook("qemu");
    assert_eq!(
        error.detail(),
        format!(
            "internal error: {} (qemu g1 prepare begin -) was ended by ferrovirt cancel",
            path.display()
        )
    );
    assert!(
        !error.is_cancelled(),
        "the call failed, nobody destroyed the guest"
    );
    assert_eq!(world.text("next"), "yes\n");
    assert!(world.engine.running().is_empty());
    assert!(world.engine.cancel(id, "too late").is_none());
}

#[tokio::test]
async fn r95_a_destroy_says_more_than_whoever_ended_the_script_before() {
    let world = World::with(&[(
        "qemu",
        &format!("trap 'sleep 0.5; exit 1' TERM; {NOTE_PID} while :; do sleep 0.1; done"),
    )]);
    let call = prepare(None);
    let cancel = call.cancel.clone();
    let running = started(&world, call).await;
    let id = world.engine.running()[0].id;
    world.engine.cancel(id, "root").unwrap();
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ferrovirt_hook::HookError::Cancelled { .. }),
        "{error}"
    );
}

//! Which files are hooks (R1 to R5, R94).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{World, prepare, until};
use ferrovirt_hook::{Call, DaemonOperation, Discovery, Driver, GuestOperation, HookEvent, NetworkOperation};
use tracing::Level;

const NOTE: &str = r#"echo "${0##*/}" >> "$(dirname "$0")/called""#;
const NOTE_D: &str = r#"echo "${0##*/}" >> "$(dirname "$0")/../called""#;

fn called(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.hook("called")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn r1_each_driver_has_its_own_script() {
    let world = World::with(&[]);
    for driver in Driver::ALL {
        world.put(driver.as_str(), NOTE, 0o755);
    }
    world.put("other", NOTE, 0o755);
    world.put("qemu.bak", NOTE, 0o755);
    world.engine.rediscover();
    let guest = |driver| HookEvent::guest(driver, "g", GuestOperation::Start).unwrap();
    let events = [
        HookEvent::daemon(DaemonOperation::Start),
        guest(Driver::Qemu),
        guest(Driver::Lxc),
        guest(Driver::Libxl),
        HookEvent::network("n", NetworkOperation::Start),
    ];
    for event in events {
        let report = world.engine.call(Call::new(event, None)).await.unwrap();
        assert_eq!(report.runs.len(), 1);
    }
    assert_eq!(called(&world), ["daemon", "qemu", "lxc", "libxl", "network"]);
}

#[tokio::test]
async fn r2_main_comes_first_then_the_others_in_byte_order() {
    let names = [
        "#a#", ".hidden", "05-x", "10-a", "2-b", "B", "Z.sh", "_u", "a", "a b", "a.bak", "a~", "ä",
    ];
    let world = World::with(&[("qemu", NOTE)]);
    for name in names.iter().rev() {
        world.put(&format!("qemu.d/{name}"), NOTE_D, 0o755);
    }
    fs::create_dir(world.hook("qemu.d/directory")).unwrap();
    symlink("nothing", world.hook("qemu.d/dangling")).unwrap();
    let report = world.prepare("").await.unwrap();
    let mut expected = vec!["qemu"];
    expected.extend(names);
    assert_eq!(called(&world), expected);
    let paths: Vec<_> = report
        .runs
        .iter()
        .map(|run| run.script.as_os_str().as_bytes().to_owned())
        .collect();
    assert_eq!(paths[0], world.hook("qemu").as_os_str().as_bytes());
    assert_eq!(paths[2], world.hook("qemu.d/.hidden").as_os_str().as_bytes());
    // The log mentions what may be no hook in the eyes of whoever put it there.
    let mut remarks = world.logged(Level::WARN);
    remarks.sort();
    let remark = |name: &str, text: &str| {
        let path = world.hook(&format!("qemu.d/{name}"));
        format!("Hook script {} is called although {text}", path.display())
    };
    let dangling = world.hook("qemu.d/dangling");
    let mut expected = vec![
        remark("#a#", "it looks like a backup"),
        remark(".hidden", "it is a hidden file"),
        remark("a b", "its name has a space"),
        remark("a.bak", "it looks like a backup"),
        remark("a~", "it looks like a backup"),
        format!(
            "Hook script {} cannot be used: No such file or directory (os error 2)",
            dangling.display()
        ),
    ];
    expected.sort();
    assert_eq!(remarks, expected);
}

#[tokio::test]
async fn r2_links_are_followed_and_the_main_script_need_not_exist() {
    let world = World::with(&[]);
    world.put("../elsewhere", r#"echo "$0" >&2"#, 0o700);
    fs::create_dir(world.hook("qemu.d")).unwrap();
    symlink("../../elsewhere", world.hook("qemu.d/10-link")).unwrap();
    world.engine.rediscover();
    let report = world.prepare("").await.unwrap();
    assert_eq!(report.runs.len(), 1);
    // R8: the path under the hooks directory, links not resolved.
    let path = world.hook("qemu.d/10-link");
    assert_eq!(report.runs[0].stderr.text(), format!("{}\n", path.display()));
    assert_eq!(world.log(), []);
}

#[tokio::test]
async fn r3_what_may_not_be_executed_is_reported_once_per_change() {
    let world = World::with(&[("qemu.d/10-a", NOTE_D)]);
    world.put("qemu", NOTE, 0o644);
    let warning = |mode: &str| {
        format!(
            "Non-executable hook script {}: its mode {mode} has no execute bit",
            world.hook("qemu").display()
        )
    };
    for _ in 0..2 {
        world.prepare("").await.unwrap();
    }
    assert_eq!(called(&world), ["10-a", "10-a"]);
    assert_eq!(world.log(), [(Level::WARN, warning("0644"))]);
    world.put("qemu", NOTE, 0o600);
    world.prepare("").await.unwrap();
    assert_eq!(world.logged(Level::WARN)[1..], [warning("0600")]);
    // Usable, then not again: that is a change.
    fs::set_permissions(world.hook("qemu"), fs::Permissions::from_mode(0o100)).unwrap();
    world.prepare("").await.unwrap();
    fs::set_permissions(world.hook("qemu"), fs::Permissions::from_mode(0o600)).unwrap();
    world.prepare("").await.unwrap();
    assert_eq!(world.logged(Level::WARN)[2..], [warning("0600")]);
    assert_eq!(called(&world), ["10-a", "10-a", "10-a", "qemu", "10-a", "10-a"]);
}

#[tokio::test]
async fn r3_any_execute_bit_will_do_for_root_and_other_kinds_of_files_are_no_hooks() {
    let world = World::with(&[]);
    for (name, mode) in [("1", 0o500), ("2", 0o410), ("3", 0o401), ("4", 0o644)] {
        world.put(&format!("qemu.d/{name}"), NOTE_D, mode);
    }
    fs::create_dir(world.hook("qemu")).unwrap();
    let fifo = world.hook("qemu.d/5");
    assert!(
        std::process::Command::new("mkfifo")
            .args(["-m", "755"])
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    world.engine.rediscover();
    world.prepare("").await.unwrap();
    assert_eq!(called(&world), ["1", "2", "3"]);
    let mut warnings = world.logged(Level::WARN);
    warnings.sort();
    let hook = |name: &str| format!("Non-executable hook script {}", world.hook(name).display());
    assert_eq!(
        warnings,
        [
            format!("{}: its mode 0644 has no execute bit", hook("qemu.d/4")),
            format!("{}: it is not a regular file", hook("qemu.d/5")),
            format!("{}: it is a directory", hook("qemu")),
        ]
    );
}

#[tokio::test]
async fn r4_with_startup_discovery_the_first_hook_needs_a_reload() {
    let world = World::with(&[("network", "")]);
    world.put("qemu", NOTE, 0o755);
    assert!(world.prepare("").await.unwrap().runs.is_empty());
    world.engine.rediscover();
    assert_eq!(world.prepare("").await.unwrap().runs.len(), 1);
    // From now on its files are looked up afresh: added, changed, removed.
    world.put("qemu.d/1", NOTE_D, 0o755);
    assert_eq!(world.prepare("").await.unwrap().runs.len(), 2);
    world.put("qemu", "exit 3", 0o755);
    world.prepare("").await.unwrap_err();
    fs::remove_file(world.hook("qemu")).unwrap();
    assert_eq!(world.prepare("").await.unwrap().runs.len(), 1);
    fs::remove_dir_all(world.hook("qemu.d")).unwrap();
    assert!(world.prepare("").await.unwrap().runs.is_empty());
    world.put("qemu", NOTE, 0o755);
    assert_eq!(
        world.prepare("").await.unwrap().runs.len(),
        1,
        "it still counts as a driver with hooks"
    );
    fs::remove_file(world.hook("qemu")).unwrap();
    world.engine.rediscover();
    world.put("qemu", NOTE, 0o755);
    assert!(world.prepare("").await.unwrap().runs.is_empty(), "decided anew");
}

#[tokio::test]
async fn r4_with_live_discovery_everything_is_used_at_once() {
    let world = World::changed(&[], |config| config.discovery = Discovery::Live);
    assert!(world.prepare("").await.unwrap().runs.is_empty());
    world.put("qemu", "", 0o755);
    assert_eq!(world.prepare("").await.unwrap().runs.len(), 1);
}

#[tokio::test]
async fn r4_an_empty_directory_of_scripts_is_no_hook_and_neither_is_a_tree_that_is_not_there() {
    for tree in [false, true] {
        let world = World::changed(&[], |config| {
            config.guest_tree = tree;
            if !tree {
                fs::create_dir(config.hooks_dir.join("qemu.d")).unwrap();
            }
        });
        world.put("qemu", NOTE, 0o755);
        assert!(world.prepare("").await.unwrap().runs.is_empty(), "tree: {tree}");
        world.engine.rediscover();
        assert_eq!(world.prepare("").await.unwrap().runs.len(), 1, "tree: {tree}");
    }
}

#[tokio::test]
async fn r4_what_nobody_is_called_for_need_not_be_prepared() {
    let start = HookEvent::guest(Driver::Qemu, "g1", GuestOperation::Start).unwrap();
    let for_rules = HookEvent::port_ready(Driver::Qemu, "g1", "vnet0").unwrap();
    let network = HookEvent::network("n1", NetworkOperation::Start);
    let wanted = |world: &World| [&start, &for_rules, &network].map(|event| world.engine.wants(event));
    // No script and no directory of guests, although one is looked for.
    let guests = |config: &mut ferrovirt_hook::EngineConfig| {
        config.guests_dir = Some(config.hooks_dir.with_file_name("guests"));
    };
    let world = World::changed(&[], guests);
    assert_eq!(wanted(&world), [false, false, false]);
    // Directories of guests are there for all that happens to guests, and for nothing else.
    fs::create_dir(world.file("guests")).unwrap();
    assert_eq!(wanted(&world), [true, true, false]);
    // Once there, they are believed to stay until the next reload.
    fs::remove_dir(world.file("guests")).unwrap();
    assert_eq!(wanted(&world), [true, true, false]);
    world.engine.rediscover();
    assert_eq!(wanted(&world), [false, false, false]);
    // A script is called for its own driver, and not for what is for rules alone.
    assert_eq!(wanted(&World::with(&[("qemu", "")])), [true, false, false]);
    assert_eq!(wanted(&World::with(&[("network", "")])), [false, false, true]);
}

#[tokio::test]
async fn r5_no_directory_no_scripts_no_word() {
    let world = World::changed(&[], |config| {
        config.discovery = Discovery::Live;
        config.hooks_dir.push("missing");
        // Never asked for.
        config.keeper_program = "/no/such/keeper".into();
    });
    assert!(world.prepare("x").await.unwrap().runs.is_empty());
    let filtered = world.engine.filter(prepare(Some("x"))).await.unwrap();
    assert_eq!((filtered.document, filtered.report.runs.len()), (None, 0));
    assert_eq!(world.log(), []);
}

#[tokio::test]
async fn r3_a_directory_that_cannot_be_listed_is_reported() {
    let world = World::with(&[("qemu", "")]);
    fs::write(world.hook("qemu.d"), "a file").unwrap();
    assert_eq!(world.prepare("").await.unwrap().runs.len(), 1);
    let path = world.hook("qemu.d");
    let text = format!(
        "Cannot read hook directory {}: Not a directory (os error 20)",
        path.display()
    );
    assert_eq!(world.log(), [(Level::WARN, text)]);
}

#[tokio::test]
async fn r94_what_others_may_change_is_reported_and_refused_when_strict() {
    let world = World::with(&[("qemu.d/1", ""), ("qemu.d/3", "")]);
    world.put("qemu.d/2", "", 0o775);
    assert_eq!(world.prepare("").await.unwrap().runs.len(), 3);
    let path = world.hook("qemu.d/2");
    let reason = "others than its owner may write to it (mode 0775)";
    let warning = format!("Hook script {} is not safe: {reason}", path.display());
    assert_eq!(world.log(), [(Level::WARN, warning)]);
    let mut config = world.config.clone();
    config.strict_permissions = true;
    let strict = ferrovirt_hook::Engine::new(config);
    let error = strict.call(prepare(None)).await.unwrap_err();
    let detail = format!("internal error: {} is not run: {reason}", path.display());
    assert_eq!(error.detail(), detail);
    assert_eq!(
        error.to_string(),
        format!("Hook script execution failed: {detail}")
    );
    assert_eq!(
        world.logged(Level::ERROR),
        [detail.clone(), format!("Hook script execution failed: {detail}")]
    );
}

#[tokio::test]
async fn r94_a_directory_that_others_may_write_to_is_as_bad() {
    let world = World::with(&[("qemu.d/1", "")]);
    fs::set_permissions(world.hook("qemu.d"), fs::Permissions::from_mode(0o777)).unwrap();
    world.prepare("").await.unwrap();
    let (script, directory) = (world.hook("qemu.d/1"), world.hook("qemu.d"));
    let warning = format!(
        "Hook script {} is not safe: others than the owner of {} may write there (mode 0777)",
        script.display(),
        directory.display()
    );
    assert_eq!(world.log(), [(Level::WARN, warning)]);
}

/// A script that notes its own path below the world's directory.
fn note_path(world: &World) -> String {
    format!(r#"echo "${{0#{0}/}}" >> {0}/called"#, world.dir.path().display())
}

#[tokio::test]
async fn directories_of_a_guest_follow_the_common_scripts_by_name_and_by_uuid() {
    let world = World::changed(&[], |config| {
        config.guests_dir = Some(config.hooks_dir.with_file_name("guests"));
    });
    let note = note_path(&world);
    for name in [
        "../guests/g1/prepare/20-b",
        "../guests/g1/prepare/10-a",
        "../guests/u-1/prepare/30-c",
        "../guests/g1/release/never",
        "../guests/g2/prepare/never",
        "qemu",
    ] {
        world.put(name, &note, 0o755);
    }
    world.put("../guests/g1/prepare/15-not", &note, 0o644);
    fs::create_dir(world.hook("../guests/g1/prepare/directory")).unwrap();
    // The directory of guests is seen at once, the driver's first script after a reload (R4).
    let mut call = prepare(None);
    call.uuid = Some("u-1".into());
    world.engine.call(call.clone()).await.unwrap();
    let guests = [
        "guests/g1/prepare/10-a",
        "guests/g1/prepare/20-b",
        "guests/u-1/prepare/30-c",
    ];
    assert_eq!(world.text("called").lines().collect::<Vec<_>>(), guests);
    world.engine.rediscover();
    fs::remove_file(world.file("called")).unwrap();
    world.engine.call(call).await.unwrap();
    let all: Vec<String> = world.text("called").lines().map(str::to_owned).collect();
    assert_eq!(all[0], "hooks/qemu");
    assert_eq!(all[1..], guests);
}

#[tokio::test]
async fn a_name_never_leads_out_of_the_directory_of_guests() {
    let world = World::changed(&[], |config| {
        config.guests_dir = Some(config.hooks_dir.with_file_name("guests"));
    });
    world.put("../prepare/outside", &note_path(&world), 0o755);
    world.put("../guests/prepare/outside", &note_path(&world), 0o755);
    world.engine.rediscover();
    for name in ["..", ".", "", "x/..", "../guests"] {
        let event = HookEvent::guest(Driver::Qemu, name, GuestOperation::Prepare).unwrap();
        let report = world.engine.call(Call::new(event, None)).await.unwrap();
        assert!(report.runs.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn the_tree_of_the_dispatcher_is_read_when_asked_for_and_never_twice() {
    let tree = "qemu.d/g1/prepare/begin/10-a";
    let dispatcher = "for f in \"$(dirname \"$0\")/qemu.d/$1/$2/$3\"/*; do \"$f\" \"$@\"; done";
    for (asked_for, main, times) in [
        (false, ":", 0),
        (true, ":", 1),
        (true, dispatcher, 1),
        (false, dispatcher, 1),
    ] {
        let world = World::changed(&[], |config| config.guest_tree = asked_for);
        world.put(tree, &note_path(&world), 0o755);
        world.put("qemu.d/g1/prepare/end/10-a", &note_path(&world), 0o755);
        world.put("qemu", main, 0o755);
        world.engine.rediscover();
        world.prepare("x").await.unwrap();
        let called = world.text("called");
        assert_eq!(called.lines().count(), times, "{asked_for} {main}: {called}");
    }
    // Whoever only writes about the directory runs nothing of it, nor does one with variables of other kinds.
    let mention = "# see qemu.d/README, \"$1\" and qemu.dx/$1";
    let world = World::changed(&[("qemu", mention)], |config| config.guest_tree = true);
    world.put(tree, &note_path(&world), 0o755);
    world.prepare("x").await.unwrap();
    assert_eq!(world.text("called").lines().count(), 1);
    // Without any script the tree alone is enough.
    let world = World::changed(&[], |config| config.guest_tree = true);
    world.put(tree, &note_path(&world), 0o755);
    world.engine.rediscover();
    world.prepare("x").await.unwrap();
    assert_eq!(world.text("called"), "hooks/qemu.d/g1/prepare/begin/10-a\n");
}

#[tokio::test]
async fn r2_a_script_with_the_name_of_a_guest_is_no_broken_tree() {
    let world = World::changed(&[("qemu.d/g1", NOTE_D)], |config| config.guest_tree = true);
    world.prepare("x").await.unwrap();
    assert_eq!(called(&world), ["g1"]);
    assert_eq!(world.log(), []);
    let plan = world.engine.plan(prepare(None).event, None, None).await;
    assert!(plan.iter().all(|planned| planned.skipped.is_none()), "{plan:?}");
    // What is in the way of a whole directory is said.
    fs::create_dir_all(world.hook("qemu.d/g2")).unwrap();
    symlink("prepare", world.hook("qemu.d/g2/prepare")).unwrap();
    let event = HookEvent::guest(Driver::Qemu, "g2", GuestOperation::Prepare).unwrap();
    let plan = world.engine.plan(event, None, None).await;
    let path = world.hook("qemu.d/g2/prepare/begin");
    let broken = plan.iter().find(|planned| planned.path == path);
    let reason = broken.and_then(|planned| planned.skipped.as_deref()).unwrap();
    assert!(reason.contains("symbolic links"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_live_discovery_says_at_once_what_becomes_of_a_file() {
    let world = World::changed(&[], |config| config.discovery = Discovery::Live);
    world.engine.watch();
    let said = |text: &str| world.log().iter().any(|(_, message)| message.contains(text));
    // The watch begins in a task of its own: until it is there, changes may be missed, so they are made again.
    let mut tries = 0;
    while !said("is called from now on") && tries < 100 {
        world.put("qemu", "", 0o755);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        fs::remove_file(world.hook("qemu")).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        tries += 1;
    }
    world.put("network", "", 0o644);
    until("the missing bit is said", || said("has no execute bit")).await;
    // Also in a directory that came later.
    world.put("qemu.d/10-a", "", 0o755);
    until("the new directory is watched", || {
        said("qemu.d/10-a is called from now on")
    })
    .await;
    world.put("qemu.d/20-b", "", 0o600);
    until("a change in it is seen", || said("qemu.d/20-b")).await;
}

//! What a failure is called (R6, R13, R14).

use std::fs;
use std::path::Path;

use crate::support::{World, prepare, shown_environment};
use ferrovirt_hook::{Ended, HookError, Outcome};
use tracing::Level;

const PREFIX: &str = "Hook script execution failed: ";

fn child(script: &Path) -> String {
    format!(
        "internal error: Child process ({} {} g1 prepare begin -)",
        shown_environment(),
        script.display()
    )
}

#[tokio::test]
async fn r13_status_and_stderr_are_told_and_logged_in_two_lines() {
    let world = World::with(&[(
        "qemu",
        "echo 'Could not find required XYZZY' >&2; echo out; exit 3",
    )]);
    let error = world.prepare("").await.unwrap_err();
    let detail = format!(
        "{} unexpected exit status 3: Could not find required XYZZY\n",
        child(&world.hook("qemu"))
    );
    assert_eq!(error.detail(), detail);
    assert_eq!(error.to_string(), format!("{PREFIX}{detail}"));
    assert_eq!(error.event(), &prepare(None).event);
    assert!(!error.is_cancelled());
    assert!(matches!(&error, HookError::Failed { script, .. } if *script == world.hook("qemu")));
    let line = |place: &str, text: String| (Level::ERROR, place.to_owned(), text);
    assert_eq!(
        world.log_with_targets(),
        [
            line("virCommandWait", detail.clone()),
            line("virRunScript", format!("{PREFIX}{detail}"))
        ]
    );
}

#[tokio::test]
async fn r13_without_stderr_there_is_no_colon() {
    for status in [1, 2, 126, 127, 255] {
        let world = World::with(&[("qemu", &format!("exit {status}"))]);
        let error = world.prepare("").await.unwrap_err();
        assert_eq!(
            error.detail(),
            format!("{} unexpected exit status {status}", child(&world.hook("qemu")))
        );
    }
}

#[tokio::test]
async fn r13_stderr_is_complete_and_unchanged() {
    let world = World::with(&[("qemu", "printf 'first\\nsecond\\n\\tä %% %%s' >&2; exit 2")]);
    let error = world.prepare("").await.unwrap_err();
    assert!(
        error
            .detail()
            .ends_with("unexpected exit status 2: first\nsecond\n\tä % %s"),
        "{error}"
    );
    let scripts = [("qemu", "head -c 1048576 /dev/zero | tr '\\0' e >&2; exit 1")];
    let world = World::changed(&scripts, |config| config.output_limit = 10);
    let error = world.prepare("").await.unwrap_err();
    assert!(
        error
            .detail()
            .ends_with(&format!("status 1: {}", "e".repeat(1 << 20)))
    );
}

#[tokio::test]
async fn r13_a_limit_that_cuts_says_so() {
    let scripts = [(
        "qemu",
        "head -c 1048580 /dev/zero | tr '\\0' e >&2; head -c 30 /dev/zero; exit 1",
    )];
    let world = World::changed(&scripts, |config| config.output_limit = 10);
    let error = world.prepare("").await.unwrap_err();
    assert!(error.detail().ends_with("ee\n[cut here: 4 more bytes]\n"));
    world.put("qemu", "head -c 30 /dev/zero", 0o755);
    let report = world.prepare("").await.unwrap();
    assert_eq!(
        (report.runs[0].stdout.bytes.len(), report.runs[0].stdout.lost),
        (10, 20)
    );
}

#[tokio::test]
async fn r13_success_is_not_logged_whatever_the_script_writes() {
    let world = World::with(&[("qemu", "echo noise >&2; head -c 1000000 /dev/zero")]);
    let report = world.prepare("").await.unwrap();
    assert_eq!(report.runs[0].stderr.bytes, b"noise\n");
    assert_eq!(report.runs[0].stdout.bytes.len(), 1_000_000);
    assert_eq!(world.log(), []);
}

#[tokio::test]
async fn r13_death_by_a_signal() {
    let world = World::with(&[("qemu", "echo 'before the signal' >&2; kill -9 $$")]);
    let error = world.prepare("").await.unwrap_err();
    let child_process = child(&world.hook("qemu"));
    assert_eq!(
        error.detail(),
        format!("{child_process} unexpected fatal signal 9: before the signal\n")
    );
    world.put("qemu", "kill -11 $$", 0o755);
    let error = world.prepare("").await.unwrap_err();
    assert_eq!(
        error.detail(),
        format!("{child_process} unexpected fatal signal 11")
    );
    // SIGPIPE is not ignored (R8): a script dies of it like anywhere else.
    world.put("qemu", "kill -13 $$", 0o755);
    let error = world.prepare("").await.unwrap_err();
    assert_eq!(
        error.detail(),
        format!("{child_process} unexpected fatal signal 13")
    );
}

#[tokio::test]
async fn r6_what_the_kernel_cannot_execute_fails_in_libvirt_s_words() {
    let world = World::with(&[]);
    let hook = world.hook("qemu");
    let cases = [
        (
            "exit 0\n",
            126,
            "Exec format error",
            "it is a script without a first line like #!/bin/sh",
        ),
        ("", 126, "Exec format error", "the file is empty"),
        (
            "#!/no/such/shell\n",
            127,
            "No such file or directory",
            "its interpreter /no/such/shell does not exist",
        ),
        (
            "#!/etc/passwd\n",
            126,
            "Permission denied",
            "its interpreter /etc/passwd is not executable",
        ),
        (
            "#!/bin/sh\r\nexit 0\r\n",
            127,
            "No such file or directory",
            "its first line ends with a carriage return",
        ),
    ];
    for (number, (content, status, reason, explanation)) in cases.into_iter().enumerate() {
        world.put("qemu", "#!/bin/sh\n", 0o755);
        fs::write(&hook, content).unwrap();
        world.engine.rediscover();
        let error = world.prepare("x").await.unwrap_err();
        let expected = format!(
            "{} unexpected exit status {status}: libvirt:  error : cannot execute binary {}: {reason}\n",
            child(&hook),
            hook.display()
        );
        assert_eq!(error.detail(), expected);
        let log = &world.log()[number * 3..];
        assert_eq!(log[0].0, Level::WARN);
        let warning = format!("Hook script {} cannot be executed: {explanation}", hook.display());
        assert!(log[0].1.starts_with(&warning), "{}", log[0].1);
        assert_eq!(log[1], (Level::ERROR, expected.clone()));
        assert_eq!(log[2], (Level::ERROR, format!("{PREFIX}{expected}")));
    }
    // Nothing of this spoils the keeper.
    world.put("qemu", "", 0o755);
    world.prepare("").await.unwrap();
}

#[tokio::test]
async fn r6_any_interpreter_and_any_binary_is_a_hook() {
    let python = "#!/usr/bin/env -S python3 -u\nimport sys\nsys.stderr.write(' '.join(sys.argv[1:]))\n";
    let world = World::with(&[("qemu.d/1", "#!/bin/cat\n"), ("qemu.d/2", python)]);
    fs::copy("/bin/true", world.hook("qemu.d/3")).unwrap();
    world.engine.rediscover();
    let error = world.prepare("").await.unwrap_err();
    assert!(
        error
            .detail()
            .contains("qemu.d/1 g1 prepare begin -) unexpected exit status 1: "),
        "{error}"
    );
    fs::remove_file(world.hook("qemu.d/1")).unwrap();
    let report = world.prepare("").await.unwrap();
    assert_eq!(report.runs[0].stderr.bytes, b"g1 prepare begin -");
    assert_eq!(report.runs[1].outcome, Outcome::Ended(Ended::Exit(0)));
}

#[tokio::test]
async fn r14_all_scripts_run_and_the_last_failure_is_told() {
    let note = r#"echo "${0##*/}" >> "$(dirname "$0")/../../order""#;
    let fails = |status: u8| format!("{note}; echo \"${{0##*/}} says no\" >&2; exit {status}");
    let world = World::with(&[
        ("qemu", "exit 9"),
        ("qemu.d/10-a", &fails(4)),
        ("qemu.d/20-b", note),
        ("qemu.d/30-c", &fails(5)),
        ("qemu.d/40-d", note),
    ]);
    let error = world.prepare("").await.unwrap_err();
    let last = format!(
        "{} unexpected exit status 5: 30-c says no\n",
        child(&world.hook("qemu.d/30-c"))
    );
    assert_eq!(error.detail(), last);
    assert_eq!(world.text("order"), "10-a\n20-b\n30-c\n40-d\n");
    let first = format!("{} unexpected exit status 9", child(&world.hook("qemu")));
    let middle = format!(
        "{} unexpected exit status 4: 10-a says no\n",
        child(&world.hook("qemu.d/10-a"))
    );
    let with_prefix = |text: &str| [text.to_owned(), format!("{PREFIX}{text}")];
    assert_eq!(
        world.logged(Level::ERROR),
        [first, middle, last].map(|text| with_prefix(&text)).concat()
    );
}

#[tokio::test]
async fn r13_a_keeper_that_cannot_be_started_is_named() {
    let world = World::changed(&[("qemu", "")], |config| {
        config.keeper_program = "/no/such/keeper".into()
    });
    let error = world.prepare("").await.unwrap_err();
    let expected = format!(
        "internal error: cannot run {}: cannot start /no/such/keeper: No such file or directory (os error 2)",
        world.hook("qemu").display()
    );
    assert_eq!(error.detail(), expected);
    assert_eq!(
        world.logged(Level::ERROR),
        [expected.clone(), format!("{PREFIX}{expected}")]
    );
}

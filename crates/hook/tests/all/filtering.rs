//! Filters (R37): migrate and restore.

use std::sync::Arc;

use crate::support::World;
use ferrovirt_hook::{Call, Driver, Filtered, GuestOperation, HookError, HookEvent};

async fn restore(world: &World, document: &str) -> Result<Filtered, HookError> {
    let event = HookEvent::guest(Driver::Qemu, "g1", GuestOperation::Restore).unwrap();
    world
        .engine
        .filter(Call::new(event, Some(Arc::from(document))))
        .await
}

/// Notes what it got, then does `then`.
fn stage(name: &str, then: &str) -> String {
    format!(r#"in=$(cat); echo "{name} got $in" >> "$(dirname "$0")/../../seen"; {then}"#)
}

#[tokio::test]
async fn r37_the_output_takes_the_place_of_the_document() {
    let world = World::with(&[("qemu", "sed s/old/new/")]);
    let filtered = restore(&world, "<old/>").await.unwrap();
    assert_eq!(filtered.document.as_deref(), Some("<new/>"));
    assert_eq!(filtered.report.runs.len(), 1);
}

#[tokio::test]
async fn r37_blank_output_keeps_the_document() {
    for body in ["cat > /dev/null", "echo; printf ' \\t\\n'", "exit 0"] {
        let world = World::with(&[("qemu", body)]);
        assert_eq!(restore(&world, "<x/>").await.unwrap().document, None);
    }
}

#[tokio::test]
async fn r37_each_script_gets_the_last_output_that_was_not_blank() {
    let world = World::with(&[
        ("qemu.d/1", &stage("1", "echo \"$in+1\"")),
        ("qemu.d/2", &stage("2", "echo ' '")),
        ("qemu.d/3", &stage("3", "echo \"$in+3\"")),
        ("qemu.d/4", &stage("4", "")),
    ]);
    let filtered = restore(&world, "doc").await.unwrap();
    assert_eq!(filtered.document.as_deref(), Some("doc+1+3\n"));
    assert_eq!(
        world.text("seen"),
        "1 got doc\n2 got doc+1\n3 got doc+1\n4 got doc+1+3\n"
    );
}

#[tokio::test]
async fn r37_after_a_failure_the_later_ones_get_the_original_and_all_is_aborted() {
    let world = World::with(&[
        ("qemu.d/1", &stage("1", "echo \"$in+1\"")),
        ("qemu.d/2", &stage("2", "echo \"$in+2\"; exit 7")),
        ("qemu.d/3", &stage("3", "echo \"$in+3\"")),
        ("qemu.d/4", &stage("4", "echo \"$in+4\"")),
    ]);
    let error = restore(&world, "doc").await.unwrap_err();
    assert!(
        error
            .detail()
            .contains("qemu.d/2 g1 restore begin -) unexpected exit status 7"),
        "{error}"
    );
    assert_eq!(
        world.text("seen"),
        "1 got doc\n2 got doc+1\n3 got doc\n4 got doc\n"
    );
}

#[tokio::test]
async fn r37_a_notification_s_output_is_no_document() {
    let world = World::with(&[
        ("qemu.d/1", "echo other"),
        ("qemu.d/2", &stage("2", "printf '\\377'")),
    ]);
    let event = HookEvent::guest(Driver::Qemu, "g1", GuestOperation::Prepare).unwrap();
    world
        .engine
        .call(Call::new(event, Some("doc".into())))
        .await
        .unwrap();
    assert_eq!(world.text("seen"), "2 got doc\n");
}

#[tokio::test]
async fn r37_output_that_cannot_be_a_document_fails() {
    let world = World::with(&[("qemu", "printf 'a\\377'")]);
    let error = restore(&world, "doc").await.unwrap_err();
    let path = world.hook("qemu");
    let expected = format!(
        "internal error: output of {}: not UTF-8: invalid utf-8 sequence of 1 bytes from index 1",
        path.display()
    );
    assert_eq!(error.detail(), expected);
    let world = World::changed(&[("qemu", "printf 12345")], |config| config.output_limit = 4);
    let error = restore(&world, "doc").await.unwrap_err();
    let path = world.hook("qemu");
    assert_eq!(
        error.detail(),
        format!("internal error: output of {}: more than 4 bytes", path.display())
    );
    world.put("qemu", "printf 1234", 0o755);
    assert_eq!(
        restore(&world, "doc").await.unwrap().document.as_deref(),
        Some("1234")
    );
}

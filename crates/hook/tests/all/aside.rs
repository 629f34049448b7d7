//! Calls that nobody waits for: they are made all the same, in their order.

use ferrovirt_hook::{Aside, Call, Driver, GuestOperation, HookEvent};

use crate::support::{World, until};

#[tokio::test]
async fn what_is_put_aside_is_called_in_its_order_also_when_the_line_is_gone() {
    let note = r#"[ "$1" = g1 ] && sleep 0.3; echo "$1 $2" >> "$(dirname "$0")/../called"; exit 1"#;
    let world = World::with(&[("qemu", note)]);
    let line = Aside::new(&world.engine);
    for guest in ["g1", "g2", "g3"] {
        let event = HookEvent::guest(Driver::Qemu, guest, GuestOperation::Reconnect).unwrap();
        line.add(Call::new(event, None));
    }
    drop(line);
    until("all were called", || world.text("called").lines().count() == 3).await;
    assert_eq!(world.text("called"), "g1 reconnect\ng2 reconnect\ng3 reconnect\n");
}

#[tokio::test]
async fn a_line_tells_whose_engine_calls() {
    let world = World::with(&[("qemu", "")]);
    let line = Aside::new(&world.engine);
    let event = HookEvent::guest(Driver::Qemu, "g1", GuestOperation::Start).unwrap();
    assert!(line.engine().wants(&event));
}

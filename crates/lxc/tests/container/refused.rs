//! What cannot be made: the error names it, and nothing is left.

use ferrovirt_lxc::protocol::{Ask, Failure, Filesystem, IdMaps, IdRange, Node, Shared, SharedKind, Source};

use crate::support::{Cell, is_able, until};

/// Why it does not start. Nothing may be left then.
async fn refusal(cell: Cell) -> String {
    match cell.start().await {
        Err(failure) => Failure::to_string(&failure),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    if !is_able(&[]) {
        return;
    }
    let mut cell = Cell::new("c1");
    cell.orders.filesystems[0].source = Source::Mount("/no/such/root".into());
    assert_eq!(
        refusal(cell).await,
        "root of the container: cannot open /no/such/root: No such file or directory"
    );
    let mut cell = Cell::new("c1");
    cell.orders.init.path = "/no/such/init".to_owned();
    assert_eq!(
        refusal(cell).await,
        "cannot execute /no/such/init in the container: No such file or directory"
    );
    let mut cell = Cell::new("c1");
    cell.orders.init.path = "/etc".to_owned();
    assert_eq!(
        refusal(cell).await,
        "cannot execute /etc in the container: Permission denied"
    );
    let mut cell = Cell::new("c1");
    cell.orders.init.dir = Some("/nowhere".to_owned());
    assert_eq!(
        refusal(cell).await,
        "cannot enter /nowhere in the container: No such file or directory"
    );
    let mut cell = Cell::new("c1");
    cell.orders.init.user = Some("nobody-here".to_owned());
    assert_eq!(
        refusal(cell).await,
        "there is no user 'nobody-here' in the container"
    );
    let mut cell = Cell::new("c1");
    cell.orders.capabilities.off = vec!["fly".to_owned()];
    assert_eq!(refusal(cell).await, "unknown capability 'fly'");
    let cell = Cell::new("c1").mount(Source::Mount("/no/such/data".into()), "/data", false);
    assert_eq!(
        refusal(cell).await,
        "cannot open /no/such/data: No such file or directory"
    );
    let cell = Cell::new("c1").mount(Source::Bind("/no/such".into()), "/data", false);
    assert_eq!(
        refusal(cell).await,
        "cannot open /no/such in the container: No such file or directory"
    );
    let cell = Cell::new("c1").mount(
        Source::Ram {
            size_kib: 64,
            options: "fly=1".to_owned(),
        },
        "/r",
        false,
    );
    assert!(
        refusal(cell)
            .await
            .starts_with("cannot make a file system of type tmpfs")
    );
    let mut cell = Cell::new("c1");
    cell.orders.nodes = vec![Node {
        host: "/etc/passwd".into(),
        inside: "/dev/x".into(),
    }];
    assert_eq!(refusal(cell).await, "/etc/passwd is not a device");
    let mut cell = Cell::new("c1");
    cell.orders.namespaces.shared = vec![Shared {
        kind: SharedKind::Net,
        path: "/proc/self/ns/uts".into(),
    }];
    assert_eq!(
        refusal(cell).await,
        "cannot enter the network namespace that is to be shared: Invalid argument"
    );
}

#[tokio::test]
async fn maps_that_overlap_are_named() {
    if !is_able(&[]) {
        return;
    }
    let range = |start, target| IdRange {
        start,
        target,
        count: 1000,
    };
    let mut cell = Cell::new("c1");
    cell.orders.namespaces.user = Some(IdMaps {
        uids: vec![range(0, 100_000), range(500, 200_000)],
        gids: vec![range(0, 100_000)],
    });
    assert_eq!(
        refusal(cell).await,
        "uid map of the container: 0-999 and 500-1499 overlap inside"
    );
}

#[tokio::test]
async fn nothing_is_left_of_what_did_not_start() {
    if !is_able(&[]) {
        return;
    }
    let before = loops();
    let mut cell = Cell::new("c1");
    let image = crate::files::image(&cell, "ext4");
    cell.orders.filesystems.push(Filesystem {
        source: Source::File {
            path: image,
            format: None,
        },
        target: "/image".into(),
        read_only: false,
    });
    cell.orders.init.path = "/no/such/init".to_owned();
    let (mut container, init) = cell.begin().await.unwrap();
    let all = ferrovirt_sys::process::descendants(container.process.pid);
    container.go().await;
    let failure = container.event().await;
    assert!(format!("{failure:?}").contains("/no/such/init"));
    container.gone().await;
    until(|| all.iter().all(|process| !process.is_alive())).await;
    assert!(!crate::support::is_there(init));
    until(|| loops() <= before).await;
    let staging = container.cell.orders.staging.clone();
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
}

fn loops() -> usize {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    devices
        .filter(|device| device.path().join("loop/backing_file").exists())
        .count()
}

#[tokio::test]
async fn a_container_that_waits_for_its_interfaces_can_be_ended() {
    if !is_able(&[]) {
        return;
    }
    let (mut container, init) = Cell::new("c1").begin().await.unwrap();
    let refusal = container.ask(Ask::Unmount("/x".into())).await.unwrap_err();
    assert_eq!(refusal, "the container does not run");
    container.ask(Ask::Kill).await.unwrap();
    let event = container.event().await;
    assert!(
        format!("{event:?}").contains("killed before its init"),
        "{event:?}"
    );
    container.gone().await;
    assert!(!crate::support::is_there(init));
}

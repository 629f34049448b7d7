//! Ways out of a container. Each attempt is first made where nothing is in its way, and works there: otherwise its failure in the container
//! would prove nothing. `docs/security.md` says what is possible without a user namespace.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use ferrovirt_lxc::protocol::{Ending, Node, Policy, Source};
use tempfile::TempDir;

use crate::support::{Cell, is_able};

const TOOLS: [&str; 6] = ["perl", "losetup", "mkfs.ext4", "unshare", "nsenter", "mknod"];

/// Where an attempt must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// In every container.
    Always,
    /// With a user namespace.
    WithOwnUsers,
}

/// A way out: a script for the shell, which exits with 0 when it got out. `$T` is a directory for its use, `$MARK` a file of the
/// host, `$VICTIM` a process of the host, `$DISK` a disk of the host as major and minor number, `$LOOP` a device with a file
/// system that the container was given, `$HANDLE` the handle of `$MARK`.
struct Attempt {
    name: &'static str,
    fails: Fails,
    script: &'static str,
}

const fn always(name: &'static str, script: &'static str) -> Attempt {
    Attempt {
        name,
        fails: Fails::Always,
        script,
    }
}

const fn with_own_users(name: &'static str, script: &'static str) -> Attempt {
    Attempt {
        name,
        fails: Fails::WithOwnUsers,
        script,
    }
}

/// The numbers of system calls are those of x86-64, where this suite runs.
const ATTEMPTS: [Attempt; 15] = [
    always("make a device", "mknod $T/null c 1 3 && echo x > $T/null"),
    always(
        "make the host's disk and read it",
        "mknod $T/disk b $DISK && [ $(dd if=$T/disk bs=512 count=1 | wc -c) = 512 ]",
    ),
    always(
        "bind a path of the host",
        "mkdir $T/m && mount --bind ${MARK%/*} $T/m && cat $T/m/${MARK##*/}",
    ),
    always(
        "look through the roots of processes",
        "for p in /proc/[0-9]*; do [ -e $p/root$MARK ] && exit 0; done; exit 1",
    ),
    always(
        "break out of a changed root",
        "perl -e 'mkdir \"$ENV{T}/x\"; chroot \"$ENV{T}/x\"; chdir \"..\" for 1..60; chroot \".\"; exit(-e $ENV{MARK} ? 0 : 1)'",
    ),
    always(
        "trace a process of the host",
        "perl -e 'exit(syscall(101, 16, $ENV{VICTIM}+0, 0, 0) == 0 ? 0 : 1)'",
    ),
    always(
        "enter a namespace of the host",
        "nsenter --net=/proc/$VICTIM/ns/net true",
    ),
    always("signal a process of the host", "kill -0 $VICTIM"),
    always(
        "load a module",
        "perl -e '$m = chr(0) x 64; syscall(175, $m, 64, $m); exit($! == 8 ? 0 : 1)'",
    ),
    always(
        "set the clock",
        "perl -e '$zone = pack(q(ll), 0, 0); exit(syscall(164, 0, $zone) == 0 ? 0 : 1)'",
    ),
    always(
        "open a file of the host by its handle",
        "perl -e '$h = pack(\"H*\", $ENV{HANDLE}); opendir(D, $ENV{T}); open(my $d, \"<\", $ENV{T}); \
         $f = syscall(304, fileno($d), $h, 0); exit 1 if $f < 0; open(my $x, \"<&=\", $f); exit(<$x> eq \"secret\\n\" ? 0 : 1)'",
    ),
    with_own_users("mount a device", "mkdir $T/l && mount -t ext4 $LOOP $T/l"),
    with_own_users(
        "write to /proc/sys",
        "f=/proc/sys/kernel/printk_ratelimit; v=$(cat $f); mount -o remount,bind,rw /proc/sys; echo $v > $f",
    ),
    with_own_users(
        "write to /sys",
        "f=/sys/block/loop0/queue/read_ahead_kb; v=$(cat $f); mount -o remount,bind,rw /sys; mount -o remount,rw /sys; echo $v > $f",
    ),
    with_own_users(
        "leave its control groups",
        "mkdir $T/c; mount -t cgroup -o pids x $T/c || mount -t cgroup2 x $T/c; mkdir $T/c/way-out && rmdir $T/c/way-out",
    ),
];

/// The host's side of the attempts.
struct Host {
    directory: TempDir,
    victim: Child,
    device: String,
}

impl Host {
    fn new() -> Host {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("mark"), "secret\n").unwrap();
        let image = directory.path().join("image");
        File::create(&image).unwrap().set_len(8 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let device = run(Command::new("losetup").args(["-f", "--show"]).arg(&image));
        Host {
            directory,
            victim: Command::new("sleep").arg("1000").spawn().unwrap(),
            device: device.trim().to_owned(),
        }
    }

    fn mark(&self) -> PathBuf {
        self.directory.path().join("mark")
    }

    /// The numbers of a disk that every test may read, whatever else of the machine it may not.
    fn disk(&self) -> String {
        let name = self.device.trim_start_matches("/dev/");
        let number = fs::read_to_string(Path::new("/sys/block").join(name).join("dev")).unwrap();
        number.trim().replace(':', " ")
    }

    /// The script with what it needs to know.
    fn script(&self, attempt: &Attempt, directory: &Path) -> String {
        format!(
            "export PATH=/usr/sbin:/usr/bin:/sbin:/bin T={} MARK={} VICTIM={} DISK='{}' LOOP={} HANDLE={}; {}",
            directory.display(),
            self.mark().display(),
            self.victim.id(),
            self.disk(),
            self.device,
            handle(&self.mark()),
            attempt.script
        )
    }

    /// Tries it as the host's root, with mounts that nobody else sees.
    fn outside(&self, attempt: &Attempt) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let script = self.script(attempt, directory.path());
        let output = Command::new("unshare")
            .args(["-m", "--propagation", "private", "/bin/sh", "-c", &script])
            .output()
            .unwrap();
        eprintln!("{}: {}", attempt.name, String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    /// Tries it in a container.
    async fn inside(&self, cell: Cell, attempt: &Attempt) -> bool {
        let script = self.script(attempt, "/tmp".as_ref());
        let (text, ending) = cell.run(&script).await;
        eprintln!("{}: {text}", attempt.name);
        match ending {
            Ending::Exited(status) => status == 0,
            other => panic!("{}: {other:?}", attempt.name),
        }
    }

    /// A container with perl, and the device.
    fn cell(&self) -> Cell {
        let mut cell = Cell::new("c1");
        for library in ["lib", "lib64", "lib32"] {
            symlink(format!("usr/{library}"), cell.root().join(library)).unwrap();
        }
        let device = PathBuf::from(&self.device);
        cell.orders.nodes = vec![Node {
            host: device.clone(),
            inside: device,
        }];
        cell.mount(Source::Mount("/usr".into()), "/usr", true)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The handle of a file, as the kernel gives it.
fn handle(path: &Path) -> String {
    let script = "$h = pack('Ll', 128, 0) . \"\\0\" x 128; $m = \"\\0\" x 8; \
                  syscall(303, -100, $ARGV[0], $h, $m, 0) == 0 or die $!; print unpack('H*', $h)";
    run(Command::new("perl").args(["-e", script]).arg(path))
}

/// Those that this kernel could give in to.
fn attempts() -> impl Iterator<Item = &'static Attempt> {
    let has_modules = Path::new("/proc/modules").exists();
    ATTEMPTS.iter().filter(move |attempt| {
        let is_possible = has_modules || attempt.name != "load a module";
        if !is_possible {
            eprintln!("not tried, as this kernel has no modules: {}", attempt.name);
        }
        is_possible
    })
}

fn is_ready() -> bool {
    is_able(&TOOLS) && cfg!(target_arch = "x86_64")
}

#[tokio::test]
async fn with_users_of_its_own_there_is_no_way_out() {
    if !is_ready() {
        return;
    }
    let host = Host::new();
    for attempt in attempts() {
        assert!(
            host.outside(attempt),
            "'{}' does not even work on the host",
            attempt.name
        );
        let cell = host.cell().own_users().private_network();
        assert!(
            !host.inside(cell, attempt).await,
            "'{}' works in the container",
            attempt.name
        );
    }
}

#[tokio::test]
async fn as_the_hosts_root_the_worst_ways_are_closed() {
    if !is_ready() {
        return;
    }
    let host = Host::new();
    for attempt in attempts().filter(|attempt| attempt.fails == Fails::Always) {
        assert!(
            host.outside(attempt),
            "'{}' does not even work on the host",
            attempt.name
        );
        let got_out = host.inside(host.cell(), attempt).await;
        assert!(!got_out, "'{}' works in the container", attempt.name);
    }
}

#[tokio::test]
async fn it_is_the_policy_that_closes_them() {
    if !is_ready() {
        return;
    }
    let host = Host::new();
    let by_policy = [
        "make a device",
        "make the host's disk and read it",
        "load a module",
        "set the clock",
        "open a file of the host by its handle",
    ];
    for attempt in attempts().filter(|attempt| by_policy.contains(&attempt.name)) {
        let mut cell = host.cell();
        cell.orders.capabilities.policy = Policy::Allow;
        let got_out = host.inside(cell, attempt).await;
        assert!(got_out, "'{}' fails without the policy, too", attempt.name);
    }
}

#[tokio::test]
async fn a_filter_closes_them_whatever_the_policy() {
    if !is_ready() {
        return;
    }
    let host = Host::new();
    for name in [
        "load a module",
        "set the clock",
        "open a file of the host by its handle",
    ] {
        let Some(attempt) = attempts().find(|attempt| attempt.name == name) else {
            continue;
        };
        let mut cell = host.cell();
        cell.orders.capabilities.policy = Policy::Allow;
        cell.orders.seccomp = true;
        assert!(!host.inside(cell, attempt).await, "'{name}' passes the filter");
    }
}

/// Keys of the host's users are not those of the container's, nor are those of the session that the container was started in.
#[tokio::test]
async fn keys_of_the_host_stay_on_the_host() {
    if !is_ready() {
        return;
    }
    let host = Host::new();
    let key =
        "perl -e '($t, $n) = qw(user ferrovirt-test); exit(syscall(250, 10, -4, $t, $n, 0) > 0 ? 0 : 1)'";
    let attempt = with_own_users("read a key", key);
    run(Command::new("perl").args([
        "-e",
        "($t, $n, $s) = qw(user ferrovirt-test secret); syscall(248, $t, $n, $s, 6, -4) > 0 or die $!",
    ]));
    assert!(host.outside(&attempt), "the key is not even there on the host");
    let got_out = host.inside(host.cell().own_users(), &attempt).await;
    let removed = "($t, $n) = qw(user ferrovirt-test); $k = syscall(250, 10, -4, $t, $n, 0); syscall(250, 9, $k, -4); exit 0";
    run(Command::new("perl").args(["-e", removed]));
    assert!(!got_out, "the key is seen in the container");
}

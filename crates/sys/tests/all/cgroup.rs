//! Limits, shares and ends of scopes with the machine's own control groups, where there are any; in a slice of their own,
//! which is removed at the end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ferrovirt_sys::cgroup::{
    Access, Bandwidth, BlockDevice, CgroupError, DeviceKind, DeviceRule, MemoryLimits, Part, Partition,
    Scope, Throttle, create_scope_in, rule_of,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A scope that is ended and removed with its slice.
struct World {
    scope: Scope,
}

impl World {
    /// `None` where there are no control groups that may be changed.
    fn new(name: &str) -> Option<World> {
        let partition = Partition::new(&format!("/machine/fvtest{}", std::process::id())).unwrap();
        let scope = create_scope_in(&partition, "test", 1, name).unwrap()?;
        assert_eq!(Scope::open_in(&partition, &scope.name), Some(scope.clone()));
        Some(World { scope })
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let files = self.scope.paths.iter().map(|path| path.join(name));
        files.into_iter().find(|file| file.exists())
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name).unwrap())
            .unwrap()
            .trim()
            .to_owned()
    }

    fn shell(&self) -> Shell {
        Shell::new(&self.scope.entrances)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ended = self.scope.kill_all(PATIENCE);
        for path in &self.scope.paths {
            // The kernel takes a moment to let go of the dead.
            for _ in 0..500 {
                match self.scope.remove() {
                    Ok(()) => break,
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            // Other tests may still have scopes in it.
            let slice = path.parent().unwrap();
            let _ = fs::remove_dir(slice);
            let _ = fs::remove_dir(slice.parent().unwrap());
        }
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// A shell inside a scope that does what it is told, a line at a time.
struct Shell {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Shell {
    fn new(entrances: &[PathBuf]) -> Shell {
        let mut child = Command::new("sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (told, says) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut shell = Shell {
            child,
            told,
            says: BufReader::new(says),
        };
        for file in entrances {
            let entered = shell.ask(&format!("echo $$ > '{}' && echo in || echo out", file.display()));
            assert_eq!(entered, "in", "{}", file.display());
        }
        shell
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What the command says, on one line.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.told, "{command}").unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn opens(&mut self, device: &str) -> bool {
        self.ask(&format!("(: < {device}) 2>/dev/null && echo yes || echo no")) == "yes"
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_missing<T>(result: Result<T, CgroupError>) -> bool {
    matches!(result, Err(CgroupError::NoController(_)))
}

#[test]
fn memory_is_limited_and_counted() {
    let Some(world) = World::new("memory") else { return };
    let scope = &world.scope;
    let wanted = MemoryLimits {
        hard: Some(64 << 20),
        soft: Some(32 << 20),
        with_swap: None,
    };
    if is_missing(scope.memory_limits()) {
        assert!(is_missing(scope.set_memory_limits(&wanted)));
        return;
    }
    assert_eq!(scope.memory_limits().unwrap(), MemoryLimits::default());
    scope.set_memory_limits(&wanted).unwrap();
    assert_eq!(scope.memory_limits().unwrap(), wanted);
    let _shell = world.shell();
    assert!(scope.memory_usage().unwrap() > 0);
    if world.file("memory.memsw.limit_in_bytes").is_some() {
        for (hard, both) in [(64, 128), (256, 512), (16, 32), (16, 16)] {
            let wanted = MemoryLimits {
                hard: Some(hard << 20),
                soft: None,
                with_swap: Some(both << 20),
            };
            scope.set_memory_limits(&wanted).unwrap();
            assert_eq!(scope.memory_limits().unwrap(), wanted);
        }
    }
    scope.set_memory_limits(&MemoryLimits::default()).unwrap();
    assert_eq!(scope.memory_limits().unwrap(), MemoryLimits::default());
}

#[test]
fn processors_are_shared_and_limited_for_the_whole_and_for_its_parts() {
    let Some(world) = World::new("processors") else {
        return;
    };
    let scope = &world.scope;
    if is_missing(scope.cpu_shares()) {
        assert!(is_missing(scope.set_cpu_shares(500)));
        return;
    }
    scope.set_cpu_shares(500).unwrap();
    assert_eq!(scope.cpu_shares().unwrap(), 500);
    assert!(matches!(
        scope.set_cpu_shares(1 << 40),
        Err(CgroupError::Range { .. })
    ));
    let shell = world.shell();
    scope.place_threads(&[(0, shell.pid())], &[]).unwrap();
    let limited = |period, quota| Bandwidth { period, quota };
    for (part, bandwidth) in [
        (Part::Whole, limited(50_000, Some(40_000))),
        (Part::Vcpu(0), limited(100_000, Some(20_000))),
        // Another period with a quota that would be too much of the old one.
        (Part::Vcpu(0), limited(20_000, Some(16_000))),
        (Part::Vcpu(0), Bandwidth::default()),
        (Part::Whole, Bandwidth::default()),
    ] {
        scope.set_bandwidth(part, bandwidth).unwrap();
        assert_eq!(scope.bandwidth(part).unwrap(), bandwidth);
    }
    assert!(scope.has(Part::Vcpu(0)) && !scope.has(Part::Vcpu(1)));
    assert_eq!(scope.bandwidth(Part::Vcpu(1)).unwrap(), Bandwidth::default());
}

/// Some block device of this machine.
fn some_disk() -> Option<PathBuf> {
    let names = fs::read_dir("/sys/block").ok()?.flatten();
    let nodes = names.map(|entry| Path::new("/dev").join(entry.file_name()));
    nodes.into_iter().find(|node| BlockDevice::of(node).is_ok())
}

#[test]
fn block_devices_are_shared_and_limited() {
    let Some(world) = World::new("blocks") else { return };
    let Some(disk) = some_disk() else { return };
    let scope = &world.scope;
    let disk = BlockDevice::of(&disk).unwrap();
    match scope.set_io_weight(300) {
        Ok(()) => assert_eq!(scope.io_weight().unwrap(), 300),
        refused => assert!(is_missing(refused)),
    }
    let file = "blkio.throttle.read_iops_device";
    if world.file(file).is_some() {
        scope.set_throttle(disk, Throttle::ReadRequests, 77).unwrap();
        assert_eq!(world.text(file), format!("{disk} 77"));
        scope.set_throttle(disk, Throttle::ReadRequests, 0).unwrap();
        assert_eq!(world.text(file), "");
        assert!(scope.block_work().is_some());
    }
}

/// Opens that are allowed and forbidden, one rule set after the other.
fn check_devices(scope: &Scope, shell: &mut Shell) {
    let null = rule_of(Path::new("/dev/null"), Access::ALL).unwrap();
    let zero = DeviceRule::new(
        DeviceKind::Character,
        1,
        5,
        Access {
            read: true,
            ..Access::default()
        },
    );
    let opens = |shell: &mut Shell| ["/dev/null", "/dev/zero", "/dev/full"].map(|device| shell.opens(device));
    assert_eq!(opens(shell), [true; 3]);
    scope.set_devices(&[null]).unwrap();
    assert_eq!(opens(shell), [true, false, false]);
    scope.change_devices(&[null], &[null, zero]).unwrap();
    assert_eq!(opens(shell), [true, true, false]);
    let writes = shell.ask("(: > /dev/zero) 2>/dev/null && echo yes || echo no");
    assert_eq!(writes, "no", "only reading was allowed");
    scope.change_devices(&[null, zero], &[null]).unwrap();
    assert_eq!(opens(shell), [true, false, false]);
}

#[test]
fn devices_are_forbidden_by_lists() {
    let Some(world) = World::new("lists") else { return };
    if world.file("devices.deny").is_none() {
        return;
    }
    check_devices(&world.scope, &mut world.shell());
}

#[test]
fn devices_are_forbidden_by_a_program() {
    let Some(world) = World::new("program") else {
        return;
    };
    let two = |path: &&PathBuf| path.join("cgroup.controllers").exists();
    let Some(path) = world.scope.paths.iter().find(two).cloned() else {
        return;
    };
    // Version 2 alone, also where another hierarchy has lists.
    let scope = Scope {
        name: world.scope.name.clone(),
        entrances: vec![path.join("libvirt/cgroup.procs")],
        paths: vec![path],
    };
    let mut shell = Shell::new(&scope.entrances);
    match scope.set_devices(&[rule_of(Path::new("/dev/null"), Access::ALL).unwrap()]) {
        // A kernel without it, or a place where nobody may.
        Err(CgroupError::Program {
            action: "find",
            source,
            ..
        }) => {
            eprintln!("no device programs here: {source}");
            return;
        }
        result => result.unwrap(),
    }
    let rest: Vec<DeviceRule> = [DeviceKind::Block, DeviceKind::Character]
        .map(|kind| DeviceRule {
            kind,
            major: None,
            minor: None,
            access: Access::ALL,
        })
        .to_vec();
    scope.change_devices(&[], &rest).unwrap();
    check_devices(&scope, &mut shell);
}

#[test]
fn a_scope_is_held_still_and_ended_whatever_is_in_it() {
    let Some(world) = World::new("still") else { return };
    let scope = &world.scope;
    let mut shell = world.shell();
    match scope.freeze(PATIENCE) {
        Ok(()) => {}
        refused => {
            assert!(is_missing(refused));
            return;
        }
    }
    assert!(scope.is_frozen());
    let stat = fs::read_to_string(format!("/proc/{}/wchan", shell.pid())).unwrap_or_default();
    assert!(!stat.contains("pipe_read"), "{stat}");
    scope.thaw().unwrap();
    assert!(!scope.is_frozen());
    assert_eq!(shell.ask("echo alive"), "alive");
    // Each makes another one before it ends, and nobody of them hears signals that can be ignored.
    let started = shell.ask(
        "trap '' TERM HUP INT; f() { while :; do (sleep 0.01; :) & wait; done; }; f & f & f & f & echo up",
    );
    assert_eq!(started, "up");
    scope.kill_all(PATIENCE).unwrap();
    assert_eq!(scope.pids(), Vec::<i32>::new());
    scope.kill_all(Duration::ZERO).unwrap();
}

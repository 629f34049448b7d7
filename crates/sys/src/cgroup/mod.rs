//! Control groups, v1 and v2: the scope of a guest, where scripts and monitoring look for it (R15).
//!
//! ```text
//! machine.slice/machine-qemu\x2d1\x2dweb1.scope/libvirt            the guest's process
//!                                               libvirt/emulator   (as libvirt lays it out)
//!                                               libvirt/vcpu0
//! ```
//!
//! A guest in another partition has its scope in another slice ([`Partition`]). What a scope may take, and what it has taken,
//! is asked and told by its methods, one file for each controller; what no hierarchy here can do is an error that names it
//! when somebody asks for it, and nothing otherwise.
//!
//! Threads are told apart where processors are given out: in version 2, and in version 1 by `cpu`, `cpuacct` and `cpuset`.
//!
//! The scope is made in every hierarchy that is mounted and may be changed; a machine without control groups, or a daemon
//! that may not touch them, has none, and nothing depends on it.

mod bandwidth;
mod blkio;
mod bpf;
mod cpu;
mod cpuset;
mod device_program;
mod devices;
mod error;
mod freezer;
pub(crate) mod hierarchy;
mod memory;
mod name;
mod part;
mod partition;
#[cfg(test)]
mod tree_tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use bandwidth::Bandwidth;
pub use blkio::{BlockDevice, BlockWork, Throttle};
pub use cpu::CpuTime;
pub use devices::{Access, DeviceKind, DeviceRule, rule_of};
pub use error::CgroupError;
use hierarchy::Hierarchy;
pub(crate) use hierarchy::is_v2_group;
pub use memory::MemoryLimits;
pub use part::Part;
pub use partition::Partition;

/// The group below a scope that holds the guest.
const INNER: &str = "libvirt";

/// The group below that for all threads but the virtual processors'.
const EMULATOR: &str = "emulator";

/// Where the weight of a group is set, in version 1 and in version 2, and its usual value.
const WEIGHTS: [(&str, u32); 2] = [("cpu.shares", 1024), ("cpu.weight", 100)];

/// The control group of one guest, in every hierarchy that the machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Last part of the path, for example `machine-qemu\x2d1\x2dweb1.scope`.
    pub name: String,
    /// The scope's directory in each hierarchy.
    pub paths: Vec<PathBuf>,
    /// The files through which a process enters the scope, one a hierarchy (for [`crate::launch::Orders::cgroups`]).
    pub entrances: Vec<PathBuf>,
}

/// Makes the scope of a guest (R15); one that is there already is taken over. `driver` is `qemu`, `id` the guest's number.
/// `None` where there are no control groups that may be changed.
///
/// # Errors
/// When a hierarchy may be changed but the scope cannot be made in it; nothing is then left of it.
pub fn create_scope(driver: &str, id: i32, name: &str) -> io::Result<Option<Scope>> {
    create_scope_in(&Partition::default(), driver, id, name)
}

/// How the scope will be called that [`create_scope`] makes: whoever has to remove it can be told before it is there.
pub fn scope_name(driver: &str, id: i32, name: &str) -> String {
    name::of_scope(driver, id, name)
}

/// The same in a partition.
///
/// # Errors
/// As [`create_scope`].
pub fn create_scope_in(
    partition: &Partition,
    driver: &str,
    id: i32,
    name: &str,
) -> io::Result<Option<Scope>> {
    create_in(&hierarchy::mounted(), partition, &scope_name(driver, id, name))
}

impl Scope {
    /// The scope with this name ([`Scope::name`]) as an earlier daemon made it; `None` when it is gone.
    pub fn open(name: &str) -> Option<Scope> {
        Scope::open_in(&Partition::default(), name)
    }

    /// The same in a partition.
    pub fn open_in(partition: &Partition, name: &str) -> Option<Scope> {
        open_below(&hierarchy::mounted(), partition.directory(), name)
    }

    /// Sorts the guest's threads as libvirt does: virtual processor `n`, whose thread is `vcpus[n]`, into `vcpuN`; I/O threads,
    /// which come with their numbers, into `iothreadN`; in version 2 all others into `emulator`, too, which they have entered as
    /// a process elsewhere.
    ///
    /// # Errors
    /// The first failure; the others are placed all the same.
    pub fn place_threads(&self, vcpus: &[(u32, i32)], iothreads: &[(u32, i32)]) -> io::Result<()> {
        let mut result = Ok(());
        for inner in self.paths.iter().map(|path| path.join(INNER)) {
            let version_2 = is_v2_group(&inner);
            if !version_2 && !inner.join(EMULATOR).is_dir() {
                continue;
            }
            for (number, thread) in vcpus {
                let group = inner.join(format!("vcpu{number}"));
                result = result.and(place_thread(&group, *thread));
            }
            for (number, thread) in iothreads {
                let group = inner.join(format!("iothread{number}"));
                result = result.and(place_thread(&group, *thread));
            }
            if version_2 && !vcpus.is_empty() {
                // Only what gives out processors can tell threads apart.
                hierarchy::pass_on_cpu(&inner);
                result = result.and(place_others(&inner));
            }
        }
        result
    }

    /// Gives the guest `times` the usual weight when processors are short; 1 takes that back.
    ///
    /// # Errors
    /// The first failure. Where no hierarchy gives out processors there is nothing to do.
    pub fn weigh(&self, times: u32) -> io::Result<()> {
        let mut result = Ok(());
        for path in &self.paths {
            for (file, usual) in WEIGHTS {
                match hierarchy::put(&path.join(file), &(usual * times).to_string()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => result = result.and(Err(error)),
                    _ => {}
                }
            }
        }
        result
    }

    /// How many processes of the scope the kernel has killed because memory was short.
    pub fn oom_kills(&self) -> u64 {
        let groups = self
            .paths
            .iter()
            .flat_map(|path| std::iter::once(path.clone()).chain(groups_below(path)));
        groups.map(|group| oom_kills_of(&group)).sum()
    }

    /// The processes in the scope, in no order.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self.paths.iter().flat_map(|path| members_below(path)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Removes the scope; what is gone already is no error.
    ///
    /// # Errors
    /// `EBUSY` while there are processes in it.
    pub fn remove(&self) -> io::Result<()> {
        let mut result = Ok(());
        for path in &self.paths {
            result = result.and(remove_below(path));
        }
        result
    }
}

fn create_in(hierarchies: &[Hierarchy], partition: &Partition, name: &str) -> io::Result<Option<Scope>> {
    let mut scope = Scope {
        name: name.to_owned(),
        paths: Vec::new(),
        entrances: Vec::new(),
    };
    for hierarchy in hierarchies {
        match create_one(hierarchy, partition, name) {
            Ok((path, procs)) => {
                scope.paths.push(path);
                scope.entrances.push(procs);
            }
            Err(error) if may_not_change(&error) => {}
            Err(error) => {
                let _ = scope.remove();
                return Err(error);
            }
        }
    }
    Ok((!scope.paths.is_empty()).then_some(scope))
}

/// The scope's directory in one hierarchy, and the file through which it is entered.
fn create_one(hierarchy: &Hierarchy, partition: &Partition, name: &str) -> io::Result<(PathBuf, PathBuf)> {
    let slices = partition.directories().into_iter();
    let mut groups: Vec<PathBuf> = slices.map(|slice| hierarchy.mount.join(slice)).collect();
    let scope = hierarchy.mount.join(partition.directory()).join(name);
    let inner = scope.join(INNER);
    groups.extend([scope.clone(), inner.clone()]);
    let entered = entrance(hierarchy, &scope);
    if entered != inner {
        groups.push(entered.clone());
    }
    for group in &groups {
        if let Some(parent) = group.parent().filter(|_| hierarchy.is_v2()) {
            hierarchy::pass_on_controllers(parent);
        }
        match hierarchy.has("cpuset") {
            true => make_group(group)?,
            false => make_directory(group)?,
        }
    }
    Ok((scope, hierarchy::entrance(&entered)))
}

/// The group that a guest's process enters.
fn entrance(hierarchy: &Hierarchy, scope: &Path) -> PathBuf {
    let inner = scope.join(INNER);
    // In version 2 the emulator's threads may only be moved when the process is there.
    if hierarchy.is_v2() || !hierarchy.gives_out_processors() {
        inner
    } else {
        inner.join(EMULATOR)
    }
}

/// Makes a group, or finds it made, that processes can enter.
pub(crate) fn make_group(group: &Path) -> io::Result<()> {
    make_directory(group)?;
    // A new group of the cpuset controller (version 1) has no processors and no memory, and nobody can enter it.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(own) = fs::read_to_string(group.join(file)) else {
            continue;
        };
        if own.trim().is_empty()
            && let Some(parent) = group.parent()
            && let Ok(of_parent) = fs::read_to_string(parent.join(file))
            && !of_parent.trim().is_empty()
        {
            hierarchy::put(&group.join(file), of_parent.trim())?;
        }
    }
    Ok(())
}

fn make_directory(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A hierarchy that is read-only, closed to this user, or not a real one.
fn may_not_change(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem)
}

/// The scope of this name below a directory of each hierarchy.
fn open_below(hierarchies: &[Hierarchy], directory: &Path, name: &str) -> Option<Scope> {
    let mut scope = Scope {
        name: name.to_owned(),
        paths: Vec::new(),
        entrances: Vec::new(),
    };
    for hierarchy in hierarchies {
        let path = hierarchy.mount.join(directory).join(name);
        if path.is_dir() {
            let entered = entrance(hierarchy, &path);
            scope.entrances.push(hierarchy::entrance(&entered));
            scope.paths.push(path);
        }
    }
    (!scope.paths.is_empty()).then_some(scope)
}

fn place_thread(group: &Path, thread: i32) -> io::Result<()> {
    make_group(group)?;
    let v1 = group.join("tasks");
    if v1.exists() {
        return hierarchy::put(&v1, &thread.to_string());
    }
    // Version 2: single threads only in groups that are declared for them.
    hierarchy::put(&group.join("cgroup.type"), "threaded")?;
    hierarchy::put(&group.join("cgroup.threads"), &thread.to_string())
}

/// What is left in a group of version 2 after its virtual processors have gone to their own.
fn place_others(inner: &Path) -> io::Result<()> {
    let threads = fs::read_to_string(inner.join("cgroup.threads"))?;
    let mut result = Ok(());
    for thread in threads.lines().filter_map(|line| line.parse().ok()) {
        match place_thread(&inner.join(EMULATOR), thread) {
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            placed => result = result.and(placed),
        }
    }
    result
}

fn members_below(group: &Path) -> Vec<i32> {
    let mut pids = hierarchy::members(group);
    for child in child_groups(group) {
        pids.extend(members_below(&child));
    }
    pids
}

/// All groups below one.
fn groups_below(group: &Path) -> Vec<PathBuf> {
    let children = child_groups(group);
    let further = children.iter().flat_map(|child| groups_below(child));
    children.iter().cloned().chain(further).collect()
}

/// `oom_kill N` among the counters of one group alone: version 1 counts so, version 2 has a file of its own for that.
fn oom_kills_of(group: &Path) -> u64 {
    let counter = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok();
    ["memory.oom_control", "memory.events.local"]
        .iter()
        .filter_map(|name| fs::read_to_string(group.join(name)).ok())
        .filter_map(|text| text.lines().find_map(counter))
        .sum()
}

fn child_groups(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else {
        return Vec::new();
    };
    // The entry says what it is; to look at each of a group's many files costs as much as all the rest.
    let is_group = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    { entries.flatten() }
        .filter(is_group)
        .map(|entry| entry.path())
        .collect()
}

fn remove_below(group: &Path) -> io::Result<()> {
    for child in child_groups(group) {
        remove_below(&child)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    /// For processes that got SIGKILL.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn hierarchies(root: &Path) -> Vec<Hierarchy> {
        let hierarchy = |name: &str, controllers: &[&str]| {
            let mount = root.join(name);
            fs::create_dir_all(&mount).unwrap();
            let controllers = controllers.iter().map(|c| (*c).to_owned()).collect();
            Hierarchy {
                mount,
                controllers,
                own: PathBuf::new(),
            }
        };
        vec![
            hierarchy("cpu", &["cpu"]),
            hierarchy("memory", &["memory"]),
            hierarchy("two", &[]),
        ]
    }

    #[test]
    fn r15_scopes_are_made_found_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let all = hierarchies(root.path());
        let scope = create_in(&all, &Partition::default(), "s.scope")
            .unwrap()
            .unwrap();
        let at = |path: &str| root.path().join(path);
        assert_eq!(
            scope.paths,
            ["cpu", "memory", "two"].map(|name| at(&format!("{name}/machine.slice/s.scope")))
        );
        assert_eq!(
            scope.entrances,
            [
                at("cpu/machine.slice/s.scope/libvirt/emulator/cgroup.procs"),
                at("memory/machine.slice/s.scope/libvirt/cgroup.procs"),
                at("two/machine.slice/s.scope/libvirt/cgroup.procs"),
            ]
        );
        assert!(scope.entrances.iter().all(|file| file.parent().unwrap().is_dir()));
        assert_eq!(
            create_in(&all, &Partition::default(), "s.scope").unwrap(),
            Some(scope.clone()),
            "taken over"
        );
        assert_eq!(
            open_below(&all, Path::new("machine.slice"), "s.scope"),
            Some(scope.clone())
        );
        assert_eq!(open_below(&all, Path::new("machine.slice"), "t.scope"), None);
        scope.remove().unwrap();
        scope.remove().unwrap();
        assert!(!at("cpu/machine.slice/s.scope").exists());
        assert!(at("cpu/machine.slice").exists());
    }

    #[test]
    fn a_weight_is_set_where_processors_are_given_out_and_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let scope = create_in(&hierarchies(root.path()), &Partition::default(), "s.scope")
            .unwrap()
            .unwrap();
        let at = |path: &str| root.path().join(path);
        let shares = at("cpu/machine.slice/s.scope/cpu.shares");
        let weight = at("two/machine.slice/s.scope/cpu.weight");
        fs::write(&shares, "").unwrap();
        fs::write(&weight, "").unwrap();
        scope.weigh(16).unwrap();
        assert_eq!(fs::read_to_string(&shares).unwrap(), "16384");
        assert_eq!(fs::read_to_string(&weight).unwrap(), "1600");
        fs::write(&shares, "").unwrap();
        scope.weigh(1).unwrap();
        assert_eq!(fs::read_to_string(&shares).unwrap(), "1024");
        fs::remove_file(&shares).unwrap();
        fs::create_dir(&shares).unwrap();
        assert!(scope.weigh(1).is_err());
    }

    #[test]
    fn kills_for_want_of_memory_are_counted_in_the_whole_scope() {
        let root = tempfile::tempdir().unwrap();
        let scope = create_in(&hierarchies(root.path()), &Partition::default(), "s.scope")
            .unwrap()
            .unwrap();
        assert_eq!(scope.oom_kills(), 0);
        let at = |path: &str| root.path().join(path);
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        fs::write(at("memory/machine.slice/s.scope/libvirt/memory.oom_control"), v1).unwrap();
        let v2 = "low 0\noom 1\noom_kill 1\noom_group_kill 0\n";
        fs::write(at("two/machine.slice/s.scope/libvirt/memory.events.local"), v2).unwrap();
        assert_eq!(scope.oom_kills(), 3);
    }

    #[test]
    fn r15_without_control_groups_there_is_no_scope_and_no_error() {
        assert_eq!(create_in(&[], &Partition::default(), "s.scope").unwrap(), None);
        let missing = Hierarchy {
            mount: "/no/such".into(),
            controllers: Vec::new(),
            own: PathBuf::new(),
        };
        assert_eq!(
            create_in(&[missing], &Partition::default(), "s.scope").unwrap(),
            None
        );
    }

    #[test]
    fn r15_new_groups_inherit_processors_and_memory() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path();
        let group = parent.join("new");
        fs::create_dir(&group).unwrap();
        for (directory, cpus, mems) in [(parent, "0-1\n", "0\n"), (group.as_path(), "\n", "0\n")] {
            fs::write(directory.join("cpuset.cpus"), cpus).unwrap();
            fs::write(directory.join("cpuset.mems"), mems).unwrap();
        }
        make_group(&group).unwrap();
        assert_eq!(
            fs::read_to_string(group.join("cpuset.cpus")).unwrap().trim(),
            "0-1"
        );
    }

    /// With the machine's own groups, where there are any; a name of its own, removed at the end.
    #[test]
    fn r15_processes_are_held_listed_and_killed() {
        let name = format!("test{}", std::process::id());
        let Some(scope) = create_scope("ferrovirt", 1, &name).unwrap() else {
            return;
        };
        let mut orders = Command::new("sh");
        let enter: String = scope
            .entrances
            .iter()
            .map(|f| format!("echo $$ > '{}'; ", f.display()))
            .collect();
        let mut child = orders
            .args(["-c", &format!("{enter} exec sleep 60")])
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        let mut tries = 0;
        let comm = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        while comm().trim() != "sleep" && tries < 500 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            tries += 1;
        }
        assert_eq!(scope.pids(), [pid]);
        assert_eq!(Scope::open(&scope.name), Some(scope.clone()));
        scope.place_threads(&[(0, pid)], &[]).unwrap();
        scope.weigh(2).unwrap();
        let shares =
            |path: &PathBuf| fs::read_to_string(path.join("cpu.shares")).is_ok_and(|set| set != "2048\n");
        assert!(!scope.paths.iter().any(shares));
        let vcpu = |path: &PathBuf| path.join("libvirt/vcpu0").is_dir();
        assert!(scope.paths.iter().any(vcpu));
        let emulator = |path: &PathBuf| path.join("libvirt/emulator").is_dir();
        assert!(scope.paths.iter().filter(|path| emulator(path)).all(vcpu));
        assert!(scope.remove().is_err(), "still in use");
        scope.kill_all(PATIENCE).unwrap();
        child.wait().unwrap();
        let mut result = scope.remove();
        for _ in 0..100 {
            if result.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            result = scope.remove();
        }
        result.unwrap();
        assert_eq!(Scope::open(&scope.name), None);
        for path in &scope.paths {
            // Stays where others have their scopes.
            let _ = fs::remove_dir(path.parent().unwrap());
        }
    }
}

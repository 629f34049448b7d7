//! Which control group hierarchies the machine has, and where this process is in them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What can hold a tree together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The one hierarchy of version 2.
    V2,
    /// The freezer of version 1.
    Freezer,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// Controllers of version 1 (`cpu`, `name=systemd`); empty for version 2.
    pub(crate) controllers: Vec<String>,
    /// This process's group, relative to the mount point.
    pub(crate) own: PathBuf,
}

impl Hierarchy {
    pub(crate) fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether (in version 1) it has this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// Whether (in version 1) it is one of those that say which processors a thread gets, and how much of them.
    pub(crate) fn gives_out_processors(&self) -> bool {
        let is_one = |name: &String| matches!(name.as_str(), "cpu" | "cpuacct" | "cpuset");
        self.controllers.iter().any(is_one)
    }
}

/// All hierarchies that are mounted where this process can see its own group in them.
pub(crate) fn mounted() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    parse(&mounts, &groups)
}

/// The group of this process in the hierarchy that can freeze or kill a group: v1's freezer where there is one, as on
/// hybrid machines v2 is often there without being used.
pub(crate) fn own_for_freezing() -> Option<(Kind, PathBuf)> {
    let all = mounted();
    let freezer = all.iter().find(|h| h.controllers.iter().any(|c| c == "freezer"));
    let (kind, hierarchy) = match freezer {
        Some(freezer) => (Kind::Freezer, freezer),
        None => (Kind::V2, all.iter().find(|h| h.is_v2())?),
    };
    let directory = hierarchy.mount.join(&hierarchy.own);
    directory
        .join("cgroup.procs")
        .exists()
        .then_some((kind, directory))
}

/// The processes of one group; empty when it is gone.
pub(crate) fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// What a guest's limits and shares need of version 2.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// Lets the groups below one of version 2 have the controllers that it has itself. What cannot be passed on is missing
/// below, where it is an error as soon as somebody asks for it.
pub(crate) fn pass_on_controllers(group: &Path) {
    let Ok(has) = fs::read_to_string(group.join("cgroup.controllers")) else {
        return;
    };
    let passed = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    let missing = |name: &&str| !passed.split_whitespace().any(|it| it == *name);
    for name in has
        .split_whitespace()
        .filter(|name| CONTROLLERS.contains(name))
        .filter(missing)
    {
        let _ = put(&group.join("cgroup.subtree_control"), &format!("+{name}"));
    }
}

/// The same of the one controller that groups of threads can have.
pub(crate) fn pass_on_cpu(group: &Path) {
    // Where it is missing, nobody limits threads.
    let _ = put(&group.join("cgroup.subtree_control"), "+cpu");
}

/// The file through which a process of one thread enters a group, by writing a 0 to it. In version 1 that is `tasks`: with
/// `cgroup.procs` the kernel keeps all threads of the machine from forking meanwhile, and waits some 10 ms until it can.
/// In version 2 a process is best born inside (see [`crate::launch`]).
pub(crate) fn entrance(group: &Path) -> PathBuf {
    let tasks = group.join("tasks");
    if tasks.exists() {
        tasks
    } else {
        group.join("cgroup.procs")
    }
}

/// Whether a group belongs to version 2.
pub(crate) fn is_v2_group(group: &Path) -> bool {
    group.join("cgroup.controllers").exists()
}

/// Writes to a file of the kernel: one write, no creation.
pub(crate) fn put(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// `mountinfo`: `ID PARENT DEV ROOT MOUNT OPTIONS … - TYPE SOURCE SUPER`; `cgroup`: `ID:CONTROLLERS:PATH`.
fn parse(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    mounts
        .lines()
        .filter_map(|line| mounted_hierarchy(line, groups))
        .collect()
}

fn mounted_hierarchy(line: &str, groups: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, mount) = (unescape(left.next()?), PathBuf::from(unescape(left.next()?)));
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let own = |wanted: &dyn Fn(&str) -> bool| {
        let path = groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            wanted(controllers).then_some(path)
        })?;
        // Inside a container the mount shows only the part below its root.
        Path::new(path).strip_prefix(&root).ok().map(Path::to_owned)
    };
    match kind {
        "cgroup2" => Some(Hierarchy {
            mount,
            controllers: Vec::new(),
            own: own(&str::is_empty)?,
        }),
        "cgroup" => {
            let named = |list: &str| {
                list.split(',')
                    .filter(|c| c.starts_with("name=") || is_controller(c))
                    .map(str::to_owned)
                    .collect()
            };
            let controllers: Vec<String> = named(options);
            let first = controllers.first()?.clone();
            let own = own(&|list| list.split(',').any(|c| c == first))?;
            Some(Hierarchy {
                mount,
                controllers,
                own,
            })
        }
        _ => None,
    }
}

/// What among a v1 mount's options is a controller.
fn is_controller(option: &str) -> bool {
    const OPTIONS: [&str; 9] = [
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "cpuset_v2_mode",
        "relatime",
        "noatime",
        "all",
    ];
    !OPTIONS.contains(&option) && !option.contains('=')
}

/// `\040` and the like in `mountinfo`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &str = "\
24 1 0:5 / /proc rw,nosuid - proc proc rw
30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
31 29 0:27 /docker/abc /sys/fs/cgroup/freezer ro,relatime - cgroup cgroup rw,freezer
32 29 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 29 0:29 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
    const GROUPS: &str = "\
3:freezer:/docker/abc/inner
2:cpu,cpuacct:/a
1:name=systemd:/system.slice/x:y.service
0::/two";

    #[test]
    fn r15_hybrid_machines_are_understood() {
        let hierarchy = |mount: &str, controllers: &[&str], own: &str| Hierarchy {
            mount: mount.into(),
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            own: own.into(),
        };
        assert_eq!(
            parse(MOUNTS, GROUPS),
            [
                hierarchy("/sys/fs/cgroup/cpu,cpuacct", &["cpu", "cpuacct"], "a"),
                hierarchy("/sys/fs/cgroup/freezer", &["freezer"], "inner"),
                hierarchy(
                    "/sys/fs/cgroup/systemd",
                    &["name=systemd"],
                    "system.slice/x:y.service"
                ),
                hierarchy("/sys/fs/cgroup/uni fied", &[], "two"),
            ]
        );
        assert_eq!(parse(MOUNTS, ""), []);
        assert_eq!(parse("", GROUPS), []);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(mounts in "[ -:a-z0-9/\\\\\n]{0,200}", groups in "[ :a-z,/\n]{0,100}") {
            let _ = parse(&mounts, &groups);
        }
    }
}

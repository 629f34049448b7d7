//! Control groups of a world's own: a group in each hierarchy of the machine, which the world sees as the root.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Where a machine has its control groups.
const MOUNT: &str = "/sys/fs/cgroup";
/// Begins the names of worlds' groups; the number of the process that made it follows, and a number of its own.
const PREFIX: &str = "ferrovirt-test-";
/// Processes that were killed need a moment until they are gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs as the world's first process: becomes the only member of its groups, and sees them as roots from then on.
pub const ENTER: &str = r#"
[ -n "$CGROUPS" ] || exec "$@"
for group in $CGROUPS; do echo 0 > "$group/cgroup.procs" || exit 1; done
exec unshare --cgroup "$@"
"#;

/// A part of the world's set-up: mounts what the machine has, version 1, 2 or both.
pub const MOUNTS: &str = r#"
if [ -n "$CGROUPS" ] && ! grep -q '^[1-9]' /proc/self/cgroup; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    # Only a group without members passes controllers on.
    mkdir /sys/fs/cgroup/init
    echo 0 > /sys/fs/cgroup/init/cgroup.procs
elif [ -n "$CGROUPS" ]; then
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while IFS=: read -r number names own; do
        at=/sys/fs/cgroup/${names#name=}
        case "$names" in
            "") mkdir "${at}unified" && mount -t cgroup2 cgroup2 "${at}unified" ;;
            name=*) mkdir "$at" && mount -t cgroup -o "none,$names" cgroup "$at" ;;
            *) mkdir "$at" && mount -t cgroup -o "$names" cgroup "$at" ;;
        esac
    done < /proc/self/cgroup
fi
"#;

/// The groups of one world; they go with this.
#[derive(Debug, Default)]
pub struct Groups(Vec<PathBuf>);

impl Groups {
    /// Makes them below the groups of this process (version 1) or in the root (version 2, where no group with members passes
    /// controllers on).
    ///
    /// # Panics
    /// When one cannot be made.
    pub fn make() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let places = own.lines().filter_map(place);
        Groups(places.map(|place| make_below(&place, &name)).collect())
    }

    /// Their directories, for [`ENTER`].
    pub fn list(&self) -> String {
        let paths = self.0.iter().map(|path| path.display().to_string());
        paths.collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let start = Instant::now();
        for group in &self.0 {
            thaw(group);
            while !remove(group) && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Lets everything below a group go on: what is frozen (version 1) does not even end when it is killed.
pub fn thaw(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw(&entry.path());
        }
    }
    let state = group.join("freezer.state");
    if state.exists() {
        let _ = std::fs::write(state, "THAWED");
    }
}

/// Where a group can be made, for a line `NUMBER:NAMES:PATH` of a process; nothing for a hierarchy that is not mounted.
fn place(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (names, own) = (parts.next()?, parts.next()?);
    let mount = Path::new(MOUNT);
    let place = match names.trim_start_matches("name=") {
        "" if mount.join("cgroup.procs").exists() => mount.to_owned(),
        "" => mount.join("unified"),
        names => mount.join(names).join(own.trim_start_matches('/')),
    };
    place.join("cgroup.procs").exists().then_some(place)
}

fn make_below(place: &Path, name: &str) -> PathBuf {
    sweep(place);
    let group = place.join(name);
    let made = std::fs::create_dir(&group);
    made.unwrap_or_else(|e| panic!("{}: {e}", group.display()));
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // Version 1 makes it with neither processors nor memory.
        if let Ok(all) = std::fs::read_to_string(place.join(file))
            && !place.join("cgroup.controllers").exists()
        {
            std::fs::write(group.join(file), all.trim()).expect("a new group can be written to");
        }
    }
    group
}

/// Removes what test programs that were killed have left.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
}

/// Whether the group is gone, with all below it.
fn remove(group: &Path) -> bool {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
    !group.exists()
}

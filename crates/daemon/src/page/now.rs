//! What is so at this moment. It comes from snapshots: nobody waits, and nobody is held up (R90).

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use ferrovirt_hook::{Driver, RunningHook};
use ferrovirt_sys::process::ProcessId;

use crate::host::Host;

/// The host at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    pub(crate) at: SystemTime,
    pub(crate) hostname: String,
    pub(crate) version: &'static str,
    /// When the daemon was started.
    pub(crate) began: Option<SystemTime>,
    pub(crate) clients: usize,
    pub(crate) guests: Vec<Object>,
    pub(crate) networks: Vec<Object>,
    pub(crate) running: Vec<Running>,
}

/// A guest or a network.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) driver: Driver,
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// In words.
    pub(crate) state: String,
    pub(crate) active: bool,
    /// When the process behind it was started.
    pub(crate) process_began: Option<SystemTime>,
    /// More about it: a name and a value each.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// A hook that runs.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) id: u64,
    pub(crate) driver: &'static str,
    pub(crate) object: String,
    pub(crate) arguments: String,
    pub(crate) script: PathBuf,
    pub(crate) age: Duration,
    /// How long until it is ended.
    pub(crate) left: Option<Duration>,
    pub(crate) late: bool,
    pub(crate) waits_for: Option<String>,
}

impl Now {
    /// Looks. Reads a few files of `/proc`.
    pub(crate) fn look(host: &Host) -> Now {
        let sets = host.guests.all();
        let mut guests: Vec<Object> = sets
            .flat_map(|set| {
                let driver = set.driver();
                set.list().into_iter().map(move |guest| of_guest(driver, &guest))
            })
            .collect();
        let mut networks: Vec<Object> = host.networks.list().iter().map(|net| of_network(net)).collect();
        guests.sort_by(|a, b| a.name.cmp(&b.name));
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Now {
            at: SystemTime::now(),
            hostname: host.node.hostname.clone(),
            version: env!("CARGO_PKG_VERSION"),
            began: own_start(),
            clients: host.clients.count(),
            guests,
            networks,
            running: host.engine.running().iter().map(of_hook).collect(),
        }
    }
}

fn of_guest(driver: Driver, guest: &ferrovirt_guest::Snapshot) -> Object {
    let mut facts = vec![("Reason", guest.reason.as_str().to_owned())];
    facts.extend(guest.id.map(|id| ("Id", id.to_string())));
    facts.extend(guest.pid.map(|process| ("Process", process.pid.to_string())));
    facts.extend(guest.busy.clone().map(|hook| ("Its hook runs", hook)));
    facts.push(("Persistent", yes(guest.persistent)));
    facts.push(("Autostart", yes(guest.autostart)));
    if !guest.taint.is_empty() {
        facts.push(("Tainted", guest.taint.join(", ")));
    }
    Object {
        driver,
        name: guest.name.clone(),
        uuid: guest.uuid.to_string(),
        state: guest.state.to_string(),
        active: guest.is_active(),
        process_began: guest.pid.and_then(start_of),
        facts,
    }
}

fn of_network(network: &ferrovirt_network::Snapshot) -> Object {
    let mut facts = vec![("Ports", network.ports.len().to_string())];
    facts.extend(network.bridge.clone().map(|bridge| ("Bridge", bridge)));
    facts.extend(network.busy.clone().map(|busy| ("It is", busy)));
    facts.push(("Persistent", yes(network.persistent)));
    facts.push(("Autostart", yes(network.autostart)));
    let state = if network.active { "active" } else { "inactive" };
    Object {
        driver: Driver::Network,
        name: network.name.clone(),
        uuid: network.uuid.to_string(),
        state: state.to_owned(),
        active: network.active,
        process_began: None,
        facts,
    }
}

fn of_hook(hook: &RunningHook) -> Running {
    let now = Instant::now();
    Running {
        id: hook.id,
        driver: hook.event.driver().as_str(),
        object: hook.event.object().to_owned(),
        arguments: hook.event.argv().join(" "),
        script: hook.script.clone(),
        age: now.saturating_duration_since(hook.since),
        left: hook.until.map(|until| until.saturating_duration_since(now)),
        late: hook.late,
        waits_for: hook.waits_for.clone(),
    }
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// When this process was started.
pub(crate) fn own_start() -> Option<SystemTime> {
    start_of(ProcessId::of(rustix::process::getpid().as_raw_pid()).ok()?)
}

/// When a process was started, to a second or so.
fn start_of(process: ProcessId) -> Option<SystemTime> {
    /// What `/proc` counts in, on every machine that this runs on.
    const TICKS_PER_SECOND: u64 = 100;
    // Read once: the file is long, and the machine's start does not change.
    static BOOT: OnceLock<Option<SystemTime>> = OnceLock::new();
    let boot = (*BOOT.get_or_init(boot_time))?;
    let since_boot = Duration::from_millis(process.start_time.saturating_mul(1000 / TICKS_PER_SECOND));
    boot.checked_add(since_boot)
}

/// When the machine was started.
fn boot_time() -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(boot.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_was_started_a_moment_ago() {
        let age = SystemTime::now().duration_since(own_start().unwrap());
        // The boot time is known to a second only.
        assert!(age.is_err() || age.is_ok_and(|age| age < Duration::from_secs(600)));
    }
}

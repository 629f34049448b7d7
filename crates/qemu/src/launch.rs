//! From a prepared document to a QEMU that answers: socket, log, process, first words on the monitor.
//!
//! The monitor's socket listens before QEMU exists and the daemon is connected to it before QEMU exists, so nobody
//! ever polls: what the daemon says first waits in the socket until QEMU reads it, all in one go. If QEMU dies
//! first, the socket ends and its last words are in the log.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_guest::log::GuestLog;
use ferrovirt_guest::{BackendError, Run};
use ferrovirt_host::Passthrough;
use ferrovirt_model::domain::{
    ChannelState, CharType, CpuCheck, CpuMatch, CpuMode, Domain, Graphics, Lifecycle, LinkState, Resource,
    SocketMode, VirtType,
};
use ferrovirt_sys::blocking;
use ferrovirt_sys::burst::Door;
use ferrovirt_sys::cgroup::{Partition, Scope, create_scope_in};
use ferrovirt_sys::launch::Orders;
use ferrovirt_sys::process::ProcessId;
use tokio::net::UnixStream;

use crate::capabilities::{Emulator, expand_cpu};
use crate::command::{self, Given};
use crate::config::QemuConfig;
use crate::error::{Error, Plain, Result};
use crate::live::{self, char_devices, host_smbios, socket};
use crate::log;
use crate::machine::{Machine, WORK_DEADLINE};
use crate::places::{Places, give};
use crate::prepare::Prepared;
use crate::qmp::{Monitor, QmpError, commands};
use crate::swtpm::{self, Swtpm};
use crate::threads::{self, Threads};
use crate::{device_rules, hostdev, private_dev, processors, throttle, tuning};

/// Where a run remembers the name of its control group.
pub const SCOPE: &str = "scope";

/// Where a run remembers the group of groups in which its own is.
const PARTITION: &str = "partition";

/// Moving a thread to another group takes the kernel a grace period of some 10 ms, in which nobody on this machine forks.
/// Side by side it takes longer.
static PLACING: Door = Door::new(2, Duration::from_secs(1));

/// A guest that starts goes before those that run, for the moment that QEMU takes to set itself up: somebody waits for
/// it. Without this, of many guests that start at once those that are up already boot at the cost of the others.
const PRECEDENCE: u32 = 16;

/// First number of the descriptors that QEMU inherits.
const FIRST_FD: i32 = 20;

/// What of the host takes part in a start.
#[derive(Debug)]
pub struct Host<'a> {
    /// Devices that are given away.
    pub passthrough: &'a Passthrough,
    /// Who plays TPMs.
    pub swtpm: Option<&'a Swtpm>,
}

/// Starts the guest's process, CPUs stopped.
///
/// # Errors
/// It does not start, dies, or does not answer; with its last words.
pub async fn launch(
    run: &mut Run,
    config: &QemuConfig,
    emulator: &Arc<Emulator>,
    prepared: Prepared,
    host: &Host<'_>,
) -> std::result::Result<Machine, BackendError> {
    let places = Places::of_run(config, run);
    let log = GuestLog::of(&config.log_dir, run.name());
    let (file, (listener, stream), sockets) = blocking::here(|| {
        write_key(&places, config)?;
        let monitor = monitor_socket(&places, config)?;
        Ok::<_, Error>((
            log.open().map_err(Error::io("Failed to open file", log.path()))?,
            monitor,
            channel_sockets(&run.doc, config)?,
        ))
    })?;
    let mut descriptors = prepared.descriptors;
    descriptors.extend(sockets);
    let mut given = given(&places, config, &run.doc);
    given.tpm = live::tpm::emulated(&run.doc).map(|_| swtpm::socket_path(config, run.id, run.name()));
    let mut fds: Vec<(OwnedFd, i32)> = vec![(listener, FIRST_FD)];
    for (number, (alias, fd)) in (FIRST_FD + 1..).zip(descriptors) {
        given.descriptors.insert(alias, number);
        fds.push((fd, number));
    }
    let args = command::build(&run.doc, emulator, &given)?;
    let env = command::environment(&run.doc, &places.guest_dir, config.privileged);
    std::io::Write::write_all(
        &mut &file,
        log::header(emulator, &config.hostname, &env, &args).as_bytes(),
    )
    .map_err(Error::io(
        "Failed to write to",
        config.log_dir.join(format!("{}.log", run.name())),
    ))?;
    let words_from = log.length();
    let mut orders = orders(config, emulator, (env, args), fds, hostdev::lock_limit(&run.doc));
    orders.stdout = Some(
        file.try_clone()
            .map_err(Error::io("Failed to open file", &config.log_dir))?
            .into(),
    );
    orders.stderr = Some(file.into());
    hostdev::hand_over(run, config, host.passthrough).await?;
    orders.dev = run
        .has_own_dev()
        .then(|| blocking::here(|| private_dev::nodes(&run.doc, config, host.passthrough)));
    let scope = config.privileged.then(|| blocking::here(|| scope(run)));
    let scope = scope.flatten();
    blocking::here(|| tuning::limit_at_start(scope.as_ref(), &run.doc))?;
    if let Some(scope) = &scope {
        blocking::here(|| device_rules::set(scope, &run.doc, config, host.passthrough));
        orders.cgroups.clone_from(&scope.entrances);
    }
    swtpm::start(run, config, host.swtpm, &orders.cgroups).await?;
    // Who it is has to be on disk before it is QEMU: a daemon that dies in between leaves nothing behind (R96).
    let ready = config.launcher.ready(orders).await.map_err(Error::from)?;
    run.born(ready.id()).await?;
    let process = ready.go().await.map_err(Error::from)?;
    write_pid(&places, process)?;
    let died = |error: &str| early_death(run.name(), error, &log, words_from);
    let machine = Machine::new(run.name(), process, stream).map_err(|error| died(&error.to_string()))?;
    let greeting = greet(&machine, &run.doc, scope.is_some() || threads::asked(&run.doc));
    let found = tokio::select! {
        found = greeting => found.map_err(|error| match error {
            QmpError::Closed { .. } => died(""),
            other => Error::from(other),
        })?,
        () = machine.exited() => return Err(died("").into()),
        () = run.cancel.cancelled() => return Err(BackendError::Cancelled),
    };
    complete(&mut run.doc, emulator, &found);
    hold(scope.as_ref(), &run.doc, process, &found.threads()).await?;
    machine.set_balloon(has_balloon(&run.doc));
    config.launcher.refill();
    Ok(machine)
}

/// Puts the threads where they belong, now that QEMU has told which they are.
async fn hold(scope: Option<&Scope>, doc: &Domain, process: ProcessId, found: &Threads) -> Result<()> {
    if let Some(scope) = scope {
        settle_in(doc, scope, found).await?;
    }
    blocking::here(|| threads::settle(scope, doc, process.pid, found))
}

/// The guest has its threads: each in its control group, with its share.
async fn settle_in(doc: &Domain, scope: &Scope, found: &Threads) -> Result<()> {
    let _turn = PLACING.turn().await;
    blocking::here(|| {
        place_threads(scope, found);
        weigh(scope, 1);
        tuning::share_at_start(scope, doc)
    })
}

/// What the command line refers to, but for the descriptors of devices.
fn given(places: &Places, config: &QemuConfig, doc: &Domain) -> Given {
    Given {
        guest_dir: places.guest_dir.clone(),
        monitor: Some(FIRST_FD),
        huge: blocking::here(|| live::memory::huge_mounts(config.hugetlbfs.as_deref())),
        nodes: blocking::here(live::memory::host_nodes),
        host_smbios: blocking::here(|| host_smbios::wanted(doc)),
        ..Given::default()
    }
}

fn orders(
    config: &QemuConfig,
    emulator: &Emulator,
    (env, args): (Vec<(String, String)>, Vec<String>),
    fds: Vec<(OwnedFd, i32)>,
    locked: Option<u64>,
) -> Orders {
    let mut orders = Orders::new(emulator.path.clone());
    orders.args = args.into_iter().map(OsString::from).collect();
    orders.env = env
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    orders.cwd = Some(PathBuf::from("/"));
    orders.fds = fds;
    orders.umask = Some(0o002);
    orders.nofile = config.max_files;
    orders.core = config.max_core;
    orders.memlock = locked;
    if config.privileged && (config.uid, config.gid) != (0, 0) {
        orders.uid = Some(config.uid);
        orders.gid = Some(config.gid);
    }
    orders
}

/// Remembers which control group the run will have, for whoever has to remove it.
///
/// # Errors
/// The document names no path of a partition.
pub fn name_scope(run: &mut Run) -> Result<()> {
    let partition = partition(&run.doc)?.path().to_owned();
    let name = ferrovirt_sys::cgroup::scope_name("qemu", run.id, run.name());
    run.facts.insert(SCOPE.to_owned(), name);
    run.facts.insert(PARTITION.to_owned(), partition);
    Ok(())
}

/// The group of groups that the document names; told in the document of a guest that runs.
fn partition(doc: &Domain) -> Result<Partition> {
    match &doc.resource {
        Some(resource) => Partition::new(&resource.partition).map_err(Error::Unsupported),
        None => Ok(Partition::default()),
    }
}

/// The control group that a run was to have, where it is.
pub fn scope_of(run: &Run) -> Option<Scope> {
    let name = run.facts.get(SCOPE)?;
    match run.facts.get(PARTITION) {
        Some(path) => Scope::open_in(&Partition::new(path).ok()?, name),
        None => Scope::open(name),
    }
}

/// The guest's control group, where there are any (R15).
fn scope(run: &mut Run) -> Option<Scope> {
    // What is no partition was refused before anything was made.
    let partition = partition(&run.doc).unwrap_or_default();
    let made = create_scope_in(&partition, "qemu", run.id, run.name());
    let scope = made.unwrap_or_else(|error| {
        tracing::warn!(
            "guest '{}' runs without a control group of its own: {}",
            run.name(),
            Plain(&error)
        );
        None
    })?;
    run.doc.resource.get_or_insert_with(|| Resource {
        partition: partition.path().to_owned(),
    });
    weigh(&scope, PRECEDENCE);
    Some(scope)
}

/// See [`PRECEDENCE`].
fn weigh(scope: &Scope, times: u32) {
    if let Err(error) = scope.weigh(times) {
        tracing::warn!(
            "cannot set the weight of control group {}: {}",
            scope.name,
            Plain(&error)
        );
    }
}

/// The monitor's socket, listening, and our end of the one connection to it.
fn monitor_socket(places: &Places, config: &QemuConfig) -> Result<(OwnedFd, UnixStream)> {
    let path = places.monitor();
    let listener = socket::listen(&path)?;
    give(&path, config)?;
    let connect = || {
        let stream = std::os::unix::net::UnixStream::connect(&path)?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    let stream = connect().map_err(Error::io("failed to connect to monitor socket", &path))?;
    Ok((listener.into(), stream))
}

/// Sockets of channels and serial ports that listen.
fn channel_sockets(doc: &Domain, config: &QemuConfig) -> Result<Vec<(String, OwnedFd)>> {
    let mut sockets = Vec::new();
    for (info, backend) in char_devices(doc) {
        let listens = backend.source.as_ref().and_then(|source| source.mode) != Some(SocketMode::Connect);
        let Some(path) = backend
            .path()
            .filter(|_| backend.kind == CharType::Unix && listens)
        else {
            continue;
        };
        let path = PathBuf::from(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io("Cannot create directory", dir))?;
        }
        let listener = socket::listen(&path)?;
        give(&path, config)?;
        sockets.push((info.alias.clone().unwrap_or_default(), OwnedFd::from(listener)));
    }
    Ok(sockets)
}

/// The key under which secrets would be handed over; QEMU reads it once.
fn write_key(places: &Places, config: &QemuConfig) -> Result<()> {
    let path = places.key();
    let mut key = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .map_err(Error::io("cannot read random numbers from", "/dev/urandom"))?;
    std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &key))
        .map_err(Error::io("Unable to write key file", &path))?;
    give(&path, config)
}

fn write_pid(places: &Places, process: ProcessId) -> Result<()> {
    let write = |()| std::fs::write(&places.pid_file, format!("{}", process.pid));
    places
        .pid_file
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(write)
        .map_err(Error::io("Unable to write pid file", &places.pid_file))
}

/// What is only known once QEMU runs.
#[derive(Debug, Default)]
struct Found {
    chardevs: Vec<commands::Chardev>,
    cpus: Vec<commands::Cpu>,
    iothreads: Vec<commands::IoThread>,
}

impl Found {
    fn threads(&self) -> Threads {
        Threads::of(&self.cpus, &self.iothreads)
    }
}

/// Threads of virtual CPUs get groups of their own below the guest's (R15).
fn place_threads(scope: &Scope, found: &Threads) {
    if let Err(error) = scope.place_threads(&found.vcpus, &found.iothreads) {
        tracing::warn!(
            "cannot place the virtual CPUs below control group {}: {}",
            scope.name,
            Plain(&error)
        );
    }
}

fn has_balloon(doc: &Domain) -> bool {
    doc.devices
        .memballoon
        .as_ref()
        .is_some_and(|balloon| balloon.model != "none")
}

/// All that is said before the CPUs run, in one go: QEMU answers in order, we wait once.
async fn greet(machine: &Machine, doc: &Domain, threads: bool) -> std::result::Result<Found, QmpError> {
    let monitor = machine.monitor();
    let ptys = char_devices(doc).any(|(_, backend)| backend.kind == CharType::Pty);
    let ((), chardevs, cpus, iothreads, (), (), (), (), ()) = tokio::try_join!(
        monitor.negotiate(WORK_DEADLINE),
        async {
            // Nobody asks where a terminal is when there is none.
            if ptys {
                monitor.execute(&commands::QueryChardev {}, WORK_DEADLINE).await
            } else {
                Ok(Vec::new())
            }
        },
        async {
            processors::add(monitor, doc).await?;
            if threads {
                monitor.execute(&commands::QueryCpus {}, WORK_DEADLINE).await
            } else {
                Ok(Vec::new())
            }
        },
        async {
            if threads && doc.iothreads.is_some() {
                monitor.execute(&commands::QueryIoThreads {}, WORK_DEADLINE).await
            } else {
                Ok(Vec::new())
            }
        },
        actions(monitor, doc),
        settings(monitor, doc),
        memory(monitor, doc),
        reports(monitor, doc),
        limits(monitor, doc),
    )?;
    Ok(Found {
        chardevs,
        cpus,
        iothreads,
    })
}

/// A reboot that means the end must not happen first.
async fn actions(monitor: &Monitor, doc: &Domain) -> std::result::Result<(), QmpError> {
    if doc.on_reboot == Lifecycle::Destroy {
        let command = commands::SetAction {
            reboot: Some("shutdown"),
            shutdown: None,
            panic: None,
        };
        monitor.execute(&command, WORK_DEADLINE).await?;
    }
    Ok(())
}

/// Passwords and unplugged cables.
async fn settings(monitor: &Monitor, doc: &Domain) -> std::result::Result<(), QmpError> {
    for graphics in &doc.devices.graphics {
        passwords(monitor, graphics).await?;
    }
    for interface in doc
        .devices
        .interfaces
        .iter()
        .filter(|i| i.link == Some(LinkState::Down))
    {
        let name = interface.info.alias.clone().unwrap_or_default();
        monitor
            .execute(&commands::SetLink { name, up: false }, WORK_DEADLINE)
            .await?;
    }
    Ok(())
}

/// Limits of the disks.
async fn limits(monitor: &Monitor, doc: &Domain) -> std::result::Result<(), QmpError> {
    for disk in &doc.devices.disks {
        throttle::tell(monitor, disk).await?;
    }
    Ok(())
}

/// A display's password, and until when it counts.
async fn passwords(monitor: &Monitor, graphics: &Graphics) -> std::result::Result<(), QmpError> {
    let Some(password) = graphics.passwd.clone() else {
        return Ok(());
    };
    let command = commands::SetPassword {
        protocol: "vnc",
        password,
        connected: command::display::connected(graphics),
    };
    monitor.execute(&command, WORK_DEADLINE).await?;
    if let Some(until) = graphics.passwd_valid_to.as_deref().and_then(valid_to) {
        let command = commands::ExpirePassword {
            protocol: "vnc",
            time: until.to_string(),
        };
        monitor.execute(&command, WORK_DEADLINE).await?;
    }
    Ok(())
}

/// Seconds since the epoch of a time in UTC as `2010-11-30T20:15:01`.
pub(crate) fn valid_to(text: &str) -> Option<i64> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    Some(
        time.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}

/// The balloon's size, when it is not all of the memory.
async fn memory(monitor: &Monitor, doc: &Domain) -> std::result::Result<(), QmpError> {
    let current = doc
        .current_memory
        .filter(|current| *current < doc.memory && has_balloon(doc));
    if let Some(current) = current {
        monitor
            .execute(
                &commands::SetBalloon {
                    value: current.bytes(),
                },
                WORK_DEADLINE,
            )
            .await?;
    }
    Ok(())
}

/// How often the guest's driver reports what its memory is used for.
async fn reports(monitor: &Monitor, doc: &Domain) -> std::result::Result<(), QmpError> {
    let balloon = doc.devices.memballoon.as_ref().filter(|_| has_balloon(doc));
    let Some((balloon, period)) = balloon.and_then(|balloon| Some((balloon, balloon.stats_period?))) else {
        return Ok(());
    };
    let command = commands::QomSet {
        path: format!(
            "/machine/peripheral/{}",
            balloon.info.alias.as_deref().unwrap_or_default()
        ),
        property: "guest-stats-polling-interval",
        value: i64::from(period),
    };
    match monitor.execute(&command, WORK_DEADLINE).await {
        // Figures are no reason not to start.
        Err(error @ QmpError::Refused { .. }) => {
            tracing::warn!("guest '{}' will not report on its memory: {error}", doc.name);
            Ok(())
        }
        other => other.map(|commands::Empty {}| ()),
    }
}

/// Writes into the document what was found.
fn complete(doc: &mut Domain, emulator: &Emulator, found: &Found) {
    let path_of = |alias: &str| {
        let label = format!("char{alias}");
        let chardev = found.chardevs.iter().find(|chardev| chardev.label == label)?;
        chardev.filename.strip_prefix("pty:").map(str::to_owned)
    };
    let devices = &mut doc.devices;
    let backends = devices
        .serials
        .iter_mut()
        .map(|d| (&d.info, &mut d.backend))
        .chain(devices.parallels.iter_mut().map(|d| (&d.info, &mut d.backend)))
        .chain(devices.channels.iter_mut().map(|d| (&d.info, &mut d.backend)))
        .chain(devices.consoles.iter_mut().map(|d| (&d.info, &mut d.backend)))
        .chain(devices.redirdevs.iter_mut().map(|d| (&d.info, &mut d.backend)));
    for (info, backend) in backends {
        if backend.kind == CharType::Pty {
            let path = info.alias.as_deref().and_then(path_of);
            backend.source.get_or_insert_default().path = path;
        }
    }
    if let Some(console) = devices
        .consoles
        .first_mut()
        .filter(|console| console.backend.kind == CharType::Pty)
    {
        console.tty = console.backend.path().map(str::to_owned);
    }
    for channel in &mut devices.channels {
        if channel.backend.kind == CharType::Unix || channel.backend.kind == CharType::Pty {
            channel.target.state = Some(ChannelState::Disconnected);
        }
    }
    expand(doc, emulator);
}

/// The CPU as the guest sees it.
fn expand(doc: &mut Domain, emulator: &Emulator) {
    let kvm = doc.kind == VirtType::Kvm;
    let Some(cpu) = doc.cpu.as_mut().filter(|cpu| cpu.mode == Some(CpuMode::Custom)) else {
        return;
    };
    if cpu.matching == Some(CpuMatch::Minimum) {
        // It has all that there is, which is more than the model's name says.
        return;
    }
    let Some(model) = cpu.model.as_ref().map(|model| model.name.clone()) else {
        return;
    };
    let more = expand_cpu(emulator, kvm, &model, &cpu.features);
    cpu.features.extend(more);
    cpu.check = Some(CpuCheck::Full);
}

fn early_death(name: &str, error: &str, log: &GuestLog, from: u64) -> Error {
    let words = log.words_since(from);
    let words = if words.is_empty() { error.to_owned() } else { words };
    Error::Died(format!(
        "QEMU unexpectedly closed the monitor (vm='{name}'): {words}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_xml::UnknownPolicy;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    fn document(balloon: &str) -> Domain {
        let text = format!(
            "<domain type='qemu'><name>g1</name><memory>2048</memory><os><type arch='x86_64'>hvm</type></os>\
             <devices>{balloon}</devices></domain>"
        );
        Domain::parse_live(&text, UnknownPolicy::Refuse).unwrap().value
    }

    #[tokio::test]
    async fn a_balloon_is_told_how_often_to_report_and_may_refuse() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (monitor, _events) = Monitor::new(ours);
        let mut peer = BufReader::new(theirs);
        let doc =
            document("<memballoon model='virtio'><stats period='5'/><alias name='balloon0'/></memballoon>");
        let script = async {
            let mut line = String::new();
            peer.read_line(&mut line).await.unwrap();
            let request: serde_json::Value = serde_json::from_str(&line).unwrap();
            let refusal = format!(
                "{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"no\"}}, \"id\": {}}}\r\n",
                request["id"]
            );
            peer.get_mut().write_all(refusal.as_bytes()).await.unwrap();
            request
        };
        let (told, request) = tokio::join!(reports(&monitor, &doc), script);
        told.unwrap();
        assert_eq!(request["execute"], "qom-set");
        let expected = serde_json::json!({
            "path": "/machine/peripheral/balloon0", "property": "guest-stats-polling-interval", "value": 5
        });
        assert_eq!(request["arguments"], expected);
        // Without a period nothing is said: nobody would answer it here.
        reports(&monitor, &document("<memballoon model='virtio'/>"))
            .await
            .unwrap();
        reports(
            &monitor,
            &document("<memballoon model='none'><stats period='5'/></memballoon>"),
        )
        .await
        .unwrap();
    }
}

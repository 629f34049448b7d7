//! From a prepared document to a container whose init runs: socket, log, control group, controller, cards, go.
//!
//! As with QEMU's monitor, the controller's socket listens before there is a controller, and the daemon is connected to
//! it: nobody ever polls. If the controller dies first, the socket ends and its last words are in the log.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ferrovirt_guest::log::GuestLog;
use ferrovirt_guest::{BackendError, Run};
use ferrovirt_link::Links;
use ferrovirt_model::domain::Domain;
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::{Partition, Scope, create_scope_in, scope_name};
use ferrovirt_sys::launch::Orders as LaunchOrders;
use rustix::fs::{MemfdFlags, SealFlags};

use crate::cards::{self, Waiting};
use crate::config::LxcConfig;
use crate::container::{Container, PATIENCE};
use crate::controller_client::{Controller, Event};
use crate::error::{Error, Result};
use crate::orders::{self, Others};
use crate::protocol::{Ask, ORDERS_FD, SOCKET_FD};
use crate::{rules, tuning};

/// Where a run remembers the name of its control group, and the partition that it is in.
pub const SCOPE: &str = "scope";
/// See [`SCOPE`].
pub const PARTITION: &str = "partition";

/// First number of the consoles' descriptors in the controller.
const FIRST_CONSOLE: i32 = 5;

/// What waits between `prepare` and `launch`.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Masters of the consoles.
    pub consoles: Vec<OwnedFd>,
    /// Devices that go inside.
    pub cards: Vec<Waiting>,
}

/// Starts the container.
///
/// # Errors
/// It does not start: with the controller's words.
pub async fn launch(
    run: &mut Run,
    config: &LxcConfig,
    links: &Links,
    others: &dyn Others,
    prepared: Prepared,
) -> std::result::Result<Container, BackendError> {
    let log = GuestLog::of(&config.log_dir, run.name());
    let words_from = log.length();
    let scope = blocking::here(|| scope(run))?;
    let group = scope.as_ref().and_then(memory_group);
    let mut orders = orders::of(&run.doc, config, others, group.as_deref())?;
    let consoles = FIRST_CONSOLE..;
    orders.consoles = consoles.clone().take(prepared.consoles.len()).collect();
    let told = serde_json::to_vec(&orders).map_err(|error| Error::Failed(error.to_string()))?;
    let (launch, socket) = blocking::here(|| {
        let socket = config.socket(run.name());
        let mut launch = launch_orders(config, &log, &socket, &told)?;
        launch.args = vec![OsString::from("--name"), run.name().into()];
        launch.fds.extend(prepared.consoles.into_iter().zip(consoles));
        if let Some(scope) = &scope {
            launch.cgroups.clone_from(&scope.entrances);
        }
        Ok::<_, Error>((launch, socket))
    })?;
    run.monitor = Some(socket.clone());
    // Who it is has to be on disk before it is there: a daemon that dies in between leaves nothing behind (R96).
    let ready = config.controller.ready(launch).await.map_err(Error::from)?;
    run.born(ready.id()).await?;
    let process = ready.go().await.map_err(Error::from)?;
    // As libvirt's: `virsh lxc-enter-namespace` enters the control groups of the process with the number that it is told.
    run.doc.id = Some(process.pid);
    write_pid(config, run.name(), process.pid);
    let connected = Controller::connect(&socket, PATIENCE).await;
    let (controller, mut reports) =
        connected.map_err(|error| early_death(&log, words_from, &error.to_string()))?;
    let died = |text: String| early_death(&log, words_from, &text);
    let cancel = run.cancel.clone();
    let born = async {
        let init = loop {
            match reports.recv().await {
                Some(Event::Cloned { init }) => break init,
                Some(Event::Failed(failure)) => return Err(died(failure.to_string())),
                Some(_) => {}
                None => return Err(died(String::new())),
            }
        };
        // Not earlier: the controller itself has used /dev/fuse and loop devices.
        if let Some(scope) = &scope {
            let rules = rules::of(&run.doc)?;
            blocking::here(|| scope.set_devices(&rules))?;
        }
        if !prepared.cards.is_empty() || orders.namespaces.private_network {
            cards::move_in(links, &cards::netns_of(init), &prepared.cards).await?;
        }
        controller.ask(Ask::Go, PATIENCE).await?;
        loop {
            match reports.recv().await {
                Some(Event::Running) => return Ok(init),
                Some(Event::Failed(failure)) => return Err(died(failure.to_string())),
                Some(Event::Ended(_)) | None => return Err(died(String::new())),
                Some(_) => {}
            }
        }
    };
    let init = tokio::select! {
        init = born => init?,
        () = cancel.cancelled() => return Err(BackendError::Cancelled),
    };
    config.controller.refill();
    Ok(Container::new(
        run.name(),
        process,
        init,
        scope,
        (controller, reports),
    )?)
}

/// The error for a container that did not come up; its log knows more when the controller does not.
fn early_death(log: &GuestLog, words_from: u64, told: &str) -> Error {
    let words = if told.is_empty() {
        log.words_since(words_from)
    } else {
        told.to_owned()
    };
    Error::Died(format!("guest failed to start: {words}"))
}

fn launch_orders(config: &LxcConfig, log: &GuestLog, socket: &Path, orders: &[u8]) -> Result<LaunchOrders> {
    let stdout = log.open().map_err(Error::io("Failed to open file", log.path()))?;
    let stderr = stdout
        .try_clone()
        .map_err(Error::io("Failed to open file", log.path()))?;
    let orders = sealed(orders).map_err(Error::io("Cannot write down", "the orders"))?;
    Ok(LaunchOrders {
        keep_capabilities: true,
        stdout: Some(stdout.into()),
        stderr: Some(stderr.into()),
        fds: vec![(orders, ORDERS_FD), (listener(socket)?, SOCKET_FD)],
        ..LaunchOrders::new(config.controller.path())
    })
}

/// A file in memory that nobody changes any more, read from its beginning.
fn sealed(content: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("orders", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(file.into())
}

/// The socket on which the controller will listen; root's alone.
fn listener(socket: &Path) -> Result<OwnedFd> {
    if let Some(dir) = socket.parent() {
        fs::create_dir_all(dir).map_err(Error::io("Cannot create directory", dir))?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("Cannot remove", socket)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(Error::io("Cannot listen on", socket))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))
        .map_err(Error::io("Cannot protect", socket))?;
    Ok(listener.into())
}

/// Others look there; a container does not depend on it.
fn write_pid(config: &LxcConfig, name: &str, pid: i32) {
    let path = config.pid_file(name);
    if let Err(error) = blocking::here(|| fs::write(&path, pid.to_string())) {
        tracing::warn!("cannot write '{}': {error}", path.display());
    }
}

/// Removes what a controller leaves in the state directory.
pub fn forget(config: &LxcConfig, name: &str) {
    for path in [config.socket(name), config.pid_file(name)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove '{}': {error}", path.display());
            }
            _ => {}
        }
    }
}

/// The control group of the container, with its limits and the devices that it may use.
fn scope(run: &Run) -> Result<Option<Scope>> {
    let partition = partition(&run.doc)?;
    let made = create_scope_in(&partition, "lxc", run.id, run.name());
    let made = made.map_err(Error::io("Cannot create the control group of", run.name()))?;
    let Some(scope) = made else {
        return tuning::none_asked(&run.doc).map(|()| None);
    };
    tuning::at_start(&scope, &run.doc)?;
    tuning::place(&scope, &run.doc)?;
    Ok(Some(scope))
}

/// Remembers which control group the run will have, for whoever has to remove it.
///
/// # Errors
/// As [`partition`].
pub fn name_scope(run: &mut Run) -> Result<()> {
    let partition = partition(&run.doc)?.path().to_owned();
    let name = scope_name("lxc", run.id, run.name());
    run.facts.insert(SCOPE.to_owned(), name);
    run.facts.insert(PARTITION.to_owned(), partition);
    Ok(())
}

/// The group of guests that the document names.
///
/// # Errors
/// It is no path of a partition.
pub fn partition(doc: &Domain) -> Result<Partition> {
    let path = doc.resource.as_ref().map(|resource| resource.partition.as_str());
    Partition::new(path.unwrap_or("/machine")).map_err(Error::Unsupported)
}

/// The scope of a run that is under way.
#[must_use]
pub fn scope_of(facts: &std::collections::BTreeMap<String, String>) -> Option<Scope> {
    let partition = Partition::new(facts.get(PARTITION).map_or("/machine", String::as_str)).ok()?;
    Scope::open_in(&partition, facts.get(SCOPE)?)
}

/// The directory of the group whose limits the container sees as its memory.
fn memory_group(scope: &Scope) -> Option<PathBuf> {
    let has_usage =
        |path: &&PathBuf| path.join("memory.usage_in_bytes").exists() || path.join("memory.current").exists();
    scope.paths.iter().find(has_usage).cloned()
}

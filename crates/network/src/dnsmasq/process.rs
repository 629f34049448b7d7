//! Starting, finding and ending a network's dnsmasq.
//!
//! dnsmasq goes into the background by itself: the process that was started ends when the one behind it serves, and
//! by then the pid file is there. That it is this network's dnsmasq is told from its command line, which names the
//! configuration file; so a stale pid file, or the moment before it is written, confuses nobody.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_model::network::Network;
use ferrovirt_sys::burst::Door;
use ferrovirt_sys::launch::{Launcher, Orders};
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::ProcessId;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::config::{self, Files};
use crate::Config;
use crate::error::{Error, Result};

/// How long dnsmasq may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end before it is killed.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How long one that complained is watched: it may be about to end, or it was only a warning.
const DOUBT: Duration = Duration::from_millis(300);
/// How often processes of it are looked for while ending it.
const STOP_ROUNDS: usize = 10;
/// How often and with what pauses launchers of a dead daemon are waited for.
const SETTLE_ROUNDS: usize = 50;
const SETTLE_PAUSE: Duration = Duration::from_millis(10);
/// How much of its complaints is kept.
const COMPLAINT_LIMIT: u64 = 16 * 1024;

/// Starts that are under way; each takes some 20 ms.
static STARTS: Door = Door::new(4, Duration::from_millis(300));

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// The dnsmasq of one network, running or not.
#[derive(Debug, Clone)]
pub(crate) struct Dnsmasq {
    network: String,
    program: PathBuf,
    launcher: Launcher,
    lease_helper: PathBuf,
    files: Files,
}

impl Dnsmasq {
    /// The dnsmasq of the network `name` with this bridge.
    pub(crate) fn new(config: &Config, name: &str, bridge: &str) -> Dnsmasq {
        let state = |suffix: &str| config.state_dir.join(format!("{name}.{suffix}"));
        Dnsmasq {
            network: name.to_owned(),
            program: config.dnsmasq.clone(),
            launcher: config.launcher.clone(),
            lease_helper: config.lease_helper.clone(),
            files: Files {
                conf: state("conf"),
                hosts: state("hostsfile"),
                addn_hosts: state("addnhosts"),
                pid: config.status_dir.join(format!("{name}.pid")),
                leases: config.state_dir.join(format!("{bridge}.status")),
            },
        }
    }

    /// Where the leases are.
    pub(crate) fn leases(&self) -> &Path {
        &self.files.leases
    }

    /// Writes the configuration and starts it; returns when it serves.
    ///
    /// # Errors
    /// `Program` with dnsmasq's own words, or when there is no dnsmasq; `File`.
    pub(crate) async fn start(&self, network: &Network) -> Result<ProcessId> {
        let bridge = network.bridge_name().unwrap_or_default();
        let program =
            ferrovirt_sys::program::find_in_path(&self.program.to_string_lossy()).ok_or_else(|| {
                Error::Program(format!(
                    "Cannot find '{}' in path: it serves DHCP and DNS",
                    self.program.display()
                ))
            })?;
        self.write_files(network, bridge).await?;
        self.serve(program, bridge).await
    }

    /// The files need not survive a power failure: each start writes them.
    async fn write_files(&self, network: &Network, bridge: &str) -> Result<()> {
        let texts = config::render(network, bridge, &self.files)?;
        let files = self.files.clone();
        crate::store::blocking(files.conf.clone(), "write", move |conf| {
            for path in [conf, &files.pid] {
                if let Some(directory) = path.parent() {
                    std::fs::create_dir_all(directory)?;
                }
            }
            std::fs::write(conf, texts.conf)?;
            std::fs::write(&files.hosts, texts.hosts)?;
            std::fs::write(&files.addn_hosts, texts.addn_hosts)?;
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&files.leases)?;
            remove_if_there(&files.pid)
        })
    }

    async fn serve(&self, program: PathBuf, bridge: &str) -> Result<ProcessId> {
        let _turn = STARTS.turn().await;
        let failed = |text: String| Error::Program(format!("dnsmasq for network '{}': {text}", self.network));
        let (stderr, complaints) = stderr_pipe().map_err(|error| failed(format!("no pipe: {error}")))?;
        let orders = self.orders(program, bridge, stderr);
        let first = self.launcher.launch(orders).await;
        self.launcher.refill();
        let first = first.map_err(|error| failed(error.to_string()))?;
        let work = async {
            let mut text = Vec::new();
            // Ends when the last process has let go of its standard error: it serves, or it is over.
            let _ = complaints.take(COMPLAINT_LIMIT).read_to_end(&mut text).await;
            if let Ok(pidfd) = PidFd::open(first) {
                pidfd.exited().await;
            }
            text
        };
        let text = match tokio::time::timeout(START_LIMIT, work).await {
            Ok(text) => text,
            Err(_) => {
                self.stop().await;
                return Err(failed(format!(
                    "did not serve within {} s",
                    START_LIMIT.as_secs()
                )));
            }
        };
        let serving = self.running().await;
        let complaint = String::from_utf8_lossy(&text).trim().to_owned();
        match serving {
            Some(id) if complaint.is_empty() || stays(id).await => Ok(id),
            _ => Err(failed(complaint)),
        }
    }

    fn orders(&self, program: PathBuf, bridge: &str, stderr: OwnedFd) -> Orders {
        let mut orders = Orders::new(program);
        orders.args = self.arguments();
        // dnsmasq hands its environment on to its script.
        orders.env = vec![
            ("VIR_BRIDGE_NAME".into(), bridge.into()),
            (
                "FERROVIRT_LEASES".into(),
                self.files.leases.clone().into_os_string(),
            ),
            ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ];
        orders.umask = Some(0o022);
        orders.keep_capabilities = true;
        orders.stderr = Some(stderr);
        orders
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut script = OsString::from("--dhcp-script=");
        script.push(&self.lease_helper);
        vec![self.conf_argument(), "--leasefile-ro".into(), script]
    }

    /// By which a process is known to be this network's dnsmasq.
    fn conf_argument(&self) -> OsString {
        let mut conf = OsString::from("--conf-file=");
        conf.push(&self.files.conf);
        conf
    }

    /// The process that serves, from the pid file.
    pub(crate) async fn running(&self) -> Option<ProcessId> {
        let argument = self.conf_argument();
        let found = crate::store::blocking(self.files.pid.clone(), "read", move |path| {
            let pid = std::fs::read_to_string(path)?
                .trim()
                .parse::<i32>()
                .map_err(io::Error::other)?;
            let id = ProcessId::of(pid)?;
            let ours = is_meant(pid, |words| words.contains(&argument.as_encoded_bytes()));
            Ok(Some(id).filter(|id| ours && id.is_alive()))
        });
        found.ok().flatten()
    }

    /// Ends it, by force if need be, also one whose pid file was never written. Never fails: what cannot be ended is
    /// a line in the log.
    pub(crate) async fn stop(&self) {
        if let Some(id) = self.running().await {
            self.end(id).await;
        } else {
            // One that is just going into the background has a child by the time it is ended: look until there is none.
            for _ in 0..STOP_ROUNDS {
                let ids = self.all().await;
                if ids.is_empty() {
                    break;
                }
                for id in ids {
                    self.end(id).await;
                }
            }
        }
        let removed = crate::store::blocking(self.files.pid.clone(), "remove", remove_if_there);
        if let Err(error) = removed {
            tracing::warn!("{error}");
        }
    }

    async fn end(&self, id: ProcessId) {
        if let Err(error) = end(id).await {
            tracing::error!("cannot end dnsmasq ({id}) of network '{}': {error}", self.network);
        }
    }

    /// All processes of it.
    async fn all(&self) -> Vec<ProcessId> {
        let argument = self.conf_argument();
        let found = crate::store::blocking("/proc".into(), "read", move |proc| {
            all_with(proc, |words| words.contains(&argument.as_encoded_bytes()))
        });
        found.unwrap_or_default()
    }

    /// Removes what a network that is gone leaves in the state directory.
    pub(crate) async fn forget(&self) {
        let files = self.files.clone();
        let removed = crate::store::blocking(files.conf.clone(), "remove", move |conf| {
            remove_if_there(conf)?;
            remove_if_there(&files.hosts)?;
            remove_if_there(&files.addn_hosts)?;
            remove_if_there(&files.leases)
        });
        if let Err(error) = removed {
            tracing::warn!("{error}");
        }
    }
}

/// A pipe for standard error: the end for the program, and the one that is read here.
fn stderr_pipe() -> io::Result<(OwnedFd, pipe::Receiver)> {
    let (reader, writer) = io::pipe()?;
    Ok((
        OwnedFd::from(writer),
        pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?,
    ))
}

async fn end(id: ProcessId) -> io::Result<()> {
    let Ok(pidfd) = PidFd::open(id) else { return Ok(()) };
    pidfd.kill(SIGTERM)?;
    if tokio::time::timeout(END_LIMIT, pidfd.exited()).await.is_err() {
        pidfd.kill(SIGKILL)?;
        let killed = tokio::time::timeout(END_LIMIT, pidfd.exited()).await;
        return killed.map_err(|_| io::Error::other("it does not end"));
    }
    Ok(())
}

/// Whether it is still there after a moment.
async fn stays(id: ProcessId) -> bool {
    match PidFd::open(id) {
        Ok(pidfd) => tokio::time::timeout(DOUBT, pidfd.exited()).await.is_err(),
        Err(_) => false,
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Waits until what a daemon before was just launching when it died is launched, and can be found (R96). Bounded: a
/// launcher takes milliseconds.
pub(crate) async fn settle(launcher: &Launcher) {
    for _ in 0..SETTLE_ROUNDS {
        let helper = launcher.path().as_os_str().to_owned();
        let launching = crate::store::blocking("/proc".into(), "read", move |proc| {
            all_with(proc, |words| words.first() == Some(&helper.as_encoded_bytes()))
        });
        let mut launching = launching.unwrap_or_default();
        launching.retain(|process| !has_daemon(process.pid));
        if launching.is_empty() {
            return;
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// Whether a launcher belongs to a daemon that lives: it waits for orders of that one.
fn has_daemon(pid: i32) -> bool {
    let exe = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let parent = ferrovirt_sys::process::ancestors(pid).first().copied();
    let its = parent.and_then(|parent| exe(&parent.to_string()));
    its.is_some() && its == exe("self")
}

/// The words of a process' command line, of which a test says whether it is meant.
fn is_meant(pid: i32, wanted: impl Fn(&[&[u8]]) -> bool) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    wanted(&words)
}

/// All processes whose command line is meant.
fn all_with(proc: &Path, wanted: impl Fn(&[&[u8]]) -> bool) -> io::Result<Vec<ProcessId>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(proc)?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        if is_meant(pid, &wanted) {
            found.extend(ProcessId::of(pid).ok().filter(ProcessId::is_alive));
        }
    }
    Ok(found)
}

//! A running guest as this crate holds it: monitor, process, and what they say.
//!
//! Two witnesses tell of a guest's end. The monitor says why (`SHUTDOWN`, panic), the pidfd says that it is over;
//! an end that no monitor announced is a crash.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ferrovirt_guest::{BackendEvent, DiskAction};
use ferrovirt_sys::cgroup::Scope;
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::ProcessId;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, broadcast, mpsc};

use crate::error::{Error, Plain, Result};
use crate::qmp::commands::Cpu;
use crate::qmp::event::{BlockIoError, DeviceEvent, Reset, Shutdown};
use crate::qmp::{Event, Monitor};

/// For an answer of a monitor: QEMU may be busy with a disk, but not for ever.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// For what QEMU answers after work: at a start it may fill all of a guest's memory first, and a device of the host that comes
/// later has all of it locked. Whoever cannot wait destroys the guest, which ends this, too.
pub const WORK_DEADLINE: Duration = Duration::from_secs(3600);
/// How long a process may take to go after SIGTERM, and then after SIGKILL.
const AFTER_TERM: Duration = Duration::from_secs(10);
const AFTER_KILL: Duration = Duration::from_secs(30);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// How a guest ended, for its log.
#[derive(Debug, Default)]
pub struct Ending {
    powered_off: AtomicBool,
    destroyed: AtomicBool,
}

impl Ending {
    /// libvirt's word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        if self.destroyed.load(Ordering::Relaxed) {
            "destroyed"
        } else if self.powered_off.load(Ordering::Relaxed) {
            "shutdown"
        } else {
            "crashed"
        }
    }
}

/// How long the end of a process and the end of its monitor may lie apart.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Handle to a running guest; cheap to clone.
#[derive(Debug, Clone)]
pub struct Machine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    monitor: Monitor,
    process: ProcessId,
    pidfd: PidFd,
    /// It has a balloon to ask.
    balloon: AtomicBool,
    /// The threads of its processors, once they are known: they stay the same.
    cpus: OnceLock<Vec<Cpu>>,
    /// One round of questions about figures at a time.
    figures: Arc<Semaphore>,
    /// Its control group, found when it is first asked for.
    scope: OnceLock<Option<Scope>>,
    ending: Arc<Ending>,
    released: broadcast::Sender<Release>,
    events: Mutex<Option<mpsc::UnboundedReceiver<BackendEvent>>>,
}

/// Turns QEMU's events into ours.
struct Translator {
    tell: mpsc::UnboundedSender<BackendEvent>,
    ending: Arc<Ending>,
    /// The stop that follows belongs to an end that was told already.
    ended: bool,
    io_error: bool,
    released: broadcast::Sender<Release>,
}

/// What a guest does about a device that it was asked to let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Release {
    /// It has let go.
    Gone(String),
    /// It says no.
    Refused(String),
}

/// How many of them may be unheard; who waits for one asks for few at a time.
const RELEASES: usize = 64;

impl Translator {
    fn hear(&mut self, event: &Event) {
        let told = match event.name.as_str() {
            "SHUTDOWN" => {
                self.ended = true;
                self.ending.powered_off.store(true, Ordering::Relaxed);
                let data: Shutdown = event.data_or_default();
                Some(BackendEvent::Shutdown {
                    guest_initiated: data.guest,
                })
            }
            "DEVICE_DELETED" => {
                let data: DeviceEvent = event.data_or_default();
                let alias = data.device;
                if let Some(alias) = &alias {
                    // Nobody may wait for it.
                    let _ = self.released.send(Release::Gone(alias.clone()));
                }
                alias.map(BackendEvent::DeviceGone)
            }
            "DEVICE_UNPLUG_GUEST_ERROR" => {
                let data: DeviceEvent = event.data_or_default();
                if let Some(alias) = data.device {
                    let _ = self.released.send(Release::Refused(alias));
                }
                None
            }
            "GUEST_PANICKED" => {
                self.ended = true;
                Some(BackendEvent::Panicked)
            }
            "RESET" => {
                self.ended = false;
                self.ending.powered_off.store(false, Ordering::Relaxed);
                let data: Reset = event.data_or_default();
                Some(BackendEvent::Reset {
                    guest_initiated: data.guest,
                })
            }
            "BLOCK_IO_ERROR" => {
                let data: BlockIoError = event.data_or_default();
                self.io_error = data.action == "stop";
                disk_failed(&data)
            }
            "STOP" if self.ended => None,
            "STOP" => Some(BackendEvent::Paused {
                io_error: self.io_error,
            }),
            "RESUME" => {
                self.ended = false;
                self.io_error = false;
                Some(BackendEvent::Resumed)
            }
            _ => None,
        };
        if let Some(event) = told {
            // Who does not listen does not want to know.
            let _ = self.tell.send(event);
        }
    }
}

fn disk_failed(data: &BlockIoError) -> Option<BackendEvent> {
    let action = match data.action.as_str() {
        "stop" => DiskAction::Stopped,
        "report" => DiskAction::Reported,
        _ => DiskAction::Ignored,
    };
    Some(BackendEvent::DiskFailed {
        disk: data.disk()?,
        action,
        reason: if data.nospace { "enospc" } else { "" }.to_owned(),
    })
}

impl Machine {
    /// Takes hold of a guest whose monitor is connected. Nothing has been said on the monitor yet.
    ///
    /// # Errors
    /// The process is gone.
    pub fn new(name: &str, process: ProcessId, stream: UnixStream) -> Result<Self> {
        let open = || PidFd::open(process);
        let pidfd = open().map_err(|source| {
            Error::Died(format!(
                "QEMU process {} of guest '{name}' is gone: {}",
                process.pid,
                Plain(&source)
            ))
        })?;
        // A second one for the task that waits: it must not keep the handle alive.
        let watched = open().map_err(|source| {
            Error::Died(format!(
                "QEMU process {} of guest '{name}' is gone: {}",
                process.pid,
                Plain(&source)
            ))
        })?;
        let (tell, events) = mpsc::unbounded_channel();
        let ending = Arc::new(Ending::default());
        let (released, _) = broadcast::channel(RELEASES);
        let mut translator = Translator {
            released: released.clone(),
            tell: tell.clone(),
            ending: Arc::clone(&ending),
            ended: false,
            io_error: false,
        };
        let (closed, socket_over) = tokio::sync::oneshot::channel::<()>();
        let mut guard = Some(closed);
        let monitor = Monitor::with_listener(stream, move |event| {
            // Dropped with the reader: the socket is over.
            let _ = &mut guard;
            translator.hear(&event);
        });
        tokio::spawn(async move {
            let mut socket_over = std::pin::pin!(socket_over);
            tokio::select! {
                () = watched.exited() => {
                    // What QEMU said last is read before its end is told; the socket of a dead process ends at once,
                    // unless a child of it holds it.
                    let _ = tokio::time::timeout(LAST_WORDS, socket_over).await;
                }
                _ = &mut socket_over => {
                    // The process follows at once, unless it is the monitor alone that is lost.
                    if tokio::time::timeout(LAST_WORDS, watched.exited()).await.is_err() {
                        let _ = tell.send(BackendEvent::MonitorLost);
                        watched.exited().await;
                    }
                }
            }
            let _ = tell.send(BackendEvent::Exited);
        });
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                monitor,
                process,
                pidfd,
                balloon: AtomicBool::new(false),
                cpus: OnceLock::new(),
                figures: Arc::new(Semaphore::new(1)),
                scope: OnceLock::new(),
                ending,
                released,
                events: Mutex::new(Some(events)),
            }),
        })
    }

    /// The guest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its monitor.
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.inner.monitor
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        self.inner.process
    }

    /// How it ended, as far as is known.
    #[must_use]
    pub fn ending(&self) -> Arc<Ending> {
        Arc::clone(&self.inner.ending)
    }

    /// Whether it has a balloon.
    #[must_use]
    pub fn has_balloon(&self) -> bool {
        self.inner.balloon.load(Ordering::Relaxed)
    }

    /// Says that it has a balloon.
    pub fn set_balloon(&self, has: bool) {
        self.inner.balloon.store(has, Ordering::Relaxed);
    }

    /// The threads of its processors, if somebody asked for them before.
    pub(crate) fn cpus(&self) -> Option<&[Cpu]> {
        self.inner.cpus.get().map(Vec::as_slice)
    }

    /// Remembers the threads of its processors.
    pub(crate) fn set_cpus(&self, cpus: Vec<Cpu>) {
        // Two who asked at once have heard the same.
        let _ = self.inner.cpus.set(cpus);
    }

    /// Who holds the permit may ask for figures.
    pub(crate) fn figures_turn(&self) -> Arc<Semaphore> {
        Arc::clone(&self.inner.figures)
    }

    /// Its control group, where it has one. Reads files of the kernel.
    pub(crate) fn scope(&self) -> Option<&Scope> {
        let find = || Scope::of_process(self.inner.process.pid);
        self.inner.scope.get_or_init(find).as_ref()
    }

    /// What it does from now on about devices that it is asked to let go of.
    pub(crate) fn releases(&self) -> broadcast::Receiver<Release> {
        self.inner.released.subscribe()
    }

    /// What happens to it; the second call gets a receiver that never yields anything.
    #[must_use]
    pub fn events(&self) -> mpsc::UnboundedReceiver<BackendEvent> {
        let events = self
            .inner
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        events.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    /// Waits for the end of the process.
    pub async fn exited(&self) {
        self.inner.pidfd.exited().await;
    }

    /// Ends the process and returns when it is gone.
    ///
    /// # Errors
    /// It does not go.
    pub async fn kill(&self, graceful: bool) -> Result<()> {
        // Who is gone already, or has powered off, was not ended by us. Our own signal will look like a power-off.
        let ending = &self.inner.ending;
        if self.inner.process.is_alive() && !ending.powered_off.load(Ordering::Relaxed) {
            ending.destroyed.store(true, Ordering::Relaxed);
        }
        if self.signal(SIGTERM, AFTER_TERM).await {
            return Ok(());
        }
        let busy = |signal: &str| {
            Error::Failed(format!(
                "Failed to terminate process {} with {signal}: Device or resource busy",
                self.inner.process.pid
            ))
        };
        if graceful {
            return Err(busy("SIGTERM"));
        }
        if self.signal(SIGKILL, AFTER_KILL).await {
            Ok(())
        } else {
            Err(busy("SIGKILL"))
        }
    }

    /// Sends a signal; whether the process is gone in time.
    async fn signal(&self, signal: i32, patience: Duration) -> bool {
        // Only ESRCH can come here: it is gone.
        if self.inner.pidfd.kill(signal).is_err() {
            return true;
        }
        tokio::time::timeout(patience, self.inner.pidfd.exited())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_guest::DiskName;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn r33_ends_are_told_once_and_in_order() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let machine = Machine::new("g1", process, ours).unwrap();
        let mut events = machine.events();
        let mut releases = machine.releases();
        let says = [
            r#"{"event": "STOP"}"#,
            r#"{"event": "RESUME"}"#,
            r#"{"event": "BLOCK_IO_ERROR", "data": {"action": "stop", "nospace": true,
                "qom-path": "/machine/peripheral/virtio-disk0/virtio-backend"}}"#,
            r#"{"event": "BLOCK_IO_ERROR", "data": {"action": "report", "node-name": "libvirt-12-format"}}"#,
            r#"{"event": "BLOCK_IO_ERROR", "data": {"action": "stop", "node-name": "mine", "qom-path": "/machine/x"}}"#,
            r#"{"event": "STOP"}"#,
            r#"{"event": "GUEST_PANICKED", "data": {"action": "pause"}}"#,
            r#"{"event": "STOP"}"#,
            r#"{"event": "RESET", "data": {"guest": true}}"#,
            r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#,
            r#"{"event": "STOP"}"#,
            r#"{"event": "NOBODY_KNOWS_THIS"}"#,
            r#"{"event": "DEVICE_DELETED", "data": {"path": "/machine/peripheral/net1/virtio-backend"}}"#,
            r#"{"event": "DEVICE_UNPLUG_GUEST_ERROR", "data": {"device": "net2", "path": "/x"}}"#,
            r#"{"event": "DEVICE_DELETED", "data": {"device": "net1", "path": "/machine/peripheral/net1"}}"#,
        ];
        theirs
            .write_all((says.map(|line| line.replace('\n', "")).join("\n") + "\n").as_bytes())
            .await
            .unwrap();
        let expected = [
            BackendEvent::Paused { io_error: false },
            BackendEvent::Resumed,
            BackendEvent::DiskFailed {
                disk: DiskName::Alias("virtio-disk0".to_owned()),
                action: DiskAction::Stopped,
                reason: "enospc".to_owned(),
            },
            BackendEvent::DiskFailed {
                disk: DiskName::Index(12),
                action: DiskAction::Reported,
                reason: String::new(),
            },
            BackendEvent::Paused { io_error: true },
            BackendEvent::Panicked,
            BackendEvent::Reset {
                guest_initiated: true,
            },
            BackendEvent::Shutdown {
                guest_initiated: true,
            },
            BackendEvent::DeviceGone("net1".to_owned()),
        ];
        for event in expected {
            assert_eq!(events.recv().await, Some(event));
        }
        assert_eq!(releases.recv().await, Ok(Release::Refused("net2".to_owned())));
        assert_eq!(releases.recv().await, Ok(Release::Gone("net1".to_owned())));
        machine.kill(false).await.unwrap();
        drop(theirs);
        assert_eq!(events.recv().await, Some(BackendEvent::Exited));
        assert_eq!(machine.ending().reason(), "shutdown");
        child.wait().unwrap();
        machine.kill(true).await.unwrap();
    }

    #[tokio::test]
    async fn a_monitor_that_is_lost_is_no_end() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let machine = Machine::new("g1", process, ours).unwrap();
        let mut events = machine.events();
        drop(theirs);
        assert_eq!(events.recv().await, Some(BackendEvent::MonitorLost));
        machine.kill(false).await.unwrap();
        assert_eq!(events.recv().await, Some(BackendEvent::Exited));
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn r95_a_process_that_ignores_sigterm_is_not_killed_gracefully() {
        // The shell replaces itself only after the trap is set, as its first line says.
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; echo; sleep 60 & wait; wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let machine = Machine::new("g1", process, ours).unwrap();
        tokio::time::pause();
        let error = machine.kill(true).await.unwrap_err();
        assert!(error.to_string().contains("SIGTERM"), "{error}");
        tokio::time::resume();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

//! What a hypervisor must be able to do. Nothing here knows about hooks; the order is in `sequence`.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ferrovirt_hook::Driver;
use ferrovirt_model::domain::{Device, Domain};
use tokio::sync::mpsc;

use crate::error::BackendError;
use crate::flags::{Leftovers, ShutdownMode};
use crate::run::Run;
use crate::state::ShutoffReason;
use crate::stats::{GuestStats, StatsAsk};
use crate::status::Status;
use crate::tuning::Tuned;

/// A hypervisor. Its methods are called by one operation of one guest at a time, of many guests at once.
pub trait Backend: Send + Sync + 'static {
    /// Whose hooks its guests call.
    const DRIVER: Driver;

    /// What its driver tells in its own way.
    const HABITS: Habits = Habits {
        lost: ShutoffReason::Crashed,
        refused: ShutoffReason::Daemon,
        stopped_shows_the_run: false,
        start_resumes: true,
    };

    /// Kinds of devices that are attached and detached one by one, by their elements.
    const DEVICES: &'static [&'static str] = &["disk", "interface"];

    /// A handle to one running guest (its monitor connection and process).
    type Guest: Clone + Send + Sync + 'static;

    /// Fills in what libvirt fills in at define: machine, controllers, addresses. It changes nothing on the host.
    ///
    /// # Errors
    /// When the document asks for what this hypervisor does not have.
    fn complete(&self, doc: &mut Domain) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The definition is about to be forgotten: what else there is of it goes, stays, or is in the way. What a guest that is
    /// `active` uses stays until its end ([`Backend::abandon`]).
    ///
    /// # Errors
    /// Something is in the way of which nobody said what becomes of it; the definition stays then.
    fn forget(
        &self,
        doc: &Domain,
        leftovers: Leftovers,
        active: bool,
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        let _ = (doc, leftovers, active);
        std::future::ready(Ok(()))
    }

    /// A guest that has no definition has ended: what was stored for it goes, unless its document wants it kept.
    fn abandon(&self, doc: &Domain) -> impl Future<Output = ()> + Send {
        let _ = doc;
        std::future::ready(())
    }

    /// The document of a guest that has no process, not yet or no more, where it differs from that of one that runs:
    /// what hooks see before the launch and at the very end (R50).
    fn at_rest(&self, doc: &Domain) -> Option<Domain> {
        let _ = doc;
        None
    }

    /// Names that devices have for one run, as far as nothing needs to be made for that; before there are ports.
    fn name_devices(&self, doc: &mut Domain) {
        let _ = doc;
    }

    /// Between ports and the `start` hook (R31): aliases, directories, taps, labels. What must be undone is
    /// announced with [`Run::journal`] before it is made.
    ///
    /// # Errors
    /// When something cannot be made; what was made is undone by [`Backend::release`].
    fn prepare(&self, run: &mut Run) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Starts the process, CPUs stopped; calls [`Run::born`] as soon as there is a process; returns when its monitor
    /// answers. What is only known now goes into `run.doc`.
    ///
    /// # Errors
    /// With the hypervisor's last words.
    fn launch(&self, run: &mut Run) -> impl Future<Output = Result<Self::Guest, BackendError>> + Send;

    /// Lets the CPUs run.
    ///
    /// # Errors
    /// When the hypervisor refuses or is gone.
    fn resume(
        &self,
        guest: &Self::Guest,
        doc: &mut Domain,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Ends the process and returns when it is gone. `graceful` never uses SIGKILL. A process that is gone is no error.
    ///
    /// # Errors
    /// When it does not go.
    fn kill(
        &self,
        guest: &Self::Guest,
        graceful: bool,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Sees to it that the process of a run that has no handle can be ended: one that is stopped with its whole control group
    /// cannot, whatever signal it gets.
    fn wake(&self, run: &Run) {
        let _ = run;
    }

    /// Undoes what was prepared, from the journal: idempotent, and all that can be undone is. `run.doc` loses what
    /// that stage takes away (display ports at `Gone`, labels at `Labels`).
    fn release(&self, run: &mut Run, stage: ReleaseStage) -> impl Future<Output = ()> + Send;

    /// A new daemon takes over a guest that an older one started (R38).
    ///
    /// # Errors
    /// [`Gone`] when the process is not there any more or does not answer.
    fn adopt(&self, status: &Status) -> impl Future<Output = Result<Adopted<Self::Guest>, Gone>> + Send;

    /// What happens to the guest by itself, in order. Called once per guest handle that `launch` or `adopt` returned.
    /// An event that belongs to a reply must be in the channel before the reply is given.
    fn events(&self, guest: &Self::Guest) -> mpsc::UnboundedReceiver<BackendEvent>;

    /// The namespaces that a client can enter to be inside the guest: opened files of `/proc/PID/ns` of its first process.
    /// Does not wait. What is not a container has none.
    ///
    /// # Errors
    /// When there are none, or they cannot be opened.
    fn namespaces(&self, guest: &Self::Guest) -> Result<Vec<OwnedFd>, BackendError> {
        let _ = guest;
        Err(BackendError::Unsupported(
            "this hypervisor has no namespaces to enter".to_owned(),
        ))
    }
}

/// What drivers tell differently of the same thing, as libvirt's do. Data, so that the sequence is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// The reason of the end of a guest whose process went while no daemon was there.
    pub lost: ShutoffReason,
    /// The reason of the end of a guest that the `reconnect` hook refused.
    pub refused: ShutoffReason,
    /// The document at the `stopped` hook still is that of a guest that runs: with its id, ports and devices.
    pub stopped_shows_the_run: bool,
    /// A start is told as a resumption, too, as its CPUs go on.
    pub start_resumes: bool,
}

/// Power buttons of a running guest.
pub trait Power: Backend {
    /// Stops the CPUs.
    ///
    /// # Errors
    /// When the hypervisor refuses or is gone.
    fn suspend(&self, guest: &Self::Guest) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Asks the guest's system to power off (ACPI, agent); returns when it was asked.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn shutdown(
        &self,
        guest: &Self::Guest,
        mode: ShutdownMode,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Asks the guest's system to restart. With the power button it can only be asked to power off: the power-off that
    /// follows is turned into a [`Power::reset`] by this crate, not by the backend.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn reboot(
        &self,
        guest: &Self::Guest,
        mode: ShutdownMode,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Resets the machine as its reset button does. CPUs that were stopped stay stopped.
    ///
    /// # Errors
    /// When the hypervisor refuses or is gone.
    fn reset(&self, guest: &Self::Guest) -> impl Future<Output = Result<(), BackendError>> + Send;
}

/// Limits and shares of a running guest: `<memtune>`, `<blkiotune>`, `<cputune>` and `<currentMemory>` of its document.
pub trait Tune: Backend {
    /// Holds the guest to `to` where that differs from `from`. What is only found out then goes into `to`.
    ///
    /// # Errors
    /// When the kernel or the hypervisor refuses; a part may hold then, and the caller goes back to `from`.
    fn tune(
        &self,
        guest: &Self::Guest,
        from: &Domain,
        to: &mut Domain,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// What the guest is held to now. Asked past its owner (R90).
    ///
    /// # Errors
    /// When the kernel does not say.
    fn tuned(
        &self,
        guest: &Self::Guest,
        doc: &Arc<Domain>,
    ) -> impl Future<Output = Result<Tuned, BackendError>> + Send;
}

/// Devices of a running guest. Ports of networks are made and deleted by this crate, not by the backend.
pub trait Plug: Backend {
    /// Completes a device for the guest of this document: alias, address, all that has to be free there. It changes
    /// nothing on the host.
    ///
    /// # Errors
    /// When the guest cannot have it, or cannot have it while it runs.
    fn fit(&self, doc: &Domain, device: &mut Device)
    -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Puts the device into the guest. What must be undone at the guest's end is announced with [`Run::journal`] before
    /// it is made; what is only known now goes into `device`. After a failure [`Plug::withdraw`] follows.
    ///
    /// # Errors
    /// When the host or the guest refuses.
    fn attach(
        &self,
        guest: &Self::Guest,
        run: &mut Run,
        device: &mut Device,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Asks the guest to let go of the device; whether it has, within a time of the backend's. One that takes longer is
    /// told of by [`BackendEvent::DeviceGone`], as is every one.
    ///
    /// # Errors
    /// When it cannot be asked, or says no.
    fn detach(
        &self,
        guest: &Self::Guest,
        run: &mut Run,
        device: &Device,
    ) -> impl Future<Output = Result<bool, BackendError>> + Send;

    /// Takes away what is left of a device that the guest does not have (any more): idempotent, and all that can be
    /// undone is.
    fn withdraw(
        &self,
        guest: &Self::Guest,
        run: &mut Run,
        device: &Device,
    ) -> impl Future<Output = ()> + Send;

    /// Changes a device; `to` has the alias and the address of `from` where it says none.
    ///
    /// # Errors
    /// When it cannot be changed in this way.
    fn update(
        &self,
        guest: &Self::Guest,
        from: &Device,
        to: &mut Device,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The aliases of the devices that the guest of this run has, at least of those in its document.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn present(
        &self,
        guest: &Self::Guest,
        run: &Run,
    ) -> impl Future<Output = Result<Vec<String>, BackendError>> + Send;
}

/// Numbers that only the hypervisor knows. They never pass the guest's owner and have a deadline of their own (R90).
pub trait Statistics: Backend {
    /// Asks for them.
    ///
    /// # Errors
    /// When the hypervisor does not answer.
    fn figures(&self, guest: &Self::Guest) -> impl Future<Output = Result<Figures, BackendError>> + Send;

    /// Asks for groups of figures of a guest with this document; one that does not run has no `guest`. Comes back within
    /// little more than `ask.patience`, without what could not be had in that time.
    fn stats(
        &self,
        guest: Option<&Self::Guest>,
        doc: &Arc<Domain>,
        ask: &StatsAsk,
    ) -> impl Future<Output = GuestStats> + Send;
}

/// Numbers that only the hypervisor knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// CPU time of the guest, in nanoseconds.
    pub cpu_time: u64,
    /// Memory that it has now (its balloon), in KiB; `None` when it has no balloon.
    pub balloon: Option<u64>,
}

/// The two halves of [`Backend::release`], before and after the `stopped` hook and the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseStage {
    /// The process is gone: taps, sockets, pid files, cgroups.
    Gone,
    /// The `stopped` hook is over: labels (R33), directories.
    Labels,
}

/// How the hypervisor names a disk that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskName {
    /// By the alias of the device.
    Alias(String),
    /// By the number of its image.
    Index(u32),
}

/// What the guest met when a disk failed; libvirt's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum DiskAction {
    /// Nothing: the error was passed over.
    Ignored = 0,
    /// It was stopped.
    Stopped = 1,
    /// It saw the error.
    Reported = 2,
}

/// What a guest does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendEvent {
    /// It has powered off; the process may still be there.
    Shutdown {
        /// By its own system, not by a signal to the process.
        guest_initiated: bool,
    },
    /// It was reset, by its own system or by us.
    Reset {
        /// The guest asked for it: a reboot. Otherwise somebody pressed its button.
        guest_initiated: bool,
    },
    /// Its CPUs stopped.
    Paused {
        /// Because a disk failed.
        io_error: bool,
    },
    /// A disk failed. If it stops for that, [`BackendEvent::Paused`] follows.
    DiskFailed {
        /// Which one.
        disk: DiskName,
        /// What the guest met.
        action: DiskAction,
        /// libvirt's word for why, `enospc`; empty if there is none.
        reason: String,
    },
    /// Its CPUs run.
    Resumed,
    /// Its system has panicked.
    Panicked,
    /// It has ended by its own doing, and so does its process: what was asked for cannot be done with the same process.
    Left {
        /// It asked to be started again: its end is one of the usual kind, and a new start follows (R50).
        again: bool,
    },
    /// It has let go of the device of this name.
    DeviceGone(String),
    /// The hypervisor does not talk with us any more; the process is there.
    MonitorLost,
    /// The process is gone.
    Exited,
}

/// What [`Backend::adopt`] found.
#[derive(Debug)]
pub struct Adopted<G> {
    /// The handle.
    pub guest: G,
    /// What its CPUs do.
    pub observed: Observed,
    /// The live document, where it differs from the stored one.
    pub doc: Option<Domain>,
}

/// What the CPUs of an adopted guest do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// They run.
    Running,
    /// They are stopped.
    Paused,
    /// It powered off while no daemon was there; the process is still there.
    Shutdown,
    /// Its system panicked.
    Panicked,
}

/// The process behind a guest is not there any more, or cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Gone(pub String);

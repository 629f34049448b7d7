//! The door of this crate: [`QemuBackend`] is what the guests' owner calls.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ferrovirt_guest::Driver;
use ferrovirt_guest::{
    Adopted, Backend, BackendError, BackendEvent, FOREIGN, Figures, Gone, GuestStats, Leftovers, Power,
    ReleaseStage, Run, ShutdownMode, Statistics, StatsAsk, Status,
};
use ferrovirt_host::Passthrough;
use ferrovirt_link::Links;
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
use ferrovirt_sys::blocking;
use tokio::sync::mpsc;

use crate::capabilities::{Emulator, Probes};
use crate::config::QemuConfig;
use crate::define::{Firmwares, OfHost};
use crate::error::{Error, Result};
use crate::live::socket::Ports;
use crate::machine::{DEADLINE, Ending, Machine};
use crate::prepare::Prepared;
use crate::qmp::{Command, commands};
use crate::{adopt, capabilities, define, hostdev, launch, live, prepare, release, statistics, swtpm};

/// QEMU guests of this machine. Cheap to clone.
#[derive(Clone)]
pub struct QemuBackend {
    inner: Arc<Inner>,
}

struct Inner {
    config: QemuConfig,
    links: Links,
    passthrough: Passthrough,
    probes: Probes,
    swtpms: swtpm::Finder,
    ports: Ports,
    /// Descriptors between `prepare` and `launch`, by the id of the run.
    prepared: Mutex<HashMap<i32, Prepared>>,
    /// How runs ended, until their logs are closed.
    endings: Mutex<HashMap<i32, Arc<Ending>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl QemuBackend {
    /// Finds the emulators of this machine and begins to ask them what they are. Must run inside a tokio runtime.
    #[must_use]
    pub fn new(config: QemuConfig, links: Links, passthrough: Passthrough) -> Self {
        let probes = Probes::start(&config);
        let ports = Ports::new(config.display_ports);
        let inner = Inner {
            config,
            links,
            passthrough,
            probes,
            swtpms: swtpm::Finder::default(),
            ports,
            prepared: Mutex::default(),
            endings: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The capabilities document: what this host is, and which guests can run on it. Waits for the probes.
    ///
    /// # Errors
    /// Never because of one emulator: one that cannot be asked is left out.
    pub async fn capabilities(&self, host: Uuid) -> Result<String> {
        capabilities::document(&self.inner.probes, &self.inner.config, host).await
    }

    /// What guests of a machine type can have. Waits for the probe of its emulator.
    ///
    /// # Errors
    /// Words that are none, an emulator that cannot be asked.
    pub async fn domain_capabilities(
        &self,
        asked: &capabilities::Asked,
    ) -> std::result::Result<String, BackendError> {
        let config = self.config();
        let firmwares = blocking::here(|| Firmwares::of_host(config.nvram.as_deref(), &config.state_dir));
        let swtpm = self.inner.swtpms.find().await;
        let probes = &self.inner.probes;
        Ok(capabilities::domain_document(probes, &firmwares, swtpm.as_deref(), asked).await?)
    }

    /// Version of the emulator for this machine's own architecture, as libvirt writes it: 10.0.2 is 10000002.
    ///
    /// # Errors
    /// There is none, or it cannot be asked.
    pub async fn version(&self) -> Result<u64> {
        let path = self.inner.probes.default_path("x86_64")?.to_owned();
        Ok(self.inner.probes.emulator(&path).await?.version_number())
    }

    pub(crate) fn config(&self) -> &QemuConfig {
        &self.inner.config
    }

    pub(crate) fn links(&self) -> &Links {
        &self.inner.links
    }

    pub(crate) fn passthrough(&self) -> &Passthrough {
        &self.inner.passthrough
    }

    /// The emulator of a document.
    pub(crate) async fn emulator(&self, doc: &Domain) -> Result<Arc<Emulator>> {
        let path = match &doc.devices.emulator {
            Some(path) => Path::new(path).to_owned(),
            None => self
                .inner
                .probes
                .default_path(define::architecture(doc))?
                .to_owned(),
        };
        self.inner.probes.emulator(&path).await
    }

    /// Who plays this guest's TPM, looked for only when it has one.
    async fn swtpm(&self, doc: &Domain) -> Option<Arc<swtpm::Swtpm>> {
        let asked = !doc.devices.tpms.is_empty();
        if asked {
            self.inner.swtpms.find().await
        } else {
            None
        }
    }

    async fn say<C: Command>(&self, guest: &Machine, command: &C) -> std::result::Result<(), BackendError> {
        guest
            .monitor()
            .execute(command, DEADLINE)
            .await
            .map_err(Error::from)?;
        Ok(())
    }
}

impl Backend for QemuBackend {
    const DRIVER: Driver = Driver::Qemu;
    const DEVICES: &'static [&'static str] = &["disk", "interface", "hostdev"];
    type Guest = Machine;

    async fn complete(&self, doc: &mut Domain) -> std::result::Result<(), BackendError> {
        let emulator = self.emulator(doc).await?;
        let config = self.config();
        let firmwares = match doc.os.firmware.is_some() || doc.os.loader.is_some() {
            true => blocking::here(|| Firmwares::of_host(config.nvram.as_deref(), &config.state_dir)),
            false => Firmwares::default(),
        };
        let host = OfHost {
            firmwares,
            swtpm: self.swtpm(doc).await,
        };
        define::complete_with(doc, &emulator, &host)?;
        Ok(())
    }

    async fn forget(
        &self,
        doc: &Domain,
        leftovers: Leftovers,
        active: bool,
    ) -> std::result::Result<(), BackendError> {
        blocking::here(|| live::nvram::forget(doc, leftovers.nvram))?;
        if active {
            swtpm::can_wait(doc, leftovers.tpm)?;
        } else {
            blocking::here(|| swtpm::forget(doc, self.config(), leftovers.tpm))?;
        }
        Ok(())
    }

    async fn abandon(&self, doc: &Domain) {
        if let Err(error) = blocking::here(|| swtpm::forget(doc, self.config(), None)) {
            tracing::warn!("{error}");
        }
    }

    async fn prepare(&self, run: &mut Run) -> std::result::Result<(), BackendError> {
        let inner = &self.inner;
        let prepared =
            prepare::prepare(run, &inner.config, &inner.links, &inner.ports, &inner.passthrough).await?;
        lock(&inner.prepared).insert(run.id, prepared);
        Ok(())
    }

    async fn launch(&self, run: &mut Run) -> std::result::Result<Machine, BackendError> {
        let emulator = self.emulator(&run.doc).await?;
        let prepared = lock(&self.inner.prepared).remove(&run.id).unwrap_or_default();
        let swtpm = self.swtpm(&run.doc).await;
        let host = launch::Host {
            passthrough: self.passthrough(),
            swtpm: swtpm.as_deref(),
        };
        let machine = launch::launch(run, &self.inner.config, &emulator, prepared, &host).await?;
        lock(&self.inner.endings).insert(run.id, machine.ending());
        Ok(machine)
    }

    async fn resume(&self, guest: &Machine, _doc: &mut Domain) -> std::result::Result<(), BackendError> {
        self.say(guest, &commands::Cont {}).await
    }

    async fn kill(&self, guest: &Machine, graceful: bool) -> std::result::Result<(), BackendError> {
        Ok(guest.kill(graceful).await?)
    }

    async fn release(&self, run: &mut Run, stage: ReleaseStage) {
        let inner = &self.inner;
        // Taps live as long as their descriptors.
        drop(lock(&inner.prepared).remove(&run.id));
        let ending = match stage {
            ReleaseStage::Gone => lock(&inner.endings).remove(&run.id),
            ReleaseStage::Labels => None,
        };
        let reason = match ending {
            Some(ending) => ending.reason(),
            None if run.process().is_some() => "crashed",
            None => "failed",
        };
        if stage == ReleaseStage::Gone {
            swtpm::release(run, &inner.config).await;
        }
        blocking::here(|| release::release(run, stage, &inner.config, &inner.ports, reason));
        if stage == ReleaseStage::Labels {
            hostdev::release(run, &inner.passthrough, &inner.links).await;
        }
    }

    async fn adopt(&self, status: &Status) -> std::result::Result<Adopted<Machine>, Gone> {
        if status.facts.contains_key(FOREIGN) {
            // Also for one that is gone: its devices go back all the same.
            blocking::here(|| hostdev::claim(&status.doc, self.passthrough()));
        }
        let adopted = adopt::adopt(status, &self.inner.config, &self.inner.ports).await?;
        lock(&self.inner.endings).insert(status.id, adopted.guest.ending());
        Ok(adopted)
    }

    fn events(&self, guest: &Machine) -> mpsc::UnboundedReceiver<BackendEvent> {
        guest.events()
    }
}

fn no_agent() -> BackendError {
    BackendError::Agent("QEMU guest agent is not configured".to_owned())
}

/// Ways that only containers have.
fn not_of_qemu() -> BackendError {
    BackendError::Unsupported("QEMU's guests have no init of ours to talk to".to_owned())
}

impl Power for QemuBackend {
    async fn suspend(&self, guest: &Machine) -> std::result::Result<(), BackendError> {
        self.say(guest, &commands::Stop {}).await
    }

    async fn shutdown(&self, guest: &Machine, mode: ShutdownMode) -> std::result::Result<(), BackendError> {
        match mode {
            ShutdownMode::Default | ShutdownMode::Acpi => {
                self.say(guest, &commands::SystemPowerdown {}).await
            }
            ShutdownMode::Agent => Err(no_agent()),
            ShutdownMode::Initctl | ShutdownMode::Signal => Err(not_of_qemu()),
        }
    }

    async fn reboot(&self, guest: &Machine, mode: ShutdownMode) -> std::result::Result<(), BackendError> {
        match mode {
            ShutdownMode::Default | ShutdownMode::Acpi => {
                self.say(guest, &commands::SystemPowerdown {}).await
            }
            ShutdownMode::Agent => Err(no_agent()),
            ShutdownMode::Initctl | ShutdownMode::Signal => Err(not_of_qemu()),
        }
    }

    async fn reset(&self, guest: &Machine) -> std::result::Result<(), BackendError> {
        self.say(guest, &commands::SystemReset {}).await
    }
}

impl Statistics for QemuBackend {
    async fn figures(&self, guest: &Machine) -> std::result::Result<Figures, BackendError> {
        Ok(statistics::figures(guest).await?)
    }

    async fn stats(&self, guest: Option<&Machine>, doc: &Arc<Domain>, ask: &StatsAsk) -> GuestStats {
        statistics::stats(guest, doc, ask).await
    }
}

//! What the QEMU binaries of this machine are: asked once per binary, kept on disk, never asked at a define.
//!
//! The probe starts when the backend is made ([`Probes::start`]) and runs beside everything else. Who needs
//! an answer awaits it; by the time the first define comes it is there, and after the first day it is a file.

mod cache;
mod cpu;
mod document;
mod domain;
mod probe;

pub use cpu::expand as expand_cpu;
pub use document::document;
pub use domain::{Asked, domain_document};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::QemuConfig;
use crate::error::{Error, Result};

/// A machine type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineType {
    /// Canonical name, e.g. `pc-q35-10.0`.
    pub name: String,
    /// Short name, e.g. `q35`.
    pub alias: Option<String>,
    /// Taken when nothing is said.
    pub default: bool,
    /// Most virtual CPUs.
    pub cpu_max: u32,
    /// QEMU's authors would rather it were not used.
    pub deprecated: bool,
    /// Id of its memory, `pc.ram`.
    pub ram_id: Option<String>,
    /// CPU model when nothing is said, e.g. `qemu64`.
    pub default_cpu: Option<String>,
    /// CPUs can be added while it runs.
    pub hotpluggable_cpus: bool,
    /// Nodes can have memory without an object for it.
    pub numa_mem: bool,
}

/// A CPU model of one accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuModel {
    /// Its name.
    pub name: String,
    /// QEMU's names of the features the accelerator lacks for it; `None` when QEMU does not say.
    pub missing: Option<Vec<String>>,
    /// The version of a model that the name stands for.
    pub alias_of: Option<String>,
}

/// What one binary is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// Where it is.
    pub path: PathBuf,
    /// libvirt's name of what it emulates: `x86_64`, `i686`.
    pub arch: String,
    /// Its version, e.g. 10, 0, 2.
    pub version: (u64, u64, u64),
    /// The distributor's version.
    pub package: String,
    /// KVM is compiled in and the host has it.
    pub kvm: bool,
    /// Machine types, newest first as QEMU lists them.
    pub machines: Vec<MachineType>,
    /// Names of the devices it has.
    pub devices: BTreeSet<String>,
    /// CPU models under TCG.
    pub cpus_tcg: Vec<CpuModel>,
    /// CPU models under KVM; empty without KVM.
    pub cpus_kvm: Vec<CpuModel>,
    /// Its monitor's commands.
    pub commands: BTreeSet<String>,
}

impl Emulator {
    /// Version as one number, as libvirt's API has it: 10.0.2 is 10000002.
    #[must_use]
    pub fn version_number(&self) -> u64 {
        let (major, minor, micro) = self.version;
        major * 1_000_000 + minor * 1000 + micro
    }

    /// Whether the binary has this device.
    #[must_use]
    pub fn has(&self, device: &str) -> bool {
        self.devices.contains(device)
    }

    /// The machine type with this name or alias.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&MachineType> {
        self.machines
            .iter()
            .find(|m| m.name == name || m.alias.as_deref() == Some(name))
    }

    /// The machine type taken when nothing is said.
    #[must_use]
    pub fn default_machine(&self) -> Option<&MachineType> {
        self.machines.iter().find(|m| m.default)
    }

    /// CPU models under KVM or TCG.
    #[must_use]
    pub fn cpus(&self, kvm: bool) -> &[CpuModel] {
        if kvm { &self.cpus_kvm } else { &self.cpus_tcg }
    }
}

type Outcome = std::result::Result<Arc<Emulator>, Arc<str>>;

/// The probes of this daemon's life: one per binary, shared by everybody who asks.
#[derive(Debug)]
pub struct Probes {
    cache_dir: PathBuf,
    defaults: BTreeMap<&'static str, PathBuf>,
    running: Mutex<BTreeMap<PathBuf, watch::Receiver<Option<Outcome>>>>,
}

/// Architectures and the programs that emulate them, the first found wins.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("i686", &["qemu-system-i386", "qemu-system-x86_64"]),
    ("x86_64", &["qemu-system-x86_64", "/usr/libexec/qemu-kvm"]),
];

impl Probes {
    /// Finds the binaries of this machine and begins to ask them. Must run inside a tokio runtime.
    #[must_use]
    pub fn start(config: &QemuConfig) -> Self {
        let mut defaults = BTreeMap::new();
        for (arch, programs) in PROGRAMS {
            let found = programs.iter().find_map(|program| {
                let own = config
                    .emulator_dirs
                    .iter()
                    .map(|dir| dir.join(program))
                    .find(|path| path.is_file());
                own.or_else(|| ferrovirt_sys::program::find_in_path(program))
            });
            if let Some(path) = found {
                defaults.insert(*arch, path);
            }
        }
        let probes = Self {
            cache_dir: config.cache_dir.clone(),
            defaults,
            running: Mutex::new(BTreeMap::new()),
        };
        for path in probes.defaults.values() {
            probes.ask(path);
        }
        probes
    }

    /// The emulator that is used for this architecture when the document names none.
    ///
    /// # Errors
    /// There is none on this machine.
    pub fn default_path(&self, arch: &str) -> Result<&Path> {
        if !PROGRAMS.iter().any(|(known, _)| *known == arch) {
            return Err(Error::unsupported(format!("No emulator found for arch '{arch}'")));
        }
        self.defaults.get(arch).map(PathBuf::as_path).ok_or_else(|| {
            let program = PROGRAMS
                .iter()
                .find(|(known, _)| *known == arch)
                .map_or("", |(_, p)| p[0]);
            Error::unsupported(format!(
                "No emulator found for arch '{arch}': there is no {program} on this machine"
            ))
        })
    }

    /// Architectures that have an emulator here, with it.
    pub fn defaults(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.defaults.iter().map(|(arch, path)| (*arch, path.as_path()))
    }

    /// What this binary is; waits for its probe, which is bounded.
    ///
    /// # Errors
    /// It is not there, or is no QEMU; named.
    pub async fn emulator(&self, path: &Path) -> Result<Arc<Emulator>> {
        if let Err(source) = std::fs::metadata(path) {
            return Err(Error::Io {
                what: "Cannot check QEMU binary",
                path: path.to_owned(),
                source,
            });
        }
        let mut answer = self.ask(path);
        let outcome = match answer.wait_for(Option::is_some).await {
            Ok(value) => value.clone(),
            Err(_) => None,
        };
        match outcome {
            Some(Ok(emulator)) => {
                // A binary that was replaced since (an update of the package) is asked again.
                if cache::is_current(&emulator) {
                    return Ok(emulator);
                }
                self.lock().remove(path);
                let mut answer = self.ask(path);
                let value = answer
                    .wait_for(Option::is_some)
                    .await
                    .ok()
                    .and_then(|value| value.clone());
                value
                    .unwrap_or_else(|| Err("the probe ended without an answer".into()))
                    .map_err(|e| Error::Died(e.to_string()))
            }
            Some(Err(text)) => {
                // A failure is not kept: it may have been the moment.
                self.lock().remove(path);
                Err(Error::Died(text.to_string()))
            }
            None => Err(Error::Died(format!(
                "the probe of {} ended without an answer",
                path.display()
            ))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, watch::Receiver<Option<Outcome>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, path: &Path) -> watch::Receiver<Option<Outcome>> {
        let mut running = self.lock();
        if let Some(answer) = running.get(path) {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        running.insert(path.to_owned(), answer.clone());
        let (path, cache_dir) = (path.to_owned(), self.cache_dir.clone());
        tokio::spawn(async move {
            let outcome = cache::load_or_probe(&path, &cache_dir).await;
            if let Err(error) = &outcome {
                tracing::warn!("Failed to probe capabilities for {}: {error}", path.display());
            }
            let outcome = outcome.map(Arc::new).map_err(|e| Arc::from(e.to_string()));
            tell.send_replace(Some(outcome));
        });
        answer
    }
}

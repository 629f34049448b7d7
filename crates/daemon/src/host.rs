//! Everything the daemon manages, in one place: what the dispatch of requests works on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferrovirt_guest::Guests;
use ferrovirt_hook::history::{self, History};
use ferrovirt_hook::{Discovery, Driver, Engine, EngineConfig, Policy};
use ferrovirt_host::{Passthrough, Tree};
use ferrovirt_link::Links;
use ferrovirt_lxc::{LxcBackend, LxcConfig};
use ferrovirt_network::{Autostart, Networks};
use ferrovirt_qemu::{QemuBackend, QemuConfig, device_rules};
use ferrovirt_sys::capability;
use ferrovirt_sys::launch::Launcher;
use ferrovirt_sys::program;
use ferrovirt_xml::UnknownPolicy;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::bulletin::Bulletin;
use crate::devices;
use crate::error::Error;
use crate::hypervisors::Hypervisors;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::paths::{DriverPaths, Paths};
use crate::settings::{Drivers, Settings, own};
use crate::stream::Seats;

/// What this daemon manages, and what it knows about itself.
pub struct Host {
    /// All guests.
    pub guests: Hypervisors,
    /// All networks.
    pub networks: Networks,
    /// The devices of this machine.
    pub devices: Tree,
    /// PCI devices between host and guests.
    pub passthrough: Passthrough,
    /// Calls hooks, and knows which processes are hooks (R91).
    pub engine: Engine,
    /// Where everything lies.
    pub paths: Paths,
    /// The daemon's own settings as they were at its start.
    pub settings: Settings,
    /// Facts about this machine.
    pub node: Node,
    /// Who is connected.
    pub clients: Clients,
    /// Who asked to be told of events.
    pub bulletin: Arc<Bulletin>,
    /// Who has which console of a guest.
    pub seats: Seats,
    /// What is counted, if metrics are on.
    pub metrics: Option<Metrics>,
    settled: watch::Sender<bool>,
}

/// How long clients wait for networks that are being started at boot. A hook that hangs must not keep everybody out.
const SETTLING: Duration = Duration::from_secs(10);

/// How many clients are connected; a daemon that nobody needs may end (`--timeout`).
#[derive(Debug, Clone)]
pub struct Clients {
    count: watch::Sender<usize>,
}

/// One connected client; not any more when this is dropped.
#[derive(Debug)]
pub struct Client {
    count: watch::Sender<usize>,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            count: watch::Sender::new(0),
        }
    }
}

impl Clients {
    /// A client has connected.
    pub fn enter(&self) -> Client {
        self.count.send_modify(|n| *n += 1);
        Client {
            count: self.count.clone(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.count.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// The engine that calls hooks. It is there before everything else, since the first hook is the daemon's. A history that
/// cannot be opened is no reason to do without it.
///
/// # Errors
/// A helper program that is not installed.
pub fn engine(paths: &Paths, settings: &own::Hooks, policy: Policy) -> Result<Engine, Error> {
    Ok(Engine::new(EngineConfig {
        hooks_dir: paths.hooks_dir.clone(),
        guests_dir: Some(paths.own_dir.join("guests")),
        guest_tree: settings.guest_tree,
        keeper_program: helper("ferrovirt-keeper")?,
        discovery: match settings.discovery {
            own::Discovery::Startup => Discovery::Startup,
            own::Discovery::Live => Discovery::Live,
        },
        output_limit: settings.output_limit,
        release_reason: settings.release_reason,
        strict_permissions: settings.strict_permissions,
        warn_after: settings.warn_after.into(),
        history: history(paths, settings),
        policy,
    }))
}

/// The rules. With a mistake in them the daemon does not start (R21).
///
/// # Errors
/// Every mistake in any of their files.
pub fn policy(paths: &Paths) -> Result<Policy, Error> {
    Policy::load(&paths.own_dir.join("hooks.d")).map_err(Error::Rules)
}

/// A word about what is suspicious in the rules.
pub fn warn_about_rules(policy: &Policy) {
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Nobody's guest depends on the history: without it the daemon runs on.
fn history(paths: &Paths, settings: &own::Hooks) -> History {
    if !settings.history.keep {
        return History::off();
    }
    let opened = History::open(history::Settings {
        path: paths.history_file.clone(),
        max_bytes: settings.history.max_mib.saturating_mul(1 << 20),
        max_age: DAY.saturating_mul(settings.history.max_days),
    });
    opened.unwrap_or_else(|error| {
        tracing::error!("hooks are called without a history: {error}");
        History::off()
    })
}

/// What the age of the history is counted in.
const DAY: Duration = Duration::from_secs(86_400);

fn helper(name: &'static str) -> Result<PathBuf, Error> {
    program::find_helper(name).ok_or(Error::NoHelper(name))
}

fn failed<E: std::fmt::Display>(driver: &'static str) -> impl Fn(E) -> Error {
    move |e| Error::Driver {
        driver,
        text: e.to_string(),
    }
}

impl Host {
    /// Start the drivers and read what there is (R24: networks first). Calls `stopped` of networks that vanished.
    ///
    /// # Errors
    /// [`Error::Driver`] when one of them cannot start (R21).
    pub async fn load(
        paths: &Paths,
        settings: &Settings,
        drivers: &Drivers,
        engine: Engine,
        metrics: Option<Metrics>,
    ) -> Result<Self, Error> {
        let unknown = match settings.own.unknown_xml {
            own::UnknownXml::Refuse => UnknownPolicy::Refuse,
            own::UnknownXml::Keep => UnknownPolicy::Keep,
        };
        let node = Node::read();
        let launcher = Launcher::new(helper("ferrovirt-launch")?);
        let networks = Networks::new(network_config(paths, &launcher, unknown)?, engine.clone());
        let bulletin = Arc::new(Bulletin::default());
        let board = Arc::clone(&bulletin);
        networks.listen(Box::new(move |event| board.network(event)));
        networks.load().await.map_err(failed("network"))?;
        let links = Links::open().map_err(failed("qemu"))?;
        let passthrough = devices::passthrough(paths);
        let backend = QemuBackend::new(
            qemu_config(paths, drivers, &node, launcher)?,
            links.clone(),
            passthrough.clone(),
        );
        let config = guest_config(Driver::Qemu, &paths.qemu, unknown);
        let qemu = Guests::new(config, backend, engine.clone(), networks.clone());
        // Containers need root.
        let lxc = match paths.privileged {
            true => {
                let backend = LxcBackend::new(lxc_config(paths)?, links);
                let config = guest_config(Driver::Lxc, &paths.lxc, unknown);
                Some(Guests::new(config, backend, engine.clone(), networks.clone()))
            }
            false => None,
        };
        let guests = Hypervisors { qemu, lxc };
        for set in guests.all() {
            let (board, driver) = (Arc::clone(&bulletin), set.driver());
            set.listen(Box::new(move |event| board.guest(driver, event)));
            set.load().await.map_err(failed(driver.as_str()))?;
        }
        Ok(Self {
            guests,
            networks,
            devices: devices::tree(settings, &bulletin),
            passthrough,
            engine,
            paths: paths.clone(),
            settings: settings.clone(),
            node,
            clients: Clients::default(),
            bulletin,
            seats: Seats::default(),
            metrics,
            settled: watch::Sender::new(false),
        })
    }

    /// What comes after the sockets are open (R24): guests that ran are taken over, each in its own task;
    /// then what is marked autostart, once per boot of the machine.
    pub async fn begin(self: Arc<Self>) {
        for set in self.guests.all() {
            set.reconnect().await;
        }
        // A device that does not come back holds up nobody who does not want it.
        let host = Arc::clone(&self);
        let back = tokio::spawn(async move { devices::recover(&host).await });
        let _ = timeout(SETTLING, back).await;
        self.networks.autostart(Autostart::Boot).await;
        self.settled.send_replace(true);
        for set in self.guests.all() {
            set.autostart().await;
        }
    }

    /// Returns when the networks that are marked autostart have been started, or after ten seconds. Whoever comes while the
    /// machine boots may rely on them; at a restart of the daemon there is nothing to wait for.
    pub async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        let _ = timeout(SETTLING, settled.wait_for(|settled| *settled)).await;
    }

    /// Whether anything here needs a daemon: a client, a running guest, an active network.
    pub fn is_busy(&self) -> bool {
        self.clients.count() > 0
            || self
                .guests
                .all()
                .flat_map(|set| set.list())
                .any(|g| g.id.is_some())
            || self.networks.list().iter().any(|n| n.active)
    }
}

fn network_config(
    paths: &Paths,
    launcher: &Launcher,
    unknown: UnknownPolicy,
) -> Result<ferrovirt_network::Config, Error> {
    Ok(ferrovirt_network::Config {
        config_dir: paths.network.config_dir.clone(),
        status_dir: paths.network.run_dir.clone(),
        state_dir: paths.network.state_dir.clone(),
        boot_flag_dir: paths.network.run_dir.clone(),
        dnsmasq: "dnsmasq".into(),
        nft: "nft".into(),
        launcher: launcher.clone(),
        lease_helper: helper("ferrovirt-lease")?,
        unknown,
        privileged: paths.privileged,
    })
}

fn guest_config(driver: Driver, places: &DriverPaths, unknown: UnknownPolicy) -> ferrovirt_guest::Config {
    ferrovirt_guest::Config {
        driver,
        config_dir: places.config_dir.clone(),
        status_dir: places.run_dir.clone(),
        log_dir: places.log_dir.clone(),
        boot_flag_dir: places.run_dir.clone(),
        unknown,
    }
}

fn lxc_config(paths: &Paths) -> Result<LxcConfig, Error> {
    Ok(LxcConfig {
        run_dir: paths.lxc.run_dir.clone(),
        log_dir: paths.lxc.log_dir.clone(),
        controller: Launcher::new(helper("ferrovirt-lxc")?),
    })
}

fn qemu_config(
    paths: &Paths,
    drivers: &Drivers,
    node: &Node,
    launcher: Launcher,
) -> Result<QemuConfig, Error> {
    let qemu = &drivers.qemu;
    // libvirt's places: those of the system are beside its own, as swtpm's log is no part of it.
    let (swtpm_dir, swtpm_log_dir) = if paths.privileged {
        (
            paths.state_dir.join("swtpm"),
            PathBuf::from("/var/log/swtpm/libvirt/qemu"),
        )
    } else {
        (
            paths.qemu.config_dir.join("swtpm"),
            paths.qemu.log_dir.join("swtpm"),
        )
    };
    Ok(QemuConfig {
        state_dir: paths.qemu.state_dir.clone(),
        run_dir: paths.qemu.run_dir.clone(),
        log_dir: paths.qemu.log_dir.clone(),
        cache_dir: paths.qemu.cache_dir.join("capabilities"),
        uid: qemu.uid,
        gid: qemu.gid,
        dynamic_ownership: qemu.dynamic_ownership,
        vnc_listen: qemu.vnc_listen.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
        display_ports: qemu.display_ports,
        max_files: qemu.max_files,
        max_core: qemu.max_core,
        launcher,
        emulator_dirs: Vec::new(),
        device_acl: match &qemu.device_acl {
            Some(list) => list.clone(),
            None => device_rules::USUAL.iter().map(PathBuf::from).collect(),
        },
        device_rules: qemu.device_rules && paths.privileged,
        private_dev: private_dev(qemu.private_dev, paths.privileged)?,
        hugetlbfs: qemu.hugetlbfs.clone(),
        nvram: qemu.nvram.clone(),
        swtpm_dir,
        swtpm_log_dir,
        swtpm_uid: qemu.swtpm_uid,
        swtpm_gid: qemu.swtpm_gid,
        privileged: paths.privileged,
        hostname: node.hostname.clone(),
    })
}

/// Whether guests have a `/dev` of their own.
fn private_dev(wanted: Option<bool>, privileged: bool) -> Result<bool, Error> {
    let possible = privileged && capability::may_make_dev();
    match wanted {
        Some(true) if !possible => Err(Error::Driver {
            driver: "qemu",
            text: "'namespaces' of qemu.conf has 'mount', and this daemon may not mount file systems and make devices".to_owned(),
        }),
        Some(wanted) => Ok(wanted),
        None => Ok(possible),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_while_they_are_there() {
        let clients = Clients::default();
        let one = clients.enter();
        let two = clients.clone().enter();
        assert_eq!(clients.count(), 2);
        drop(one);
        drop(two);
        assert_eq!(clients.count(), 0);
    }
}

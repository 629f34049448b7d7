//! What QEMU is asked for figures, and what it said. One round of questions a guest: who comes while one is open waits
//! for its turn as long as his patience lasts, and a QEMU that does not answer has one round before it, not one more
//! with every call.

use std::sync::Arc;
use std::time::Duration;

use ferrovirt_guest::StatsAsk;
use ferrovirt_model::domain::Domain;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::machine::Machine;
use crate::qmp::commands::{BlockRow, Cpu, DirtyRate, NamedNode};
use crate::qmp::{Command, Monitor, commands};

/// How long a round may stay open when nobody waits for it any more.
const ROUND: Duration = Duration::from_secs(600);
/// Whose patience is zero still hears a QEMU that answers at once.
const AT_LEAST: Duration = Duration::from_millis(250);

/// What is to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Questions {
    /// The balloon's size.
    balloon: bool,
    /// What the guest says of its memory, by the balloon's place in the composition tree.
    guest_memory: Option<String>,
    /// The threads of the processors.
    cpus: bool,
    /// Requests and sizes of disks.
    blocks: bool,
    /// The last measurement of written memory.
    dirty_rate: bool,
}

/// What QEMU said; `None` is what was not asked, or not answered.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) balloon: Option<u64>,
    pub(super) guest_memory: Option<serde_json::Value>,
    pub(super) cpus: Option<Vec<Cpu>>,
    pub(super) blocks: Option<(Vec<BlockRow>, Vec<NamedNode>)>,
    pub(super) dirty_rate: Option<DirtyRate>,
}

impl Questions {
    /// What has to be asked of a guest with this document.
    pub(super) fn new(machine: &Machine, doc: &Domain, ask: &StatsAsk) -> Self {
        let balloon = ask.balloon && machine.has_balloon();
        let alias = doc
            .devices
            .memballoon
            .as_ref()
            .and_then(|device| device.info.alias.as_ref());
        Self {
            balloon,
            guest_memory: alias
                .filter(|_| balloon)
                .map(|alias| format!("/machine/peripheral/{alias}")),
            cpus: ask.vcpus && machine.cpus().is_none(),
            blocks: ask.blocks && !doc.devices.disks.is_empty(),
            dirty_rate: ask.dirty_rate,
        }
    }

    /// Asks, all at once. Comes back within little more than `patience`, then without answers.
    pub(super) async fn put(self, machine: &Machine, patience: Duration) -> Said {
        if self == Self::default() {
            return Said::default();
        }
        let start = Instant::now();
        let Some(turn) = turn(machine, patience).await else {
            tracing::debug!(guest = machine.name(), "QEMU is busy with an earlier question");
            return Said::default();
        };
        let monitor = machine.monitor().clone();
        // A task of its own: whoever gives up leaves the round open, and with it the turn.
        let round = tokio::spawn(async move {
            let said = self.ask(&monitor).await;
            drop(turn);
            said
        });
        let left = patience.saturating_sub(start.elapsed()).max(AT_LEAST);
        match tokio::time::timeout(left, round).await {
            Ok(said) => said.unwrap_or_default(),
            Err(_) => {
                tracing::debug!(guest = machine.name(), "QEMU does not answer in time");
                Said::default()
            }
        }
    }

    async fn ask(self, monitor: &Monitor) -> Said {
        let memory = self.guest_memory.map(|path| commands::QomGet {
            path,
            property: "guest-stats".to_owned(),
        });
        let nodes = commands::QueryNamedBlockNodes { flat: true };
        let (balloon, guest_memory, cpus, rows, nodes, dirty_rate) = tokio::join!(
            answer(monitor, self.balloon.then_some(commands::QueryBalloon {})),
            answer(monitor, memory),
            answer(monitor, self.cpus.then_some(commands::QueryCpus {})),
            answer(monitor, self.blocks.then_some(commands::QueryBlockStats {})),
            answer(monitor, self.blocks.then_some(nodes)),
            answer(monitor, self.dirty_rate.then_some(commands::QueryDirtyRate {})),
        );
        Said {
            balloon: balloon.map(|balloon| balloon.actual),
            guest_memory: guest_memory.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            cpus,
            blocks: rows.zip(nodes),
            dirty_rate,
        }
    }
}

/// The right to ask. It is not a lock of anything: only rounds wait for it.
async fn turn(machine: &Machine, patience: Duration) -> Option<OwnedSemaphorePermit> {
    let turns = machine.figures_turn();
    if patience.is_zero() {
        return Arc::clone(&turns).try_acquire_owned().ok();
    }
    let turn = Arc::clone(&turns).acquire_owned();
    tokio::time::timeout(patience, turn).await.ok()?.ok()
}

async fn answer<C: Command>(monitor: &Monitor, command: Option<C>) -> Option<C::Reply> {
    match monitor.execute(&command?, ROUND).await {
        Ok(reply) => Some(reply),
        Err(error) => {
            tracing::debug!(%error, "a figure is left out");
            None
        }
    }
}

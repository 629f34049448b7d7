//! The ports of a network that is up, and which of them have a hook running.

use std::sync::Arc;

use ferrovirt_model::Uuid;
use ferrovirt_model::network::NetworkPort;
use tokio_util::sync::CancellationToken;

/// What is done to a port.
#[derive(Debug)]
enum Work {
    /// Its `port-created` hook runs.
    Making(CancellationToken),
    /// Nothing.
    None,
    /// Its `port-deleted` hook runs.
    Ending,
}

#[derive(Debug)]
struct Slot {
    port: Arc<NetworkPort>,
    work: Work,
    /// Left by a daemon before: its guest has still to come back for it (R24).
    unclaimed: bool,
}

/// All ports of one network, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<Slot>);

impl Slots {
    /// The ports that a daemon before left.
    pub(crate) fn taken_over(ports: Vec<NetworkPort>) -> Slots {
        let slot = |port| Slot {
            port: Arc::new(port),
            work: Work::None,
            unclaimed: true,
        };
        Slots(ports.into_iter().map(slot).collect())
    }

    /// A port is being made, or one that was left is being claimed by its guest. False when there is one with its
    /// id that is nobody's to claim.
    pub(crate) fn begin(&mut self, port: Arc<NetworkPort>, cancel: CancellationToken) -> bool {
        match self.0.iter_mut().find(|slot| slot.port.uuid == port.uuid) {
            None => self.0.push(Slot {
                port,
                work: Work::Making(cancel),
                unclaimed: false,
            }),
            Some(slot) if slot.unclaimed && slot.port.owner.uuid == port.owner.uuid => {
                *slot = Slot {
                    port,
                    work: Work::Making(cancel),
                    unclaimed: false,
                };
            }
            Some(_) => return false,
        }
        true
    }

    /// The port exists now.
    pub(crate) fn made(&mut self, uuid: &Uuid) -> Option<Arc<NetworkPort>> {
        let slot = self.0.iter_mut().find(|slot| slot.port.uuid == *uuid)?;
        slot.work = Work::None;
        Some(slot.port.clone())
    }

    /// A port is being taken away; `None` when there is none that could be.
    pub(crate) fn begin_end(&mut self, uuid: &Uuid) -> Option<Arc<NetworkPort>> {
        let slot = self.0.iter_mut().find(|slot| slot.port.uuid == *uuid)?;
        matches!(slot.work, Work::None).then(|| {
            slot.work = Work::Ending;
            slot.port.clone()
        })
    }

    /// The port is no more.
    pub(crate) fn gone(&mut self, uuid: &Uuid) {
        self.0.retain(|slot| slot.port.uuid != *uuid);
    }

    /// Is there a port with this id, whatever is done to it?
    pub(crate) fn contains(&self, uuid: &Uuid) -> bool {
        self.0.iter().any(|slot| slot.port.uuid == *uuid)
    }

    /// How many are plugged in: those that go do not count any more, those that come do.
    pub(crate) fn count(&self) -> usize {
        self.0
            .iter()
            .filter(|slot| !matches!(slot.work, Work::Ending))
            .count()
    }

    /// The ports that exist.
    pub(crate) fn present(&self) -> Vec<Arc<NetworkPort>> {
        self.0
            .iter()
            .filter(|slot| matches!(slot.work, Work::None))
            .map(|slot| slot.port.clone())
            .collect()
    }

    /// Does any port's hook run?
    pub(crate) fn any_at_work(&self) -> bool {
        self.0.iter().any(|slot| !matches!(slot.work, Work::None))
    }

    /// Ends the hooks of ports that are being made.
    pub(crate) fn cancel(&self) {
        for slot in &self.0 {
            if let Work::Making(cancel) = &slot.work {
                cancel.cancel();
            }
        }
    }
}

//! What passes between a network's owner and the others: what clients ask, and what operations report.

use std::sync::Arc;

use ferrovirt_hook::Origin;
use ferrovirt_model::Uuid;
use ferrovirt_model::network::{Network, NetworkPort};
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::port::{PortCall, PortRequest};
use crate::sequence::Live;

/// Where an answer is waited for.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// What clients ask of a network.
pub(crate) enum Request {
    /// Start it, with this document in the place of the definition.
    Start {
        doc: Option<Arc<Network>>,
        origin: Origin,
        reply: Reply<()>,
    },
    /// End it.
    Destroy { origin: Origin, reply: Reply<()> },
    /// The definition on disk is now this one, or there is none any more.
    SetConfig {
        config: Option<Arc<Network>>,
        reply: Reply<()>,
    },
    /// The mark on disk is now so.
    SetAutostart { autostart: bool, reply: Reply<()> },
    /// Be gone, if off and without definition: the start that it was made for was refused.
    Leave { reply: Reply<()> },
    /// Make a port.
    CreatePort {
        request: PortRequest,
        call: PortCall,
        reply: Reply<Arc<NetworkPort>>,
    },
    /// Take a port away.
    DeletePort {
        uuid: Uuid,
        call: PortCall,
        reply: Reply<()>,
    },
}

/// What an operation reports.
pub(crate) enum Report {
    /// All is made; the `started` hook comes.
    Up(Arc<Network>),
    /// The start is over.
    Started(Result<Live>),
    /// The end wants to know which ports are lost, as soon as no port's hook runs.
    TakePorts(oneshot::Sender<Vec<Arc<NetworkPort>>>),
    /// All is undone; the `stopped` hook comes.
    Down,
    /// The end is over.
    Ended,
    /// A port's hook is over.
    PortMade {
        uuid: Uuid,
        result: Result<()>,
        reply: Reply<Arc<NetworkPort>>,
    },
    /// A port is gone.
    PortGone { uuid: Uuid, reply: Reply<()> },
}

/// The way back from an operation to its owner.
#[derive(Clone)]
pub(crate) struct Reports(pub(crate) mpsc::UnboundedSender<Report>);

impl Reports {
    /// Tells the owner.
    pub(crate) fn send(&self, report: Report) {
        // Without an owner there is nobody left to tell: the daemon is going down.
        let _ = self.0.send(report);
    }

    /// See [`Report::Up`].
    pub(crate) fn up(&self, network: Arc<Network>) {
        self.send(Report::Up(network));
    }

    /// See [`Report::Down`].
    pub(crate) fn down(&self) {
        self.send(Report::Down);
    }

    /// See [`Report::TakePorts`].
    pub(crate) async fn take_ports(&self) -> Vec<Arc<NetworkPort>> {
        let (reply, answer) = oneshot::channel();
        self.send(Report::TakePorts(reply));
        answer.await.unwrap_or_default()
    }
}

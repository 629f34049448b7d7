//! The owner's part in ports: it admits, counts, and tells an end which ports are lost.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ferrovirt_model::Uuid;
use ferrovirt_model::network::{Network, NetworkPort};
use futures_util::FutureExt;

use super::{Owner, State};
use crate::error::Error;
use crate::port::{PortCall, PortRequest, PortWork};
use crate::request::{Reply, Report};

impl Owner {
    fn work(&self, network: Arc<Network>, port: Arc<NetworkPort>, call: PortCall) -> PortWork {
        PortWork {
            shared: self.shared.clone(),
            network,
            port,
            connections: self.slots.count(),
            call,
        }
    }

    pub(super) fn admit_port(
        &mut self,
        request: PortRequest,
        mut call: PortCall,
        reply: Reply<Arc<NetworkPort>>,
    ) {
        let State::Active(live) = &self.state else {
            let _ = reply.send(Err(self.no_ports()));
            return;
        };
        let network = live.network.clone();
        // The network's end cancels the hook, too.
        call.cancel = call.cancel.child_token();
        let port = Arc::new(request.port(&network));
        if !self.slots.begin(port.clone(), call.cancel.clone()) {
            let text = format!("network port with UUID {} already exists", port.uuid);
            let _ = reply.send(Err(Error::Failed(text)));
            return;
        }
        let uuid = port.uuid;
        let work = self.work(network, port, call);
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let result = AssertUnwindSafe(work.create()).catch_unwind().await;
            let result = result.unwrap_or_else(|_| Err(Error::Internal("the port was given up".to_owned())));
            reports.send(Report::PortMade { uuid, result, reply });
        });
    }

    pub(super) fn admit_port_end(&mut self, uuid: Uuid, call: PortCall, reply: Reply<()>) {
        let unknown = || Error::NoPort(format!("Network port with UUID {uuid} does not exist"));
        let network = match &self.state {
            State::Active(live) => live.network.clone(),
            // The end of the network takes its ports away itself.
            State::Ending { .. } if self.slots.contains(&uuid) => {
                let _ = reply.send(Ok(()));
                return;
            }
            _ => {
                let _ = reply.send(Err(unknown()));
                return;
            }
        };
        let Some(port) = self.slots.begin_end(&uuid) else {
            let _ = reply.send(Err(unknown()));
            return;
        };
        let work = self.work(network, port, call);
        let reports = self.reports.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(work.delete()).catch_unwind().await.is_err() {
                tracing::error!("the end of a port was given up");
            }
            reports.send(Report::PortGone { uuid, reply });
        });
    }

    /// Tells the end which ports are lost, once no port's hook runs.
    pub(super) fn give_ports(&mut self) {
        if self.slots.any_at_work() {
            return;
        }
        if let Some(wanted) = self.ports_wanted.take() {
            let _ = wanted.send(self.slots.present());
        }
    }

    pub(super) fn no_ports(&self) -> Error {
        match self.state {
            State::Starting { .. } => self.busy("is being started"),
            _ => Error::Invalid(format!("network '{}' is not active", self.name)),
        }
    }
}

//! Bridges: made with all they need in one request, so that no half made one is ever seen.

use rtnetlink::packet_route::link::BridgeStpState;
use rtnetlink::{LinkBridge, LinkMessageBuilder};

use crate::{LinkError, Links};

/// What a new bridge shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Name of the device, at most 15 bytes.
    pub name: String,
    /// Its own hardware address; a bridge that has one keeps it whatever is plugged in.
    pub mac: Option<[u8; 6]>,
    /// Whether it speaks the spanning tree protocol.
    pub stp: bool,
    /// Forward delay in seconds.
    pub delay: u32,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
}

/// The kernel counts bridge times in hundredths of a second.
const TICKS_PER_SECOND: u32 = 100;

impl Links {
    /// Makes a bridge; it is down.
    ///
    /// # Errors
    /// `Kernel` with EEXIST when a device of this name is there.
    pub async fn add_bridge(&self, spec: &BridgeSpec) -> Result<(), LinkError> {
        let stp = if spec.stp {
            BridgeStpState::KernelStp
        } else {
            BridgeStpState::Disabled
        };
        let mut bridge = LinkMessageBuilder::<LinkBridge>::new(&spec.name)
            .forward_delay(spec.delay.saturating_mul(TICKS_PER_SECOND))
            .stp_state(stp);
        if let Some(mac) = spec.mac {
            bridge = bridge.address(mac.to_vec());
        }
        if let Some(mtu) = spec.mtu {
            bridge = bridge.mtu(mtu);
        }
        let answer = self.handle.link().add(bridge.build()).execute().await;
        answer.map_err(|error| LinkError::from_kernel("creating bridge interface", &spec.name, error))
    }

    /// Plugs `device` into `bridge`.
    ///
    /// # Errors
    /// `Missing` without one of the two, `Kernel` otherwise.
    pub async fn set_master(&self, device: &str, bridge: &str) -> Result<(), LinkError> {
        let index = self.index(bridge).await?;
        self.change(device, "adding to a bridge interface", |link| {
            link.controller(index)
        })
        .await
    }

    /// Takes `device` out of the bridge it is plugged into.
    ///
    /// # Errors
    /// `Missing` without the device.
    pub async fn clear_master(&self, device: &str) -> Result<(), LinkError> {
        self.change(
            device,
            "taking out of its bridge interface",
            LinkMessageBuilder::nocontroller,
        )
        .await
    }
}

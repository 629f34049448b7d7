//! Bridges: made with all they need in one request, so that no half made one is ever seen.

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

impl Links {
    /// Makes a bridge; it is down.
    ///
    /// # Errors
    /// `Kernel` with EEXIST when a device of this name is there.
    pub async fn add_bridge(&self, spec: &BridgeSpec) -> Result<(), LinkError> {
        let _ = spec;
        todo!()
    }

    /// Plugs `device` into `bridge`.
    ///
    /// # Errors
    /// `Missing` without one of the two, `Kernel` otherwise.
    pub async fn set_master(&self, device: &str, bridge: &str) -> Result<(), LinkError> {
        let _ = (device, bridge);
        todo!()
    }

    /// Takes `device` out of the bridge it is plugged into.
    ///
    /// # Errors
    /// `Missing` without the device.
    pub async fn clear_master(&self, device: &str) -> Result<(), LinkError> {
        let _ = device;
        todo!()
    }
}

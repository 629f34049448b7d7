//! IP addresses of a device.

use std::net::IpAddr;

use crate::{LinkError, Links};

/// An address with its prefix length, as it is put on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

impl Links {
    /// Puts `address` on `device` (for IPv4 with the broadcast address of its subnet).
    ///
    /// # Errors
    /// `Missing` without such a device, `Kernel` with EEXIST when it is there already.
    pub async fn add_address(&self, device: &str, address: Address) -> Result<(), LinkError> {
        let _ = (device, address);
        todo!()
    }

    /// The device through which a subnet that overlaps `address` is already reached directly or by a route
    /// (default routes do not count), if there is one.
    ///
    /// # Errors
    /// `Kernel` when the routes cannot be listed.
    pub async fn route_conflict(&self, address: Address) -> Result<Option<String>, LinkError> {
        let _ = address;
        todo!()
    }
}

//! Taps: a guest's end of a cable, made and plugged into a bridge.

use std::os::fd::OwnedFd;

use crate::{LinkError, Links};

/// What a new tap shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapSpec {
    /// Name; may contain `%d`, the kernel then takes the first free number.
    pub name: String,
    /// Hardware address of the host's end (the guest's with first byte `fe`, R15).
    pub mac: [u8; 6],
    /// Whether packets carry the virtio header.
    pub vnet_hdr: bool,
    /// Bridge that it is plugged into; its largest packet becomes the tap's.
    pub bridge: Option<String>,
    /// Largest packet in bytes, where it shall not be the bridge's.
    pub mtu: Option<u32>,
    /// Whether it is switched on.
    pub up: bool,
}

/// A tap that lives as long as its descriptor (here or in the process that it was given to).
#[derive(Debug)]
pub struct Tap {
    /// The descriptor that packets are read from and written to.
    pub fd: OwnedFd,
    /// The name that the kernel chose.
    pub name: String,
}

impl Links {
    /// Makes a tap, plugs it in and switches it on.
    ///
    /// # Errors
    /// `Missing` without the bridge, `Kernel` otherwise; nothing is left behind.
    pub async fn add_tap(&self, spec: &TapSpec) -> Result<Tap, LinkError> {
        let _ = spec;
        todo!()
    }
}

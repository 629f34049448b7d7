//! Taps: a guest's end of a cable, made and plugged into a bridge.

use std::os::fd::OwnedFd;

use rtnetlink::LinkMessageBuilder;

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
    /// Whether it can have more than one queue.
    pub multi_queue: bool,
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
        let (wanted, vnet_hdr, several) = (spec.name.clone(), spec.vnet_hdr, spec.multi_queue);
        let made =
            tokio::task::spawn_blocking(move || ferrovirt_sys::tap::create(&wanted, vnet_hdr, several));
        let made = made
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (fd, name) = made.map_err(|source| LinkError::Kernel {
            action: "creating tap device",
            device: spec.name.clone(),
            source,
        })?;
        // From here on a return drops the descriptor, and with it the tap.
        let mtu = match (&spec.bridge, spec.mtu) {
            (_, Some(mtu)) => Some(mtu),
            (Some(bridge), None) => Some(self.mtu(bridge).await?),
            (None, None) => None,
        };
        // The address and the MTU before the bridge sees the device: it would take over another address and
        // answer for it, and shrink its own MTU to the port's.
        self.change(&name, "setting up tap device", |link| {
            let link = link.address(spec.mac.to_vec());
            match mtu {
                Some(mtu) => link.mtu(mtu),
                None => link,
            }
        })
        .await?;
        if let Some(bridge) = &spec.bridge {
            self.set_master(&name, bridge).await?;
        }
        if spec.up {
            self.change(&name, "switching on tap device", LinkMessageBuilder::up)
                .await?;
        }
        Ok(Tap { fd, name })
    }
}

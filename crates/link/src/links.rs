//! The netlink connection and what is common to every kind of device.

use crate::LinkError;

/// A netlink connection to the network namespace of the thread that opened it. Cheap to clone; requests of
/// clones are answered side by side.
#[derive(Clone, Debug)]
pub struct Links {
    pub(crate) handle: rtnetlink::Handle,
}

impl Links {
    /// Opens the connection; a task of the current runtime reads it until the last clone is gone.
    ///
    /// # Errors
    /// `Open` when the kernel gives no netlink socket.
    pub fn open() -> Result<Links, LinkError> {
        todo!()
    }

    /// Number of the device, `None` when there is none of this name.
    ///
    /// # Errors
    /// `Kernel` for any other answer.
    pub async fn index_of(&self, device: &str) -> Result<Option<u32>, LinkError> {
        let _ = device;
        todo!()
    }

    /// Whether there is a device of this name.
    ///
    /// # Errors
    /// As [`Links::index_of`].
    pub async fn exists(&self, device: &str) -> Result<bool, LinkError> {
        Ok(self.index_of(device).await?.is_some())
    }

    /// Removes the device; one that is not there is no error.
    ///
    /// # Errors
    /// `Kernel` when it cannot be removed.
    pub async fn delete(&self, device: &str) -> Result<(), LinkError> {
        let _ = device;
        todo!()
    }

    /// Switches the device on.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_up(&self, device: &str) -> Result<(), LinkError> {
        let _ = device;
        todo!()
    }

    /// Switches the device off.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_down(&self, device: &str) -> Result<(), LinkError> {
        let _ = device;
        todo!()
    }

    /// Gives the device another hardware address.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_mac(&self, device: &str, mac: [u8; 6]) -> Result<(), LinkError> {
        let _ = (device, mac);
        todo!()
    }

    /// Sets the largest packet, in bytes.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_mtu(&self, device: &str, mtu: u32) -> Result<(), LinkError> {
        let _ = (device, mtu);
        todo!()
    }

    /// The largest packet of the device, in bytes.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn mtu(&self, device: &str) -> Result<u32, LinkError> {
        let _ = device;
        todo!()
    }
}

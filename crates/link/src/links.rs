//! The netlink connection and what is common to every kind of device.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};

use ferrovirt_sys::blocking;
use futures_util::StreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::Mutex;

use crate::LinkError;
use crate::error::ENODEV;

/// A netlink connection to the network namespace of the thread that opened it. Cheap to clone; requests of
/// clones are answered side by side.
#[derive(Clone, Debug)]
pub struct Links {
    pub(crate) handle: rtnetlink::Handle,
    /// The kernel writes one list at a time to a socket; a second one meanwhile is refused.
    pub(crate) listing: Arc<Mutex<()>>,
}

impl Links {
    /// Opens the connection. A thread of its own serves it until the last clone is gone: the kernel does what it is
    /// asked for while the request is written, and the end of a device takes it tens of milliseconds.
    ///
    /// # Errors
    /// `Open` when the kernel gives no netlink socket, or there can be no thread.
    pub fn open() -> Result<Links, LinkError> {
        Links::start(None)
    }

    /// The same in another network namespace.
    pub(crate) fn start(netns: Option<OwnedFd>) -> Result<Links, LinkError> {
        let (tell, opened) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("netlink".to_owned())
            .spawn(move || serve(netns, &tell))
            .map_err(LinkError::Open)?;
        let gone = |_| LinkError::Open(io::ErrorKind::BrokenPipe.into());
        let opened = blocking::here(|| opened.recv()).map_err(gone)?;
        let handle = opened.map_err(LinkError::Open)?;
        Ok(Links {
            handle,
            listing: Arc::default(),
        })
    }

    /// Number of the device, `None` when there is none of this name.
    ///
    /// # Errors
    /// `Kernel` for any other answer.
    pub async fn index_of(&self, device: &str) -> Result<Option<u32>, LinkError> {
        Ok(self.look_up(device).await?.map(|link| link.header.index))
    }

    /// Number of a device that must be there.
    pub(crate) async fn index(&self, device: &str) -> Result<u32, LinkError> {
        self.index_of(device).await?.ok_or_else(|| LinkError::Missing {
            device: device.to_owned(),
        })
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
        let message = LinkUnspec::new_with_name(device).build();
        match self.handle.link().del_with_message(message).execute().await {
            Ok(()) => Ok(()),
            Err(error) => match LinkError::from_kernel("removing interface", device, error) {
                LinkError::Missing { .. } => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Switches the device on.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_up(&self, device: &str) -> Result<(), LinkError> {
        self.change(device, "switching on interface", LinkMessageBuilder::up)
            .await
    }

    /// Switches the device off.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_down(&self, device: &str) -> Result<(), LinkError> {
        self.change(device, "switching off interface", LinkMessageBuilder::down)
            .await
    }

    /// Gives the device another hardware address.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_mac(&self, device: &str, mac: [u8; 6]) -> Result<(), LinkError> {
        self.change(device, "setting MAC address on interface", |link| {
            link.address(mac.to_vec())
        })
        .await
    }

    /// The device's hardware address.
    ///
    /// # Errors
    /// `Missing`, `Kernel` (also for a device that has none of six bytes).
    pub async fn mac(&self, device: &str) -> Result<[u8; 6], LinkError> {
        let link = self.look_up(device).await?.ok_or_else(|| LinkError::Missing {
            device: device.to_owned(),
        })?;
        let mac = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(mac) => mac.as_slice().try_into().ok(),
            _ => None,
        });
        mac.ok_or_else(|| LinkError::Kernel {
            action: "asking for the MAC address of interface",
            device: device.to_owned(),
            source: std::io::Error::other("it has none"),
        })
    }

    /// Sets the largest packet, in bytes.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_mtu(&self, device: &str, mtu: u32) -> Result<(), LinkError> {
        self.change(device, "setting MTU on interface", |link| link.mtu(mtu))
            .await
    }

    /// The largest packet of the device, in bytes.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn mtu(&self, device: &str) -> Result<u32, LinkError> {
        let link = self.look_up(device).await?.ok_or_else(|| LinkError::Missing {
            device: device.to_owned(),
        })?;
        let mtu = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        });
        mtu.ok_or_else(|| LinkError::Kernel {
            action: "asking for the MTU of interface",
            device: device.to_owned(),
            source: std::io::Error::other("the kernel did not tell"),
        })
    }

    /// Name of the device with this number.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn name_of(&self, index: u32) -> Result<String, LinkError> {
        let number = || format!("number {index}");
        let mut answer = std::pin::pin!(self.handle.link().get().match_index(index).execute());
        let link = match answer.next().await {
            None => return Err(LinkError::Missing { device: number() }),
            Some(link) => {
                link.map_err(|error| LinkError::from_kernel("looking up interface", &number(), error))?
            }
        };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        name.ok_or_else(|| LinkError::Missing { device: number() })
    }

    /// One change of an existing device, found by its name in the same request.
    pub(crate) async fn change(
        &self,
        device: &str,
        action: &'static str,
        edit: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<(), LinkError> {
        let message = edit(LinkUnspec::new_with_name(device)).build();
        let answer = self.handle.link().change(message).execute().await;
        answer.map_err(|error| LinkError::from_kernel(action, device, error))
    }

    /// All that the kernel tells about a device, `None` when there is none of this name.
    pub(crate) async fn look_up(&self, device: &str) -> Result<Option<LinkMessage>, LinkError> {
        let mut answer = std::pin::pin!(self.handle.link().get().match_name(device).execute());
        match answer.next().await {
            None => Ok(None),
            Some(Ok(link)) => Ok(Some(link)),
            Some(Err(error)) => match LinkError::from_kernel("looking up interface", device, error) {
                error if error.errno() == Some(ENODEV) => Ok(None),
                error => Err(error),
            },
        }
    }
}

/// What the thread of a connection does.
fn serve(netns: Option<OwnedFd>, tell: &mpsc::SyncSender<io::Result<rtnetlink::Handle>>) {
    // The thread is there for this connection alone, so it may stay where it goes; the socket belongs to where it was made.
    let entered = netns.map_or(Ok(()), |netns| {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(netns.as_fd(), kind).map_err(io::Error::from)
    });
    let opened = entered.and_then(|()| tokio::runtime::Builder::new_current_thread().enable_io().build());
    let opened = opened.and_then(|runtime| {
        let entered = runtime.enter();
        let opened = rtnetlink::new_connection();
        drop(entered);
        opened.map(|(connection, handle, _events)| (runtime, connection, handle))
    });
    match opened {
        Err(error) => {
            // Who waits is there: it does nothing else meanwhile.
            let _ = tell.send(Err(error));
        }
        Ok((runtime, connection, handle)) => {
            if tell.send(Ok(handle)).is_ok() {
                runtime.block_on(connection);
            }
        }
    }
}

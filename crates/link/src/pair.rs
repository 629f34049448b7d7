//! Ends of cables in other network namespaces: veth pairs and macvlan devices, which go to a container.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use futures_util::StreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, MacVlanMode as KernelMode};
use rtnetlink::{LinkMacVlan, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::address::Address;
use crate::{LinkError, Links};

/// What a new pair shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VethSpec {
    /// Name of the host's end; may contain `%d`, the kernel then takes the first free number.
    pub name: String,
    /// Name of the other end, until it is moved.
    pub peer: String,
    /// Hardware address of the other end.
    pub mac: [u8; 6],
    /// Bridge that the host's end is plugged into; its largest packet becomes the pair's.
    pub bridge: Option<String>,
    /// Largest packet in bytes, where it shall not be the bridge's.
    pub mtu: Option<u32>,
    /// Whether the host's end is switched on.
    pub up: bool,
}

/// What devices on the same lower device see of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// All traffic goes through the switch outside.
    Vepa,
    /// Directly.
    Bridge,
    /// Nothing.
    Private,
    /// The lower device is this one's alone.
    Passthrough,
}

impl MacvlanMode {
    fn of_kernel(self) -> KernelMode {
        match self {
            Self::Vepa => KernelMode::Vepa,
            Self::Bridge => KernelMode::Bridge,
            Self::Private => KernelMode::Private,
            Self::Passthrough => KernelMode::Passthrough,
        }
    }
}

impl Links {
    /// Makes a pair, plugs the host's end in and switches it on; returns its name.
    ///
    /// # Errors
    /// `Missing` without the bridge, `Kernel` otherwise; nothing is left behind.
    pub async fn add_veth(&self, spec: &VethSpec) -> Result<String, LinkError> {
        let pair = LinkVeth::new(&spec.name, &spec.peer).build();
        let answer = self.handle.link().add(pair).execute().await;
        answer.map_err(|error| LinkError::from_kernel("creating veth pair", &spec.name, error))?;
        match self.connect_veth(spec).await {
            Ok(name) => Ok(name),
            Err(error) => {
                // The first error is the one to tell; one end takes the other along.
                let _ = self.delete(&spec.peer).await;
                Err(error)
            }
        }
    }

    async fn connect_veth(&self, spec: &VethSpec) -> Result<String, LinkError> {
        let name = self.other_end(&spec.peer).await?;
        let mtu = match (&spec.bridge, spec.mtu) {
            (_, Some(mtu)) => Some(mtu),
            (Some(bridge), None) => Some(self.mtu(bridge).await?),
            (None, None) => None,
        };
        let sized = |link: LinkMessageBuilder<_>| match mtu {
            Some(mtu) => link.mtu(mtu),
            None => link,
        };
        self.change(&spec.peer, "setting up interface", |link| {
            sized(link.address(spec.mac.to_vec()))
        })
        .await?;
        if mtu.is_some() {
            self.change(&name, "setting up interface", sized).await?;
        }
        if let Some(bridge) = &spec.bridge {
            self.set_master(&name, bridge).await?;
        }
        if spec.up {
            self.set_up(&name).await?;
        }
        Ok(name)
    }

    /// The name of the device at the other end of a veth device of this namespace.
    async fn other_end(&self, device: &str) -> Result<String, LinkError> {
        let link = self.look_up(device).await?.ok_or_else(|| LinkError::Missing {
            device: device.to_owned(),
        })?;
        let index = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Link(index) => Some(*index),
            _ => None,
        });
        match index {
            Some(index) => self.name_of(index).await,
            None => Err(LinkError::Missing {
                device: format!("at the other end of {device}"),
            }),
        }
    }

    /// Makes a macvlan device on `lower`.
    ///
    /// # Errors
    /// `Missing` without `lower`, `Kernel` otherwise.
    pub async fn add_macvlan(
        &self,
        name: &str,
        lower: &str,
        mode: MacvlanMode,
        mac: [u8; 6],
    ) -> Result<(), LinkError> {
        let index = self.index(lower).await?;
        let device = LinkMacVlan::new(name, index, mode.of_kernel()).address(mac.to_vec());
        let answer = self.handle.link().add(device.build()).execute().await;
        answer.map_err(|error| LinkError::from_kernel("creating macvlan interface", name, error))
    }

    /// The name of the macvlan device with this hardware address, the oldest if there are several.
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn macvlan_with(&self, mac: [u8; 6]) -> Result<Option<String>, LinkError> {
        let is_macvlan = |infos: &[LinkInfo]| infos.contains(&LinkInfo::Kind(InfoKind::MacVlan));
        let mut links = std::pin::pin!(self.handle.link().get().execute());
        while let Some(link) = links.next().await {
            let link = link.map_err(|error| LinkError::from_kernel("looking up interface", "*", error))?;
            let (mut name, mut matching) = (None, 0);
            for attribute in link.attributes {
                match attribute {
                    LinkAttribute::IfName(its) => name = Some(its),
                    LinkAttribute::Address(address) if address == mac => matching += 1,
                    LinkAttribute::LinkInfo(infos) if is_macvlan(&infos) => matching += 1,
                    _ => {}
                }
            }
            if matching == 2 {
                return Ok(name);
            }
        }
        Ok(None)
    }

    /// Moves a device to another network namespace, where it is called `name`. Its addresses are lost.
    ///
    /// # Errors
    /// `Missing` without the device, `Kernel` with EEXIST when there is one of that name.
    pub async fn move_to(&self, device: &str, netns: BorrowedFd<'_>, name: &str) -> Result<(), LinkError> {
        // By its number: the name in the request is the new one.
        let link = LinkUnspec::new_with_index(self.index(device).await?);
        let message = link.setns_by_fd(netns.as_raw_fd()).name(name).build();
        let answer = self.handle.link().change(message).execute().await;
        answer.map_err(|error| {
            LinkError::from_kernel("moving to another network namespace interface", device, error)
        })
    }

    /// Gives a device that is off another name, which may contain `%d` (the first free number); returns the name.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn rename(&self, device: &str, pattern: &str) -> Result<String, LinkError> {
        let index = self.index(device).await?;
        let message = LinkUnspec::new_with_index(index).name(pattern).build();
        let answer = self.handle.link().change(message).execute().await;
        answer.map_err(|error| LinkError::from_kernel("renaming interface", device, error))?;
        self.name_of(index).await
    }

    /// Opens a connection to the network namespace of a file such as `/proc/1/ns/net`.
    ///
    /// # Errors
    /// `Open` when there is no such file, or it is none of a network namespace.
    pub fn open_in(netns: &Path) -> Result<Links, LinkError> {
        let file = File::open(netns).map_err(LinkError::Open)?;
        Links::start(Some(file.into()))
    }

    /// Puts an address on a device whose only neighbour has the address `peer`.
    ///
    /// # Errors
    /// As [`Links::add_address`].
    pub async fn add_address_to_peer(
        &self,
        device: &str,
        address: Address,
        peer: IpAddr,
    ) -> Result<(), LinkError> {
        let index = self.index(device).await?;
        let mut request = self.handle.address().add(index, address.ip, address.prefix);
        let attributes = &mut request.message_mut().attributes;
        attributes.retain(|attribute| {
            !matches!(
                attribute,
                AddressAttribute::Address(_) | AddressAttribute::Local(_) | AddressAttribute::Broadcast(_)
            )
        });
        attributes.push(AddressAttribute::Local(address.ip));
        attributes.push(AddressAttribute::Address(peer));
        let answer = request.execute().await;
        answer.map_err(|error| LinkError::from_kernel("adding IP address to", device, error))
    }
}

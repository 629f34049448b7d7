//! `<ip>` and `<route>`: the host's addresses on the network, DHCP, TFTP, and what lies behind guests.

use std::net::{IpAddr, Ipv4Addr};

use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Rest, Xml};

use crate::MacAddress;

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// `<ip>`: one address of the host.
#[derive(Debug, Clone, PartialEq, Xml)]
#[xml(stay_open)]
pub struct Ip {
    /// IPv4 where absent.
    #[xml(attr)]
    pub family: Option<Family>,
    /// The host's address.
    #[xml(attr)]
    pub address: IpAddr,
    /// The subnet as a mask. Never together with `prefix`.
    #[xml(attr)]
    pub netmask: Option<Ipv4Addr>,
    /// The subnet as a length in bits.
    #[xml(attr)]
    pub prefix: Option<u8>,
    /// Are questions for names of addresses of this subnet never passed on?
    #[xml(attr = "localPtr", with = "yes_no")]
    pub local_ptr: Option<bool>,
    /// Files for guests that boot from the network.
    pub tftp: Option<Tftp>,
    /// Addresses for guests.
    pub dhcp: Option<Dhcp>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Ip {
    /// The subnet's length in bits: what the document says, else what the address' class implies.
    pub fn prefix_length(&self) -> u8 {
        match (self.prefix, self.netmask, self.address) {
            (Some(prefix), _, _) => prefix,
            (None, Some(mask), _) => u32::from(mask).leading_ones() as u8,
            (None, None, address) => prefix_of_class(address),
        }
    }

    /// First address of the subnet.
    pub fn network_address(&self) -> IpAddr {
        masked(self.address, self.prefix_length())
    }

    /// Does the subnet hold `address`?
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && masked(address, self.prefix_length()) == self.network_address()
    }
}

/// Length of a subnet that nobody wrote down: what the class of an IPv4 address implies, 64 for IPv6.
pub(crate) fn prefix_of_class(address: IpAddr) -> u8 {
    match address {
        IpAddr::V6(_) => 64,
        IpAddr::V4(address) => match address.octets()[0] {
            0..=127 => 8,
            128..=191 => 16,
            192..=223 => 24,
            _ => 32,
        },
    }
}

/// First address of the subnet of `prefix` bits that holds `address`.
pub(crate) fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(u32::from(prefix)))
                .unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(u32::from(prefix)))
                .unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

/// `<tftp>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Tftp {
    /// Directory with the files.
    #[xml(attr)]
    pub root: String,
}

/// `<dhcp>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Dhcp {
    /// Addresses that are given away.
    #[xml(name = "range")]
    pub ranges: Vec<DhcpRange>,
    /// Addresses that are kept for somebody.
    #[xml(name = "host")]
    pub hosts: Vec<DhcpHost>,
    /// What a guest that boots from the network loads.
    pub bootp: Option<Bootp>,
}

/// `<range>`: first and last address.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DhcpRange {
    /// First.
    #[xml(attr)]
    pub start: IpAddr,
    /// Last.
    #[xml(attr)]
    pub end: IpAddr,
    /// For how long.
    pub lease: Option<LeaseTime>,
}

/// `<host>`: an address that is kept for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DhcpHost {
    /// The guest's DUID (IPv6).
    #[xml(attr)]
    pub id: Option<String>,
    /// The guest's hardware address (IPv4).
    #[xml(attr)]
    pub mac: Option<MacAddress>,
    /// The guest's name.
    #[xml(attr)]
    pub name: Option<String>,
    /// The address.
    #[xml(attr)]
    pub ip: IpAddr,
    /// For how long.
    pub lease: Option<LeaseTime>,
}

/// `<lease>`: how long an address stays given away; 0 for ever.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct LeaseTime {
    /// How many units.
    #[xml(attr)]
    pub expiry: u32,
    /// Minutes where absent.
    #[xml(attr)]
    pub unit: Option<LeaseUnit>,
}

/// Unit of a lease time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum LeaseUnit {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

/// `<bootp>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Bootp {
    /// What is loaded.
    #[xml(attr)]
    pub file: String,
    /// From where; the host where absent.
    #[xml(attr)]
    pub server: Option<IpAddr>,
}

/// `<route>`: a subnet that is reached by a guest.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Route {
    /// IPv4 where absent.
    #[xml(attr)]
    pub family: Option<Family>,
    /// The subnet.
    #[xml(attr)]
    pub address: IpAddr,
    /// Its size as a mask.
    #[xml(attr)]
    pub netmask: Option<Ipv4Addr>,
    /// Its size in bits.
    #[xml(attr)]
    pub prefix: Option<u8>,
    /// The guest that knows the way.
    #[xml(attr)]
    pub gateway: IpAddr,
    /// The lower the better.
    #[xml(attr)]
    pub metric: Option<u32>,
}

impl Route {
    /// The destination's length in bits.
    pub fn prefix_length(&self) -> u8 {
        match (self.prefix, self.netmask, self.address) {
            (Some(prefix), _, _) => prefix,
            (None, Some(mask), _) => u32::from(mask).leading_ones() as u8,
            // Everything: a smaller one must say how large it is.
            (None, None, _) => 0,
        }
    }
}

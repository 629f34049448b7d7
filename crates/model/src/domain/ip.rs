//! `<ip>` of a network card: an address that one of its ends gets.

use crate::network::Family;
use ferrovirt_xml::Xml;
use std::net::IpAddr;

/// `<ip>`: an address. Beside it stands `<route>`, which is the same as in networks ([`crate::network::Route`]).
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct CardAddress {
    /// The address.
    #[xml(attr)]
    pub address: IpAddr,
    /// Which protocol; `normalize` fills it in.
    #[xml(attr)]
    pub family: Option<Family>,
    /// Length of its subnet in bits; `None` leaves it to the address' class.
    #[xml(attr)]
    pub prefix: Option<u8>,
    /// The other end of a line between two.
    #[xml(attr)]
    pub peer: Option<IpAddr>,
}

impl CardAddress {
    /// Length of its subnet in bits: as written, else 64 for IPv6, else what the class of the address implies.
    pub fn prefix_length(&self) -> u8 {
        self.prefix
            .unwrap_or_else(|| crate::network::prefix_of_class(self.address))
    }
}

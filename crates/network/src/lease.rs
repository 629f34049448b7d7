//! DHCP leases, as dnsmasq's script (`ferrovirt-lease`) wrote them down.

/// Family of the leased address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseKind {
    /// An IPv4 address (0 on the wire).
    Ipv4,
    /// An IPv6 address (1 on the wire).
    Ipv6,
}

/// One address that the network's DHCP server has given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The bridge.
    pub iface: String,
    /// When it ends, in seconds since 1970; 0 for never.
    pub expiry: i64,
    /// Family of `ip`.
    pub kind: LeaseKind,
    /// The client's hardware address, where known.
    pub mac: Option<String>,
    /// Identity association of an IPv6 client.
    pub iaid: Option<String>,
    /// The address.
    pub ip: String,
    /// Prefix length of the network's subnet, in bits.
    pub prefix: u32,
    /// The name that the client gave itself.
    pub hostname: Option<String>,
    /// Client id, or DUID with IPv6.
    pub clientid: Option<String>,
}

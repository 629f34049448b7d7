//! Structures that several procedures share, field by field as they travel.

use crate::typed::TypedParam;
use crate::xdr::{List, Opaque};

/// Most figures of one guest.
pub const STATS_LIMIT: usize = 262_144;

/// Most bytes of a map of processors.
pub const CPUMAP_LIMIT: usize = 2048;
/// Most bytes of the maps of all virtual CPUs.
pub const CPUMAPS_LIMIT: usize = 8_388_608;

/// Declares a structure whose XDR form is its fields in order.
#[macro_export]
macro_rules! xdr_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)] // the fields are the protocol's own
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::xdr::Xdr for $name {
            fn encode(&self, out: &mut $crate::xdr::Encoder) {
                // A structure may have no fields.
                let _ = &out;
                $($crate::xdr::Xdr::encode(&self.$field, out);)*
            }
            fn decode(input: &mut $crate::xdr::Decoder<'_>) -> Result<Self, $crate::xdr::XdrError> {
                let _ = &input;
                Ok(Self { $($field: $crate::xdr::Xdr::decode(input)?,)* })
            }
        }
    };
}

/// A UUID as it travels.
pub type UuidBytes = [u8; 16];

xdr_struct! {
    /// Names a guest. Only the uuid counts; `id` is -1 when it does not run.
    DomainRef { name: String, uuid: UuidBytes, id: i32 }
}
xdr_struct! {
    /// Names a network. Only the uuid counts.
    NetworkRef { name: String, uuid: UuidBytes }
}
xdr_struct! {
    /// Names a storage pool.
    PoolRef { name: String, uuid: UuidBytes }
}
xdr_struct! {
    /// Names a volume of a storage pool. Only the key counts.
    VolumeRef { pool: String, name: String, key: String }
}
xdr_struct! {
    /// Names a port of a network.
    PortRef { net: NetworkRef, uuid: UuidBytes }
}
xdr_struct! {
    /// Names a device of the host.
    NodeDeviceRef { name: String }
}
xdr_struct! {
    /// A virtual CPU; state 1 is running.
    VcpuInfo { number: u32, state: i32, cpu_time: u64, cpu: i32 }
}
xdr_struct! {
    /// An I/O thread, and on which of the host's processors it runs: a bit for each, the lowest of a byte first.
    IoThreadInfo { iothread_id: u32, cpumap: Opaque<CPUMAP_LIMIT> }
}
xdr_struct! {
    /// One address of a guest's interface; `kind` 0 is IPv4, 1 is IPv6.
    IpAddress { kind: i32, addr: String, prefix: u32 }
}
xdr_struct! {
    /// A guest's interface and its addresses.
    InterfaceAddresses { name: String, hwaddr: Option<String>, addrs: List<IpAddress, 2048> }
}
xdr_struct! {
    /// A lease that a network's DHCP server gave; `expirytime` in seconds since 1970, `kind` as in [`IpAddress`].
    DhcpLease {
        iface: String,
        expirytime: i64,
        kind: i32,
        mac: Option<String>,
        iaid: Option<String>,
        ipaddr: String,
        prefix: u32,
        hostname: Option<String>,
        clientid: Option<String>,
    }
}
xdr_struct! {
    /// What is known of one guest in figures.
    DomainStatsRecord { dom: DomainRef, params: List<TypedParam, STATS_LIMIT> }
}

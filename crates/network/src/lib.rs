//! Virtual networks: a bridge, its addresses, a DHCP and DNS server, packet filter rules, and the ports that
//! guests are plugged into; the life of each network with its hooks (R70 to R74).
//!
//! Each network is owned by one task (`owner`) that admits operations and publishes snapshots and awaits nothing
//! long; an operation is a task of its own that walks a sequence (`sequence`), written as straight async code.
//! What a step leaves behind is in the status file before the step is taken (`status`), so that a daemon that
//! was killed at any instruction leaves nothing that the next one does not find (R96).

mod bridge;
mod config;
mod definition;
mod dnsmasq;
mod document;
mod error;
mod event;
mod firewall;
mod handle;
pub mod lease;
mod load;
mod networks;
mod owner;
mod port;
mod request;
mod sequence;
mod shared;
mod slots;
mod snapshot;
mod status;
mod store;

pub use config::{Autostart, Config};
pub use error::Error;
pub use event::{Event, Listener, What};
pub use handle::NetworkHandle;
pub use lease::{Lease, LeaseKind};
pub use networks::Networks;
pub use port::PortRequest;
pub use snapshot::Snapshot;

//! Devices of the host: what there is, and how a device goes to a guest and comes back.
//!
//! * [`Tree`]: the node devices as libvirt names and describes them, followed by udev's news
//! * [`Passthrough`]: PCI functions between the host's driver and one for guests, with [`Taken`], the register of who has
//!   or wants which; it outlives the daemon
//! * [`usb`]: USB devices by what they are or where they are
//! * [`group`]: IOMMU groups, and what keeps one from being given away
//!
//! Everything below reads [`Places`], not fixed paths, so that a made-up machine is as good as a real one. What writes
//! to sysfs runs on threads of its own: the kernel may never come back from there, and then only that call waits, for a
//! bounded time.

mod error;
pub mod group;
mod holders;
mod ids;
mod pci;
mod places;
mod sysfs;
mod taken;
#[cfg(test)]
#[path = "machine_tests.rs"]
mod testing;
mod tree;
pub mod udev;
pub mod usb;

pub use error::Error;
pub use holders::Holder;
pub use ids::{Names, lookup as lookup_pci_ids};
pub use pci::{Driver, Passthrough, PciAddress, VirtualFunction, Wanted, is_express};
pub use places::Places;
pub use taken::{Doing, Guest, Taken, TakenDevice, Use};
pub use tree::{Change, Device, Event, Filter, Kind, Snapshot, Tree};

//! Network devices of the host, over one netlink connection.
//!
//! rtnetlink's own interface changes with most releases and speaks in message builders; here stand the dozen
//! things that networks and guests do with a device, each an async function whose error names the device and
//! carries the kernel's errno.

mod address;
mod bridge;
mod error;
mod links;
mod pair;
mod tap;
mod vf;

pub use address::{Address, Route};
pub use bridge::BridgeSpec;
pub use error::LinkError;
pub use links::Links;
pub use pair::{MacvlanMode, VethSpec};
pub use tap::{Tap, TapSpec};
pub use vf::VfSettings;

//! End to end: the real virsh, the real QEMU, dnsmasq and nft against `ferrovirtd`, each test in a private
//! world of its own. A test begins in the ordinary process, which starts the same test program again inside
//! new mount, network, pid, uts and ipc namespaces ([`world`]); only there its body runs, as if the machine
//! were its own. When it is over, everything it started ends with its pid namespace.

pub mod containers;
pub mod daemon;
pub mod documents;
pub mod groups;
pub mod hooks;
pub mod made_up;
pub mod network;
pub mod qemu;
pub mod raw;
pub mod tools;
pub mod virsh;
pub mod world;

pub use containers::Container;
pub use documents::{Guest, Net};
pub use qemu::{Machine, Qemu};
pub use tools::Tool;
pub use virsh::{Background, Output};
pub use world::{World, in_world};

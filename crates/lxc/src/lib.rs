//! Containers: how one is described, made, watched and ended, as libvirt's LXC driver does it.
//!
//! * [`define`]: what libvirt fills in when a container is defined, and [`define::live`], when it runs; pure.
//! * [`capabilities`]: what clients read before they ask for a container.
//! * `protocol`, `controller`: the program `ferrovirt-lxc`, one for each container. It outlives the daemon, is the parent
//!   of the container's init, holds its consoles and reports its end.

pub mod capabilities;
pub mod define;
mod error;

pub use error::{Error, Result};

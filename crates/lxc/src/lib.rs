//! Containers: how one is described, made, watched and ended, as libvirt's LXC driver does it.
//!
//! * [`define`]: what libvirt fills in when a container is defined, and [`define::live`], when it runs; pure.
//! * [`protocol`], [`controller`]: the program `ferrovirt-lxc`, one for each container. It outlives the daemon, is the parent
//!   of the container's init, holds its consoles and reports its end. [`controller_client`]: how the daemon talks with it.
//! * `backend` puts all of it behind [`ferrovirt_guest::Backend`]: `cards` (network), `launch`, `adopt`, `statistics`.

mod adopt;
mod backend;
mod capabilities;
mod cards;
mod config;
mod console;
mod container;
pub mod controller;
pub mod controller_client;
pub mod define;
mod error;
mod launch;
mod orders;
mod plug;
pub mod protocol;
mod statistics;
mod tuning;

pub use backend::LxcBackend;
pub use config::LxcConfig;
pub use container::Container;
pub use error::{Error, Result};

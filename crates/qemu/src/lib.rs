//! QEMU guests: how one is described, made, watched and ended.
//!
//! Two halves. What a document *means* for QEMU is pure and tested as text: [`define`] (what libvirt fills in
//! when a guest is defined), [`live`] (what it fills in when one is started) and [`command`] (the command line).
//! What is *done* is small: `launch` (processes, sockets, log), [`qmp`] (the monitor), `ownership` (labels) and
//! `backend`, which puts them behind [`ferrovirt_guest::Backend`]. [`capabilities`] asks the binary once what it is.

mod adopt;
mod backend;
pub mod capabilities;
pub mod command;
mod config;
pub mod define;
pub mod device_rules;
mod error;
mod host_card;
mod hostdev;
mod launch;
pub mod live;
mod log;
mod machine;
mod native;
mod ownership;
mod places;
mod plug;
mod prepare;
mod private_dev;
mod processors;
pub mod qmp;
mod release;
mod statistics;
pub mod swtpm;
#[cfg(test)]
mod testing;
mod threads;
mod throttle;
mod tuning;

pub use backend::QemuBackend;
pub use config::QemuConfig;
pub use error::{Error, Result};
pub use machine::Machine;

//! QEMU guests: how one is described, made, watched and ended.
//!
//! Two halves. What a document *means* for QEMU is pure and tested as text: [`define`] (what libvirt fills in
//! when a guest is defined), [`live`] (what it fills in when one is started) and [`command`] (the command line).
//! What is *done* is small: `launch` (processes, sockets, log), [`qmp`] (the monitor), `ownership` (labels) and
//! `backend`, which puts them behind [`ferrovirt_guest::Backend`]. [`capabilities`] asks the binary once what it is.

pub mod capabilities;
mod config;
pub mod command;
pub mod define;
mod error;
pub mod live;
pub mod qmp;
#[cfg(test)]
mod testing;

pub use config::QemuConfig;
pub use error::{Error, Result};

//! DHCP and DNS of a network: dnsmasq, with a configuration file and a pid file of its own (`config`), started so that
//! it outlives the daemon and taken over by the next one (`process`), and started again when it dies (`supervise`).

mod config;
mod process;
mod supervise;

pub(crate) use config::is_needed;
pub(crate) use process::{Dnsmasq, settle};
pub(crate) use supervise::Supervisor;

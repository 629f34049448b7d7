//! The daemon: where requests come in and where everything below is put together.
//!
//! Nothing here knows how a guest is started or how a hook is run; this crate decides what is read
//! from which file ([`settings`], [`paths`]), where log lines go ([`log`]), which sockets there are
//! and who listens on them ([`sockets`]), and in which order all of that begins and ends
//! ([`lifecycle`]). Requests are answered by the modules around the server, which find everything
//! they need in [`host::Host`].

pub mod access;
pub mod args;
pub mod background;
pub mod bulletin;
pub mod connection;
pub mod devices;
pub mod dispatch;
pub mod error;
pub mod errors;
pub mod host;
pub mod hypervisors;
pub mod lifecycle;
pub mod locks;
pub mod log;
pub mod metrics;
pub mod node;
mod outbox;
pub mod page;
pub mod paths;
pub mod refuse;
pub mod server;
pub mod settings;
pub mod signals;
pub mod sockets;
pub mod stream;

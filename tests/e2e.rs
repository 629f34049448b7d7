//! End to end, one module per group of requirements. Each test is named after the requirement that it holds
//! the daemon to (`docs/architecture.md` says where their text is).

#![allow(clippy::unwrap_used, reason = "all of it is tests, also what they share")]

mod callback;
mod connect_and_queries;
mod define_and_errors;
mod destroy_through_hook;
mod dnat;
mod events;
mod frames;
mod hanging;
mod hooks_daemon;
mod hooks_guest;
mod hooks_network;
mod hostile;
mod lifecycle;
mod metrics;
mod networks;
mod page;
mod recipes;
mod restart;
mod rules;
mod service;
mod session;
mod sockets;
mod tool;
mod why;

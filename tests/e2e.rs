//! End to end, one module per group of requirements. Each test is named after the requirement that it holds
//! the daemon to (`docs/architecture.md` says where their text is).

#![allow(clippy::unwrap_used, reason = "all of it is tests, also what they share")]

mod attach;
mod callback;
mod connect_and_queries;
mod console;
mod containers;
mod containers_attach;
mod containers_inside;
mod containers_kill;
mod containers_refused;
mod controllers;
mod define_and_errors;
mod desktop;
mod destroy_through_hook;
mod discovery;
mod disks;
mod dnat;
mod events;
mod firmware;
mod frames;
mod guest_directories;
mod hanging;
mod history;
mod hooks_daemon;
mod hooks_guest;
mod hooks_network;
mod hostile;
mod lifecycle;
mod limits_of_time;
mod machine;
mod memory;
mod metrics;
mod networks;
mod nodedev;
mod own_program;
mod page;
mod peripherals;
mod recipes;
mod recipes_gpu;
mod restart;
mod rules;
mod rules_conditions;
mod rules_keys;
mod service;
mod session;
mod sockets;
mod stats;
mod threads;
mod tool;
mod tpm;
mod tune;
mod virt_install;
mod why;
mod why_devices;

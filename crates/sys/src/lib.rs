//! What the kernel offers and Rust's standard library does not.
//!
//! * [`process`], [`pidfd`]: which process is meant, also after its number was given away again, and when it ends
//! * [`launch`]: starting what outlives the daemon (QEMU, dnsmasq), through the program `ferrovirt-launch`
//! * [`keeper`]: running what the daemon waits for (hook scripts), through the program `ferrovirt-keeper`
//! * [`burst`]: much of the same work at once, a few at a time
//! * [`pipe`]: pipes of which only one end blocks
//! * [`socket`]: sockets that carry descriptors
//! * [`cgroup`], [`tap`], [`vsock`], [`private_dev`]: the host's side of a guest
//! * [`clone`](mod@clone), [`channel`], [`mount`], [`capability`], [`netns`], [`seccomp`]: what a container is made of
//! * [`blocking`]: work that waits, in the middle of what may not
//! * [`durable`]: files that are there after a power failure
//! * [`terminal`]: the slave of a pseudo terminal, without waiting
//! * [`program`]: where programs are found
//! * [`users`]: users by name
//! * [`uevent`], [`ethtool`]: news about devices, and what network devices can do
//!
//! Nothing in here knows what a guest or a hook is.
//!
//! # Unsafe code
//!
//! This is the only crate of the workspace that may contain `unsafe`: descriptors that change owner across `fork`,
//! `ioctl`, `posix_spawn` and credentials have no safe interface. Every block says why it is sound.
#![allow(
    unsafe_code,
    reason = "system calls without a safe wrapper; every block carries its SAFETY comment"
)]

pub mod blocking;
pub mod burst;
pub mod capability;
pub mod cgroup;
pub mod channel;
pub mod clone;
pub mod durable;
mod error;
pub mod ethtool;
mod frame;
pub mod keeper;
pub mod launch;
pub mod mount;
pub mod netns;
pub mod pidfd;
pub mod pipe;
pub mod private_dev;
pub mod process;
pub mod program;
pub mod schedule;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod tap;
pub mod terminal;
pub mod uevent;
pub mod users;
pub mod vsock;

pub use error::{KeeperError, LaunchError, errno_text};
pub use socket::dev_null;

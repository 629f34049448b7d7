//! Keepers: small processes that hold hook scripts.
//!
//! ```text
//!   daemon ──────── socket on fd 0 ────────▶ keeper ──▶ script ──▶ its children
//!      ▲                                        │ (child subreaper, own control group)
//!      └── stdin, stdout, stderr of the script ─┘ (pipes; the keeper holds the reading ends too)
//! ```
//!
//! A script is spawned by a keeper and not by the daemon, because then
//! * it is born in the right control group, without a move that costs more than the script (measured);
//! * nothing that it starts can leave its tree: what loses its parent becomes the keeper's child. So a process that calls
//!   the daemon is recognised by its ancestry, and a tree can be ended whole;
//! * a daemon that dies leaves somebody behind who collects the script and empties its pipes;
//! * a large daemon with threads never forks.
//!
//! [`client`] is the daemon's side, [`server`] the program `ferrovirt-keeper`, [`message`] what they say to each other.
//! [`surroundings`] is what a script may be given that is not the daemon's own; [`steps`] how it gets there.

mod cage;
mod client;
mod limits;
mod line;
mod message;
mod outlets;
mod sandbox;
mod server;
mod spawn;
mod steps;
mod surroundings;

pub use client::Keeper;
pub use message::{Ended, LATE_MOST, LATE_PIECE, Report, Script, Stream};
pub use server::main;
pub use surroundings::{Sandbox, Step, Surroundings};

pub use crate::error::KeeperError;
pub use crate::users::Identity;

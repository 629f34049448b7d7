//! The small programs, with real processes: what is launched, and what a keeper holds.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod cgroup;
mod hardening;
mod keeper;
mod late;
mod launch;
mod limits;
mod support;
mod surroundings;

//! Containers from their start to their end, with the real kernel.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

#[path = "container/ends.rs"]
mod ends;
#[path = "escape.rs"]
mod escape;
#[path = "container/files.rs"]
mod files;
#[path = "container/inside.rs"]
mod inside;
#[path = "container/refused.rs"]
mod refused;
#[path = "container/running.rs"]
mod running;

//! The hook engine with real scripts, from outside the crate.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod aside;
mod callbacks;
mod discovery;
mod failing;
mod filtering;
mod history;
mod running;
mod support;
mod treating;

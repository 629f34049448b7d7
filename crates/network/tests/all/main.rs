//! Networks with real bridges, dnsmasq and nft, from outside the crate.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod hooks;
mod life;
mod many;
mod takeover;
mod traffic;
mod world;

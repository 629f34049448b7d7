//! The packet filter: what a network's rules are (`rules`), and how they get into the kernel (`apply`).

mod apply;
mod rules;

pub(crate) use apply::Firewall;
pub(crate) use rules::{batch, has_rules, removal};

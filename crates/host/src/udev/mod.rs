//! What udev knows and tells: its database below `/run/udev/data`, and the messages of its socket.

mod message;
mod record;

pub use message::{Action, Message};
pub use record::Record;

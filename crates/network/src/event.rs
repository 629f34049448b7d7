//! What happens to networks, with libvirt's numbers, told to whoever listens.

use ferrovirt_model::Uuid;

/// Hears of an event at the place where it happens, on whatever thread that is: it must not wait.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Something happened to a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The network's name.
    pub name: String,
    /// Its id for ever.
    pub uuid: Uuid,
    /// What happened.
    pub what: What,
}

/// What can happen; the values are libvirt's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum What {
    /// Its definition was written, for the first time or anew.
    Defined = 0,
    /// Its definition is gone.
    Undefined = 1,
    /// It is up.
    Started = 2,
    /// It is down.
    Stopped = 3,
}

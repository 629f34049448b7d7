//! `<clock>`: what the guest's clock is set to at boot, and its timers.

use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Rest, Xml};

/// What the guest's clock is set to at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ClockOffset {
    /// UTC.
    #[default]
    Utc,
    /// The host's local time.
    Localtime,
    /// Local time of a named zone.
    Timezone,
    /// So many seconds from the host's time.
    Variable,
    /// A fixed moment.
    Absolute,
}

/// From where a variable offset counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum ClockBasis {
    /// UTC.
    #[default]
    Utc,
    /// The host's local time.
    Localtime,
}

/// `<clock>`: the clock and its timers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Clock {
    /// What the clock is set to at boot.
    #[xml(attr, default)]
    pub offset: ClockOffset,
    /// Seconds of a variable offset, or `reset`: what the guest sets is forgotten at its end. `normalize` makes a variable
    /// offset of seconds anywhere.
    #[xml(attr)]
    pub adjustment: Option<String>,
    /// From where a variable offset counts.
    #[xml(attr)]
    pub basis: Option<ClockBasis>,
    /// The zone, by its name in the zone database.
    #[xml(attr)]
    pub timezone: Option<String>,
    /// The fixed moment, in seconds since 1970.
    #[xml(attr)]
    pub start: Option<u64>,
    /// The timers.
    #[xml(name = "timer")]
    pub timers: Vec<Timer>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Clock {
    /// Seconds of a variable offset.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        let text = self.adjustment.as_deref();
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// Which timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TimerName {
    /// Whatever the platform has.
    Platform,
    /// Programmable interval timer.
    Pit,
    /// Real-time clock.
    Rtc,
    /// High precision event timer.
    Hpet,
    /// Time stamp counter.
    Tsc,
    /// KVM's paravirtual clock.
    Kvmclock,
    /// Hyper-V's reference clock.
    Hypervclock,
    /// ARM's virtual timer.
    Armvtimer,
}

/// What happens to ticks that a guest missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TickPolicy {
    /// They come late, at the normal rate.
    Delay,
    /// They come faster until the guest has caught up.
    Catchup,
    /// They become one.
    Merge,
    /// They are dropped.
    Discard,
}

/// What a timer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TimerTrack {
    /// The host's clock since its boot.
    Boot,
    /// The time in which the guest ran.
    Guest,
    /// The host's clock.
    Wall,
    /// A clock that nobody sets.
    Realtime,
}

/// How the time stamp counter is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TimerMode {
    /// As the hypervisor thinks best.
    Auto,
    /// The host's own.
    Native,
    /// Emulated.
    Emulate,
    /// Paravirtual.
    Paravirt,
    /// Emulated for some.
    Smpsafe,
}

/// `<catchup>`: how missed ticks are caught up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct TimerCatchup {
    /// From how many missed nanoseconds on.
    #[xml(attr)]
    pub threshold: Option<u64>,
    /// How much faster, in parts per million.
    #[xml(attr)]
    pub slew: Option<u64>,
    /// How far at most.
    #[xml(attr)]
    pub limit: Option<u64>,
}

/// `<timer>`: one timer.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Timer {
    /// Which one.
    #[xml(attr)]
    pub name: TimerName,
    /// Does the guest see it?
    #[xml(attr, with = "yes_no")]
    pub present: Option<bool>,
    /// What happens to missed ticks.
    #[xml(attr = "tickpolicy")]
    pub tick_policy: Option<TickPolicy>,
    /// What it follows.
    #[xml(attr)]
    pub track: Option<TimerTrack>,
    /// Its frequency in Hz.
    #[xml(attr)]
    pub frequency: Option<u64>,
    /// How it is offered.
    #[xml(attr)]
    pub mode: Option<TimerMode>,
    /// How missed ticks are caught up with.
    pub catchup: Option<TimerCatchup>,
}

//! States with libvirt's numbers, the phases of a start and an end, and which phase may follow which.
//!
//! ```text
//!   Off -> Prepare -> Ports -> Resources -> Start -> Launch -> Resume -> Started -> Up <-> Reconnect
//!            |          |          |          |        |         |          |       |         |
//!            +----------+----------+----------+--------+----+----+----------+-------+---------+
//!                                                           v
//!            Off <- Release <- Labels <- Unplug <- Stopped <- Kill
//! ```

use std::fmt;
use std::str::FromStr;

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),* }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The number clients know it by.
            pub fn number(self) -> i32 {
                self as i32
            }

            /// The word in a status file and, for the end of a guest, in argument 4 of the `release` hook (R34).
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                $name::ALL.iter().copied().find(|r| r.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// A word in a status file that names no state, reason or phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word '{0}'")]
pub struct UnknownWord(pub String);

reasons! {
    /// What a guest is doing, as clients are told.
    State {
        /// Not known.
        NoState = 0 "no state",
        /// Its CPUs run.
        Running = 1 "running",
        /// Blocked on a resource (Xen).
        Blocked = 2 "blocked",
        /// Its CPUs are stopped.
        Paused = 3 "paused",
        /// It is powering off.
        Shutdown = 4 "shutdown",
        /// It does not exist.
        Shutoff = 5 "shut off",
        /// Its system has panicked, and it is kept.
        Crashed = 6 "crashed",
        /// It sleeps to memory.
        PmSuspended = 7 "pmsuspended",
    }
}

reasons! {
    /// Why a guest runs.
    RunningReason {
        /// Not known.
        Unknown = 0 "unknown",
        /// It was started.
        Booted = 1 "booted",
        /// It came from another host.
        Migrated = 2 "migrated",
        /// It came from an image.
        Restored = 3 "restored",
        /// It was set back to a snapshot.
        FromSnapshot = 4 "from snapshot",
        /// It was resumed.
        Unpaused = 5 "unpaused",
        /// A migration failed, it goes on here.
        MigrationCanceled = 6 "migration canceled",
        /// A save failed, it goes on.
        SaveCanceled = 7 "save canceled",
        /// It woke up.
        Wakeup = 8 "wakeup",
        /// It was reset after a panic.
        Crashed = 9 "crashed",
        /// Its memory still arrives.
        Postcopy = 10 "post-copy",
        /// Its memory stopped arriving.
        PostcopyFailed = 11 "post-copy failed",
    }
}

reasons! {
    /// Why a guest's CPUs are stopped.
    PausedReason {
        /// Not known.
        Unknown = 0 "unknown",
        /// Somebody asked for it.
        User = 1 "user",
        /// For a migration.
        Migration = 2 "migration",
        /// For a save.
        Save = 3 "save",
        /// For a dump.
        Dump = 4 "dump",
        /// A disk failed.
        IoError = 5 "I/O error",
        /// Its watchdog fired.
        Watchdog = 6 "watchdog",
        /// After setting back to a snapshot.
        FromSnapshot = 7 "from snapshot",
        /// It powers off.
        ShuttingDown = 8 "shutting down",
        /// While a snapshot is made.
        Snapshot = 9 "creating snapshot",
        /// Its system has panicked.
        Crashed = 10 "crashed",
        /// It is being started; its hooks run.
        StartingUp = 11 "starting up",
        /// For post-copy migration.
        Postcopy = 12 "post-copy",
        /// Post-copy migration failed.
        PostcopyFailed = 13 "post-copy failed",
        /// A request of ours failed half way.
        ApiError = 14 "API error",
    }
}

reasons! {
    /// Why a guest is powering off.
    ShutdownReason {
        /// Not known.
        Unknown = 0 "unknown",
        /// Somebody asked for it.
        User = 1 "user",
    }
}

reasons! {
    /// Why a guest ended; the word is argument 4 of its `release` hook.
    ShutoffReason {
        /// Not known.
        Unknown = 0 "unknown",
        /// It powered off.
        Shutdown = 1 "shutdown",
        /// It was destroyed.
        Destroyed = 2 "destroyed",
        /// It panicked, or its process was killed.
        Crashed = 3 "crashed",
        /// It went to another host.
        Migrated = 4 "migrated",
        /// It was saved.
        Saved = 5 "saved",
        /// Its start failed.
        Failed = 6 "failed",
        /// It was set back to a snapshot.
        FromSnapshot = 7 "from snapshot",
        /// The daemon could not take it over.
        Daemon = 8 "daemon",
    }
}

reasons! {
    /// Why a guest counts as crashed.
    CrashedReason {
        /// Not known.
        Unknown = 0 "unknown",
        /// Its system panicked.
        Panicked = 1 "panicked",
    }
}

/// A state with its reason; a reason of another state cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its CPUs run.
    Running(RunningReason),
    /// Its CPUs are stopped.
    Paused(PausedReason),
    /// It is powering off.
    Shutdown(ShutdownReason),
    /// It does not exist.
    Shutoff(ShutoffReason),
    /// It has panicked and is kept.
    Crashed(CrashedReason),
    /// It sleeps to memory.
    PmSuspended,
}

impl Reason {
    /// The state that this is a reason for.
    pub fn state(self) -> State {
        match self {
            Reason::Running(_) => State::Running,
            Reason::Paused(_) => State::Paused,
            Reason::Shutdown(_) => State::Shutdown,
            Reason::Shutoff(_) => State::Shutoff,
            Reason::Crashed(_) => State::Crashed,
            Reason::PmSuspended => State::PmSuspended,
        }
    }

    /// The number clients know it by; it means something only together with [`Reason::state`].
    pub fn number(self) -> i32 {
        match self {
            Reason::Running(r) => r.number(),
            Reason::Paused(r) => r.number(),
            Reason::Shutdown(r) => r.number(),
            Reason::Shutoff(r) => r.number(),
            Reason::Crashed(r) => r.number(),
            Reason::PmSuspended => 0,
        }
    }

    /// The word in a status file.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Running(r) => r.as_str(),
            Reason::Paused(r) => r.as_str(),
            Reason::Shutdown(r) => r.as_str(),
            Reason::Shutoff(r) => r.as_str(),
            Reason::Crashed(r) => r.as_str(),
            Reason::PmSuspended => "unknown",
        }
    }

    /// From the two words of a status file. An unknown reason is a reason not known.
    ///
    /// # Errors
    /// When the first word names no state that a live guest can be in.
    pub fn from_words(state: &str, reason: &str) -> Result<Reason, UnknownWord> {
        Ok(match state.parse()? {
            State::Running => Reason::Running(reason.parse().unwrap_or(RunningReason::Unknown)),
            State::Paused => Reason::Paused(reason.parse().unwrap_or(PausedReason::Unknown)),
            State::Shutdown => Reason::Shutdown(reason.parse().unwrap_or(ShutdownReason::Unknown)),
            State::Shutoff => Reason::Shutoff(reason.parse().unwrap_or(ShutoffReason::Unknown)),
            State::Crashed => Reason::Crashed(reason.parse().unwrap_or(CrashedReason::Unknown)),
            State::PmSuspended => Reason::PmSuspended,
            State::NoState | State::Blocked => return Err(UnknownWord(state.to_owned())),
        })
    }
}

/// Where a guest is on its way up or down. It is in the status file before what it names is done (R96).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing exists.
    Off,
    /// The `prepare` hook runs (R30).
    Prepare,
    /// Network ports are made.
    Ports,
    /// Directories, taps, labels are made.
    Resources,
    /// The `start` hook runs (R31).
    Start,
    /// The hypervisor is started, CPUs stopped.
    Launch,
    /// The CPUs are let run.
    Resume,
    /// The `started` hook runs (R32).
    Started,
    /// It is up; what its CPUs do is in its [`Reason`].
    Up,
    /// A new daemon takes it over; the `reconnect` hook runs (R38).
    Reconnect,
    /// Its process is being ended.
    Kill,
    /// The `stopped` hook runs (R33).
    Stopped,
    /// Its ports are taken away.
    Unplug,
    /// Labels are given back.
    Labels,
    /// The `release` hook runs (R34).
    Release,
}

/// Which way a phase belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing exists.
    Off,
    /// A start, not yet acknowledged.
    Rising,
    /// The guest runs.
    Up,
    /// An end.
    Falling,
}

impl Phase {
    /// All phases, in their order.
    pub const ALL: [Phase; 15] = [
        Phase::Off,
        Phase::Prepare,
        Phase::Ports,
        Phase::Resources,
        Phase::Start,
        Phase::Launch,
        Phase::Resume,
        Phase::Started,
        Phase::Up,
        Phase::Reconnect,
        Phase::Kill,
        Phase::Stopped,
        Phase::Unplug,
        Phase::Labels,
        Phase::Release,
    ];

    /// Which way it belongs to.
    pub fn way(self) -> Way {
        match self {
            Phase::Off => Way::Off,
            Phase::Prepare
            | Phase::Ports
            | Phase::Resources
            | Phase::Start
            | Phase::Launch
            | Phase::Resume
            | Phase::Started => Way::Rising,
            Phase::Up | Phase::Reconnect => Way::Up,
            Phase::Kill | Phase::Stopped | Phase::Unplug | Phase::Labels | Phase::Release => Way::Falling,
        }
    }

    /// The phase that may follow besides [`Phase::Kill`], the one way out of everything that exists.
    fn next(self) -> &'static [Phase] {
        match self {
            Phase::Off => &[Phase::Prepare],
            Phase::Prepare => &[Phase::Ports],
            // Once more for each port.
            Phase::Ports => &[Phase::Ports, Phase::Resources],
            Phase::Resources => &[Phase::Start],
            Phase::Start => &[Phase::Launch],
            // A guest that is started paused skips `Resume`.
            Phase::Launch => &[Phase::Resume, Phase::Started],
            Phase::Resume => &[Phase::Started],
            Phase::Started => &[Phase::Up],
            Phase::Up => &[Phase::Reconnect],
            Phase::Reconnect => &[Phase::Up],
            Phase::Kill => &[Phase::Stopped],
            Phase::Stopped => &[Phase::Unplug],
            Phase::Unplug => &[Phase::Labels],
            Phase::Labels => &[Phase::Release],
            Phase::Release => &[Phase::Off],
        }
    }

    /// Whether `to` may come after this phase. Total: a new phase does not compile until it has its way and its next.
    pub fn may_become(self, to: Phase) -> bool {
        match (self.way(), to) {
            (Way::Rising | Way::Up, Phase::Kill) => true,
            // An end that was cut short, or whose process could not be killed, begins anew.
            (Way::Falling, Phase::Kill) => true,
            // A process that could not be killed lives on.
            (Way::Falling, Phase::Up) => self == Phase::Kill,
            (Way::Off | Way::Rising | Way::Up | Way::Falling, to) => self.next().contains(&to),
        }
    }

    /// The word in a status file.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Off => "off",
            Phase::Prepare => "prepare",
            Phase::Ports => "ports",
            Phase::Resources => "resources",
            Phase::Start => "start",
            Phase::Launch => "launch",
            Phase::Resume => "resume",
            Phase::Started => "started",
            Phase::Up => "up",
            Phase::Reconnect => "reconnect",
            Phase::Kill => "kill",
            Phase::Stopped => "stopped",
            Phase::Unplug => "unplug",
            Phase::Labels => "labels",
            Phase::Release => "release",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Phase::ALL
            .into_iter()
            .find(|p| p.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_leaves_only_through_the_one_way_out() {
        for from in Phase::ALL {
            let next: Vec<_> = Phase::ALL.into_iter().filter(|to| from.may_become(*to)).collect();
            let expected: &[Phase] = match from {
                Phase::Off => &[Phase::Prepare],
                Phase::Prepare => &[Phase::Ports, Phase::Kill],
                Phase::Ports => &[Phase::Ports, Phase::Resources, Phase::Kill],
                Phase::Resources => &[Phase::Start, Phase::Kill],
                Phase::Start => &[Phase::Launch, Phase::Kill],
                Phase::Launch => &[Phase::Resume, Phase::Started, Phase::Kill],
                Phase::Resume => &[Phase::Started, Phase::Kill],
                Phase::Started => &[Phase::Up, Phase::Kill],
                Phase::Up => &[Phase::Reconnect, Phase::Kill],
                Phase::Reconnect => &[Phase::Up, Phase::Kill],
                Phase::Kill => &[Phase::Up, Phase::Kill, Phase::Stopped],
                Phase::Stopped => &[Phase::Kill, Phase::Unplug],
                Phase::Unplug => &[Phase::Kill, Phase::Labels],
                Phase::Labels => &[Phase::Kill, Phase::Release],
                Phase::Release => &[Phase::Off, Phase::Kill],
            };
            assert_eq!(next, expected, "after {from}");
        }
    }

    #[test]
    fn words_and_numbers_come_back() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        for (number, reason) in ShutoffReason::ALL.iter().enumerate() {
            assert_eq!(
                (reason.number(), reason.as_str().parse()),
                (number as i32, Ok(*reason))
            );
        }
        let reasons = ShutoffReason::ALL.iter().map(|&r| Reason::Shutoff(r));
        let reasons = reasons.chain(RunningReason::ALL.iter().map(|&r| Reason::Running(r)));
        let reasons = reasons.chain(PausedReason::ALL.iter().map(|&r| Reason::Paused(r)));
        let reasons = reasons.chain(ShutdownReason::ALL.iter().map(|&r| Reason::Shutdown(r)));
        let reasons = reasons.chain(CrashedReason::ALL.iter().map(|&r| Reason::Crashed(r)));
        for reason in reasons.chain([Reason::PmSuspended]) {
            assert_eq!(
                Reason::from_words(reason.state().as_str(), reason.as_str()),
                Ok(reason)
            );
        }
        assert_eq!(
            Reason::from_words("running", "news"),
            Ok(Reason::Running(RunningReason::Unknown))
        );
        assert!(Reason::from_words("blocked", "unknown").is_err() && Reason::from_words("", "").is_err());
    }

    #[test]
    fn r34_the_words_of_release_are_libvirts() {
        let words: Vec<_> = ShutoffReason::ALL.iter().map(|r| r.as_str()).collect();
        let expected = [
            "unknown",
            "shutdown",
            "destroyed",
            "crashed",
            "migrated",
            "saved",
            "failed",
            "from snapshot",
            "daemon",
        ];
        assert_eq!(words, expected);
        assert_eq!(
            State::ALL.iter().map(|s| s.number()).collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
        assert_eq!(
            (
                Reason::PmSuspended.number(),
                Reason::Paused(PausedReason::StartingUp).number()
            ),
            (0, 11)
        );
        assert_eq!(Reason::Crashed(CrashedReason::Panicked).number(), 1);
        assert_eq!(Reason::Running(RunningReason::Booted).number(), 1);
        assert_eq!(Reason::Shutdown(ShutdownReason::User).number(), 1);
        assert_eq!(Reason::Shutoff(ShutoffReason::Daemon).number(), 8);
    }
}

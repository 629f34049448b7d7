//! Which request is legal in which situation of a guest: one table, no effects. The owner asks it and obeys.

use crate::state::{Phase, Way};

/// What can be asked of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Start it.
    Start,
    /// End it at once.
    Destroy,
    /// Suspend, resume, shutdown, reboot, reset: a word with the hypervisor.
    Power,
    /// Change the running guest's document.
    LiveChange,
    /// Write a new definition, or a change of it; the running guest is not touched.
    Define,
    /// Forget the definition.
    Undefine,
    /// Give it another name.
    Rename,
    /// It ended by itself, or its process is gone.
    Gone,
}

impl Ask {
    /// All of them, in the order of the table's rows.
    #[cfg(test)]
    pub const ALL: [Ask; 8] = [
        Ask::Start,
        Ask::Destroy,
        Ask::Power,
        Ask::LiveChange,
        Ask::Define,
        Ask::Undefine,
        Ask::Rename,
        Ask::Gone,
    ];

    /// Whether it must not overlap a write of the definition that is under way.
    fn needs_definition(self) -> bool {
        match self {
            Ask::Start | Ask::LiveChange | Ask::Define | Ask::Undefine | Ask::Rename => true,
            Ask::Destroy | Ask::Power | Ask::Gone => false,
        }
    }
}

/// What a guest is doing, and which job holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Situation {
    /// Off, no job.
    Off,
    /// A start walks up.
    Starting,
    /// Up, no job.
    Up,
    /// A new daemon takes it over.
    Reconnecting,
    /// Up; a word with the hypervisor is under way.
    Changing,
    /// Its process is being ended.
    Killing,
    /// Its process is gone; the way out is walked.
    Unwinding,
}

impl Situation {
    /// All of them, in the order of the table's columns.
    #[cfg(test)]
    pub const ALL: [Situation; 7] = [
        Situation::Off,
        Situation::Starting,
        Situation::Up,
        Situation::Reconnecting,
        Situation::Changing,
        Situation::Killing,
        Situation::Unwinding,
    ];

    /// From the guest's phase and whether a job holds it.
    pub fn of(phase: Phase, job: bool) -> Situation {
        match (phase, phase.way(), job) {
            (_, Way::Off, false) => Situation::Off,
            // A job that has not entered its first phase, or has left its last.
            (_, Way::Off | Way::Rising, _) => Situation::Starting,
            (Phase::Reconnect, ..) => Situation::Reconnecting,
            (_, Way::Up, false) => Situation::Up,
            (_, Way::Up, true) => Situation::Changing,
            (Phase::Kill, ..) => Situation::Killing,
            (_, Way::Falling, _) => Situation::Unwinding,
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Do it.
    Go,
    /// Ask again when the job is over; 30 s at most, then the client hears who holds the guest.
    Wait,
    /// Cancel the job, kill the process at once, answer when the guest is off (R95).
    Join,
    /// Remember it, act when the job is over.
    Later,
    /// It is of no interest.
    Ignore,
    /// Refused: the guest is active.
    Active,
    /// Refused: the guest is not active.
    Inactive,
    /// Refused: a hook of the guest's end holds it, which the error names (R95).
    Held,
}

use Verdict::{Active, Go, Held, Ignore, Inactive, Join, Later, Wait};

/// The table: a row for each [`Ask`], a column for each [`Situation`].
#[rustfmt::skip]
const TABLE: [[Verdict; 7]; 8] = [
    // Off       Starting  Up       Reconn.  Changing Killing   Unwinding
    [ Go,        Wait,     Active,  Active,  Active,  Wait,     Wait     ], // Start
    [ Inactive,  Join,     Go,      Join,    Join,    Join,     Held     ], // Destroy
    [ Inactive,  Wait,     Go,      Wait,    Wait,    Wait,     Inactive ], // Power
    [ Inactive,  Wait,     Go,      Wait,    Wait,    Wait,     Inactive ], // LiveChange
    [ Go,        Go,       Go,      Go,      Go,      Wait,     Wait     ], // Define
    [ Go,        Go,       Go,      Go,      Go,      Wait,     Wait     ], // Undefine
    [ Go,        Active,   Active,  Active,  Active,  Wait,     Wait     ], // Rename
    [ Ignore,    Later,    Go,      Later,   Later,   Ignore,   Ignore   ], // Gone
];

/// Judges a request. `writing`: the guest's definition is being written.
pub fn judge(ask: Ask, situation: Situation, writing: bool) -> Verdict {
    match TABLE[ask as usize][situation as usize] {
        Go if writing && ask.needs_definition() => Wait,
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask() -> impl Strategy<Value = Ask> {
        proptest::sample::select(Ask::ALL.to_vec())
    }

    fn situation() -> impl Strategy<Value = Situation> {
        proptest::sample::select(Situation::ALL.to_vec())
    }

    #[test]
    fn rows_and_columns_stand_where_the_table_says() {
        for (row, ask) in Ask::ALL.into_iter().enumerate() {
            assert_eq!(ask as usize, row);
        }
        for (column, situation) in Situation::ALL.into_iter().enumerate() {
            assert_eq!(situation as usize, column);
        }
    }

    #[test]
    fn every_phase_has_its_situation() {
        use Situation::*;
        let busy: Vec<_> = Phase::ALL.into_iter().map(|p| Situation::of(p, true)).collect();
        let expected = [
            Starting,
            Starting,
            Starting,
            Starting,
            Starting,
            Starting,
            Starting,
            Starting,
            Changing,
            Reconnecting,
            Killing,
            Unwinding,
            Unwinding,
            Unwinding,
            Unwinding,
        ];
        assert_eq!(busy, expected);
        assert_eq!(Situation::of(Phase::Off, false), Off);
        assert_eq!(Situation::of(Phase::Up, false), Up);
    }

    proptest! {
        /// R95: there is no situation in which a destroy waits: it acts, joins or is answered at once.
        #[test]
        fn r95_a_destroy_never_waits(situation in situation(), writing: bool) {
            let verdict = judge(Ask::Destroy, situation, writing);
            prop_assert!(matches!(verdict, Go | Join | Inactive | Held), "{:?}", verdict);
        }

        /// A guest has at most one job that talks to its hypervisor or walks a sequence.
        #[test]
        fn jobs_never_overlap(ask in ask(), situation in situation(), writing: bool) {
            let takes_the_job = matches!(ask, Ask::Start | Ask::Destroy | Ask::Power | Ask::LiveChange | Ask::Gone);
            if takes_the_job && judge(ask, situation, writing) == Go {
                prop_assert!(matches!(situation, Situation::Off | Situation::Up));
            }
        }

        /// Definitions are written one at a time, and nothing starts from one that is being written.
        #[test]
        fn definitions_are_written_one_at_a_time(ask in ask(), situation in situation()) {
            if judge(ask, situation, true) == Go {
                prop_assert!(matches!(ask, Ask::Destroy | Ask::Power | Ask::Gone));
            }
            if judge(ask, situation, false) == Wait {
                prop_assert_eq!(judge(ask, situation, true), Wait);
            }
        }

        /// Nothing that waits can wait for ever: when all jobs are over it is admitted or refused.
        #[test]
        fn what_waits_is_decided_when_the_jobs_are_over(ask in ask()) {
            for rest in [Situation::Off, Situation::Up] {
                prop_assert!(!matches!(judge(ask, rest, false), Wait | Later | Held), "{:?}", rest);
            }
        }

        /// A process that is gone is never overlooked while the guest counts as running.
        #[test]
        fn the_end_of_a_process_is_not_overlooked(situation in situation(), writing: bool) {
            let ignored = judge(Ask::Gone, situation, writing) == Ignore;
            let ending = matches!(situation, Situation::Off | Situation::Killing | Situation::Unwinding);
            prop_assert_eq!(ignored, ending);
        }
    }
}

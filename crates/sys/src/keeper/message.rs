//! What daemon and keeper say to each other.
//!
//! ```text
//! daemon                              keeper
//!   Run(script) + 5 descriptors  ──▶
//!                                ◀──  Started(pid)   or   NotStarted(errno)
//!   End(grace)  (perhaps)        ──▶                      SIGTERM to the tree, SIGKILL after the grace
//!                                ◀──  Exited(how, empty)  the main process is over
//!   Release     (unless empty)   ──▶                      "I have what was in the pipes, the rest is yours"
//!                                ◀──  Empty               nothing of the tree is left: can be used again
//!   Leave                        ──▶                      it is not needed any more
//! ```

use std::ffi::OsString;

use crate::frame::{Broken, Reader, Writer};

/// A script and how it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its path, also argv\[0\].
    pub program: OsString,
    /// The arguments after argv\[0\].
    pub args: Vec<OsString>,
    /// The whole environment, in order.
    pub env: Vec<(OsString, OsString)>,
}

/// How many descriptors come with [`Request::Run`]: the script's standard input, output and error, and the reading ends
/// of the latter two.
pub(super) const RUN_DESCRIPTORS: usize = 5;

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Spawn this.
    Run(Script),
    /// The daemon has taken from the pipes what was in them at the end of the script; what comes later is thrown away.
    Release,
    /// End the whole tree: SIGTERM, SIGKILL after this many milliseconds.
    End { grace_ms: u32 },
    /// The daemon lets go of the keeper: it ends as soon as it holds nothing. A daemon that died said no such thing.
    Leave,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// From the number that `waitpid` gives.
    pub(super) fn from_wait_status(status: i32) -> Ended {
        if libc::WIFSIGNALED(status) {
            Ended::Signal(libc::WTERMSIG(status))
        } else {
            Ended::Exit(libc::WEXITSTATUS(status))
        }
    }
}

/// What a keeper says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The script runs as this process.
    Started(i32),
    /// The kernel does not execute it, for this reason (errno). Nothing runs; the keeper can be used again.
    NotStarted(i32),
    /// The main process is over.
    Exited {
        /// How it ended.
        how: Ended,
        /// Nothing else of its tree is left, and nobody can write into its pipes: the keeper can be used again at once.
        empty: bool,
    },
    /// Nothing of the tree is left: the keeper can be used again.
    Empty,
}

const KIND_RUN: u8 = 1;
const KIND_RELEASE: u8 = 2;
const KIND_END: u8 = 3;
const KIND_STARTED: u8 = 4;
const KIND_NOT_STARTED: u8 = 5;
const KIND_EXITED: u8 = 6;
const KIND_SIGNALLED: u8 = 7;
const KIND_EMPTY: u8 = 8;
const KIND_LEAVE: u8 = 9;

impl Request {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Broken> {
        match self {
            Request::Run(script) => Writer::new(KIND_RUN)
                .os(&script.program)
                .list(&script.args, Writer::os)
                .list(&script.env, |w, (name, value)| w.os(name).os(value)),
            Request::Release => Writer::new(KIND_RELEASE),
            Request::End { grace_ms } => Writer::new(KIND_END).u32(*grace_ms),
            Request::Leave => Writer::new(KIND_LEAVE),
        }
        .finish()
    }

    pub(super) fn decode(message: &[u8]) -> Result<Request, Broken> {
        let mut r = Reader::new(message);
        let request = match r.byte()? {
            KIND_RUN => Request::Run(Script {
                program: r.os()?,
                args: r.list(Reader::os)?,
                env: r.list(|r| Ok((r.os()?, r.os()?)))?,
            }),
            KIND_RELEASE => Request::Release,
            KIND_END => Request::End { grace_ms: r.u32()? },
            KIND_LEAVE => Request::Leave,
            _ => return Err(Broken("not a request")),
        };
        r.end()?;
        Ok(request)
    }
}

impl Report {
    pub(super) fn encode(self) -> Result<Vec<u8>, Broken> {
        match self {
            Report::Started(pid) => Writer::new(KIND_STARTED).i32(pid),
            Report::NotStarted(errno) => Writer::new(KIND_NOT_STARTED).i32(errno),
            Report::Exited {
                how: Ended::Exit(status),
                empty,
            } => Writer::new(KIND_EXITED).i32(status).byte(empty.into()),
            Report::Exited {
                how: Ended::Signal(signal),
                empty,
            } => Writer::new(KIND_SIGNALLED).i32(signal).byte(empty.into()),
            Report::Empty => Writer::new(KIND_EMPTY),
        }
        .finish()
    }

    pub(super) fn decode(message: &[u8]) -> Result<Report, Broken> {
        let mut r = Reader::new(message);
        let report = match r.byte()? {
            KIND_STARTED => Report::Started(r.i32()?),
            KIND_NOT_STARTED => Report::NotStarted(r.i32()?),
            KIND_EXITED => Report::Exited {
                how: Ended::Exit(r.i32()?),
                empty: r.flag()?,
            },
            KIND_SIGNALLED => Report::Exited {
                how: Ended::Signal(r.i32()?),
                empty: r.flag()?,
            },
            KIND_EMPTY => Report::Empty,
            _ => return Err(Broken("not a report")),
        };
        r.end()?;
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HEADER;
    use proptest::prelude::*;

    #[test]
    fn reports_come_back_as_they_went() {
        let all = [
            Report::Started(77),
            Report::NotStarted(8),
            Report::Exited {
                how: Ended::Exit(3),
                empty: true,
            },
            Report::Exited {
                how: Ended::Signal(9),
                empty: false,
            },
            Report::Empty,
        ];
        for report in all {
            assert_eq!(Report::decode(&report.encode().unwrap()[HEADER..]), Ok(report));
        }
    }

    #[test]
    fn r13_statuses_and_signals_are_told_apart() {
        assert_eq!(Ended::from_wait_status(3 << 8), Ended::Exit(3));
        assert_eq!(Ended::from_wait_status(0), Ended::Exit(0));
        assert_eq!(Ended::from_wait_status(9), Ended::Signal(9));
        assert_eq!(
            Ended::from_wait_status(11 | 0x80),
            Ended::Signal(11),
            "with a core file"
        );
    }

    proptest! {
        #[test]
        fn requests_come_back_as_they_went(
            program in ".+", args in proptest::collection::vec(".*", 0..6),
            env in proptest::collection::vec((".+", ".*"), 0..6), grace_ms in any::<u32>(),
        ) {
            let script = Script {
                program: program.into(),
                args: args.into_iter().map(OsString::from).collect(),
                env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            };
            for request in [Request::Run(script), Request::Release, Request::End { grace_ms }, Request::Leave] {
                prop_assert_eq!(Request::decode(&request.encode().unwrap()[HEADER..]), Ok(request));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(kind in 0..10u8, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let message = [&[kind], bytes.as_slice()].concat();
            let _ = Request::decode(&message);
            let _ = Report::decode(&message);
            let _ = Request::decode(&bytes);
        }
    }
}

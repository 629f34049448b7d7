//! What daemon and keeper say to each other.
//!
//! ```text
//! daemon                              keeper
//!   Run(script) + 5 descriptors  ──▶
//!                                ◀──  Started(pid)   or   NotStarted(errno, step)
//!   End(grace)  (perhaps)        ──▶                      SIGTERM to the tree, SIGKILL after the grace
//!                                ◀──  Exited(how, empty, oom)  the main process is over
//!   Release(keep) (unless empty) ──▶                      "I have what was in the pipes, the rest is yours"
//!                                ◀──  Printed, Cut        what came later, if it is to be kept
//!                                ◀──  Empty               nothing of the tree is left: can be used again
//!   Leave                        ──▶                      it is not needed any more
//! ```

use std::ffi::OsString;

use super::surroundings::{Step, Surroundings};
use crate::frame::{Broken, Reader, Writer};

/// A script and how it is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Its path, also argv\[0\].
    pub program: OsString,
    /// The arguments after argv\[0\].
    pub args: Vec<OsString>,
    /// The whole environment, in order.
    pub env: Vec<(OsString, OsString)>,
    /// Where it differs from the daemon.
    pub surroundings: Surroundings,
}

/// How many descriptors come with [`Request::Run`]: the script's standard input, output and error, and the reading ends
/// of the latter two.
pub(super) const RUN_DESCRIPTORS: usize = 5;

/// The longest piece of [`Report::Printed`].
pub const LATE_PIECE: usize = 16 << 10;

/// How much of each stream is told after [`super::Keeper::release`].
pub const LATE_MOST: usize = 64 << 10;

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Spawn this.
    Run(Script),
    /// The daemon has taken from the pipes what was in them at the end of the script; what comes later is told, up to a
    /// limit, or thrown away.
    Release { keep: bool },
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

/// Where a script writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a keeper says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The script runs as this process.
    Started(i32),
    /// It cannot be started. Nothing runs; the keeper can be used again.
    NotStarted {
        /// The kernel's reason.
        errno: i32,
        /// At what it failed.
        step: Step,
    },
    /// The main process is over.
    Exited {
        /// How it ended.
        how: Ended,
        /// Nothing else of its tree is left, and nobody can write into its pipes: the keeper can be used again at once.
        empty: bool,
        /// Its memory limit ([`super::Sandbox::memory_bytes`]) has killed something of its tree.
        oom: bool,
    },
    /// After [`super::Keeper::release`]: what the tree has written since, a piece at a time.
    Printed {
        /// Where it was written.
        stream: Stream,
        /// What was written; no more than [`LATE_PIECE`].
        bytes: Vec<u8>,
    },
    /// More than [`LATE_MOST`] came on this stream since then: the rest is thrown away. Said once a stream.
    Cut(Stream),
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
const KIND_PRINTED: u8 = 10;
const KIND_CUT: u8 = 11;

impl Request {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Broken> {
        match self {
            Request::Run(script) => script.surroundings.encode(
                Writer::new(KIND_RUN)
                    .os(&script.program)
                    .list(&script.args, Writer::os)
                    .list(&script.env, |w, (name, value)| w.os(name).os(value)),
            ),
            Request::Release { keep } => Writer::new(KIND_RELEASE).byte((*keep).into()),
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
                surroundings: Surroundings::decode(&mut r)?,
            }),
            KIND_RELEASE => Request::Release { keep: r.flag()? },
            KIND_END => Request::End { grace_ms: r.u32()? },
            KIND_LEAVE => Request::Leave,
            _ => return Err(Broken("not a request")),
        };
        r.end()?;
        Ok(request)
    }
}

impl Stream {
    fn encode(self) -> u8 {
        match self {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        }
    }

    fn decode(byte: u8) -> Result<Stream, Broken> {
        match byte {
            1 => Ok(Stream::Stdout),
            2 => Ok(Stream::Stderr),
            _ => Err(Broken("no stream of a script")),
        }
    }
}

impl Report {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Broken> {
        match self {
            Report::Started(pid) => Writer::new(KIND_STARTED).i32(*pid),
            Report::NotStarted { errno, step } => {
                Writer::new(KIND_NOT_STARTED).i32(*errno).byte(step.encode())
            }
            Report::Exited { how, empty, oom } => {
                let (kind, number) = match how {
                    Ended::Exit(status) => (KIND_EXITED, *status),
                    Ended::Signal(signal) => (KIND_SIGNALLED, *signal),
                };
                let writer = Writer::new(kind).i32(number);
                writer.byte((*empty).into()).byte((*oom).into())
            }
            Report::Printed { stream, bytes } => Writer::new(KIND_PRINTED).byte(stream.encode()).bytes(bytes),
            Report::Cut(stream) => Writer::new(KIND_CUT).byte(stream.encode()),
            Report::Empty => Writer::new(KIND_EMPTY),
        }
        .finish()
    }

    pub(super) fn decode(message: &[u8]) -> Result<Report, Broken> {
        let mut r = Reader::new(message);
        let report = match r.byte()? {
            KIND_STARTED => Report::Started(r.i32()?),
            KIND_NOT_STARTED => Report::NotStarted {
                errno: r.i32()?,
                step: Step::decode(r.byte()?)?,
            },
            KIND_EXITED => Report::exited(&mut r, Ended::Exit)?,
            KIND_SIGNALLED => Report::exited(&mut r, Ended::Signal)?,
            KIND_PRINTED => Report::Printed {
                stream: Stream::decode(r.byte()?)?,
                bytes: r.bytes()?.to_vec(),
            },
            KIND_CUT => Report::Cut(Stream::decode(r.byte()?)?),
            KIND_EMPTY => Report::Empty,
            _ => return Err(Broken("not a report")),
        };
        r.end()?;
        Ok(report)
    }

    fn exited(r: &mut Reader<'_>, how: fn(i32) -> Ended) -> Result<Report, Broken> {
        Ok(Report::Exited {
            how: how(r.i32()?),
            empty: r.flag()?,
            oom: r.flag()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::surroundings::tests::any_surroundings;
    use super::*;
    use crate::frame::HEADER;
    use proptest::prelude::*;

    fn any_report() -> impl Strategy<Value = Report> {
        let steps = [Step::Exec, Step::User, Step::Directory, Step::Sandbox];
        let step = proptest::sample::select(steps.to_vec());
        let how = prop_oneof![
            any::<i32>().prop_map(Ended::Exit),
            any::<i32>().prop_map(Ended::Signal)
        ];
        let stream = || proptest::sample::select(vec![Stream::Stdout, Stream::Stderr]);
        let bytes = proptest::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            any::<i32>().prop_map(Report::Started),
            (any::<i32>(), step).prop_map(|(errno, step)| Report::NotStarted { errno, step }),
            (how, any::<bool>(), any::<bool>()).prop_map(|(how, empty, oom)| Report::Exited {
                how,
                empty,
                oom
            }),
            (stream(), bytes).prop_map(|(stream, bytes)| Report::Printed { stream, bytes }),
            stream().prop_map(Report::Cut),
            Just(Report::Empty),
        ]
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
            env in proptest::collection::vec((".+", ".*"), 0..6), grace_ms in any::<u32>(), keep in any::<bool>(),
            surroundings in any_surroundings(),
        ) {
            let script = Script {
                program: program.into(),
                args: args.into_iter().map(OsString::from).collect(),
                env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                surroundings,
            };
            for request in [Request::Run(script), Request::Release { keep }, Request::End { grace_ms }, Request::Leave] {
                prop_assert_eq!(Request::decode(&request.encode().unwrap()[HEADER..]), Ok(request));
            }
        }

        #[test]
        fn reports_come_back_as_they_went(report in any_report()) {
            let message = report.encode().unwrap();
            prop_assert_eq!(Report::decode(&message[HEADER..]), Ok(report));
            for end in HEADER..message.len() {
                prop_assert!(Report::decode(&message[HEADER..end]).is_err(), "half a message");
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(kind in 0..13u8, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let message = [&[kind], bytes.as_slice()].concat();
            let _ = Request::decode(&message);
            let _ = Report::decode(&message);
            let _ = Request::decode(&bytes);
        }
    }
}

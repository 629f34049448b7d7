//! ferrovirt's own program: what the tool `ferrovirt` asks, on the same sockets and in the same frames as everything else.
//!
//! The program's number is [`PROGRAM`], its version [`program::VERSION`]. A call and its answer carry one string each: a
//! JSON object, the types below. Fields may be added; who does not know one leaves it out or passes over it. Numbers of
//! procedures never change their meaning. No CONNECT_OPEN is needed; on the socket for readers only what reads is served.
//! Errors are libvirt's structure, as with every other program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, ErrorDomain, ErrorReply};
use crate::frame::{Header, error_reply, reply};
use crate::program::{Access, Extra, Needs, Priority, Procedure};
use crate::xdr::Xdr;
use crate::xdr_struct;

/// The program's number, `FVIR` in ASCII: none of libvirt's.
pub const PROGRAM: u32 = 0x4656_4952;

xdr_struct! {
    /// What travels either way.
    Envelope { json: String }
}

/// A request of this program.
pub trait Question: Serialize + DeserializeOwned {
    /// The procedure's number.
    const NUMBER: i32;
    /// What it is answered with.
    type Answer: Serialize + DeserializeOwned;
}

macro_rules! own {
    ($(
        $(#[$meta:meta])*
        $number:literal $name:ident $handler:ident $access:ident ($question:ty) -> $answer:ty;
    )*) => {
        $(
            impl Question for $question {
                const NUMBER: i32 = $number;
                type Answer = $answer;
            }
        )*

        /// Every row, in the order of the numbers.
        pub static TABLE: &[Procedure] = &[$(Procedure {
            number: $number,
            name: stringify!($name),
            function: concat!("ferrovirt ", stringify!($handler)),
            domain: ErrorDomain::Hook,
            needs: Needs::Connection,
            access: Access::$access,
            priority: Priority::High,
            extra: Extra::Plain,
        },)*];

        /// What a server does for each procedure. A method that is left out answers "unknown procedure".
        pub trait OwnService: Sync {
            /// Whether this procedure may be called, asked before its handler.
            fn admit_own(&self, procedure: &Procedure) -> Result<(), ErrorReply>;

            $(
                $(#[$meta])*
                fn $handler(&self, question: $question) -> impl Future<Output = Result<$answer, ErrorReply>> + Send {
                    let _ = question;
                    async { Err(ErrorReply::unknown_procedure($number)) }
                }
            )*
        }

        /// Decodes a question, lets the service answer it and encodes the whole answer.
        pub async fn dispatch<S: OwnService>(service: &S, call: &Header, payload: &[u8]) -> Bytes {
            let Some(procedure) = find(call.procedure) else {
                return error_reply(call, &ErrorReply::unknown_procedure(call.procedure));
            };
            if let Err(error) = service.admit_own(procedure) {
                return error_reply(call, &error);
            }
            match procedure.number {
                $($number => match question::<$question>(payload) {
                    Ok(question) => answer(call, service.$handler(question).await),
                    Err(error) => error_reply(call, &error),
                },)*
                unknown => error_reply(call, &ErrorReply::unknown_procedure(unknown)),
            }
        }
    };
}

own! {
    /// The hooks that run now, the oldest first.
    1 HOOK_RUNNING ps Read (RunningQuestion) -> Vec<Running>;
    /// Ends a running hook with its whole tree.
    2 HOOK_CANCEL cancel Write (CancelQuestion) -> Running;
    /// What would run for an event, and what would not.
    3 HOOK_LIST list Read (ListQuestion) -> ListAnswer;
    /// The calls of the past, the oldest first; waits for newer ones if it is told to.
    4 HISTORY_LIST history Read (HistoryQuestion) -> HistoryAnswer;
    /// One call of the past in full, with document and output.
    5 HISTORY_SHOW show Write (ShowQuestion) -> serde_json::Value;
    /// A call of the past once more, outside any operation.
    6 HOOK_REPLAY replay Write (ReplayQuestion) -> Vec<Trial>;
    /// The hooks of an operation, or of a whole life, without touching the object.
    7 HOOK_RUN run Write (RunQuestion) -> Vec<Trial>;
    /// What became of an object's last operation, and why.
    8 HISTORY_WHY why Read (WhyQuestion) -> serde_json::Value;
    /// The host's PCI devices: who has each, who wants it, and what keeps it from being given away.
    9 HOST_DEVICES devices Read (DevicesQuestion) -> DevicesAnswer;
}

/// The row of a procedure of this program.
pub fn find(number: i32) -> Option<&'static Procedure> {
    TABLE.iter().find(|row| row.number == number)
}

/// Asks for all hooks that run now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningQuestion {
    /// With the processes of each one's tree.
    pub trees: bool,
}

/// A hook that runs now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Running {
    /// What `ferrovirt cancel` wants to know.
    pub id: u64,
    /// Its driver.
    pub driver: String,
    /// The four arguments: object, operation, sub-operation, extra.
    pub arguments: Vec<String>,
    /// The script or program.
    pub script: PathBuf,
    /// Its process, as soon as it has one.
    pub pid: Option<i32>,
    /// For how long it has been running, seconds.
    pub seconds: f64,
    /// Whether it has passed its soft limit (R92).
    pub late: bool,
    /// When it will be ended, seconds from now; none: never.
    pub seconds_left: Option<f64>,
    /// The lock that it waits for.
    pub waits_for: Option<String>,
    /// Its processes, parents before children.
    pub tree: Vec<TreeProcess>,
}

/// A process of a hook's tree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeProcess {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its command line, or its name in brackets.
    pub command: String,
    /// The kernel's letter for its state.
    pub state: String,
}

/// Asks to end a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelQuestion {
    /// [`Running::id`].
    pub id: u64,
}

/// Asks what would run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListQuestion {
    /// One driver; all when empty.
    pub driver: String,
    /// The guest or network; empty for scripts without rules and directories of a guest.
    pub object: String,
    /// The operation; empty for all files.
    pub operation: String,
}

/// What would run, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListAnswer {
    /// What runs, in order, and what does not.
    pub entries: Vec<Planned>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

/// A file or command that would run or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Planned {
    /// Its driver.
    pub driver: String,
    /// Where it is.
    pub path: PathBuf,
    /// Where it comes from: `script`, `rule`, `guest`.
    pub kind: String,
    /// Whether it would run.
    pub runs: bool,
    /// Why not, or what is suspicious.
    pub reason: Option<String>,
    /// The rules that apply to it.
    pub rules: Vec<String>,
    /// What these rules change, in words.
    pub treatment: Vec<String>,
}

/// Asks for calls of the past.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryQuestion {
    /// Only of this driver.
    pub driver: Option<String>,
    /// Only of the guest or network with this name or uuid.
    pub object: Option<String>,
    /// Only of this operation.
    pub operation: Option<String>,
    /// Only failures.
    pub failed: bool,
    /// Only what began at this second or later, seconds since 1970.
    pub since: Option<f64>,
    /// Only what is newer than this one.
    pub after: Option<u64>,
    /// So many at most, the newest.
    pub limit: Option<u32>,
    /// Those after [`HistoryQuestion::after`] that are known already.
    pub seen: Vec<u64>,
    /// Only calls that are over; if there is none, wait for one so many milliseconds, at most 30000.
    pub wait_ms: u32,
}

/// Calls of the past.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryAnswer {
    /// The rows, the oldest first.
    pub runs: Vec<serde_json::Value>,
    /// For [`HistoryQuestion::after`]: nothing up to this one is missing.
    pub last: u64,
}

/// Asks for one call of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowQuestion {
    /// Its number.
    pub id: u64,
}

/// Asks for a call of the past once more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayQuestion {
    /// Its number.
    pub id: u64,
    /// Another script in its place.
    pub script: Option<PathBuf>,
}

/// Asks for a simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunQuestion {
    /// The driver.
    pub driver: String,
    /// The guest or network.
    pub object: String,
    /// The operation; with `life` all of a whole life.
    pub operation: String,
    /// From `prepare` to `release`.
    pub life: bool,
    /// The fourth argument, if not the usual one.
    pub extra: Option<String>,
    /// Another document than that of the defined object.
    pub document: Option<String>,
    /// Another script than those that are there.
    pub script: Option<PathBuf>,
}

/// What came of a script that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trial {
    /// Its number in the history.
    pub id: Option<u64>,
    /// The script.
    pub script: PathBuf,
    /// Its four arguments.
    pub arguments: Vec<String>,
    /// How it ended, in words: `exit status 0`.
    pub outcome: String,
    /// Whether the operation would have gone on.
    pub passed: bool,
    /// How long it took, seconds.
    pub seconds: f64,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
    /// The document that a filter got.
    pub input: Option<String>,
    /// The document that it passed on.
    pub output: Option<String>,
    /// Why the daemon would refuse that document.
    pub refused: Option<String>,
    /// More that is worth knowing.
    pub remarks: BTreeMap<String, String>,
}

/// Asks why an object is as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WhyQuestion {
    /// Its driver, when a guest and a network have the same name.
    pub driver: Option<String>,
    /// Its name or uuid.
    pub object: String,
}

/// Asks for the host's PCI devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevicesQuestion {}

/// The host's PCI devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevicesAnswer {
    /// Whether there is an IOMMU at work.
    pub iommu: bool,
    /// Whether devices can be given to guests at all.
    pub possible: bool,
    /// What to do if not.
    pub advice: Option<String>,
    /// All devices, by IOMMU group, then by address.
    pub devices: Vec<HostDevice>,
}

/// A PCI device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostDevice {
    /// Where it is: `0000:01:00.0`.
    pub address: String,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// Its numbers: `8086:10d3`.
    pub ids: String,
    /// Its class, six digits: `020000`.
    pub class: String,
    /// Who made it and what it is, as far as that is known.
    pub name: String,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Whether it is a bridge.
    pub bridge: bool,
    /// The guest that has it.
    pub guest: Option<String>,
    /// The guests whose definition has it.
    pub wanted_by: Vec<String>,
    /// Whether the host has given it up.
    pub detached: bool,
    /// Whether it can be given away now.
    pub available: bool,
    /// Why not.
    pub obstacles: Vec<String>,
    /// What may be a nuisance.
    pub remarks: Vec<String>,
}

fn question<Q: Question>(payload: &[u8]) -> Result<Q, ErrorReply> {
    let envelope = Envelope::from_payload(payload).map_err(|_| ErrorReply::undecodable())?;
    serde_json::from_str(&envelope.json).map_err(|error| {
        ErrorReply::new(
            ErrorCode::InvalidArg,
            ErrorDomain::Hook,
            format!("the question is not understood: {error}"),
        )
    })
}

fn answer<A: Serialize>(call: &Header, result: Result<A, ErrorReply>) -> Bytes {
    let result = result.and_then(|answer| {
        let json = serde_json::to_string(&answer)
            .map_err(|error| ErrorReply::internal(ErrorDomain::Hook, error.to_string()))?;
        Ok(Envelope { json })
    });
    reply(call, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameReader, MessageType, Status};
    use crate::program::VERSION;
    use proptest::prelude::*;

    struct Only;

    impl OwnService for Only {
        fn admit_own(&self, procedure: &Procedure) -> Result<(), ErrorReply> {
            match procedure.access {
                Access::Write => Err(ErrorReply::new(
                    ErrorCode::OperationDenied,
                    ErrorDomain::Hook,
                    procedure.function,
                )),
                _ => Ok(()),
            }
        }

        async fn ps(&self, question: RunningQuestion) -> Result<Vec<Running>, ErrorReply> {
            Ok(vec![Running {
                id: 7,
                late: question.trees,
                ..Running::default()
            }])
        }
    }

    fn call(procedure: i32) -> Header {
        Header {
            program: PROGRAM,
            version: VERSION,
            procedure,
            kind: MessageType::Call as u32,
            serial: 3,
            status: Status::Ok as u32,
        }
    }

    fn asked(procedure: i32, json: &str) -> Result<String, String> {
        let mut payload = crate::Encoder::default();
        Envelope {
            json: json.to_owned(),
        }
        .encode(&mut payload);
        let payload = payload.finish().unwrap();
        let message = futures_executor(dispatch(&Only, &call(procedure), &payload));
        let mut reader = FrameReader::default();
        reader.buffer().extend_from_slice(&message);
        let frame = reader.next_frame().unwrap().unwrap();
        assert_eq!((frame.header.program, frame.header.serial), (PROGRAM, 3));
        crate::client::results::<Envelope>(&frame)
            .map(|envelope| envelope.json)
            .map_err(|error| error.to_string())
    }

    /// Nothing here waits.
    fn futures_executor<T>(work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            if let std::task::Poll::Ready(value) = work.as_mut().poll(&mut context) {
                return value;
            }
        }
    }

    #[test]
    fn the_manual_has_the_number_and_every_procedure() {
        let manual = include_str!("../../../docs/rpc.md");
        assert!(manual.contains(&format!("**0x{PROGRAM:08x}**")));
        let rows: Vec<Vec<&str>> = manual
            .lines()
            .filter(|line| line.starts_with("| ") && !line.contains("number"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let wanted: Vec<Vec<String>> = TABLE
            .iter()
            .map(|row| {
                let who = if row.readonly() { "readers" } else { "writers" };
                vec![row.number.to_string(), format!("`{}`", row.name), who.to_owned()]
            })
            .collect();
        assert_eq!(
            rows.iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>(),
            wanted
        );
    }

    #[test]
    fn questions_and_answers_travel_as_json() {
        let answer = asked(1, r#"{"trees":true,"a field of a later version":1}"#).unwrap();
        let running: Vec<Running> = serde_json::from_str(&answer).unwrap();
        assert_eq!((running[0].id, running[0].late), (7, true));
        assert!(asked(1, "{}").is_ok());
    }

    #[test]
    fn what_is_not_understood_denied_or_unknown_is_an_error() {
        assert!(asked(1, "{").unwrap_err().contains("not understood"));
        assert_eq!(
            asked(2, "{}").unwrap_err(),
            "operation forbidden: ferrovirt cancel",
            "asked before the arguments are looked at"
        );
        assert!(asked(3, "{}").unwrap_err().contains("unknown procedure"));
        assert!(asked(99, "{}").unwrap_err().contains("unknown procedure"));
    }

    #[test]
    fn numbers_are_in_order_and_what_changes_something_is_not_for_readers() {
        let numbers: Vec<i32> = TABLE.iter().map(|row| row.number).collect();
        assert!(numbers.is_sorted());
        for (name, readonly) in [
            ("HOOK_RUNNING", true),
            ("HOOK_CANCEL", false),
            ("HISTORY_SHOW", false),
            ("HOOK_RUN", false),
        ] {
            let row = TABLE.iter().find(|row| row.name == name).unwrap();
            assert_eq!(row.readonly(), readonly, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(procedure in -1..10, payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = futures_executor(dispatch(&Only, &call(procedure), &payload));
        }
    }
}

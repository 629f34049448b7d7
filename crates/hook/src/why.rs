//! `ferrovirt why`: one answer to what happened to a guest or a network, and what to do about it.
//!
//! * here: what goes in ([`Facts`]) and what comes out ([`Story`])
//! * `choice`: which operation of the history explains the state that the object is in
//! * `cause`: what failed first in it; `ending`: why what was up has ended
//! * `device`: what is the matter with a device of the host
//! * `script`: what the end of a hook means; `hypervisor`: what QEMU said
//! * `after`: what ran because of it; `waiting`: what runs now; `telling`: all of it as a story; `advice`: what to do next
//! * `kinds`, `words`: what things are called; `print`: the story as text
//!
//! Nothing in here does I/O or looks at a clock: the same facts make the same story, on any machine. So times are in UTC.

mod advice;
mod after;
mod cause;
mod choice;
mod device;
mod ending;
mod hypervisor;
mod kinds;
mod print;
mod script;
mod telling;
#[cfg(test)]
mod tests;
mod waiting;
mod words;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use device::Trouble;

use serde::{Serialize, Serializer};

use crate::event::Driver;
use crate::history::{How, Operation, Run, RunId, SkipRow};

/// How many runs [`wanted`] asks for: what can be told in one answer.
const MOST_WANTED: usize = 16;

/// What is known about one guest or network.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whose object it is.
    pub driver: Driver,
    /// Its name.
    pub name: String,
    /// Its UUID, if it is known.
    pub uuid: Option<String>,
    /// Its state in libvirt's words: `running`, `shut off (failed)`, `active`, `inactive`. Nothing when the object is not
    /// defined (any more).
    pub state: Option<String>,
    /// Its last operations, the newest one last. None when the history is off.
    pub operations: Vec<Operation>,
    /// The runs that [`wanted`] asked for, in full.
    pub runs: Vec<Run>,
    /// The hooks that run for it now.
    pub running: Vec<RunningNow>,
    /// Scripts that were not run.
    pub skips: Vec<SkipRow>,
    /// The end of the hypervisor's log, for when the operation has none.
    pub hypervisor_log: Option<String>,
    /// The PCI devices of the host that the guest's documents name, as they are now.
    pub devices: Vec<HostDevice>,
    /// Why this machine can give no PCI device to a guest, and what to do about it.
    pub host_remedy: Option<String>,
}

impl Facts {
    /// An object about which nothing else is known.
    pub fn new(driver: Driver, name: impl Into<String>) -> Facts {
        Facts {
            driver,
            name: name.into(),
            uuid: None,
            state: None,
            operations: Vec::new(),
            runs: Vec::new(),
            running: Vec::new(),
            skips: Vec::new(),
            hypervisor_log: None,
            devices: Vec::new(),
            host_remedy: None,
        }
    }
}

/// A PCI device of the host, as it is now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostDevice {
    /// Where it is: `0000:01:00.0`.
    pub address: String,
    /// Class, subclass and programming interface.
    pub class: u32,
    /// The driver that it has.
    pub driver: Option<String>,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// All that is in the group.
    pub members: Vec<String>,
    /// Those of its group that have a driver of the host, with that.
    pub neighbours: Vec<(String, String)>,
    /// What is being done to it for this guest.
    pub doing: Option<Underway>,
}

impl HostDevice {
    /// Whether it is a graphics card.
    fn is_display(&self) -> bool {
        self.class >> 16 == 0x03
    }
}

/// Something that the kernel is asked to do to a device, and has not done yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Underway {
    /// `unbind`, `give back`.
    pub what: String,
    /// For how long, seconds.
    pub seconds: f64,
    /// Who has the device open: `Xorg (process 812, /dev/dri/card0)`.
    pub holders: Vec<String>,
}

/// A hook that runs now.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningNow {
    /// Its number for `ferrovirt cancel`; with a history, that of its run.
    pub id: u64,
    /// The script.
    pub script: PathBuf,
    /// Its four arguments (R7).
    pub arguments: Vec<String>,
    /// For how long it has run, seconds.
    pub seconds: f64,
    /// Whether it has passed its soft limit (R92).
    pub late: bool,
    /// After how many seconds it will be ended.
    pub limit_left: Option<f64>,
    /// The named lock that it waits for.
    pub waits_for: Option<String>,
}

/// What kind of answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does not run, and nothing is wrong with that.
    Fine,
    /// It runs, or something is being done to it that waits for no hook.
    Running,
    /// What is being done to it waits for a hook.
    WaitsForHook,
    /// What was to be done to it failed.
    Failed,
    /// It ran and has ended.
    Ended,
    /// There is no such object, or nothing tells what became of it.
    Unknown,
}

/// What failed first, or ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// What it was, in our words.
    pub what: String,
    /// Its own words: the end of what it printed, or the text of the error. May be empty.
    pub words: String,
    /// When it began. In JSON RFC 3339.
    #[serde(serialize_with = "words::serialize_time")]
    pub when: Option<SystemTime>,
    /// How long it took; in JSON `took_ms`, milliseconds.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Option<Duration>,
    /// The run of a hook that it was.
    pub run: Option<RunId>,
}

/// The answer. `Display` is the readable form of it, 100 columns wide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// The answer in one sentence.
    pub headline: String,
    /// What kind of answer it is.
    pub answer: Verdict,
    /// What failed first.
    pub first: Option<Cause>,
    /// What ran after that, and what came of it.
    pub afterwards: Vec<String>,
    /// Failures that stopped nothing, because a rule says so.
    pub ignored: Vec<String>,
    /// What to do next: commands with what they are for after ` # `, or a sentence.
    pub next: Vec<String>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// What is the matter with a device of the host, if that is why.
    pub device: Option<Trouble>,
}

/// The runs whose output the story needs: what failed, and what nobody saw the end of; newest first.
pub fn wanted(operations: &[Operation]) -> Vec<RunId> {
    let newest_first = operations.iter().rev();
    let rows = newest_first.flat_map(|operation| operation.runs.iter().map(move |row| (operation, row)));
    // The output of a filter may be what the operation failed of, although the script itself did well.
    let telling = rows.filter(|(operation, row)| {
        row.failed
            || row.how == Some(How::Lost)
            || (operation.row.failure.is_some() && kinds::is_filter(&row.operation))
    });
    let mut ids: Vec<RunId> = telling.map(|(_, row)| row.id).collect();
    ids.dedup();
    ids.truncate(MOST_WANTED);
    ids
}

/// What happened to the object, and what to do about it.
pub fn story(facts: &Facts) -> Story {
    telling::tell(facts)
}

fn milliseconds<S: Serializer>(took: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match took {
        // Whole microseconds by a division: no digits that come from the float alone.
        Some(took) => to.serialize_f64(took.as_micros() as f64 / 1000.0),
        None => to.serialize_none(),
    }
}

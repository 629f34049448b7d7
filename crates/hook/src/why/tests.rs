//! Stories on constructed facts. Here is what constructs them; the stories are in the modules below.

mod choosing;
mod devices;
mod ends;
mod hooks;
mod hypervisor;
mod manual;
mod networks;
mod now;
mod text;
mod trifles;

use std::time::{Duration, SystemTime};

use super::*;
use crate::history::{AskedBy, KindRow, OperationId, OperationRow, Output, RunRow, StepRow};

const HOOKS: &str = "/etc/libvirt/hooks";
const QEMU: &str = "/etc/libvirt/hooks/qemu";

/// 2026-03-01 12:00:00 UTC and so many milliseconds.
fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_366_400) + Duration::from_millis(milliseconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Facts about guest g.
fn guest(state: &str, operations: Vec<Operation>) -> Facts {
    Facts {
        state: Some(state.to_owned()),
        operations,
        ..Facts::new(Driver::Qemu, "g")
    }
}

/// An operation on guest g, or of a network, that begins at 12:00:00 and succeeds one second later.
fn operation(kind: &str) -> Operation {
    let driver = if kind.starts_with("net-") {
        Driver::Network
    } else {
        Driver::Qemu
    };
    Operation {
        row: OperationRow {
            id: OperationId(1),
            driver,
            object: if driver == Driver::Network { "default" } else { "g" }.to_owned(),
            uuid: None,
            kind: kind.to_owned(),
            asked_by: AskedBy::default(),
            began: at(0),
            ended: Some(at(1000)),
            lost: false,
            failure: None,
            reason: None,
        },
        hypervisor_log: None,
        steps: Vec::new(),
        runs: Vec::new(),
    }
}

/// The same, later.
fn later(mut operation: Operation, seconds: u64) -> Operation {
    operation.row.began = at(seconds * 1000);
    operation.row.ended = Some(at(seconds * 1000 + 1000));
    operation
}

fn failed(mut operation: Operation, failure: &str) -> Operation {
    operation.row.failure = Some(failure.to_owned());
    operation
}

fn with_reason(mut operation: Operation, reason: &str) -> Operation {
    operation.row.reason = Some(reason.to_owned());
    operation
}

fn by_virsh(mut operation: Operation) -> Operation {
    operation.row.asked_by = AskedBy {
        pid: Some(4242),
        uid: Some(0),
        program: Some("/usr/bin/virsh".to_owned()),
        hook: None,
    };
    operation
}

fn with_runs(mut operation: Operation, runs: Vec<RunRow>) -> Operation {
    operation.runs = runs;
    operation
}

fn with_step(mut operation: Operation, name: &str, began: u64, failure: Option<&str>) -> Operation {
    operation.steps.push(StepRow {
        name: name.to_owned(),
        began: at(began),
        took: ms(50),
        failure: failure.map(str::to_owned),
    });
    operation
}

/// A run of the main script for guest g: it begins that many milliseconds after 12:00:00 as its number, and succeeds.
fn run(id: u64, operation: &str) -> RunRow {
    let sub_operation = match operation {
        "stopped" | "release" => "end",
        _ => "begin",
    };
    RunRow {
        id: RunId(id),
        operation_id: Some(OperationId(1)),
        call: id,
        driver: Driver::Qemu,
        object: "g".to_owned(),
        uuid: None,
        operation: operation.to_owned(),
        sub_operation: sub_operation.to_owned(),
        extra: "-".to_owned(),
        script: QEMU.into(),
        kind: KindRow::Script,
        rule: None,
        digest: None,
        asked_by: AskedBy::default(),
        began: at(id),
        took: Some(ms(12)),
        how: Some(How::Exit(0)),
        failed: false,
        ignored: false,
        failure: None,
    }
}

/// The same run, failed in that way.
fn broken(mut row: RunRow, how: How, failure: &str) -> RunRow {
    row.how = Some(how);
    row.failed = true;
    row.failure = Some(failure.to_owned());
    row
}

/// The error of R13 for a status.
fn r13(row: &RunRow, status: i32, stderr: &str) -> String {
    format!(
        "internal error: Child process (LC_ALL=C {} {} {} {} {}) unexpected exit status {status}: {stderr}",
        row.script.display(),
        row.object,
        row.operation,
        row.sub_operation,
        row.extra
    )
}

/// The same run, with an exit status other than 0.
fn exits(row: RunRow, status: i32, stderr: &str) -> RunRow {
    let failure = r13(&row, status, stderr);
    broken(row, How::Exit(status), &failure)
}

/// The same run, of another script below the hooks directory.
fn at_script(mut row: RunRow, script: &str) -> RunRow {
    row.script = format!("{HOOKS}/{script}").into();
    row
}

fn in_full(row: &RunRow, stdout: &str, stderr: &str) -> Run {
    let output = |text: &str| Output {
        bytes: text.as_bytes().to_vec(),
        lost: 0,
    };
    Run {
        row: row.clone(),
        environment: Vec::new(),
        document: None,
        output_document: None,
        stdout: output(stdout),
        stderr: output(stderr),
        later_stdout: Output::default(),
        later_stderr: Output::default(),
    }
}

/// A start of guest g that this run of a hook made fail, and what followed.
fn refused_start(row: RunRow) -> Operation {
    let failure = format!(
        "Hook script execution failed: {}",
        row.failure.clone().unwrap_or_default()
    );
    let next = row.id.0;
    let runs = vec![row, run(next + 1, "stopped"), run(next + 2, "release")];
    failed(with_runs(operation("start"), runs), &failure)
}

fn hook_now(id: u64, operation: &str) -> RunningNow {
    RunningNow {
        id,
        script: QEMU.into(),
        arguments: ["g", operation, "begin", "-"].map(str::to_owned).to_vec(),
        seconds: 42.3,
        late: false,
        limit_left: None,
        waits_for: None,
    }
}

fn words(story: &Story) -> &str {
    story.first.as_ref().map_or("", |first| first.words.as_str())
}

/// A graphics card that the guest wants, with its sound in the same group.
fn card(driver: Option<&str>, neighbour: Option<&str>) -> HostDevice {
    let (card, sound) = ("0000:03:00.0".to_owned(), "0000:03:00.1".to_owned());
    HostDevice {
        address: card.clone(),
        class: 0x30000,
        driver: driver.map(str::to_owned),
        group: Some(15),
        members: vec![card, sound.clone()],
        neighbours: neighbour
            .map(|driver| (sound, driver.to_owned()))
            .into_iter()
            .collect(),
        doing: None,
    }
}

/// A start of guest g that fails of this, with that card.
fn without_card(failure: &str, step: &str, card: HostDevice) -> Facts {
    let start = with_step(operation("start"), step, 40, Some(failure));
    let start = with_step(start, "labels", 100, None);
    let start = with_runs(
        start,
        vec![run(1, "prepare"), run(95, "stopped"), run(160, "release")],
    );
    let mut facts = guest("shut off (failed)", vec![failed(start, failure)]);
    facts.devices = vec![card];
    facts
}

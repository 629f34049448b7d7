//! Calls of clients: how many of each procedure, how they came out, how long they took. In the way of every call, hence
//! nothing but atomic additions into a table that is there from the beginning.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferrovirt_wire::{Procedure, own, procedures};

use super::histogram::{Histogram, Picture};

/// A read takes tens of microseconds, a start tens of milliseconds or, with hooks, minutes.
const BOUNDS: &[Duration] = &[
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// All procedures.
#[derive(Debug)]
pub(crate) struct Calls {
    /// By the procedure's number, which is small in both programs.
    remote: Vec<Option<Cell>>,
    own: Vec<Option<Cell>>,
}

/// One procedure.
#[derive(Debug)]
struct Cell {
    name: &'static str,
    failed: AtomicU64,
    times: Histogram,
}

/// One procedure at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallPicture {
    pub(crate) name: &'static str,
    pub(crate) failed: u64,
    pub(crate) times: Picture,
}

impl Calls {
    /// Nothing was called yet.
    pub(crate) fn new() -> Calls {
        Calls {
            remote: table(procedures::TABLE),
            own: table(own::TABLE),
        }
    }

    /// A call was answered.
    pub(crate) fn answered(&self, program: u32, procedure: &Procedure, failed: bool, took: Duration) {
        let table = if program == own::PROGRAM {
            &self.own
        } else {
            &self.remote
        };
        let number = usize::try_from(procedure.number).unwrap_or(usize::MAX);
        if let Some(Some(cell)) = table.get(number) {
            cell.times.observe(took);
            if failed {
                cell.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The procedures that were called, in the order of their numbers.
    pub(crate) fn pictures(&self) -> Vec<CallPicture> {
        let cells = self.remote.iter().chain(&self.own).flatten();
        let pictures = cells.map(|cell| {
            // Before the times: there are never more failures than calls.
            let failed = cell.failed.load(Ordering::Relaxed);
            CallPicture {
                name: cell.name,
                failed,
                times: cell.times.picture(),
            }
        });
        pictures.filter(|picture| picture.times.count > 0).collect()
    }
}

fn table(procedures: &'static [Procedure]) -> Vec<Option<Cell>> {
    let number = |row: &Procedure| usize::try_from(row.number).unwrap_or_default();
    let highest = procedures.iter().map(number).max().unwrap_or_default();
    let mut table: Vec<Option<Cell>> = (0..=highest).map(|_| None).collect();
    for row in procedures {
        table[number(row)] = Some(Cell {
            name: row.name,
            failed: AtomicU64::new(0),
            times: Histogram::new(BOUNDS),
        });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_procedure_and_result() {
        let calls = Calls::new();
        let [first, second] = [&procedures::TABLE[0], &own::TABLE[0]];
        calls.answered(0x2000_8086, first, false, Duration::from_millis(3));
        calls.answered(0x2000_8086, first, true, Duration::from_millis(3));
        calls.answered(own::PROGRAM, second, false, Duration::ZERO);
        let pictures = calls.pictures();
        let short: Vec<_> = pictures
            .iter()
            .map(|p| (p.name, p.failed, p.times.count))
            .collect();
        assert_eq!(short, [(first.name, 1, 2), (second.name, 0, 1)]);
    }

    #[test]
    fn no_two_procedures_share_a_name() {
        let rows = procedures::TABLE.iter().chain(own::TABLE);
        let mut names: Vec<_> = rows.map(|row| row.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

//! `/proc/PID/stat`, the line that says most of what this crate wants to know.

use std::fs;
use std::io;

/// What this crate needs of `/proc/PID/stat`.
#[derive(Debug, Clone)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) parent: i32,
    /// The leader of its process group; 0 where that is outside of our process namespace.
    pub(super) group: i32,
    /// Processor time, user and kernel, in clock ticks.
    pub(super) cpu: u64,
    pub(super) start_time: u64,
}

impl Stat {
    pub(super) fn read(pid: i32) -> io::Result<Stat> {
        let text = match fs::read(format!("/proc/{pid}/stat")) {
            // A process that ends between open and read.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            other => other?,
        };
        Stat::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The name in parentheses may itself hold spaces and parentheses: fields are counted after the last one.
    pub(super) fn parse(text: &[u8]) -> Option<Stat> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = str::from_utf8(&text[end + 1..]).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let user: u64 = fields.nth(8)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let start_time = fields.nth(6)?.parse().ok()?;
        Some(Stat {
            state,
            parent,
            group,
            cpu: user.saturating_add(system),
            start_time,
        })
    }

    pub(super) fn runs(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// All processes that are there, in no order: one pass over `/proc`.
pub(super) fn of_all() -> impl Iterator<Item = (i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that ends meanwhile is not there.
    numbers.filter_map(|pid| Some((pid, Stat::read(pid).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let line = b"42 (a) b) (c) S 7 42 42 0 -1 4194560 1 0 0 0 30 4 0 0 20 0 1 0 12345 1 2 3";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.start_time, stat.state), (7, 12345, b'S'));
        assert_eq!(stat.cpu, 34);
        assert!(stat.runs());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Stat::parse(&bytes);
        }
    }
}

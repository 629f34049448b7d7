//! The reading ends of a script's output, which the keeper holds as well: what is read from them is only what comes after
//! the daemon let go of them.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::message::{LATE_MOST, LATE_PIECE, Report, Stream};

/// So often a pipe that nobody writes to any more is read at most: far more than a pipe holds.
const READS: usize = 256;

/// The reading ends that somebody may still write to.
pub(super) struct Outlets {
    list: Vec<Outlet>,
    /// What is read is told, up to a limit; otherwise it is thrown away.
    pub(super) keep: bool,
}

struct Outlet {
    stream: Stream,
    pipe: OwnedFd,
    /// How much may still be told; nothing after it was said that more came.
    room: Option<usize>,
}

/// What one read gave.
enum Got {
    Something,
    /// Nothing now.
    Nothing,
    /// Nothing ever.
    End,
}

impl Outlets {
    pub(super) fn new(stdout: OwnedFd, stderr: OwnedFd) -> Outlets {
        let outlet = |(stream, pipe)| Outlet {
            stream,
            pipe,
            room: Some(LATE_MOST),
        };
        Outlets {
            list: [(Stream::Stdout, stdout), (Stream::Stderr, stderr)]
                .map(outlet)
                .into(),
            keep: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.list
            .iter()
            .map(|outlet| PollFd::new(&outlet.pipe, PollFlags::IN))
    }

    /// Whether nobody can write into any of them.
    pub(super) fn have_no_writer(&self) -> bool {
        self.list.iter().all(Outlet::has_no_writer)
    }

    /// One read each: whoever writes without end must not keep the keeper from its other duties.
    pub(super) fn read_once(&mut self, mut tell: impl FnMut(Report)) {
        let keep = self.keep;
        self.list
            .retain_mut(|outlet| !matches!(outlet.read(keep, &mut tell), Got::End));
    }

    /// Lets those go that nobody can write to; what is in them is taken first, if it is to be told.
    pub(super) fn let_go(&mut self, mut tell: impl FnMut(Report)) {
        let keep = self.keep;
        self.list.retain_mut(|outlet| {
            let is_over = outlet.has_no_writer();
            if is_over && keep {
                outlet.read_all(&mut tell);
            }
            !is_over
        });
    }

    /// Takes what is in all of them, if it is to be told: nobody looks at them any more.
    pub(super) fn finish(mut self, mut tell: impl FnMut(Report)) {
        if self.keep {
            self.list.iter_mut().for_each(|outlet| outlet.read_all(&mut tell));
        }
    }
}

impl Outlet {
    fn read_all(&mut self, tell: &mut impl FnMut(Report)) {
        let mut reads = 0;
        while reads < READS && self.room.is_some() && matches!(self.read(true, tell), Got::Something) {
            reads += 1;
        }
    }

    fn read(&mut self, keep: bool, tell: &mut impl FnMut(Report)) -> Got {
        let mut bytes = [0u8; LATE_PIECE];
        match rustix::io::read(&self.pipe, &mut bytes) {
            Ok(0) => Got::End,
            Ok(count) => {
                if keep {
                    self.tell(&bytes[..count], tell);
                }
                Got::Something
            }
            Err(Errno::AGAIN | Errno::INTR) => Got::Nothing,
            Err(_) => Got::End,
        }
    }

    fn tell(&mut self, bytes: &[u8], tell: &mut impl FnMut(Report)) {
        let Some(room) = self.room else { return };
        let (told, lost) = bytes.split_at(room.min(bytes.len()));
        let stream = self.stream;
        if !told.is_empty() {
            let bytes = told.to_vec();
            tell(Report::Printed { stream, bytes });
        }
        self.room = Some(room - told.len());
        if !lost.is_empty() {
            self.room = None;
            tell(Report::Cut(stream));
        }
    }

    fn has_no_writer(&self) -> bool {
        let mut list = [PollFd::new(&self.pipe, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut list, Some(&now)).is_ok() && list[0].revents().contains(PollFlags::HUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::set_nonblocking;
    use std::fs::File;
    use std::io::Write;

    /// Outlets of which the first one's writing end is given; the second one is at its end.
    fn outlets(keep: bool) -> (Outlets, File) {
        let (stdout, writer) = std::io::pipe().unwrap();
        let (stderr, _) = std::io::pipe().unwrap();
        set_nonblocking(&stdout).unwrap();
        let mut outlets = Outlets::new(stdout.into(), stderr.into());
        outlets.keep = keep;
        (outlets, OwnedFd::from(writer).into())
    }

    fn told(reports: &[Report]) -> usize {
        let length = |report: &Report| match report {
            Report::Printed { bytes, .. } => bytes.len(),
            _ => 0,
        };
        reports.iter().map(length).sum()
    }

    #[test]
    fn r93_late_output_is_told_up_to_the_limit_and_the_cut_once() {
        let (mut outlets, mut writer) = outlets(true);
        let mut reports = Vec::new();
        for _ in 0..10 {
            writer.write_all(&[b'x'; 10_000]).unwrap();
            outlets.read_once(|report| reports.push(report));
        }
        assert_eq!(told(&reports), LATE_MOST);
        assert_eq!(reports.last(), Some(&Report::Cut(Stream::Stdout)));
        let cuts = reports.iter().filter(|report| matches!(report, Report::Cut(_)));
        assert_eq!(cuts.count(), 1);
        assert_eq!(outlets.list.len(), 1, "the other one is over");
    }

    #[test]
    fn r93_exactly_the_limit_is_not_cut() {
        let (mut outlets, mut writer) = outlets(true);
        let mut reports = Vec::new();
        for _ in 0..4 {
            writer.write_all(&[b'x'; LATE_PIECE]).unwrap();
            outlets.read_once(|report| reports.push(report));
        }
        drop(writer);
        outlets.read_once(|report| reports.push(report));
        assert_eq!(told(&reports), LATE_MOST);
        assert_eq!(reports.len(), 4);
        assert!(outlets.is_empty());
    }

    #[test]
    fn r93_what_is_in_a_pipe_that_is_let_go_is_told() {
        for all in [false, true] {
            let (mut outlets, mut writer) = outlets(true);
            writer.write_all(&[b'x'; 40_000]).unwrap();
            let mut reports = Vec::new();
            if all {
                outlets.finish(|report| reports.push(report));
            } else {
                outlets.let_go(|report| reports.push(report));
                assert_eq!(told(&reports), 0, "there is a writer");
                drop(writer);
                outlets.let_go(|report| reports.push(report));
                assert!(outlets.is_empty());
            }
            assert_eq!(told(&reports), 40_000);
        }
    }

    #[test]
    fn r12_unless_it_is_to_be_kept_it_is_thrown_away() {
        let (mut outlets, mut writer) = outlets(false);
        writer.write_all(b"x").unwrap();
        outlets.read_once(|report| panic!("{report:?}"));
        drop(writer);
        outlets.let_go(|report| panic!("{report:?}"));
        assert!(outlets.is_empty());
    }
}

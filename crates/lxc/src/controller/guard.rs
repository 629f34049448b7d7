//! Number 1 of a pid namespace around the container's own: the container ends with it, and it ends with the controller.

use std::os::fd::AsFd;

use ferrovirt_sys::clone::{self, End, Side};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::protocol::{Ending, Failure, Orders};

use super::note::{Note, Ties};
use super::stage;

/// Never returns: starts the stage, which starts init, and waits for init's end.
pub(super) fn run(orders: &Orders, ties: Ties) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Had the controller died before, nobody would send that signal.
    if controller_is_gone(&ties) {
        clone::exit_now(1);
    }
    clone::close_others(&ties.descriptors());
    let stage = match clone::clone(&[], false) {
        Ok(Side::Child) => stage::run(orders, &ties),
        Ok(Side::Parent(pid, _)) => pid,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(0);
            Note::Failed(Failure::new("cannot start the container's stage", errno)).send(&ties.notes, &[]);
            clone::exit_now(1)
        }
    };
    // From now on only those who are about to exec have that pipe.
    let Ties {
        notes,
        words,
        until_exec,
    } = ties;
    drop((words, until_exec));
    loop {
        match clone::collect(true) {
            // The stage is done: init is there.
            Ok(Some((pid, End::Exited(0)))) if pid == stage => {}
            Ok(Some((pid, end))) if pid == stage => {
                if let End::Signaled(signal) = end {
                    let what = format!("the container's stage was killed by signal {signal}");
                    Note::Failed(Failure::new(what, 0)).send(&notes, &[]);
                }
                clone::exit_now(1)
            }
            Ok(Some((_, end))) => {
                Note::Ended(how(end)).send(&notes, &[]);
                clone::exit_now(0)
            }
            Ok(None) | Err(_) => clone::exit_now(1),
        }
    }
}

fn controller_is_gone(ties: &Ties) -> bool {
    let words = ties.words.as_fd();
    let mut list = [PollFd::new(&words, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut list, Some(&now)).is_ok() && list[0].revents().contains(PollFlags::HUP)
}

/// What `reboot(2)` in a pid namespace does: the kernel ends its init by one of two signals.
fn how(end: End) -> Ending {
    const HANGUP: i32 = Signal::HUP.as_raw();
    const INTERRUPT: i32 = Signal::INT.as_raw();
    match end {
        End::Exited(status) => Ending::Exited(status),
        End::Signaled(HANGUP) => Ending::Reboot,
        End::Signaled(INTERRUPT) => Ending::PowerOff,
        End::Signaled(signal) => Ending::Signaled(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_a_reboot_from_a_halt_by_the_signal() {
        assert_eq!(how(End::Signaled(1)), Ending::Reboot);
        assert_eq!(how(End::Signaled(2)), Ending::PowerOff);
        assert_eq!(how(End::Signaled(9)), Ending::Signaled(9));
        assert_eq!(how(End::Exited(7)), Ending::Exited(7));
    }
}

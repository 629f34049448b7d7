//! Asking an init of the System V kind, or systemd, through its FIFO.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};

use super::{Named, Step};
use crate::protocol::Failure;

/// Where the FIFO may be inside, in the order of libvirt.
const PLACES: [&str; 3] = ["/run/initctl", "/dev/initctl", "/etc/.initctl"];

/// `struct init_request`: magic, command, run level, delay, and room.
const LENGTH: usize = 384;
const MAGIC: i32 = 0x0309_1969;
const CHANGE_LEVEL: i32 = 1;

/// The run levels that power off and restart.
pub(super) const POWER_OFF: u8 = b'0';
pub(super) const RESTART: u8 = b'6';

/// Asks for a run level. In the container's mount namespace.
pub(super) fn ask(level: u8) -> Step<()> {
    let Some(fifo) = PLACES.iter().find_map(|place| open(place)) else {
        return Err(Failure::new("nobody listens at /dev/initctl of the container", 0));
    };
    rustix::io::write(&fifo, &request(level))
        .named(|| "cannot write to initctl of the container".to_owned())?;
    Ok(())
}

/// `None` where there is no FIFO or nobody reads from it.
fn open(place: &str) -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::PATH;
    // First without effect: what is no FIFO must not be opened, as that may do something.
    let found = rustix::fs::open(place, flags, Mode::empty()).ok()?;
    let is_fifo = |fd: &OwnedFd| {
        rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    };
    if !is_fifo(&found) {
        return None;
    }
    let fifo = rustix::fs::open(place, flags - OFlags::PATH, Mode::empty()).ok()?;
    is_fifo(&fifo).then_some(fifo)
}

fn request(level: u8) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    for (index, field) in [MAGIC, CHANGE_LEVEL, level.into()].into_iter().enumerate() {
        bytes[index * 4..index * 4 + 4].copy_from_slice(&field.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_sysvinit_reads_it() {
        let bytes = request(POWER_OFF);
        assert_eq!(bytes[..12], [0x69, 0x19, 0x09, 0x03, 1, 0, 0, 0, b'0', 0, 0, 0]);
        assert!(bytes[12..].iter().all(|byte| *byte == 0));
    }
}

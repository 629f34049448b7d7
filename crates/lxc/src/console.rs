//! Pseudo terminals of the host that stand for a container's consoles.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// A pseudo terminal: the end for the controller, and the path for everybody else.
#[derive(Debug)]
pub struct Pty {
    /// The master.
    pub master: OwnedFd,
    /// The other end, `/dev/pts/N`.
    pub path: PathBuf,
}

/// Makes one. What goes through it is not touched: line editing is the business of the container's end.
///
/// # Errors
/// The kernel has none left.
pub fn open() -> io::Result<Pty> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let path = Path::new(OsStr::from_bytes(name.to_bytes())).to_owned();
    let slave = rustix::fs::open(
        &path,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut modes = tcgetattr(&slave)?;
    modes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &modes)?;
    Ok(Pty { master, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::{Read, Write};

    #[test]
    fn what_is_written_comes_out_untouched() {
        let pty = open().unwrap();
        assert!(pty.path.starts_with("/dev/pts/"));
        let mut slave = OpenOptions::new().read(true).write(true).open(&pty.path).unwrap();
        slave.write_all(b"a\nb").unwrap();
        let mut master = std::fs::File::from(pty.master);
        let mut read = [0; 3];
        master.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"a\nb");
    }
}

//! The places where lines end up.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use jiff::tz::TimeZone;

use super::line::{self, Record};
use super::syntax::{Destination, Level, Output};
use crate::error::Error;

/// The name under which the journal knows us.
const IDENTIFIER: &str = "ferrovirtd";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// An output that is open.
pub struct Sink {
    level: Level,
    introduced: bool,
    kind: Kind,
}

enum Kind {
    Stderr,
    File(File),
    Syslog {
        name: String,
        socket: UnixDatagram,
        zone: TimeZone,
    },
    Journald(UnixDatagram),
}

/// Open all outputs.
///
/// # Errors
/// The first one that cannot be opened.
pub fn open_all(outputs: &[Output]) -> Result<Vec<Sink>, Error> {
    outputs.iter().map(Sink::open).collect()
}

impl Sink {
    /// Open an output. The sockets of syslog and the journal are connected when there is something to
    /// say, since those programs may come and go.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn open(output: &Output) -> Result<Self, Error> {
        let datagram = |path: &str| {
            UnixDatagram::unbound().map_err(|source| Error::File {
                action: "make a socket for",
                path: path.into(),
                source,
            })
        };
        let kind = match &output.destination {
            Destination::Stderr => Kind::Stderr,
            Destination::File(path) => Kind::File(append(path)?),
            Destination::Syslog(name) => Kind::Syslog {
                name: name.clone(),
                socket: datagram(SYSLOG)?,
                zone: TimeZone::system(),
            },
            Destination::Journald => Kind::Journald(datagram(JOURNAL)?),
        };
        Ok(Self {
            level: output.level,
            introduced: false,
            kind,
        })
    }

    /// This takes the place of others: whose log it is need not be said again where it was said.
    pub fn succeed(&mut self, others: &[Sink]) {
        self.introduced = others
            .iter()
            .any(|other| other.introduced && other.is_same_place(self));
    }

    fn is_same_place(&self, other: &Sink) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Stderr, Kind::Stderr) => true,
            (Kind::File(one), Kind::File(two)) => match (one.metadata(), two.metadata()) {
                (Ok(one), Ok(two)) => (one.dev(), one.ino()) == (two.dev(), two.ino()),
                _ => false,
            },
            _ => false,
        }
    }

    /// Write a record if it matters enough.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn write(&mut self, record: &Record, pid: u32, hostname: &str) -> io::Result<()> {
        if record.level < self.level {
            return Ok(());
        }
        let mut text = String::new();
        if !std::mem::replace(&mut self.introduced, true) {
            text = line::introduction(record.time, pid, hostname);
        }
        match &mut self.kind {
            Kind::Stderr => io::stderr().write_all((text + &line::format(record, pid)).as_bytes()),
            Kind::File(file) => file.write_all((text + &line::format(record, pid)).as_bytes()),
            Kind::Syslog { name, socket, zone } => send(
                socket,
                SYSLOG,
                |record| line::syslog(record, pid, name, zone).into_bytes(),
                record,
            ),
            Kind::Journald(socket) => send(
                socket,
                JOURNAL,
                |record| line::journal(record, IDENTIFIER),
                record,
            ),
        }
    }
}

fn append(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| Error::File {
            action: "open log file",
            path: path.to_owned(),
            source,
        })
}

/// A datagram has a limit; what is longer is cut, and says so.
fn send(
    socket: &UnixDatagram,
    path: &str,
    form: impl Fn(&Record) -> Vec<u8>,
    record: &Record,
) -> io::Result<()> {
    const KEPT: usize = 32 << 10;
    match socket.send_to(&form(record), path) {
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
            let mut cut = record.clone();
            let end = (0..=KEPT.min(cut.text.len()))
                .rev()
                .find(|at| cut.text.is_char_boundary(*at))
                .unwrap_or(0);
            cut.text.truncate(end);
            cut.text
                .push_str(&format!(" [cut: {} bytes in all]", record.text.len()));
            socket.send_to(&form(&cut), path).map(drop)
        }
        other => other.map(drop),
    }
}

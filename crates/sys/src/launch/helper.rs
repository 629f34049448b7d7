//! The program `ferrovirt-launch`: takes its orders, forks, and stays only until the exec has succeeded.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use super::child;
use super::orders::{Answer, Orders};
use crate::process::ProcessId;
use crate::socket;

/// The main function of `ferrovirt-launch`.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrovirt-launch: {error} (this program is started by the daemon, not by hand)");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let socket = socket::take_from_stdin()?;
    let (message, fds) = socket::receive_message(&socket)?;
    let orders = Orders::decode(&message, fds).map_err(socket::broken)?;
    let answer = start(orders)?.encode().map_err(socket::broken)?;
    socket::send_all(&socket, &answer, &[])
}

/// A new session without terminal, then a fork: the program is no session leader and can get no terminal by accident.
fn start(orders: Orders) -> io::Result<Answer> {
    rustix::process::setsid()?;
    let (reader, writer) = io::pipe()?;
    // SAFETY: this program has one thread, so the child may do whatever the parent could.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            child::become_program(orders, OwnedFd::from(writer))
        }
        pid => {
            drop(writer);
            // The child is not collected by us while it lives, so its number cannot be another process's.
            let id = ProcessId::of(pid)?;
            Ok(child_s_word(reader.into())?.unwrap_or(Answer::Started(id)))
        }
    }
}

/// What the child had to say; nothing when it could exec, as that closes its end.
fn child_s_word(reader: OwnedFd) -> io::Result<Option<Answer>> {
    let mut word = Vec::new();
    File::from(reader).read_to_end(&mut word)?;
    if word.is_empty() {
        return Ok(None);
    }
    Answer::decode(&word).map(Some).map_err(socket::broken)
}

//! The program `ferrovirt-launch`: takes its orders, forks, waits until it is told to go on, and stays only until the exec
//! has succeeded.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use super::child;
use super::orders::{Answer, GO, Orders};
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
    let tell = |answer: Answer| {
        let message = answer.encode().map_err(socket::broken)?;
        socket::send_all(&socket, &message, &[])
    };
    let born = bear(orders)?;
    tell(Answer::Ready(born.id))?;
    // A daemon that is gone has written nothing down: the child ends with the pipe that it waits at.
    if socket::receive(&socket, &mut [0], &mut Vec::new())? == 0 {
        return Ok(());
    }
    let mut go = born.go;
    go.write_all(&[GO])?;
    drop(go);
    tell(child_s_word(born.word)?.unwrap_or(Answer::Started(born.id)))
}

/// A child that waits for its word.
struct Born {
    id: ProcessId,
    go: PipeWriter,
    word: PipeReader,
}

/// A new session without terminal, then a fork: the program is no session leader and can get no terminal by accident.
fn bear(orders: Orders) -> io::Result<Born> {
    rustix::process::setsid()?;
    let (word, report) = io::pipe()?;
    let (wait, go) = io::pipe()?;
    // SAFETY: this program has one thread, so the child may do whatever the parent could.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop((word, go));
            child::become_program(orders, OwnedFd::from(report), wait)
        }
        pid => {
            drop((report, wait));
            // The child is not collected by us while it lives, so its number cannot be another process's.
            let id = ProcessId::of(pid)?;
            Ok(Born { id, go, word })
        }
    }
}

/// What the child had to say; nothing when it could exec, as that closes its end.
fn child_s_word(mut reader: PipeReader) -> io::Result<Option<Answer>> {
    let mut word = Vec::new();
    reader.read_to_end(&mut word)?;
    if word.is_empty() {
        return Ok(None);
    }
    Answer::decode(&word).map(Some).map_err(socket::broken)
}

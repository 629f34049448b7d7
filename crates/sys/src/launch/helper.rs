//! The program `ferrovirt-launch`: takes its orders, forks, waits until it is told to go on, and stays only until the exec
//! has succeeded.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use super::child;
use super::orders::{Answer, GO, Orders};
use crate::cgroup;
use crate::clone::{self, Side};
use crate::private_dev;
use crate::process::ProcessId;
use crate::socket;

/// The main function of `ferrovirt-launch`.
pub fn main() -> ExitCode {
    run("ferrovirt-launch", None)
}

/// The main function of a program that is its own launcher: what it starts is itself, which begins with `begin` as if it had been
/// executed: with the ordered arguments in sight, the ordered descriptors and no others. The environment is the launcher's.
pub fn main_of(name: &str, begin: fn() -> ExitCode) -> ExitCode {
    run(name, Some(begin))
}

fn run(name: &str, begin: Option<fn() -> ExitCode>) -> ExitCode {
    match serve(begin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error} (this program is started by the daemon, not by hand)");
            ExitCode::FAILURE
        }
    }
}

fn serve(begin: Option<fn() -> ExitCode>) -> io::Result<()> {
    let socket = socket::take_from_stdin()?;
    let (message, fds) = socket::receive_message(&socket)?;
    let orders = Orders::decode(&message, fds).map_err(socket::broken)?;
    let tell = |answer: Answer| {
        let message = answer.encode().map_err(socket::broken)?;
        socket::send_all(&socket, &message, &[])
    };
    // Before the child is in its control group, where nobody may make nodes.
    if let Some(Err((step, error))) = orders.dev.as_deref().map(private_dev::enter) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        return tell(Answer::Failed { step, errno });
    }
    let born = bear(orders, begin)?;
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
fn bear(mut orders: Orders, begin: Option<fn() -> ExitCode>) -> io::Result<Born> {
    rustix::process::setsid()?;
    let (word, report) = io::pipe()?;
    let (wait, go) = io::pipe()?;
    match split(&mut orders.cgroups)? {
        Side::Child => {
            drop((word, go));
            child::become_program(orders, OwnedFd::from(report), wait, begin)
        }
        Side::Parent(pid, _) => {
            drop((report, wait));
            // The child is not collected by us while it lives, so its number cannot be another process's.
            let id = ProcessId::of(pid)?;
            Ok(Born { id, go, word })
        }
    }
}

/// The fork. Of these control groups the child is born in the one that a child can be born in, which it need not enter then.
fn split(cgroups: &mut Vec<PathBuf>) -> io::Result<Side> {
    let of_version_2 = |file: &PathBuf| file.parent().is_some_and(cgroup::is_v2_group);
    let Some(at) = cgroups.iter().position(of_version_2) else {
        return clone::clone(&[], false);
    };
    let file = cgroups.remove(at);
    let group = file
        .parent()
        .map_or_else(|| Err(io::ErrorKind::NotFound.into()), fs::File::open);
    if let Ok(side) = group.and_then(|group| clone::clone_into(group.as_fd())) {
        return Ok(side);
    }
    // An old kernel, for example: it enters the group as it does the others, and is told what is wrong with it.
    cgroups.insert(at, file);
    clone::clone(&[], false)
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

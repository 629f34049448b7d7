//! `--daemon`: a copy of this program stays, this process ends as soon as the copy answers clients.
//!
//! The copy is started anew and not forked, since a fork of a program with threads keeps none of them.

use std::io::{self, Read, Write};
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::{Mode, OFlags};

/// What the copy says when clients can connect.
const READY: &[u8] = b"ready\n";

/// Start the copy and wait until it is ready or has ended.
pub fn leave() -> ExitCode {
    match try_leave() {
        Ok(code) => code,
        Err(e) => {
            eprintln!("ferrovirtd: cannot go into the background: {e}");
            ExitCode::FAILURE
        }
    }
}

fn try_leave() -> io::Result<ExitCode> {
    let args = std::env::args_os().skip(1);
    let mut copy = Command::new(std::env::current_exe()?)
        .args(args)
        .arg("--in-background")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(mut pipe) = copy.stdout.take() {
        let mut portion = [0; 16];
        while !said.starts_with(READY) {
            match pipe.read(&mut portion)? {
                0 => break,
                n => said.extend_from_slice(&portion[..n]),
            }
        }
    }
    if said.starts_with(READY) {
        return Ok(ExitCode::SUCCESS);
    }
    let status = copy.wait()?;
    Ok(ExitCode::from(
        status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1),
    ))
}

/// In the copy, first of all: a session of its own, so that no terminal takes it along.
pub fn enter() {
    // Fails only for the leader of a process group, which a child just started is not.
    let _ = rustix::process::setsid();
}

/// In the copy, when clients can connect: let the other process end, and the terminal go.
pub fn ready() {
    let mut out = io::stdout();
    let _ = out.write_all(READY).and_then(|()| out.flush());
    if let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

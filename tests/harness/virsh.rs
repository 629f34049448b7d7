//! Asking the daemon as its users do: with virsh.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::ENVIRONMENT;
use crate::world::{World, our_program};

/// What a command did.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Exit status; -1 when it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// How long it took.
    pub took: Duration,
}

/// The connection that tests use.
pub const URI: &str = "qemu:///system";
/// After so many seconds a virsh hangs.
const LIMIT: &str = "100";

impl Output {
    /// The output of a command that must succeed.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(
            self.code == 0,
            "{}: exit {}\n{}{}",
            self.line,
            self.code,
            self.out,
            self.err
        );
        &self.out
    }

    /// A command that must fail with all these texts in its error.
    ///
    /// # Panics
    /// When it succeeded or says something else.
    #[track_caller]
    pub fn fails_with(&self, texts: &[&str]) -> &str {
        assert!(self.code != 0, "{}: succeeded\n{}", self.line, self.out);
        assert!(self.code != 124 && self.code != -1, "{}: did not end", self.line);
        for text in texts {
            assert!(
                self.err.contains(text),
                "{}: no '{text}' in:\n{}",
                self.line,
                self.err
            );
        }
        &self.err
    }

    /// A command that must not have waited.
    ///
    /// # Panics
    /// When it took longer.
    #[track_caller]
    pub fn within(&self, limit: Duration) -> &Self {
        assert!(
            self.took < limit,
            "{}: took {:?}, more than {limit:?}",
            self.line,
            self.took
        );
        self
    }
}

impl World {
    /// `virsh LINE`, split at blanks.
    pub fn virsh(&self, line: &str) -> Output {
        self.virsh_args(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// `virsh ARGS`.
    pub fn virsh_args(&self, args: &[&str]) -> Output {
        self.virsh_at(URI, args)
    }

    /// `virsh -c URI ARGS`.
    pub fn virsh_at(&self, uri: &str, args: &[&str]) -> Output {
        let start = Instant::now();
        let line = format!("virsh {}", args.join(" "));
        finish(line, start, self.virsh_command_at(uri, args).output())
    }

    /// `virsh LINE` on the side; [`Background::join`] waits for it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn virsh_background(&self, line: &str) -> Background {
        self.virsh_background_at(URI, line)
    }

    /// `virsh -c URI LINE` on the side.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn virsh_background_at(&self, uri: &str, line: &str) -> Background {
        let args: Vec<&str> = line.split_whitespace().collect();
        let child = self
            .virsh_command_at(uri, &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Background {
            line: format!("virsh {line}"),
            start: Instant::now(),
            child: child.expect("virsh can be started"),
        }
    }

    /// `ferrovirt ARGS`, split at blanks.
    pub fn ferrovirt(&self, line: &str) -> Output {
        let args: Vec<&str> = line.split_whitespace().collect();
        let start = Instant::now();
        let mut command = Command::new("timeout");
        command
            .arg(LIMIT)
            .arg(our_program("ferrovirt"))
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .env_clear()
            .envs(ENVIRONMENT.iter().copied())
            .env("LC_ALL", "C");
        finish(format!("ferrovirt {line}"), start, command.output())
    }

    /// The hooks that run now: the object of each, and its number.
    ///
    /// # Panics
    /// When the tool does not answer.
    #[track_caller]
    pub fn hooks_running(&self) -> Vec<(String, String)> {
        let shown = self.ferrovirt("ps --json");
        let all: Vec<serde_json::Value> = serde_json::from_str(shown.ok()).expect("JSON");
        all.iter()
            .map(|hook| {
                let object = hook["arguments"][0].as_str().unwrap_or_default();
                (object.to_owned(), hook["id"].to_string())
            })
            .collect()
    }

    /// The number of the only hook that runs.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    pub fn only_hook(&self) -> String {
        let mut all = self.hooks_running();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).1
    }

    /// The command itself, for other surroundings.
    pub fn virsh_command(&self, args: &[&str]) -> Command {
        self.virsh_command_at(URI, args)
    }

    /// The same at another connection.
    pub fn virsh_command_at(&self, uri: &str, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args([LIMIT, "virsh", "-c", uri])
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
            .env_clear()
            .envs(ENVIRONMENT.iter().copied())
            .env("LC_ALL", "C");
        command
    }
}

/// A command that runs on the side.
pub struct Background {
    line: String,
    start: Instant,
    child: Child,
}

impl Background {
    /// Waits for its end.
    pub fn join(self) -> Output {
        finish(self.line, self.start, self.child.wait_with_output())
    }

    /// Ctrl-C, then waits for its end.
    pub fn interrupt(self) -> Output {
        self.signal("INT");
        self.join()
    }

    /// Ends it as a crash would.
    pub fn kill(self) -> Output {
        self.signal("KILL");
        self.join()
    }

    /// To the command itself, which `timeout` runs.
    fn signal(&self, signal: &str) {
        let _ = Command::new("pkill")
            .args(["-P", &self.child.id().to_string()])
            .arg(format!("-{signal}"))
            .status();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn finish(line: String, start: Instant, output: std::io::Result<std::process::Output>) -> Output {
    let took = start.elapsed();
    match output {
        Ok(output) => Output {
            line,
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took,
        },
        Err(error) => Output {
            line,
            code: -1,
            out: String::new(),
            err: error.to_string(),
            took,
        },
    }
}

//! A keeper that runs a shell script, and what tests look at.

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_sys::dev_null;
use ferrovirt_sys::keeper::{Ended, Keeper, Report, Script, Surroundings};
use ferrovirt_sys::pipe::PipeReader;
use tempfile::TempDir;
use tokio::sync::Mutex;

/// Longer than anything here takes: what is not there by then never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between the making of a pipe and its way to the keeper, a process that another test spawns has it too until it execs,
/// and then it is somebody who might still write. Whoever spawns, or makes pipes, takes turns.
pub async fn turn() -> impl Drop {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// The keeper's program.
pub fn program() -> &'static Path {
    env!("CARGO_BIN_EXE_ferrovirt-keeper").as_ref()
}

pub async fn keeper() -> Keeper {
    let _turn = turn().await;
    Keeper::start(program()).await.unwrap()
}

/// A keeper's program that is started in some other way, by this shell text; `$K` is the keeper.
pub struct Home {
    program: PathBuf,
    _dir: TempDir,
}

impl Home {
    pub fn new(text: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), open.clone()).unwrap();
        let copy = dir.path().join("ferrovirt-keeper");
        fs::copy(program(), &copy).unwrap();
        let path = dir.path().join("start");
        let begin = "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin";
        fs::write(&path, format!("{begin}\nexport K={}\n{text}\n", copy.display())).unwrap();
        fs::set_permissions(&path, open).unwrap();
        Home {
            program: path,
            _dir: dir,
        }
    }

    /// Where there are no control groups.
    pub fn without_groups() -> Home {
        Home::new("exec unshare -m sh -c 'umount -l /sys/fs/cgroup; exec env -i $K'")
    }

    pub async fn keeper(&self) -> Keeper {
        let _turn = turn().await;
        Keeper::start(&self.program).await.unwrap()
    }
}

/// A keeper that runs this shell script with `$D` a directory; its output's reading ends.
pub struct Running {
    pub keeper: Keeper,
    pub stdout: PipeReader,
    pub stderr: PipeReader,
    pub dir: TempDir,
}

impl Running {
    pub async fn script(text: &str) -> Running {
        Running::on(keeper().await, text, Surroundings::default()).await
    }

    pub async fn within(text: &str, surroundings: Surroundings) -> Running {
        Running::on(keeper().await, text, surroundings).await
    }

    pub async fn on(mut keeper: Keeper, text: &str, surroundings: Surroundings) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let script = Script {
            surroundings,
            ..shell(text, dir.path())
        };
        let (stdout, stderr) = run(&mut keeper, script).await;
        Running {
            keeper,
            stdout,
            stderr,
            dir,
        }
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// Lets a script go on that waits for this file.
    pub fn put(&self, name: &str) {
        fs::write(self.dir.path().join(name), "").unwrap();
    }

    pub async fn next(&mut self) -> Report {
        tokio::time::timeout(PATIENCE, self.keeper.next())
            .await
            .unwrap()
            .unwrap()
    }

    /// From the start to the end of everything: how it ended, and what came on standard output and standard error.
    /// (A short script may be over before its pipes have left this process; whether it was empty at once is not said.)
    pub async fn finished(&mut self) -> (Report, String, String) {
        started(self.next().await);
        let report = self.next().await;
        let output = (all(&mut self.stdout).await, all(&mut self.stderr).await);
        let report = match report {
            Report::Exited { how, oom, empty } => {
                if !empty {
                    self.keeper.release(false).await.unwrap();
                    assert_eq!(self.next().await, Report::Empty);
                }
                let empty = true;
                Report::Exited { how, empty, oom }
            }
            other => other,
        };
        (report, output.0, output.1)
    }

    /// The end of the whole tree, after the main process ended like this.
    pub async fn until_empty(&mut self, how: Ended) {
        match self.next().await {
            Report::Exited { how: it, empty, .. } => {
                assert_eq!(it, how);
                if empty {
                    return;
                }
            }
            other => panic!("{other:?}"),
        }
        self.keeper.release(false).await.unwrap();
        assert_eq!(self.next().await, Report::Empty);
    }
}

async fn all(pipe: &mut PipeReader) -> String {
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match pipe.read(&mut chunk).await.unwrap() {
            0 => return String::from_utf8(text).unwrap(),
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
}

pub fn shell(text: &str, dir: &Path) -> Script {
    let env = [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("D", dir.to_str().unwrap()),
    ];
    Script {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), text.into()],
        env: env
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .to_vec(),
        ..Script::default()
    }
}

pub async fn run(keeper: &mut Keeper, script: Script) -> (PipeReader, PipeReader) {
    let _turn = turn().await;
    let (stdout, stdout_end): (PipeReader, OwnedFd) = PipeReader::new().unwrap();
    let (stderr, stderr_end) = PipeReader::new().unwrap();
    keeper
        .run(
            script,
            [dev_null().unwrap(), stdout_end, stderr_end],
            [&stdout, &stderr],
        )
        .await
        .unwrap();
    (stdout, stderr)
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "waited in vain until {what}");
}

pub fn started(report: Report) -> i32 {
    match report {
        Report::Started(pid) => pid,
        other => panic!("{other:?}"),
    }
}

/// An end without anything left behind.
pub fn ended(how: Ended) -> Report {
    Report::Exited {
        how,
        empty: true,
        oom: false,
    }
}

/// The end of the main process only.
pub fn left_behind(how: Ended) -> Report {
    Report::Exited {
        how,
        empty: false,
        oom: false,
    }
}

/// Whether a test can be done here. Under CI it must be.
pub fn can(is_so: bool, otherwise: &str) -> bool {
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(is_so || !is_ci, "skipped although this is CI: {otherwise}");
    if !is_so {
        eprintln!("skipped: {otherwise}");
    }
    is_so
}

pub fn is_root() -> bool {
    can(
        rustix::process::geteuid().is_root(),
        "only root can change users, namespaces and control groups",
    )
}

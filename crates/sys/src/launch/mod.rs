//! Starting what outlives the daemon: QEMU, dnsmasq.
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub use crate::error::LaunchError;
use crate::process::ProcessId;

/// What is to be started, and how.
#[derive(Debug, Default)]
pub struct Orders {
    /// What is executed; also argv[0].
    pub program: PathBuf,
    /// The arguments after argv[0].
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; `/` when not given.
    pub cwd: Option<PathBuf>,
    /// User to become.
    pub uid: Option<u32>,
    /// Group to become.
    pub gid: Option<u32>,
    /// Supplementary groups; where `uid` is given and this is not, there are none.
    pub groups: Option<Vec<u32>>,
    /// File mode mask; the daemon's when not given.
    pub umask: Option<u32>,
    /// Keep root's capabilities; otherwise the program has none, also as root.
    pub keep_capabilities: bool,
    /// Standard output; `/dev/null` when not given.
    pub stdout: Option<OwnedFd>,
    /// Standard error; `/dev/null` when not given.
    pub stderr: Option<OwnedFd>,
    /// Further descriptors and the numbers (3 or more) that they have in the program.
    pub fds: Vec<(OwnedFd, i32)>,
    /// `cgroup.procs` files to enter.
    pub cgroup_procs: Vec<PathBuf>,
    /// Limit of open files.
    pub nofile: Option<u64>,
    /// Limit of locked memory, bytes.
    pub memlock: Option<u64>,
    /// Limit of core files, bytes.
    pub core: Option<u64>,
    /// How willingly the kernel kills it when memory is short, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

impl Orders {
    /// Orders with nothing set but the program.
    pub fn new(program: impl Into<PathBuf>) -> Orders {
        Orders {
            program: program.into(),
            ..Orders::default()
        }
    }
}

/// Starts a program that outlives the daemon.
///
/// # Errors
/// [`LaunchError`].
pub async fn launch(helper: &Path, orders: Orders) -> Result<ProcessId, LaunchError> {
    let _ = (helper, orders);
    todo!()
}

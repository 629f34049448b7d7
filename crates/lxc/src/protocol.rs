//! What the daemon and a container's controller say to each other.
//!
//! The controller is started with its [`Orders`] as JSON on descriptor [`ORDERS_FD`] (a sealed memfd or a pipe that is read
//! to its end) and with a listening unix stream socket on [`SOCKET_FD`]. Whoever connects there hears [`Report::Hello`]
//! first; a newer connection replaces the older one. Each message is one line of JSON. A daemon sends [`Request`]s, each of which gets one
//! [`Report::Answer`]; everything else that the controller says comes by itself.
//!
//! The daemon may be newer or older than the controller, so fields that are not known are passed over and
//! a request that is not known is answered with an error. Within one [`VERSION`] nothing changes its meaning.
//!
//! The controller makes nothing before the first connection, so that somebody hears what comes of it; nobody within a minute, and it
//! exits. The way of a container: [`Phase::Starting`], `Cloned` (the namespaces are there, the daemon moves interfaces in and says
//! [`Ask::Go`]), `Running`, `Ended`; or `Failed` at any point before `Running`. After `Ended` and `Failed` the controller exits.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// Where the controller finds its orders.
pub const ORDERS_FD: i32 = 3;

/// Where the controller finds its listening socket.
pub const SOCKET_FD: i32 = 4;

/// The longest line that either side reads, bytes.
pub const LONGEST_LINE: usize = 1 << 20;

/// What container is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The name of the container; also its host name and `LIBVIRT_LXC_NAME`.
    pub name: String,
    /// Its UUID in the usual form; `LIBVIRT_LXC_UUID`.
    pub uuid: String,
    /// A directory that exists on the host and that the container's file systems are not in. The new root is put together on it, in a mount
    /// namespace of which nobody else sees anything.
    #[serde(default = "staging")]
    pub staging: PathBuf,
    /// What runs in it.
    pub init: Init,
    /// What it shares with the host and what not.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// What is mounted, in this order; the one with the target `/` is mounted first wherever it stands. Without one, the host's root is shared,
    /// as in libvirt.
    pub filesystems: Vec<Filesystem>,
    /// Device nodes besides the usual ones.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Masters of the host's pseudo terminals, numbers of descriptors of the controller. Inside, the first is
    /// `/dev/console` and `/dev/tty1`, the next `/dev/tty2`, and so on.
    #[serde(default)]
    pub consoles: Vec<i32>,
    /// What its root may do.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What `/proc/meminfo` shows inside; the host's when not given. The controller needs `/dev/fuse` for it (and
    /// `/dev/loop*` for images): a device policy of its control group comes after `Cloned`, or lets it have them.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// Its processes can gain no privileges by executing a file.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// System calls that reach the host's kernel as a whole (modules, kexec, keys, clocks, …) are refused.
    #[serde(default)]
    pub seccomp: bool,
}

fn staging() -> PathBuf {
    "/run/libvirt/lxc".into()
}

/// The first process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// What is executed, a path inside; also argv\[0\].
    pub path: String,
    /// The arguments after argv\[0\].
    #[serde(default)]
    pub args: Vec<String>,
    /// `<initenv>`: added to what libvirt gives every init.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Working directory inside; `/` when not given.
    #[serde(default)]
    pub dir: Option<String>,
    /// User inside, by name (of the container's `/etc/passwd`) or number; `+5` is a number in any case.
    #[serde(default)]
    pub user: Option<String>,
    /// Group inside, by name (of the container's `/etc/group`) or number.
    #[serde(default)]
    pub group: Option<String>,
}

/// What the container has for itself. Mount, pid, IPC, UTS and control group namespaces it always has, unless shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// A network namespace of its own (interfaces, or `<privnet/>`); otherwise the host's, unless one is shared.
    #[serde(default)]
    pub private_network: bool,
    /// Namespaces of others to be entered (`lxc:namespace`).
    #[serde(default)]
    pub shared: Vec<Shared>,
    /// `<idmap>`: a user namespace.
    #[serde(default)]
    pub user: Option<IdMaps>,
}

/// A namespace of another container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Which one.
    pub kind: SharedKind,
    /// Its file, for example `/proc/123/ns/net`.
    pub path: PathBuf,
}

/// The kinds of namespace that can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharedKind {
    /// `<lxc:sharenet>`
    Net,
    /// `<lxc:shareipc>`
    Ipc,
    /// `<lxc:shareuts>`
    Uts,
}

/// The ids of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Users.
    pub uids: Vec<IdRange>,
    /// Groups.
    pub gids: Vec<IdRange>,
}

/// Consecutive ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first id inside.
    pub start: u32,
    /// The first id on the host.
    pub target: u32,
    /// How many.
    pub count: u32,
}

/// One `<filesystem>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// What is mounted.
    pub source: Source,
    /// Where inside, absolute. Missing directories are made.
    pub target: PathBuf,
    /// Nothing can be written to it.
    #[serde(default)]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `type='mount'`: a directory or a file of the host.
    Mount(PathBuf),
    /// `type='bind'`: a directory or a file of the container, under another name.
    Bind(PathBuf),
    /// `type='file'`: an image with a file system, through a loop device.
    File {
        /// The image.
        path: PathBuf,
        /// Its file system; found out by trying when not given.
        #[serde(default)]
        format: Option<String>,
    },
    /// `type='block'`: a device with a file system.
    Block {
        /// The device.
        path: PathBuf,
        /// Its file system; found out by trying when not given.
        #[serde(default)]
        format: Option<String>,
    },
    /// `type='ram'`: memory.
    Ram {
        /// How much, KiB.
        size_kib: u64,
        /// Further options of tmpfs: `mode=700,nr_inodes=100`.
        #[serde(default)]
        options: String,
    },
}

/// A device of the host that the container may use. The device policy of its control group is the daemon's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The node on the host, which says whether it is a character or a block device, and its numbers.
    pub host: PathBuf,
    /// Its path inside, absolute.
    pub inside: PathBuf,
}

/// `<features><capabilities>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What holds for those that are not named.
    #[serde(default)]
    pub policy: Policy,
    /// Names as in the document (`sys_time`), state `on`.
    #[serde(default)]
    pub on: Vec<String>,
    /// Names as in the document, state `off`.
    #[serde(default)]
    pub off: Vec<String>,
}

/// The policy attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All but a few that reach the host: see `controller::caps`.
    #[default]
    Default,
    /// All.
    Allow,
    /// None.
    Deny,
}

/// The limits that `/proc/meminfo` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Directory of the memory control group, where the usage is read: `/sys/fs/cgroup/memory/machine.slice/…`.
    pub group: PathBuf,
    /// Memory in KiB.
    pub total_kib: u64,
    /// Swap in KiB; 0 when the container has none.
    #[serde(default)]
    pub swap_kib: u64,
}

/// What the daemon sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Comes back with the answer.
    pub id: u64,
    /// What is asked for.
    pub ask: Ask,
}

/// What the daemon asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The interfaces are in: go on.
    Go,
    /// Ask init to power off, by the ways given, the first that works.
    Shutdown(Ways),
    /// Ask init to restart the container.
    Reboot(Ways),
    /// Mount something in the running container.
    Mount(Filesystem),
    /// The opposite, by the path inside.
    Unmount(PathBuf),
    /// Make a device node in the running container.
    MakeNode(Node),
    /// The opposite, by the path inside.
    RemoveNode(PathBuf),
    /// End everything in the container at once. `Ended` follows.
    Kill,
}

/// How init is asked; at least one must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// `/dev/initctl` (or `/run/initctl`) of the container, tried first.
    pub initctl: bool,
    /// A signal: SIGTERM for a shutdown, SIGHUP for a reboot.
    pub signal: bool,
}

/// What the controller says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The first message on each connection.
    Hello(Hello),
    /// The namespaces and init's process are there; init waits for [`Ask::Go`].
    Cloned {
        /// Init's number where the controller lives.
        init: i32,
    },
    /// Init was executed.
    Running,
    /// It does not start; nothing is left of it.
    Failed(Failure),
    /// Init is gone, and with it everything in the container.
    Ended(Ending),
    /// The answer to a request.
    Answer {
        /// That of the request.
        id: u64,
        /// Whether it worked.
        result: Result<(), Failure>,
    },
}

/// How things stand when somebody connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the controller.
    pub version: u32,
    /// The name of the container.
    pub name: String,
    /// Init's number where the controller lives, once it is there.
    pub init: Option<i32>,
    /// How far it is.
    pub phase: Phase,
}

/// How far a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its file systems are put together.
    Starting,
    /// Init waits for [`Ask::Go`].
    Cloned,
    /// It was told to go on and prepares itself.
    Preparing,
    /// Init was executed.
    Running,
    /// Init is gone, or never came up.
    Ended,
}

/// What could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The beginning of a sentence that names the thing: `cannot mount /srv/root on /`.
    pub what: String,
    /// The kernel's number; 0 when it was not the kernel that refused.
    pub errno: i32,
}

impl Failure {
    /// A failure that the kernel explains.
    pub fn new(what: impl Into<String>, errno: i32) -> Self {
        Self {
            what: what.into(),
            errno,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            0 => f.write_str(&self.what),
            errno => write!(f, "{}: {}", self.what, ferrovirt_sys::errno_text(errno)),
        }
    }
}

impl std::error::Error for Failure {}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Init exited with this status.
    Exited(i32),
    /// A signal killed init, other than by `reboot(2)`.
    Signaled(i32),
    /// Something inside powered off or halted (`reboot(2)`; the kernel ends init by SIGINT).
    PowerOff,
    /// Something inside restarted (`reboot(2)`; the kernel ends init by SIGHUP).
    Reboot,
}

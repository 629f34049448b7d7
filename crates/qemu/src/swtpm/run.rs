//! A chip's life in one run of its guest: storage, program, end.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrovirt_guest::{BackendError, Run, Step};
use ferrovirt_model::domain::{TpmBackend, TpmRemoveDisabled, TpmVersion};
use ferrovirt_sys::blocking;
use ferrovirt_sys::launch::Orders;
use ferrovirt_sys::pidfd::PidFd;
use ferrovirt_sys::process::{self, ProcessId};

use super::programs::Swtpm;
use super::storage::{Storage, make_dir, of_guest, owner, socket_path};
use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::live::socket;
use crate::live::tpm::emulated;
use crate::places::give;

/// Kind of the steps of this module.
pub const STEP: &str = "swtpm";
/// In a step: the process.
const PROCESS: &str = "process";
/// In a step: the storage that is being made, and is worth nothing until it is.
const UNFINISHED: &str = "unfinished";
/// In a step: where the chip listens.
const SOCKET: &str = "socket";
/// In a step: where its number is.
const PID_FILE: &str = "pid-file";

/// How long making a chip may take: keys of 2048 bits on a machine under load.
const SETUP_LIMIT: Duration = Duration::from_secs(120);
/// How long a process that was asked to end may take before it is killed.
const AFTER_TERM: Duration = Duration::from_secs(5);
/// How long a killed one may take to go.
const AFTER_KILL: Duration = Duration::from_secs(30);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Where the chip finds its socket.
const SOCKET_FD: i32 = 3;
/// Where the shell that runs the setup tells what came of it.
const STATUS_FD: i32 = 3;
/// Runs the program that is its arguments and tells its exit status: nobody can ask for that of a process which is not his
/// child.
const TELL_STATUS: &str = r#""$@"; echo $? >&3"#;

/// One start of a chip.
struct Start<'a> {
    config: &'a QemuConfig,
    swtpm: &'a Swtpm,
    backend: TpmBackend,
    storage: Storage,
    log: PathBuf,
    socket: PathBuf,
    cgroups: Vec<PathBuf>,
}

/// Starts the chip of a guest that has one; its socket takes calls when this returns.
///
/// # Errors
/// There is no swtpm any more, what is asked for is not in it, or it fails: its log has the words.
pub async fn start(
    run: &mut Run,
    config: &QemuConfig,
    swtpm: Option<&Swtpm>,
    cgroups: &[PathBuf],
) -> std::result::Result<(), BackendError> {
    let Some((_, backend)) = emulated(&run.doc) else {
        return Ok(());
    };
    let backend = backend.clone();
    let swtpm = swtpm.ok_or_else(|| Error::Failed("Unable to find 'swtpm' binary in $PATH".to_owned()))?;
    if let Some(encryption) = &backend.encryption {
        return Err(Error::Failed(format!(
            "Secret not found: no secret with matching uuid '{}'",
            encryption.secret
        ))
        .into());
    }
    let start = Start {
        storage: Storage::of(&backend, run.doc.uuid, config),
        log: config.swtpm_log_dir.join(format!("{}-swtpm.log", run.name())),
        socket: socket_path(config, run.id, run.name()),
        cgroups: cgroups.to_vec(),
        config,
        swtpm,
        backend,
    };
    start.storage(run).await?;
    start.program(run).await
}

impl Start<'_> {
    /// Sees to it that there is something to start from.
    async fn storage(&self, run: &mut Run) -> std::result::Result<(), BackendError> {
        let is_new = blocking::here(|| self.storage.is_new());
        if is_new {
            let mut step = Step::new(STEP).with(UNFINISHED, self.storage.for_setup());
            run.journal(step.clone()).await?;
            blocking::here(|| self.places().and_then(|()| self.storage.make(self.config)))?;
            self.setup(run, &mut step, self.arguments_of_a_new_one(run)?)
                .await?;
            // From here on it is the guest's, whatever comes of this start.
            run.undone(&step);
        } else {
            blocking::here(|| self.places())?;
        }
        let banks = self.backend.active_pcr_banks.as_ref();
        if let Some(banks) = banks {
            if !self.swtpm.setup_can("cmdarg-reconfigure-pcr-banks") {
                return Err(Error::unsupported("swtpm_setup cannot change <active_pcr_banks>").into());
            }
            let mut args = self.common_arguments();
            args.extend(["--pcr-banks".to_owned(), banks.names().join(",")]);
            args.push("--reconfigure".to_owned());
            let mut step = Step::new(STEP);
            run.journal(step.clone()).await?;
            self.setup(run, &mut step, args).await?;
            run.undone(&step);
        }
        Ok(())
    }

    /// Directories for the log and the socket; QEMU's user reaches the socket, nobody else.
    fn places(&self) -> Result<()> {
        let (config, owner) = (self.config, owner(self.config));
        if let Some(above) = config.swtpm_log_dir.parent() {
            std::fs::create_dir_all(above).map_err(Error::io("Cannot create directory", above))?;
        }
        make_dir(&config.swtpm_log_dir, 0o730, owner)?;
        if let Some(dir) = self.socket.parent() {
            let shared = owner.map(|(_, gid)| (config.uid, gid));
            make_dir(dir, 0o770, shared)?;
        }
        Ok(())
    }

    fn common_arguments(&self) -> Vec<String> {
        let mut args = Vec::new();
        if self.backend.version == Some(TpmVersion::V2_0) {
            args.push("--tpm2".to_owned());
        }
        args.extend(["--tpm-state".to_owned(), self.storage.for_setup()]);
        args.extend(["--logfile".to_owned(), self.log.display().to_string()]);
        args
    }

    /// Keys, certificates, a storage that nobody can enlarge; one that is there is left alone.
    fn arguments_of_a_new_one(&self, run: &Run) -> Result<Vec<String>> {
        let mut args = self.common_arguments();
        if let Some(profile) = &self.backend.profile
            && let Some(source) = &profile.source
        {
            if !self.swtpm.setup_can("cmdarg-profile") {
                return Err(Error::unsupported("swtpm_setup has no support for profiles"));
            }
            args.extend(["--profile-name".to_owned(), source.clone()]);
            if let Some(remove) = profile.remove_disabled {
                let remove = match remove {
                    TpmRemoveDisabled::Check => "check",
                    TpmRemoveDisabled::FipsHost => "fips-host",
                };
                args.extend(["--profile-remove-disabled".to_owned(), remove.to_owned()]);
            }
        }
        let uuid = run.doc.uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
        args.extend(["--vmid".to_owned(), format!("{}:{uuid}", run.name())]);
        args.extend(
            [
                "--createek",
                "--create-ek-cert",
                "--create-platform-cert",
                "--lock-nvram",
                "--not-overwrite",
            ]
            .map(str::to_owned),
        );
        Ok(args)
    }

    fn orders(&self, program: &Path, args: Vec<String>) -> Orders {
        let mut orders = Orders::new(program);
        orders.args = args.into_iter().map(OsString::from).collect();
        // A setup that finds no configuration of its user's takes the host's.
        let env = [
            ("LC_ALL", "C"),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/"),
        ];
        orders.env = env.map(|(name, value)| (name.into(), value.into())).to_vec();
        if !self.config.privileged {
            let home = ["HOME", "XDG_CONFIG_HOME"].into_iter();
            let own = home.filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
            orders.env.retain(|(name, _)| name != "HOME");
            orders.env.extend(own);
        }
        if let Some((uid, gid)) = owner(self.config).filter(|ids| *ids != (0, 0)) {
            orders.uid = Some(uid);
            orders.gid = Some(gid);
        }
        orders.umask = Some(0o022);
        orders.cgroups.clone_from(&self.cgroups);
        orders
    }

    /// Runs the setup to its end.
    async fn setup(
        &self,
        run: &mut Run,
        step: &mut Step,
        args: Vec<String>,
    ) -> std::result::Result<(), BackendError> {
        let setup = self.swtpm.setup.display().to_string();
        let shell = ["-c".to_owned(), TELL_STATUS.to_owned(), "sh".to_owned(), setup];
        let (mut told, tell) = std::io::pipe().map_err(Error::io("no pipe for", &self.swtpm.setup))?;
        let mut orders = self.orders(Path::new("/bin/sh"), shell.into_iter().chain(args).collect());
        orders.fds = vec![(OwnedFd::from(tell), STATUS_FD)];
        let process = self.born(run, step, orders).await?;
        let over = ends(process, SETUP_LIMIT);
        let over = tokio::select! {
            over = over => over,
            () = run.cancel.cancelled() => return Err(BackendError::Cancelled),
        };
        let failed = |how: String| {
            Error::Died(format!(
                "Could not run '{}'. {how}; Check error log '{}' for details.",
                self.swtpm.setup.display(),
                self.log.display()
            ))
        };
        if !over {
            return Err(failed(format!("not done in {} s", SETUP_LIMIT.as_secs())).into());
        }
        let mut status = String::new();
        // All who could write are gone, or are strangers that do not matter: a few bytes are there or not.
        let read = blocking::here(|| told.by_ref().take(16).read_to_string(&mut status));
        match (read, status.trim()) {
            (Ok(_), "0") => Ok(()),
            (Ok(_), "") => Err(failed("it was ended".to_owned()).into()),
            (Ok(_), status) => Err(failed(format!("exitstatus: {status}")).into()),
            (Err(error), _) => Err(failed(error.to_string()).into()),
        }
    }

    /// Starts a program which is in the journal before it is anything, in this step's place.
    async fn born(
        &self,
        run: &mut Run,
        step: &mut Step,
        orders: Orders,
    ) -> std::result::Result<ProcessId, BackendError> {
        let ready = self.config.launcher.ready(orders).await.map_err(Error::from)?;
        run.undone(step);
        *step = step.clone().with(PROCESS, ready.id().to_string());
        run.journal(step.clone()).await?;
        Ok(ready.go().await.map_err(Error::from)?)
    }

    /// The chip itself.
    async fn program(&self, run: &mut Run) -> std::result::Result<(), BackendError> {
        let pid_file = self.socket.with_extension("pid");
        let mut step = Step::new(STEP)
            .with(SOCKET, self.socket.display().to_string())
            .with(PID_FILE, pid_file.display().to_string());
        run.journal(step.clone()).await?;
        let listener = blocking::here(|| {
            let listener = socket::listen(&self.socket)?;
            restrict(&self.socket)?;
            give(&self.socket, self.config)?;
            Ok::<_, Error>(listener)
        })?;
        let level = self
            .backend
            .debug
            .map_or_else(String::new, |level| format!(",level={level}"));
        let mut args: Vec<String> = ["socket", "--ctrl"].map(str::to_owned).to_vec();
        args.push(format!("type=unixio,fd={SOCKET_FD}"));
        args.extend(["--tpmstate".to_owned(), self.storage.for_program()]);
        args.extend(["--log".to_owned(), format!("file={}{level}", self.log.display())]);
        args.push("--terminate".to_owned());
        if self.backend.version == Some(TpmVersion::V2_0) {
            args.push("--tpm2".to_owned());
        }
        let mut orders = self.orders(&self.swtpm.program, args);
        orders.fds = vec![(OwnedFd::from(listener), SOCKET_FD)];
        let process = self.born(run, &mut step, orders).await?;
        let written = blocking::here(|| std::fs::write(&pid_file, process.pid.to_string()));
        Ok(written.map_err(Error::io("Unable to write pid file", pid_file))?)
    }
}

/// Only its owner calls.
fn restrict(socket: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
        .map_err(Error::io("Cannot set mode of", socket))
}

/// Waits for the end of a process; whether it came in time.
async fn ends(process: ProcessId, limit: Duration) -> bool {
    match PidFd::open(process) {
        Ok(pidfd) => tokio::time::timeout(limit, pidfd.exited()).await.is_ok(),
        // It is gone already.
        Err(_) => true,
    }
}

/// Ends a process and what it has started, politely first.
async fn end(process: ProcessId) {
    let mut all = process::descendants(process.pid);
    all.push(process);
    let held: Vec<PidFd> = all.into_iter().filter_map(|id| PidFd::open(id).ok()).collect();
    for (signal, patience) in [(SIGTERM, AFTER_TERM), (SIGKILL, AFTER_KILL)] {
        for pidfd in &held {
            // One that is gone is what we want.
            let _ = pidfd.kill(signal);
        }
        let gone = async {
            for pidfd in &held {
                pidfd.exited().await;
            }
        };
        if tokio::time::timeout(patience, gone).await.is_ok() {
            return;
        }
    }
    tracing::warn!("process {} of a TPM does not end", process.pid);
}

/// QEMU is gone: so goes its chip, and what a start did not finish. From the journal, whichever daemon this is.
pub async fn release(run: &mut Run, config: &QemuConfig) {
    for step in run.steps().iter().filter(|step| step.kind == STEP) {
        if let Ok(process) = step.get(PROCESS).parse::<ProcessId>()
            && process.is_alive()
        {
            end(process).await;
        }
        blocking::here(|| {
            for file in [step.get(SOCKET), step.get(PID_FILE)] {
                remove_file(file);
            }
            remove_unfinished(step.get(UNFINISHED), run, config);
        });
        run.undone(step);
    }
}

fn remove_file(path: &str) {
    match std::fs::remove_file(path) {
        Err(error) if !path.is_empty() && error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove '{path}': {error}");
        }
        _ => {}
    }
}

/// A chip that was never finished is none.
fn remove_unfinished(storage: &str, run: &Run, config: &QemuConfig) {
    if storage.is_empty() {
        return;
    }
    let storage = match storage.strip_prefix("file://") {
        Some(path) => Storage::File(PathBuf::from(path)),
        None => Storage::Dir(PathBuf::from(storage)),
    };
    if let Err(error) = storage.remove() {
        tracing::warn!("{error}");
    }
    // Other versions of the guest's chip may be there, then it stays.
    let _ = std::fs::remove_dir(of_guest(run.doc.uuid, config));
}

//! In which order the daemon begins and ends. R20 to R24 are these functions, read from top to bottom.

use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use ferrovirt_hook::{Call, DaemonOperation, Driver, Engine, HookEvent, Policy};
use ferrovirt_network::Autostart;
use rustix::process::{Resource, Rlimit};
use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::background;
use crate::error::Error;
use crate::host::{self, Host};
use crate::locks::Locks;
use crate::log::{Log, LogEnvironment, Logging};
use crate::metrics::{self, Metrics};
use crate::page;
use crate::paths::{Environment, Paths};
use crate::refuse::{Reason, Refusal};
use crate::server;
use crate::settings::{Drivers, Settings, conf::Warning};
use crate::signals::{Request, Signals};
use crate::sockets::{self, Listening};

/// Run the daemon and tell its exit status.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "ferrovirtd", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    if args.daemon && !args.in_background {
        return background::leave();
    }
    if args.in_background {
        background::enter();
    }
    match Daemon::prepare(args) {
        Ok(daemon) => daemon.run(),
        Err(e) => {
            // Said on standard error also where there is a log: whoever started us looks there.
            eprintln!("ferrovirtd: {e}");
            ExitCode::FAILURE
        }
    }
}

/// A daemon whose settings are read and that is the only one of its kind. No hook has been called yet.
struct Daemon {
    args: Args,
    paths: Paths,
    settings: Settings,
    /// The rules as they were at the start.
    policy: Policy,
    log: Arc<Log>,
    runtime: tokio::runtime::Runtime,
    _locks: Locks,
}

impl Daemon {
    /// All that may fail before the first hook (R21: broken settings, no hook).
    fn prepare(args: Args) -> Result<Self, Error> {
        let privileged = rustix::process::geteuid().is_root();
        let paths = Paths::new(&args, privileged, &Environment::of_process())?;
        let settings = Settings::load(&paths)?;
        let policy = host::policy(&paths)?;
        let logging = Logging::new(&args, &LogEnvironment::of_process(), &settings.libvirtd)?;
        make_directories(&paths)?;
        // Before the log: a second daemon has no business in the log file of the first.
        let locks = Locks::take(&paths)?;
        let log = Arc::new(Log::start(&logging)?);
        warn_about(&settings.warnings);
        host::warn_about_rules(&policy);
        raise_file_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        Ok(Self {
            args,
            paths,
            settings,
            policy,
            log,
            runtime,
            _locks: locks,
        })
    }

    fn run(self) -> ExitCode {
        let code = match self.runtime.block_on(Box::pin(self.live())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                tracing::error!("{e}");
                ExitCode::FAILURE
            }
        };
        self.log.flush();
        // Tasks that still run are cut here; what they were doing the next daemon finds on disk (R96).
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        code
    }

    /// The whole life: start hook, service, shutdown hook.
    async fn live(&self) -> Result<(), Error> {
        let mut signals = Signals::install().map_err(Error::Runtime)?;
        let passed = sockets::passed().map_err(Error::Passed)?;
        if passed.is_empty() {
            sockets::nobody_listens(&self.paths, &self.settings.libvirtd)?;
        }
        let engine = host::engine(&self.paths, &self.settings.own.hooks, self.policy.clone())?;
        engine.watch();
        tracing::info!("starting, version {}", env!("CARGO_PKG_VERSION"));
        // Before the first hook, so that it is counted too.
        let metrics = Metrics::begin(&self.settings.own.metrics, engine.history());

        let stopped = self.start_hook(&engine, &passed, &mut signals).await?;
        let outcome = match stopped {
            Some(signal) => {
                tracing::info!("{signal} while the start hook ran");
                Ok(())
            }
            None => self.serve(&engine, metrics, &passed, &mut signals).await,
        };
        // A driver that cannot start is no failure of the daemon's, as in libvirtd (R21).
        let outcome = match outcome {
            Err(e @ Error::Driver { .. }) => {
                tracing::error!("{e}");
                Ok(())
            }
            other => other,
        };
        notify(&[NotifyState::Stopping]);
        engine.rediscover();
        let _refusal =
            Refusal::begin(&passed, &reason(&engine, &self.paths, "ends")).map_err(Error::Passed)?;
        let hook = daemon_hook(&engine, DaemonOperation::Shutdown, CancellationToken::new());
        tokio::join!(engine.end_async(), hook);
        engine.history().flush().await;
        tracing::info!("ended");
        outcome
    }

    /// R20. A first signal to end waits for the script, a second one ends it; either way there is no service.
    async fn start_hook(
        &self,
        engine: &Engine,
        passed: &[Listening],
        signals: &mut Signals,
    ) -> Result<Option<&'static str>, Error> {
        let _refusal =
            Refusal::begin(passed, &reason(engine, &self.paths, "starts")).map_err(Error::Passed)?;
        let cancel = CancellationToken::new();
        let hook = daemon_hook(engine, DaemonOperation::Start, cancel.clone());
        tokio::pin!(hook);
        let mut stopped = None;
        loop {
            tokio::select! {
                () = &mut hook => return Ok(stopped),
                signal = signals.next_stop() => {
                    if stopped.replace(signal).is_some() {
                        cancel.cancel();
                    }
                }
            }
        }
    }

    /// Load, listen, serve until somebody asks for the end, and let running requests end (R21, R22, R24).
    async fn serve(
        &self,
        engine: &Engine,
        metrics: Option<Metrics>,
        passed: &[Listening],
        signals: &mut Signals,
    ) -> Result<(), Error> {
        let drivers = load_drivers(&self.paths).await?;
        warn_about(&drivers.warnings);
        // Networks that vanished have their hook called here; a script that hangs must not hold the end.
        let engine = engine.clone();
        let loading = Box::pin(Host::load(&self.paths, &self.settings, &drivers, engine, metrics));
        let host = tokio::select! {
            host = loading => host?,
            signal = signals.next_stop() => {
                tracing::info!("{signal} before the start was over");
                return Ok(());
            }
        };
        let host = Arc::new(host);

        let own = match passed.is_empty() {
            true => sockets::listen(&self.paths, &self.settings.libvirtd)?,
            false => Vec::new(),
        };
        let listeners = own
            .iter()
            .chain(passed)
            .map(to_listener)
            .collect::<Result<Vec<_>, _>>();
        let listeners = listeners.map_err(Error::Runtime)?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(server::serve(listeners, Arc::clone(&host), stop.clone()));
        let begin = tokio::spawn(Arc::clone(&host).begin());
        let watched = [
            metrics::start(&host, stop.clone()).await,
            page::start(&host, stop.clone()).await,
        ];
        let ready = tokio::spawn(tell_ready(Arc::clone(&host), self.args.in_background));

        self.until_asked(&host, signals).await;

        ready.abort();
        notify(&[NotifyState::Stopping]);
        stop.cancel();
        own.iter().for_each(sockets::remove);
        drop(own);
        let drain = self.settings.own.shutdown.drain.into();
        if timeout(drain, server).await.is_err() {
            tracing::warn!("requests did not end within {} s: they are left", drain.as_secs());
        }
        begin.abort();
        // They have been told, and wait for nobody: what is left is to take their sockets away.
        for task in watched.into_iter().flatten() {
            let _ = task.await;
        }
        Ok(())
    }

    /// Serve until a signal or the timeout says that it is enough; reload when asked (R22).
    async fn until_asked(&self, host: &Arc<Host>, signals: &mut Signals) {
        let mut reload: Option<JoinHandle<()>> = None;
        let cancel = CancellationToken::new();
        loop {
            tokio::select! {
                request = signals.next() => match request {
                    Request::Stop(signal) => {
                        tracing::info!("{signal}: ending");
                        break;
                    }
                    Request::Reload if reload.as_ref().is_some_and(|task| !task.is_finished()) => {
                        tracing::info!("SIGHUP while a reload is under way: ignored");
                    }
                    Request::Reload => reload = Some(self.reload(host, cancel.clone())),
                },
                () = idle(host, self.args.timeout) => {
                    tracing::info!("nobody needs this daemon: ending");
                    break;
                }
            }
        }
        // The shutdown hook must not overtake the reload hook.
        if let Some(mut task) = reload
            && timeout(self.settings.own.shutdown.drain.into(), &mut task)
                .await
                .is_err()
        {
            cancel.cancel();
            let _ = task.await;
        }
    }

    /// R22, in a task: requests are served meanwhile.
    fn reload(&self, host: &Arc<Host>, cancel: CancellationToken) -> JoinHandle<()> {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
        let (args, log, host) = (self.args.clone(), Arc::clone(&self.log), Arc::clone(host));
        tokio::spawn(async move {
            host.engine.rediscover();
            daemon_hook(&host.engine, DaemonOperation::Reload, cancel).await;
            let paths = host.paths.clone();
            let read = tokio::task::spawn_blocking(move || {
                let rules = host::policy(&paths);
                (rules, read_again(&args, &paths, &log))
            });
            let failed = |e| (Err(Error::Runtime(e)), Ok(()));
            let (rules, settings) = read.await.unwrap_or_else(|e| failed(e.into()));
            match rules {
                Ok(rules) => {
                    host::warn_about_rules(&rules);
                    host.engine.set_policy(rules);
                }
                Err(e) => tracing::error!("reload: {e}\nthe rules that were there before stay"),
            }
            if let Err(e) = settings {
                tracing::error!("reload: {e}; what was set before stays");
            }
            host.networks.autostart(Autostart::Reload).await;
            notify(&[NotifyState::Ready]);
        })
    }
}

/// What SIGHUP can change: the log. The rest is read so that mistakes show now and not at the next start.
fn read_again(args: &Args, paths: &Paths, log: &Log) -> Result<(), Error> {
    let settings = Settings::load(paths)?;
    log.change(&Logging::new(
        args,
        &LogEnvironment::of_process(),
        &settings.libvirtd,
    )?)?;
    warn_about(&settings.warnings);
    warn_about(&Drivers::load(paths)?.warnings);
    Ok(())
}

/// Whoever waits for the service finds the networks up that start with the machine.
async fn tell_ready(host: Arc<Host>, in_background: bool) {
    host.settled().await;
    notify(&[NotifyState::Ready]);
    if in_background {
        background::ready();
    }
}

/// Ends when nothing has needed the daemon for this long; never without a time.
async fn idle(host: &Host, limit: Option<Duration>) {
    const LOOK: Duration = Duration::from_secs(1);
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let mut since = Instant::now();
    loop {
        sleep(LOOK.min(limit)).await;
        if host.is_busy() {
            since = Instant::now();
        } else if since.elapsed() >= limit {
            return;
        }
    }
}

/// The daemon's own hook. The engine logs failures, and they change nothing (R23).
fn daemon_hook(
    engine: &Engine,
    operation: DaemonOperation,
    cancel: CancellationToken,
) -> impl Future<Output = ()> {
    let call = Call {
        cancel,
        ..Call::new(HookEvent::daemon(operation), None)
    };
    let engine = engine.clone();
    async move {
        let _ = engine.call(call).await;
    }
}

/// What clients are told while the hook runs: its path, and that it is worth trying again.
fn reason(engine: &Engine, paths: &Paths, doing: &'static str) -> Reason {
    let engine = engine.clone();
    let main = paths.hooks_dir.join("daemon");
    Arc::new(move || {
        let running = engine
            .running()
            .into_iter()
            .find(|hook| hook.event.driver() == Driver::Daemon);
        let script = running.map_or_else(|| main.clone(), |hook| hook.script);
        format!(
            "the daemon {doing} and waits for its hook {}; try again later",
            script.display()
        )
    })
}

fn to_listener(socket: &Listening) -> std::io::Result<server::Listener> {
    let read_only = socket.read_only;
    let socket = tokio::net::UnixListener::from_std(socket.socket.try_clone()?)?;
    Ok(server::Listener { socket, read_only })
}

async fn load_drivers(paths: &Paths) -> Result<Drivers, Error> {
    let paths = paths.clone();
    // Names of users may have to be asked of a directory service, which takes its time.
    let task = tokio::task::spawn_blocking(move || Drivers::load(&paths)).await;
    task.unwrap_or_else(|e| {
        Err(Error::Driver {
            driver: "qemu",
            text: e.to_string(),
        })
    })
}

fn warn_about(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Tell systemd, if it wants to know.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::warn!("cannot tell systemd: {e}");
    }
}

fn make_directories(paths: &Paths) -> Result<(), Error> {
    for (path, mode) in paths.directories() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(|source| Error::File {
                action: "make directory",
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// Clients, monitors and taps need descriptors: take as many as we may.
fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(e) = rustix::process::setrlimit(Resource::Nofile, raised) {
            tracing::warn!("cannot raise the number of files that may be open: {e}");
        }
    }
}

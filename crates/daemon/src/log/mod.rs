//! Where log lines go. What is said comes from `tracing` events all over the workspace; here it is
//! sorted by libvirt's filters and written to libvirt's outputs, in libvirt's line form, so that
//! whatever reads libvirtd's log reads ours.
//!
//! Lines are written by a thread of their own behind a bounded queue: a full disk or a terminal that
//! nobody reads must not hold the daemon. What does not fit is counted, and the log says so.

pub mod layer;
pub mod line;
pub mod sink;
pub mod syntax;
pub mod writer;

use std::os::fd::AsFd;

use crate::args::Args;
use crate::error::Error;
use crate::settings::libvirtd::Libvirtd;
use layer::{LogLayer, Threshold};
use syntax::{Destination, Filter, Level, LogSyntaxError, Output};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use writer::Writer;

/// What is logged and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// What is less is not logged.
    pub level: Level,
    /// Levels of single sources.
    pub filters: Vec<Filter>,
    /// Where lines go.
    pub outputs: Vec<Output>,
}

/// The variables of the environment that libvirt has for its log.
#[derive(Debug, Clone, Default)]
pub struct LogEnvironment {
    /// `LIBVIRT_DEBUG`
    pub debug: Option<String>,
    /// `LIBVIRT_LOG_FILTERS`
    pub filters: Option<String>,
    /// `LIBVIRT_LOG_OUTPUTS`
    pub outputs: Option<String>,
    /// Whether standard error is a pipe to the journal.
    pub journal: bool,
}

impl LogEnvironment {
    /// From this process's environment.
    pub fn of_process() -> Self {
        let value = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            debug: value("LIBVIRT_DEBUG"),
            filters: value("LIBVIRT_LOG_FILTERS"),
            outputs: value("LIBVIRT_LOG_OUTPUTS"),
            journal: value("JOURNAL_STREAM").is_some_and(|v| is_stderr(&v)),
        }
    }
}

/// systemd names the device and inode of the stream it gave us, since a child may have another one.
fn is_stderr(stream: &str) -> bool {
    rustix::fs::fstat(std::io::stderr().as_fd())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

impl Logging {
    /// Command line before environment before file, as in libvirt.
    ///
    /// # Errors
    /// A variable of the environment that cannot be understood.
    pub fn new(args: &Args, env: &LogEnvironment, conf: &Libvirtd) -> Result<Self, Error> {
        let of_env = |name: &str, source: LogSyntaxError| Error::Log {
            place: name.to_owned(),
            source,
        };
        let mut level = conf.log_level.unwrap_or(Level::Warning);
        if let Some(text) = &env.debug {
            level = text.parse().map_err(|e| of_env("LIBVIRT_DEBUG", e))?;
        }
        if args.verbose {
            level = level.min(Level::Info);
        }
        let filters = match &env.filters {
            Some(text) => syntax::several(text).map_err(|e| of_env("LIBVIRT_LOG_FILTERS", e))?,
            None => conf.log_filters.clone(),
        };
        let mut outputs = match &env.outputs {
            Some(text) => syntax::several(text).map_err(|e| of_env("LIBVIRT_LOG_OUTPUTS", e))?,
            None => conf.log_outputs.clone(),
        };
        if outputs.is_empty() {
            let destination = match (args.in_background, env.journal) {
                (true, _) => Destination::Syslog("ferrovirtd".to_owned()),
                (false, true) => Destination::Journald,
                (false, false) => Destination::Stderr,
            };
            outputs.push(Output {
                level: Level::Debug,
                destination,
            });
        }
        Ok(Self {
            level,
            filters,
            outputs,
        })
    }
}

/// The running log. Dropping it writes out what is still queued.
pub struct Log {
    writer: Writer,
    threshold: reload::Handle<LogLayer, tracing_subscriber::Registry>,
}

impl Log {
    /// Open the outputs and let all of `tracing` go there from now on. Once per process.
    ///
    /// # Errors
    /// A log file that cannot be opened.
    pub fn start(logging: &Logging) -> Result<Self, Error> {
        let writer = Writer::start(sink::open_all(&logging.outputs)?).map_err(Error::Runtime)?;
        let layer = LogLayer::new(Threshold::new(logging), writer.queue());
        let (layer, threshold) = reload::Layer::new(layer);
        let _ = tracing_subscriber::registry().with(layer).try_init();
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        Ok(Self { writer, threshold })
    }

    /// Use other settings from now on; files are opened anew, so this is also what a log rotation needs.
    ///
    /// # Errors
    /// A log file that cannot be opened; then everything stays as it was.
    pub fn change(&self, logging: &Logging) -> Result<(), Error> {
        self.writer.replace(sink::open_all(&logging.outputs)?);
        let _ = self.threshold.modify(|layer| layer.set(Threshold::new(logging)));
        Ok(())
    }

    /// Wait, not for ever, until everything logged so far is written.
    pub fn flush(&self) {
        self.writer.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn logging(words: &[&str], env: LogEnvironment, conf: Libvirtd) -> Result<Logging, Error> {
        Logging::new(
            &Args::parse_from(std::iter::once("ferrovirtd").chain(words.iter().copied())),
            &env,
            &conf,
        )
    }

    fn only(destination: Destination) -> Vec<Output> {
        vec![Output {
            level: Level::Debug,
            destination,
        }]
    }

    #[test]
    fn by_default_warnings_go_to_standard_error() {
        let it = logging(&[], LogEnvironment::default(), Libvirtd::default()).unwrap();
        assert_eq!(
            it,
            Logging {
                level: Level::Warning,
                filters: vec![],
                outputs: only(Destination::Stderr)
            }
        );
    }

    #[test]
    fn under_systemd_to_the_journal_and_in_the_background_to_syslog() {
        let env = LogEnvironment {
            journal: true,
            ..LogEnvironment::default()
        };
        assert_eq!(
            logging(&[], env.clone(), Libvirtd::default()).unwrap().outputs,
            only(Destination::Journald)
        );
        let outputs = logging(&["--in-background"], env, Libvirtd::default())
            .unwrap()
            .outputs;
        assert_eq!(outputs, only(Destination::Syslog("ferrovirtd".to_owned())));
    }

    #[test]
    fn command_line_goes_before_environment_before_file() {
        let conf = Libvirtd {
            log_level: Some(Level::Error),
            log_filters: syntax::several("1:qemu").unwrap(),
            log_outputs: syntax::several("3:journald").unwrap(),
            ..Libvirtd::default()
        };
        let from_file = logging(&[], LogEnvironment::default(), conf.clone()).unwrap();
        assert_eq!((from_file.level, from_file.filters.len()), (Level::Error, 1));
        let env = LogEnvironment {
            debug: Some("3".to_owned()),
            filters: Some("4:qemu 4:network".to_owned()),
            outputs: Some("1:stderr".to_owned()),
            journal: false,
        };
        let from_env = logging(&[], env.clone(), conf.clone()).unwrap();
        assert_eq!((from_env.level, from_env.filters.len()), (Level::Warning, 2));
        assert_eq!(from_env.outputs, only(Destination::Stderr));
        assert_eq!(logging(&["-v"], env, conf).unwrap().level, Level::Info);
    }

    #[test]
    fn a_variable_that_cannot_be_understood_is_named() {
        let env = LogEnvironment {
            outputs: Some("3:mail".to_owned()),
            ..LogEnvironment::default()
        };
        let e = logging(&[], env, Libvirtd::default()).unwrap_err();
        assert!(e.to_string().starts_with("LIBVIRT_LOG_OUTPUTS: "), "{e}");
    }
}

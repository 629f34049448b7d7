//! Where everything lies: for the daemon of the system as libvirt's users know it, for the daemon of
//! an ordinary user under the XDG directories (R16).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::error::Error;

/// All places the daemon reads from or writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Whether this is the daemon of the system, run by root.
    pub privileged: bool,
    /// Definitions and libvirt's own settings: `$SYSCONFDIR/libvirt`.
    pub config_dir: PathBuf,
    /// Hook scripts: the same for all daemons of a machine (R1, R16).
    pub hooks_dir: PathBuf,
    /// Sockets and what is forgotten at a reboot: `/run/libvirt`.
    pub run_dir: PathBuf,
    /// Leases, saved images, data of each guest: `/var/lib/libvirt`.
    pub state_dir: PathBuf,
    /// What can be found out again: `/var/cache/libvirt`.
    pub cache_dir: PathBuf,
    /// Logs of guests: `/var/log/libvirt`.
    pub log_dir: PathBuf,
    /// Process id of the daemon.
    pub pid_file: PathBuf,
    /// ferrovirt's own settings.
    pub settings_file: PathBuf,
    /// `/etc/ferrovirt` or the user's own: rules in `hooks.d`, directories of single guests in `guests`.
    pub own_dir: PathBuf,
    /// The history of hooks.
    pub history_file: PathBuf,
    /// Whether the settings file was named on the command line and so has to be there.
    pub settings_named: bool,
    /// libvirt's settings for the daemon.
    pub libvirtd_conf: PathBuf,
    /// Whether that file was named on the command line and so has to be there.
    pub libvirtd_conf_named: bool,
    /// Where the QEMU driver keeps things.
    pub qemu: DriverPaths,
    /// Where the driver for containers keeps things.
    pub lxc: DriverPaths,
    /// Where the network driver keeps things.
    pub network: DriverPaths,
}

/// The places of one driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverPaths {
    /// libvirt's settings for the driver, `qemu.conf` or `network.conf`.
    pub settings: PathBuf,
    /// Definitions, `NAME.xml`.
    pub config_dir: PathBuf,
    /// Live state, `NAME.xml` and `NAME.pid`.
    pub run_dir: PathBuf,
    /// Data that outlives a reboot.
    pub state_dir: PathBuf,
    /// Logs.
    pub log_dir: PathBuf,
    /// What can be found out again.
    pub cache_dir: PathBuf,
}

/// The variables of the environment that decide where the files of a user belong.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub config_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`
    pub cache_home: Option<PathBuf>,
    /// `XDG_DATA_HOME`
    pub data_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub runtime_dir: Option<PathBuf>,
}

impl Environment {
    /// From this process's environment. Relative paths do not count, as the XDG rules say.
    pub fn of_process() -> Self {
        let dir = |name| std::env::var_os(name).and_then(absolute);
        Self {
            home: dir("HOME"),
            config_home: dir("XDG_CONFIG_HOME"),
            cache_home: dir("XDG_CACHE_HOME"),
            data_home: dir("XDG_DATA_HOME"),
            runtime_dir: dir("XDG_RUNTIME_DIR"),
        }
    }
}

fn absolute(value: OsString) -> Option<PathBuf> {
    Some(PathBuf::from(value)).filter(|p| p.is_absolute())
}

impl Paths {
    /// The places for a daemon that is run with these arguments, by root or not.
    ///
    /// # Errors
    /// An ordinary user without `HOME`.
    pub fn new(args: &Args, privileged: bool, env: &Environment) -> Result<Self, Error> {
        let mut paths = if privileged {
            Self::of_system(&args.sysconfdir)
        } else {
            Self::of_user(&args.sysconfdir, env)?
        };
        if let Some(file) = &args.config {
            paths.libvirtd_conf.clone_from(file);
            paths.libvirtd_conf_named = true;
        }
        if let Some(file) = &args.settings {
            paths.settings_file.clone_from(file);
            paths.settings_named = true;
        }
        if let Some(file) = &args.pid_file {
            paths.pid_file.clone_from(file);
        }
        Ok(paths)
    }

    fn of_system(sysconfdir: &Path) -> Self {
        let config = sysconfdir.join("libvirt");
        let [run, state, cache, log] = [
            "/run/libvirt",
            "/var/lib/libvirt",
            "/var/cache/libvirt",
            "/var/log/libvirt",
        ]
        .map(PathBuf::from);
        Self {
            privileged: true,
            hooks_dir: config.join("hooks"),
            pid_file: PathBuf::from("/run/ferrovirtd.pid"),
            settings_file: sysconfdir.join("ferrovirt/ferrovirtd.toml"),
            own_dir: sysconfdir.join("ferrovirt"),
            history_file: PathBuf::from("/var/lib/ferrovirt/history.db"),
            settings_named: false,
            libvirtd_conf: config.join("libvirtd.conf"),
            libvirtd_conf_named: false,
            qemu: DriverPaths {
                settings: config.join("qemu.conf"),
                config_dir: config.join("qemu"),
                run_dir: run.join("qemu"),
                state_dir: state.join("qemu"),
                log_dir: log.join("qemu"),
                cache_dir: cache.join("qemu"),
            },
            lxc: DriverPaths {
                settings: config.join("lxc.conf"),
                config_dir: config.join("lxc"),
                run_dir: run.join("lxc"),
                state_dir: state.join("lxc"),
                log_dir: log.join("lxc"),
                cache_dir: cache.join("lxc"),
            },
            network: DriverPaths {
                settings: config.join("network.conf"),
                config_dir: config.join("qemu/networks"),
                run_dir: run.join("network"),
                state_dir: state.join("dnsmasq"),
                log_dir: log.clone(),
                cache_dir: cache.clone(),
            },
            config_dir: config,
            run_dir: run,
            state_dir: state,
            cache_dir: cache,
            log_dir: log,
        }
    }

    fn of_user(sysconfdir: &Path, env: &Environment) -> Result<Self, Error> {
        let under = |dir: &Option<PathBuf>, default: &str| match (dir, &env.home) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(home)) => Ok(home.join(default)),
            (None, None) => Err(Error::NoHome("HOME")),
        };
        let config_home = under(&env.config_home, ".config")?;
        let config = config_home.join("libvirt");
        let cache = under(&env.cache_home, ".cache")?.join("libvirt");
        let state = under(&env.data_home, ".local/share")?.join("libvirt");
        let run = env
            .runtime_dir
            .as_ref()
            .map_or_else(|| cache.clone(), |dir| dir.join("libvirt"));
        Ok(Self {
            privileged: false,
            hooks_dir: sysconfdir.join("libvirt/hooks"),
            pid_file: run.join("ferrovirtd.pid"),
            settings_file: config_home.join("ferrovirt/ferrovirtd.toml"),
            own_dir: config_home.join("ferrovirt"),
            history_file: under(&env.data_home, ".local/share")?.join("ferrovirt/history.db"),
            settings_named: false,
            libvirtd_conf: config.join("libvirtd.conf"),
            libvirtd_conf_named: false,
            qemu: DriverPaths {
                settings: config.join("qemu.conf"),
                config_dir: config.join("qemu"),
                run_dir: run.join("qemu/run"),
                state_dir: config.join("qemu/lib"),
                log_dir: cache.join("qemu/log"),
                cache_dir: cache.join("qemu/cache"),
            },
            lxc: DriverPaths {
                settings: config.join("lxc.conf"),
                config_dir: config.join("lxc"),
                run_dir: run.join("lxc/run"),
                state_dir: config.join("lxc/lib"),
                log_dir: cache.join("lxc/log"),
                cache_dir: cache.join("lxc/cache"),
            },
            network: DriverPaths {
                settings: config.join("network.conf"),
                config_dir: config.join("qemu/networks"),
                run_dir: run.join("network"),
                state_dir: state.join("dnsmasq"),
                log_dir: cache.join("log"),
                cache_dir: cache.clone(),
            },
            config_dir: config,
            run_dir: run,
            state_dir: state,
            log_dir: cache.join("log"),
            cache_dir: cache,
        })
    }

    /// Directories that have to be there before anything else, with their modes.
    pub fn directories(&self) -> Vec<(&Path, u32)> {
        let open = if self.privileged { 0o755 } else { 0o700 };
        vec![
            (&self.config_dir, open),
            (&self.run_dir, open),
            (&self.state_dir, open),
            (&self.cache_dir, if self.privileged { 0o711 } else { 0o700 }),
            (&self.log_dir, open),
            (&self.qemu.config_dir, 0o700),
            (&self.qemu.run_dir, open),
            (&self.qemu.state_dir, if self.privileged { 0o751 } else { 0o700 }),
            (&self.qemu.log_dir, open),
            (&self.qemu.cache_dir, if self.privileged { 0o750 } else { 0o700 }),
            (&self.network.config_dir, 0o700),
            (&self.network.run_dir, open),
            (&self.network.state_dir, open),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(words: &[&str]) -> Args {
        Args::parse_from(std::iter::once("ferrovirtd").chain(words.iter().copied()))
    }

    fn user() -> Environment {
        Environment {
            home: Some("/home/u".into()),
            runtime_dir: Some("/run/user/7".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn r1_hooks_lie_under_sysconfdir() {
        let paths = Paths::new(&args(&["--sysconfdir", "/usr/local/etc"]), true, &user()).unwrap();
        assert_eq!(paths.hooks_dir, Path::new("/usr/local/etc/libvirt/hooks"));
        assert_eq!(paths.qemu.config_dir, Path::new("/usr/local/etc/libvirt/qemu"));
        assert_eq!(paths.run_dir, Path::new("/run/libvirt"));
    }

    #[test]
    fn r16_a_users_daemon_has_the_same_hooks_and_its_own_files() {
        let paths = Paths::new(&args(&["--sysconfdir", "/etc"]), false, &user()).unwrap();
        assert_eq!(paths.hooks_dir, Path::new("/etc/libvirt/hooks"));
        assert_eq!(paths.run_dir, Path::new("/run/user/7/libvirt"));
        assert_eq!(paths.qemu.config_dir, Path::new("/home/u/.config/libvirt/qemu"));
        assert_eq!(
            paths.settings_file,
            Path::new("/home/u/.config/ferrovirt/ferrovirtd.toml")
        );
        assert_eq!(paths.qemu.log_dir, Path::new("/home/u/.cache/libvirt/qemu/log"));
        assert_eq!(
            paths.network.state_dir,
            Path::new("/home/u/.local/share/libvirt/dnsmasq")
        );
        assert!(paths.directories().iter().all(|(_, mode)| *mode == 0o700));
    }

    #[test]
    fn r16_xdg_directories_are_followed() {
        let env = Environment {
            home: None,
            config_home: Some("/c".into()),
            cache_home: Some("/k".into()),
            data_home: Some("/d".into()),
            runtime_dir: None,
        };
        let paths = Paths::new(&args(&[]), false, &env).unwrap();
        assert_eq!(paths.config_dir, Path::new("/c/libvirt"));
        assert_eq!(paths.run_dir, Path::new("/k/libvirt"));
        assert_eq!(paths.state_dir, Path::new("/d/libvirt"));
    }

    #[test]
    fn r16_a_user_without_a_home_is_told_so() {
        let e = Paths::new(&args(&[]), false, &Environment::default()).unwrap_err();
        assert!(e.to_string().contains("HOME"));
    }

    #[test]
    fn the_command_line_names_files() {
        let paths = Paths::new(
            &args(&["-f", "/a", "--settings", "/b", "-p", "/c"]),
            true,
            &user(),
        )
        .unwrap();
        assert_eq!(paths.libvirtd_conf, Path::new("/a"));
        assert_eq!(paths.settings_file, Path::new("/b"));
        assert_eq!(paths.pid_file, Path::new("/c"));
        assert!(paths.settings_named && paths.libvirtd_conf_named);
    }
}

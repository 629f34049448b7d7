//! Everything that is set in files: libvirt's own ones, which keep their meaning, and
//! `ferrovirtd.toml` for what libvirt has no word for.
//!
//! The daemon's own settings ([`Settings`]) are read before anything begins, and a mistake in them
//! ends the daemon before any hook is called (R21). The drivers' settings ([`Drivers`]) are read when
//! the drivers start and again at SIGHUP.

pub mod conf;
pub mod libvirtd;
pub mod names;
pub mod network;
pub mod own;
pub mod qemu;

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;
use crate::paths::Paths;
use conf::{Conf, Warning};

/// The daemon's own settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ferrovirtd.toml`
    pub own: own::Own,
    /// `libvirtd.conf`
    pub libvirtd: libvirtd::Libvirtd,
    /// What has no effect, to be logged once there is a log.
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// Read both files. One that is not there counts as empty, unless the command line names it.
    ///
    /// # Errors
    /// A file that cannot be read or understood, with the line.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let own = match read(&paths.settings_file, paths.settings_named)? {
            Some(text) => own::Own::parse(&paths.settings_file, &text)?,
            None => own::Own::default(),
        };
        let conf = read_conf(&paths.libvirtd_conf, paths.libvirtd_conf_named)?;
        let (libvirtd, warnings) = libvirtd::Libvirtd::read(&conf)?;
        Ok(Self {
            own,
            libvirtd,
            warnings,
        })
    }
}

/// The drivers' settings.
#[derive(Debug, Clone)]
pub struct Drivers {
    /// `qemu.conf`
    pub qemu: qemu::Qemu,
    /// `network.conf`
    pub network: network::Network,
    /// What has no effect.
    pub warnings: Vec<Warning>,
}

impl Drivers {
    /// Read the drivers' files where they exist.
    ///
    /// # Errors
    /// A driver whose file cannot be understood cannot start (R21).
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let driver = |driver, e: Error| Error::Driver {
            driver,
            text: e.to_string(),
        };
        let (qemu, mut warnings) = read_conf(&paths.qemu.settings, false)
            .and_then(|conf| qemu::Qemu::read(&conf, paths.privileged))
            .map_err(|e| driver("qemu", e))?;
        let (network, more) = read_conf(&paths.network.settings, false)
            .and_then(|conf| Ok(network::Network::read(&conf)?))
            .map_err(|e| driver("network", e))?;
        warnings.extend(more);
        Ok(Self {
            qemu,
            network,
            warnings,
        })
    }
}

fn read_conf(path: &Path, required: bool) -> Result<Conf, Error> {
    Ok(match read(path, required)? {
        Some(text) => Conf::parse(path, &text)?,
        None => Conf::empty(path),
    })
}

/// The text of a file; none if there is no such file and there need not be one.
fn read(path: &Path, required: bool) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound && !required => Ok(None),
        Err(source) => Err(Error::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use crate::paths::Environment;
    use clap::Parser;

    fn paths(dir: &Path, more: &[&str]) -> Paths {
        let sysconfdir = dir.to_str().unwrap();
        let words = ["ferrovirtd", "--sysconfdir", sysconfdir];
        let args = Args::parse_from(words.iter().chain(more).copied());
        Paths::new(&args, true, &Environment::default()).unwrap()
    }

    fn put(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn no_files_are_fine() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path(), &[]);
        assert!(Settings::load(&paths).unwrap().warnings.is_empty());
        assert!(Drivers::load(&paths).unwrap().warnings.is_empty());
    }

    #[test]
    fn a_named_file_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Settings::load(&paths(dir.path(), &["-f", "/no/such.conf"])).is_err());
        assert!(Settings::load(&paths(dir.path(), &["--settings", "/no/such.toml"])).is_err());
    }

    #[test]
    fn r21_broken_settings_of_the_daemon_and_of_a_driver_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "libvirt/qemu.conf", "user = \n");
        let paths = paths(dir.path(), &[]);
        Settings::load(&paths).unwrap();
        let e = Drivers::load(&paths).unwrap_err();
        assert!(matches!(e, Error::Driver { driver: "qemu", .. }), "{e}");
        assert!(e.to_string().contains("qemu.conf:1: expecting a value"), "{e}");
        put(dir.path(), "libvirt/libvirtd.conf", "log_level = \n");
        assert!(Settings::load(&paths).is_err());
    }

    #[test]
    fn warnings_of_all_files_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "libvirt/libvirtd.conf", "zzz = 1\n");
        put(dir.path(), "libvirt/qemu.conf", "yyy = 1\n");
        put(dir.path(), "libvirt/network.conf", "\nxxx = 1\n");
        let paths = paths(dir.path(), &[]);
        let one: Vec<_> = Settings::load(&paths)
            .unwrap()
            .warnings
            .iter()
            .map(|w| w.line)
            .collect();
        let two: Vec<_> = Drivers::load(&paths)
            .unwrap()
            .warnings
            .iter()
            .map(|w| w.line)
            .collect();
        assert_eq!((one, two), (vec![1], vec![1, 2]));
    }
}

//! The sockets that clients connect to: our own, or those that systemd made and passed on.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use crate::error::Error;
use crate::paths::Paths;
use crate::settings::libvirtd::Libvirtd;

/// A socket that clients can connect to.
#[derive(Debug)]
pub struct Listening {
    /// Not blocking, close-on-exec.
    pub socket: UnixListener,
    /// Whether its clients may only look.
    pub read_only: bool,
    /// The file to take away at the end; none if systemd has made it.
    pub remove: Option<PathBuf>,
}

/// One socket we have to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) mode: u32,
    pub(crate) group: Option<u32>,
}

fn wanted(paths: &Paths, conf: &Libvirtd) -> [Wanted; 2] {
    let dir = conf.sock_dir.as_deref().unwrap_or(&paths.run_dir);
    // A user's own sockets are that user's alone; mode and group are for the daemon of the system.
    let mode = |mode| if paths.privileged { mode } else { 0o700 };
    let group = conf.sock_group.filter(|_| paths.privileged);
    [
        Wanted {
            path: dir.join("libvirt-sock"),
            read_only: false,
            mode: mode(conf.rw_mode),
            group,
        },
        Wanted {
            path: dir.join("libvirt-sock-ro"),
            read_only: true,
            mode: mode(conf.ro_mode),
            group,
        },
    ]
}

/// The sockets that systemd passed on, none if it did not start us for a socket.
///
/// # Errors
/// A descriptor that is not there or is no listening unix socket.
pub fn passed() -> io::Result<Vec<Listening>> {
    let fds: Vec<RawFd> = sd_notify::listen_fds()?.collect();
    fds.into_iter().map(|fd| adopt(own(fd)?)).collect()
}

/// A descriptor of this process that is known by its number, as one that is ours. The original stays
/// open, close-on-exec, until the process ends.
fn own(fd: RawFd) -> io::Result<OwnedFd> {
    let this = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    Ok(rustix::process::pidfd_getfd(this, fd, PidfdGetfdFlags::empty())?)
}

/// Which of the two sockets this is can only be told by its name: `...-ro`.
fn adopt(fd: OwnedFd) -> io::Result<Listening> {
    let not_ours = || io::Error::new(io::ErrorKind::InvalidInput, "not a listening unix socket");
    if !rustix::net::sockopt::socket_acceptconn(fd.as_fd())? {
        return Err(not_ours());
    }
    let socket = UnixListener::from(fd);
    let address = socket.local_addr()?;
    let path = address.as_pathname().ok_or_else(not_ours)?;
    let read_only = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().ends_with("-ro"));
    socket.set_nonblocking(true)?;
    Ok(Listening {
        socket,
        read_only,
        remove: None,
    })
}

/// Make sure that nobody listens where we want to.
///
/// # Errors
/// [`Error::AlreadyRunning`] with the socket's path.
pub fn nobody_listens(paths: &Paths, conf: &Libvirtd) -> Result<(), Error> {
    for socket in wanted(paths, conf) {
        if UnixStream::connect(&socket.path).is_ok() {
            return Err(Error::AlreadyRunning {
                path: socket.path,
                holder: None,
            });
        }
    }
    Ok(())
}

/// Make our own sockets. From here on clients can connect.
///
/// # Errors
/// A socket that somebody listens on, or what the kernel refuses.
pub fn listen(paths: &Paths, conf: &Libvirtd) -> Result<Vec<Listening>, Error> {
    let mut sockets = Vec::new();
    for wanted in wanted(paths, conf) {
        match wanted.listen() {
            Ok(socket) => sockets.push(socket),
            Err(e) => {
                sockets.iter().for_each(remove);
                return Err(e);
            }
        }
    }
    Ok(sockets)
}

/// Take the file of a socket of ours away.
pub fn remove(socket: &Listening) {
    if let Some(path) = &socket.remove {
        let _ = std::fs::remove_file(path);
    }
}

impl Wanted {
    pub(crate) fn listen(&self) -> Result<Listening, Error> {
        let failed = |action| {
            move |source: io::Error| Error::File {
                action,
                path: self.path.clone(),
                source,
            }
        };
        remove_stale(&self.path)?;
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).map_err(failed("make the directory of"))?;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(io::Error::from)
            .map_err(failed("make"))?;
        let address = SocketAddrUnix::new(&self.path)
            .map_err(io::Error::from)
            .map_err(failed("bind"))?;
        rustix::net::bind(&socket, &address)
            .map_err(io::Error::from)
            .map_err(failed("bind"))?;
        // Nobody can connect before listen(), so nobody gets in before mode and group are right.
        self.protect().map_err(failed("set owner and mode of"))?;
        rustix::net::listen(&socket, 1024)
            .map_err(io::Error::from)
            .map_err(failed("listen on"))?;
        Ok(Listening {
            socket: socket.into(),
            read_only: self.read_only,
            remove: Some(self.path.clone()),
        })
    }

    fn protect(&self) -> io::Result<()> {
        if let Some(group) = self.group {
            rustix::fs::chown(&self.path, None::<Uid>, Some(Gid::from_raw(group)))?;
        }
        rustix::fs::chmod(&self.path, Mode::from_raw_mode(self.mode))?;
        Ok(())
    }
}

/// A socket that a dead daemon left behind goes away; one that somebody listens on stays.
fn remove_stale(path: &Path) -> Result<(), Error> {
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(meta) if !meta.file_type().is_socket() => {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, "it is there and is not a socket");
            return Err(Error::File {
                action: "bind",
                path: path.to_owned(),
                source,
            });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Error::AlreadyRunning {
            path: path.to_owned(),
            holder: None,
        }),
        Err(_) => std::fs::remove_file(path).map_err(|source| Error::File {
            action: "remove stale",
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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn setting(dir: &Path, group: Option<u32>) -> (Paths, Libvirtd) {
        let paths = Paths::new(&Args::parse_from(["ferrovirtd"]), true, &Environment::default()).unwrap();
        let conf = Libvirtd {
            sock_dir: Some(dir.join("run")),
            sock_group: group,
            rw_mode: 0o770,
            ro_mode: 0o777,
            ..Libvirtd::default()
        };
        (paths, conf)
    }

    #[test]
    fn mode_and_group_are_as_set() {
        let dir = tempfile::tempdir().unwrap();
        let own = rustix::process::getegid().as_raw();
        let (paths, conf) = setting(dir.path(), Some(own));
        let sockets = listen(&paths, &conf).unwrap();
        assert_eq!(
            sockets.iter().map(|s| s.read_only).collect::<Vec<_>>(),
            [false, true]
        );
        for (socket, mode) in sockets.iter().zip([0o770, 0o777]) {
            let meta = std::fs::metadata(socket.remove.as_ref().unwrap()).unwrap();
            assert_eq!((meta.permissions().mode() & 0o7777, meta.gid()), (mode, own));
        }
        sockets.iter().for_each(remove);
        assert_eq!(std::fs::read_dir(dir.path().join("run")).unwrap().count(), 0);
    }

    #[test]
    fn only_dead_sockets_are_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let (paths, conf) = setting(dir.path(), None);
        nobody_listens(&paths, &conf).unwrap();
        let sockets = listen(&paths, &conf).unwrap();
        assert!(matches!(listen(&paths, &conf), Err(Error::AlreadyRunning { .. })));
        assert!(nobody_listens(&paths, &conf).is_err());
        assert!(UnixStream::connect(sockets[0].remove.as_ref().unwrap()).is_ok());
        drop(sockets);
        nobody_listens(&paths, &conf).unwrap();
        listen(&paths, &conf).unwrap();
    }

    #[test]
    fn other_files_are_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (paths, conf) = setting(dir.path(), None);
        std::fs::create_dir(dir.path().join("run")).unwrap();
        std::fs::write(dir.path().join("run/libvirt-sock-ro"), "mine").unwrap();
        assert!(matches!(listen(&paths, &conf), Err(Error::File { .. })));
        assert_eq!(
            std::fs::read_to_string(dir.path().join("run/libvirt-sock-ro")).unwrap(),
            "mine"
        );
        assert!(!dir.path().join("run/libvirt-sock").exists());
    }

    #[test]
    fn r16_a_users_sockets_are_that_users_alone() {
        let (mut paths, conf) = setting(Path::new("/x"), Some(7));
        paths.privileged = false;
        assert!(
            wanted(&paths, &conf)
                .iter()
                .all(|w| w.mode == 0o700 && w.group.is_none())
        );
    }

    #[test]
    fn passed_sockets_are_told_apart_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for (name, read_only) in [("libvirt-sock", false), ("libvirt-sock-ro", true)] {
            use std::os::fd::AsRawFd;
            let socket = UnixListener::bind(dir.path().join(name)).unwrap();
            let adopted = adopt(own(socket.as_raw_fd()).unwrap()).unwrap();
            assert_eq!(adopted.read_only, read_only);
            assert!(adopted.remove.is_none());
        }
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(adopt(one.into()).is_err());
    }
}

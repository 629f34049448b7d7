//! Files that say that this daemon runs, locked so that there is one of its kind: our own pid file, and
//! those by which libvirt's daemons keep a second one from the same guests and networks.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::error::Error;
use crate::paths::Paths;

/// A pid file that is ours as long as this lives.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    // The lock is the process's: it goes with this descriptor, or with the process.
    _file: File,
}

/// All locks of a daemon. They are given back by dropping this, or by the end of the process.
#[derive(Debug)]
pub struct Locks {
    _files: Vec<PidFile>,
}

impl Locks {
    /// Take all of them.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] when another daemon has one.
    pub fn take(paths: &Paths) -> Result<Self, Error> {
        let drivers = [&paths.qemu.run_dir, &paths.network.run_dir];
        let files = std::iter::once(paths.pid_file.clone()).chain(drivers.map(|dir| dir.join("driver.pid")));
        Ok(Self {
            _files: files.map(|path| PidFile::take(&path)).collect::<Result<_, _>>()?,
        })
    }
}

impl PidFile {
    /// Lock the file and write this process's id into it.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] with the other's process id, or what the kernel refuses.
    pub fn take(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            action: "lock",
            path: path.to_owned(),
            source,
        };
        loop {
            let mut file = open(path).map_err(failed)?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                    let mut text = String::new();
                    let _ = file.read_to_string(&mut text);
                    return Err(Error::AlreadyRunning {
                        path: path.to_owned(),
                        holder: text.trim().parse().ok(),
                    });
                }
                Err(e) => return Err(failed(e.into())),
            }
            // The one who had it may have removed the file between our open and our lock.
            if !is_still(&file, path) {
                continue;
            }
            write_pid(&mut file).map_err(failed)?;
            return Ok(Self {
                path: path.to_owned(),
                _file: file,
            });
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Removed while the lock is still held, so nobody else's file can be hit.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path)
}

fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_file_has_our_pid_and_goes_with_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        std::fs::write(&path, "99999999 old and long\n").unwrap();
        let taken = PidFile::take(&path).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        drop(taken);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_daemon_is_refused_and_told_who_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        // Such locks belong to a process, so the other one has to be another process.
        let script = "import fcntl,sys,time\nf=open(sys.argv[1],'w')\nf.write('4711\\n');f.flush()\n\
                      fcntl.lockf(f,fcntl.LOCK_EX)\nprint('locked',flush=True)\ntime.sleep(60)";
        let Ok(mut other) = Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
        else {
            return;
        };
        let mut line = [0; 7];
        other.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        let e = PidFile::take(&path).unwrap_err();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(
            matches!(
                e,
                Error::AlreadyRunning {
                    holder: Some(4711),
                    ..
                }
            ),
            "{e}"
        );
        assert!(
            e.to_string()
                .ends_with("x.pid is held by another daemon, process 4711"),
            "{e}"
        );
        PidFile::take(&path).unwrap();
    }
}

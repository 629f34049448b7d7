//! Which files are hooks (R1 to R5), and what is worth a word about them (R3, R94).
//!
//! Whether a driver has hooks at all is decided at certain moments ([`Catalogue::decide`]); which ones it has is looked up
//! afresh at each call. Nothing that is found is kept, so nothing can be out of date; only what was already said is
//! remembered, so that it is said once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ferrovirt_sys::program::may_execute;

use crate::engine::Discovery;
use crate::event::Driver;

/// The bits that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// A file that is a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its path under the hooks directory, links not resolved.
    pub(crate) path: PathBuf,
    /// Why it is not to be trusted: others than its owner may change it (R94).
    pub(crate) suspicion: Option<String>,
}

/// What one look at a driver's files gave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    /// The hooks, in the order in which they are called.
    scripts: Vec<Script>,
    /// What is to be said about these and other files.
    remarks: HashMap<PathBuf, String>,
}

/// All drivers' hooks.
#[derive(Debug)]
pub(crate) struct Catalogue {
    directory: PathBuf,
    discovery: Discovery,
    /// By driver, in the order of [`Driver::ALL`].
    has_hooks: [AtomicBool; Driver::ALL.len()],
    /// What was said at the last look, by driver.
    said: Mutex<HashMap<Driver, HashMap<PathBuf, String>>>,
}

impl Catalogue {
    /// Looks at the directory for the first time.
    pub(crate) fn new(directory: PathBuf, discovery: Discovery) -> Catalogue {
        let catalogue = Catalogue {
            directory,
            discovery,
            has_hooks: Default::default(),
            said: Mutex::default(),
        };
        catalogue.decide();
        catalogue
    }

    /// Decides (anew) which drivers have hooks (R4).
    pub(crate) fn decide(&self) {
        for driver in Driver::ALL {
            let found = !self.look(driver).is_empty();
            self.has_hooks[driver as usize].store(found, Ordering::Relaxed);
        }
    }

    /// Whether it is worth looking for this driver's scripts now (R4). Costs no system call.
    pub(crate) fn may_have(&self, driver: Driver) -> bool {
        self.discovery == Discovery::Live || self.has_hooks[driver as usize].load(Ordering::Relaxed)
    }

    /// The scripts that a call of this driver's hooks runs now, in their order; empty when it has none (R5).
    pub(crate) fn scripts(&self, driver: Driver) -> Vec<Script> {
        if self.may_have(driver) {
            self.look(driver)
        } else {
            Vec::new()
        }
    }

    /// Looks, and says what has not been said yet.
    fn look(&self, driver: Driver) -> Vec<Script> {
        let Look { scripts, remarks } = look(&self.directory, driver);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.entry(driver).or_default();
        for (path, remark) in &remarks {
            if before.get(path) != Some(remark) {
                tracing::warn!(target: "virHookCheck", "{remark}");
            }
        }
        *before = remarks;
        scripts
    }
}

/// Main script, then `.d` in byte order of the names (R2).
fn look(directory: &Path, driver: Driver) -> Look {
    let mut look = Look::default();
    let main = directory.join(driver.as_str());
    look.consider(main, directory, Place::Main);
    let beside = directory.join(format!("{driver}.d"));
    for path in entries(&beside, &mut look) {
        look.consider(path, &beside, Place::Beside);
    }
    look
}

/// The files of a `.d` directory; none when there is no such directory.
fn entries(directory: &Path, look: &mut Look) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    match listed {
        Ok(entries) => {
            let mut names: Vec<_> = entries.into_iter().map(|entry| entry.file_name()).collect();
            names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
            names.into_iter().map(|name| directory.join(name)).collect()
        }
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                look.remark(
                    directory,
                    format!("Cannot read hook directory {}: {error}", directory.display()),
                );
            }
            Vec::new()
        }
    }
}

/// Where a file was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `hooks/DRIVER`.
    Main,
    /// `hooks/DRIVER.d/NAME`.
    Beside,
}

impl Look {
    fn remark(&mut self, path: &Path, text: String) {
        self.remarks.insert(path.to_owned(), text);
    }

    /// Takes a file as a hook, or says why not.
    fn consider(&mut self, path: PathBuf, directory: &Path, place: Place) {
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // No file is no remark; a link to nothing, or one that may not be followed, is.
                if fs::symlink_metadata(&path).is_ok() {
                    self.remark(
                        &path,
                        format!("Hook script {} cannot be used: {error}", path.display()),
                    );
                }
                return;
            }
        };
        if metadata.is_dir() && place == Place::Beside {
            return;
        }
        if let Some(reason) = not_a_hook(&path, &metadata) {
            self.remark(
                &path,
                format!("Non-executable hook script {}: {reason}", path.display()),
            );
            return;
        }
        let suspicion = suspicion(&metadata, directory);
        if let Some(reason) = &suspicion {
            self.remark(
                &path,
                format!("Hook script {} is not safe: {reason}", path.display()),
            );
        } else if let Some(reason) = path.file_name().and_then(odd_name) {
            self.remark(
                &path,
                format!("Hook script {} is called although {reason}", path.display()),
            );
        }
        self.scripts.push(Script { path, suspicion });
    }
}

/// Why a file that exists is not run (R3).
fn not_a_hook(path: &Path, metadata: &Metadata) -> Option<String> {
    if metadata.is_dir() {
        return Some("it is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Some("it is not a regular file".to_owned());
    }
    if may_execute(path) {
        return None;
    }
    let mode = metadata.mode() & 0o7777;
    Some(if mode & 0o111 == 0 {
        format!("its mode {mode:04o} has no execute bit")
    } else {
        format!(
            "this daemon may not execute it (mode {mode:04o}, owner {}:{})",
            metadata.uid(),
            metadata.gid()
        )
    })
}

/// Whether others than the owner may change the script (R94).
fn suspicion(metadata: &Metadata, directory: &Path) -> Option<String> {
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Some(format!(
            "others than its owner may write to it (mode {:04o})",
            metadata.mode() & 0o7777
        ));
    }
    let mode = fs::metadata(directory).ok()?.mode();
    (mode & OTHERS_WRITE != 0).then(|| {
        let mode = mode & 0o7777;
        format!(
            "others than the owner of {} may write there (mode {mode:04o})",
            directory.display()
        )
    })
}

/// What may be no hook in the eyes of whoever put it there (R2).
fn odd_name(name: &OsStr) -> Option<&'static str> {
    const BACKUPS: [&[u8]; 8] = [
        b"~",
        b".bak",
        b".orig",
        b".old",
        b".rpmsave",
        b".rpmnew",
        b".dpkg-old",
        b".dpkg-dist",
    ];
    let name = name.as_bytes();
    if name.starts_with(b".") {
        Some("it is a hidden file")
    } else if name.starts_with(b"#") || BACKUPS.iter().any(|end| name.ends_with(end)) {
        Some("it looks like a backup")
    } else if name.contains(&b' ') {
        Some("its name has a space")
    } else {
        None
    }
}

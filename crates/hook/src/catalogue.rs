//! Which files are hooks (R1 to R5), and what is worth a word about them (R3, R94).
//!
//! Whether a driver has hooks at all is decided at certain moments ([`Catalogue::decide`]); which ones it has is looked up
//! afresh at each call. Nothing that is found is kept, so nothing can be out of date; only what was already said is
//! remembered, so that it is said once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ferrovirt_sys::program::may_execute;

use crate::engine::Discovery;
use crate::event::{Driver, HookEvent};

/// The bits that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a file is not called that was added to a driver without hooks (R4).
const TOO_LATE: &str =
    "its driver had no hooks when the daemon started: a restart or a reload (SIGHUP) finds it";

/// So much of a script is read to find out whether it runs the guests' tree itself.
const DISPATCHER_HEAD: u64 = 64 << 10;

/// A file that was found, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path under the hooks directory, links not resolved.
    pub path: PathBuf,
    /// Where it was found.
    pub place: Place,
    /// Why it is not run.
    pub skipped: Option<String>,
    /// Why it is not to be trusted: others than its owner may change it (R94).
    pub suspicion: Option<String>,
    /// What is worth a word in the log about it.
    remark: Option<String>,
}

/// Where a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `hooks/DRIVER`.
    Main,
    /// `hooks/DRIVER.d/NAME`.
    Beside,
    /// `hooks/DRIVER.d/GUEST/OPERATION/SUB-OPERATION/NAME`, the tree of a well-known dispatcher script.
    Tree,
    /// `guests/GUEST/OPERATION/NAME` below the directory of guests, GUEST being a name or a uuid.
    Guest,
}

/// Whose files are looked for, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) driver: Driver,
    pub(crate) object: &'a str,
    pub(crate) uuid: Option<&'a str>,
    pub(crate) operation: &'a str,
    pub(crate) sub_operation: &'a str,
    /// Whether the event is one that scripts are called for, not only rules and directories of guests.
    pub(crate) for_scripts: bool,
}

/// Where hooks are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    /// `$SYSCONFDIR/libvirt/hooks`.
    pub(crate) hooks: PathBuf,
    /// `/etc/ferrovirt/guests`.
    pub(crate) guests: Option<PathBuf>,
    /// Whether the dispatcher's tree is read.
    pub(crate) tree: bool,
}

/// All drivers' hooks.
#[derive(Debug)]
pub(crate) struct Catalogue {
    directories: Directories,
    discovery: Discovery,
    /// By driver, in the order of [`Driver::ALL`].
    has_hooks: [AtomicBool; Driver::ALL.len()],
    /// Whether there were directories of guests at the last look. R4 is about scripts of drivers: the first of these is seen
    /// at once.
    has_guests: AtomicBool,
    /// What was said at the last look, by driver.
    said: Mutex<HashMap<Driver, HashMap<PathBuf, String>>>,
}

impl Catalogue {
    /// Looks at the directory for the first time.
    pub(crate) fn new(directories: Directories, discovery: Discovery) -> Catalogue {
        let catalogue = Catalogue {
            directories,
            discovery,
            has_hooks: Default::default(),
            has_guests: AtomicBool::new(false),
            said: Mutex::default(),
        };
        catalogue.decide();
        catalogue
    }

    /// Decides (anew) which drivers have hooks (R4).
    pub(crate) fn decide(&self) {
        self.has_guests.store(false, Ordering::Relaxed);
        for driver in Driver::ALL {
            let has = self.look(driver).iter().any(|found| found.skipped.is_none());
            let has = has || (self.directories.tree && self.beside(driver).is_dir());
            self.has_hooks[driver as usize].store(has, Ordering::Relaxed);
        }
    }

    /// Whether it is worth looking for files that are called for this event now (R4). Costs one system call while there
    /// are no hooks at all, and otherwise none.
    pub(crate) fn may_have(&self, event: &HookEvent) -> bool {
        let driver = event.driver();
        let of_guests = !matches!(driver, Driver::Daemon | Driver::Network);
        (event.for_scripts() && self.has_scripts(driver)) || (of_guests && self.has_guests())
    }

    /// Whether there are directories of guests; once there, they are believed to stay until the next reload.
    fn has_guests(&self) -> bool {
        if self.has_guests.load(Ordering::Relaxed) {
            return true;
        }
        let guests = self.directories.guests.as_ref();
        let has = guests.is_some_and(|directory| directory.is_dir());
        self.has_guests.store(has, Ordering::Relaxed);
        has
    }

    /// Whether this driver's scripts are called (R4).
    pub(crate) fn has_scripts(&self, driver: Driver) -> bool {
        self.discovery == Discovery::Live || self.has_hooks[driver as usize].load(Ordering::Relaxed)
    }

    /// The files that count for a call now, in their order, and those that do not with the reason (R5: perhaps none).
    pub(crate) fn files(&self, wanted: &Wanted<'_>) -> Vec<Found> {
        let mut found = Vec::new();
        if wanted.for_scripts {
            found = self.look(wanted.driver);
            if self.directories.tree {
                let tree = self.tree(wanted, &found);
                found.extend(tree);
            }
            if !self.has_scripts(wanted.driver) {
                for file in &mut found {
                    file.skipped.get_or_insert_with(|| TOO_LATE.to_owned());
                }
            }
        }
        found.extend(self.of_guest(wanted));
        found
    }

    /// All files of a driver, whatever they are called for; says what has not been said yet.
    pub(crate) fn look(&self, driver: Driver) -> Vec<Found> {
        let hooks = &self.directories.hooks;
        let mut found = Vec::new();
        found.extend(consider(hooks.join(driver.as_str()), hooks, Place::Main));
        found.extend(directory(&self.beside(driver), Place::Beside));
        let remarks: HashMap<_, _> = found
            .iter()
            .filter_map(|file| Some((file.path.clone(), file.remark.clone()?)))
            .collect();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.entry(driver).or_default();
        for file in &found {
            if let Some(remark) = &file.remark
                && before.get(&file.path) != Some(remark)
            {
                tracing::warn!(target: "virHookCheck", "{remark}");
            }
        }
        *before = remarks;
        found
    }

    fn beside(&self, driver: Driver) -> PathBuf {
        self.directories.hooks.join(format!("{driver}.d"))
    }

    /// `DRIVER.d/GUEST/OPERATION/SUB-OPERATION/*`, unless a script of the driver runs these itself.
    fn tree(&self, wanted: &Wanted<'_>, scripts: &[Found]) -> Vec<Found> {
        let Some(object) = file_name(wanted.object) else {
            return Vec::new();
        };
        let path = self
            .beside(wanted.driver)
            .join(object)
            .join(wanted.operation)
            .join(wanted.sub_operation);
        let mut found = directory(&path, Place::Tree);
        let dispatcher = scripts
            .iter()
            .filter(|script| script.skipped.is_none())
            .find(|script| !found.is_empty() && is_dispatcher(&script.path, wanted.driver));
        if let Some(script) = dispatcher {
            for file in &mut found {
                file.skipped
                    .get_or_insert_with(|| format!("{} runs it", script.path.display()));
            }
        }
        found
    }

    /// `guests/NAME/OPERATION/*`, then `guests/UUID/OPERATION/*`.
    fn of_guest(&self, wanted: &Wanted<'_>) -> Vec<Found> {
        let Some(guests) = &self.directories.guests else {
            return Vec::new();
        };
        if matches!(wanted.driver, Driver::Daemon | Driver::Network) {
            return Vec::new();
        }
        [Some(wanted.object), wanted.uuid]
            .into_iter()
            .flatten()
            .filter_map(file_name)
            .flat_map(|name| directory(&guests.join(name).join(wanted.operation), Place::Guest))
            .collect()
    }
}

/// A guest's name as the name of a file, if it can be one.
fn file_name(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.contains('/') && name != "." && name != "..").then_some(name)
}

/// Whether a script runs `DRIVER.d/GUEST/…` itself: it has a variable right behind the directory's name.
fn is_dispatcher(script: &Path, driver: Driver) -> bool {
    let mut text = Vec::new();
    let read = fs::File::open(script).and_then(|file| file.take(DISPATCHER_HEAD).read_to_end(&mut text));
    if read.is_err() {
        return false;
    }
    let directory = format!("{driver}.d/");
    let directory = directory.as_bytes();
    text.windows(directory.len() + 2).any(|window| {
        let (name, rest) = window.split_at(directory.len());
        name == directory && matches!(rest, [b'$' | b'%' | b'{', _] | [b'"' | b'\'', b'$'])
    })
}

/// The files of a directory in byte order of their names (R2); none when there is no such directory.
fn directory(path: &Path, place: Place) -> Vec<Found> {
    let listed = fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    match listed {
        Ok(entries) => {
            let mut names: Vec<_> = entries.into_iter().map(|entry| entry.file_name()).collect();
            names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
            names
                .into_iter()
                .filter_map(|name| consider(path.join(name), path, place))
                .collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        // A script of the guest's name stands where its part of the tree would be.
        Err(error) if place != Place::Beside && error.kind() == io::ErrorKind::NotADirectory => Vec::new(),
        Err(error) => {
            let remark = format!("Cannot read hook directory {}: {error}", path.display());
            vec![Found::skipped(
                path.to_owned(),
                place,
                error.to_string(),
                Some(remark),
            )]
        }
    }
}

impl Found {
    fn skipped(path: PathBuf, place: Place, reason: String, remark: Option<String>) -> Found {
        Found {
            path,
            place,
            skipped: Some(reason),
            suspicion: None,
            remark,
        }
    }
}

/// Takes a file as a hook, or says why not; nothing when there is no file.
fn consider(path: PathBuf, directory: &Path, place: Place) -> Option<Found> {
    let shown = path.display().to_string();
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) => {
            // No file is no remark; a link to nothing, or one that may not be followed, is.
            fs::symlink_metadata(&path).ok()?;
            let remark = format!("Hook script {shown} cannot be used: {error}");
            return Some(Found::skipped(path, place, error.to_string(), Some(remark)));
        }
    };
    if metadata.is_dir() && place != Place::Main {
        return Some(Found::skipped(path, place, "it is a directory".to_owned(), None));
    }
    if let Some(reason) = not_a_hook(&path, &metadata) {
        let remark = format!("Non-executable hook script {shown}: {reason}");
        return Some(Found::skipped(path, place, reason, Some(remark)));
    }
    let suspicion = suspicion(&metadata, directory);
    let remark = match (&suspicion, path.file_name().and_then(odd_name)) {
        (Some(reason), _) => Some(format!("Hook script {shown} is not safe: {reason}")),
        (None, Some(reason)) => Some(format!("Hook script {shown} is called although {reason}")),
        (None, None) => None,
    };
    Some(Found {
        path,
        place,
        skipped: None,
        suspicion,
        remark,
    })
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

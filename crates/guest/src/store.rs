//! Definitions on disk: `NAME.xml` in libvirt's layout, and the links that mark guests for autostart.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrovirt_model::domain::Domain;
use ferrovirt_sys::{blocking, durable};
use ferrovirt_xml::{Form, UnknownPolicy};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::state::{Phase, Reason, ShutoffReason, State, Way};
use crate::status::Status;
use crate::status_xml;

/// Where the definitions of one driver lie.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    config_dir: PathBuf,
    status_dir: PathBuf,
    log_dir: PathBuf,
}

/// What was found on disk.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Definitions, with their autostart mark.
    pub(crate) definitions: Vec<(Domain, bool)>,
    /// Live state.
    pub(crate) statuses: Vec<Status>,
}

impl Store {
    pub(crate) fn new(config: &Config) -> Store {
        Store {
            config_dir: config.config_dir.clone(),
            status_dir: config.status_dir.clone(),
            log_dir: config.log_dir.clone(),
        }
    }

    /// Where the status file of this guest is.
    pub(crate) fn status_path(&self, name: &str) -> PathBuf {
        self.status_dir.join(format!("{name}.xml"))
    }

    fn definition(&self, name: &str) -> PathBuf {
        self.config_dir.join(format!("{name}.xml"))
    }

    fn link(&self, name: &str) -> PathBuf {
        self.config_dir.join("autostart").join(format!("{name}.xml"))
    }

    /// Writes a definition; on disk when this returns.
    pub(crate) fn save(&self, doc: &Domain) -> Result<()> {
        let path = self.definition(&doc.name);
        let text = warning(&doc.name) + &doc.to_xml(&Form::STORED);
        let written = blocking::here(|| durable::write(&path, text.as_bytes(), 0o600));
        on("write", &path, written)
    }

    /// Removes a definition with its autostart link.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let (path, link) = (self.definition(name), self.link(name));
        let removed = blocking::here(|| durable::remove(&link).and_then(|()| durable::remove(&path)));
        on("remove", &path, removed)
    }

    /// Marks a guest for autostart, or takes the mark away.
    pub(crate) fn set_autostart(&self, name: &str, autostart: bool) -> Result<()> {
        let (target, link) = (self.definition(name), self.link(name));
        let made = blocking::here(|| match autostart {
            true => fs::create_dir_all(link.parent().unwrap_or(&link))
                .and_then(|()| durable::symlink(&target, &link)),
            false => durable::remove(&link),
        });
        on(if autostart { "write" } else { "remove" }, &link, made)
    }

    /// Makes the directories and reads all that is in them. What cannot be read is reported and left alone.
    pub(crate) fn read(&self) -> Result<Found> {
        on("read", &self.config_dir, blocking::here(|| self.read_now()))
    }

    fn read_now(&self) -> io::Result<Found> {
        fs::create_dir_all(self.config_dir.join("autostart"))?;
        fs::create_dir_all(&self.status_dir)?;
        // Scripts look into it (R15).
        fs::create_dir_all(&self.log_dir)?;
        let mut found = Found::default();
        for path in documents(&self.config_dir)? {
            match read_definition(&path) {
                Ok(doc) => {
                    let autostart = self.link(&doc.name).is_symlink();
                    found.definitions.push((doc, autostart));
                }
                Err(error) => tracing::error!("cannot use the definition '{}': {error}", path.display()),
            }
        }
        for path in documents(&self.status_dir)? {
            let status = fs::read_to_string(&path)
                .map_err(|e| e.to_string())
                .and_then(|text| status_xml::read(&text).map_err(|e| e.to_string()));
            match status {
                Ok(status) if named_after(&path, &status.doc.name) => found.statuses.push(status),
                Ok(_) => tracing::error!("'{}' is the state of a guest of another name", path.display()),
                Err(error) => tracing::error!("cannot use the state in '{}': {error}", path.display()),
            }
        }
        Ok(found)
    }
}

fn on<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::File {
        action,
        path: path.to_owned(),
        source,
    })
}

/// The `.xml` files of a directory, newest first: of two definitions with one uuid, left by a rename that was cut
/// short, the newer one counts.
fn documents(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.extension() == Some(OsStr::new("xml")) && !hidden && path.is_file() {
            let changed = fs::metadata(&path).and_then(|m| m.modified()).ok();
            files.push((std::cmp::Reverse(changed), path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn read_definition(path: &Path) -> std::result::Result<Domain, String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let parsed = Domain::parse(&text, UnknownPolicy::Salvage).map_err(|e| e.to_string())?;
    for unknown in &parsed.kept {
        tracing::warn!("'{}': kept without effect: {unknown}", path.display());
    }
    if !named_after(path, &parsed.value.name) {
        return Err(format!("it defines '{}'", parsed.value.name));
    }
    Ok(parsed.value)
}

fn named_after(path: &Path, name: &str) -> bool {
    path.file_stem() == Some(OsStr::new(name))
}

/// Whether a file can carry this name.
///
/// # Errors
/// `Xml`, as libvirt says it.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.trim().is_empty() {
        return Err(Error::Xml("name must not be empty".to_owned()));
    }
    if name.contains('/') {
        return Err(Error::Xml(format!("name {name} cannot contain '/'")));
    }
    if name.contains(['\n', '\0']) || name == "." || name == ".." || name.len() > 240 {
        return Err(Error::Xml(format!(
            "name '{}' cannot be the name of a file",
            name.escape_default()
        )));
    }
    Ok(())
}

/// The head of each file that the daemon writes, so that nobody edits it in vain.
pub(crate) fn warning(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-+:@%".contains(c);
    let quoted = match name.chars().all(plain) && !name.starts_with('-') {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    };
    // Two dashes may not stand in a comment.
    let shown = if quoted.contains("--") {
        "NAME".to_owned()
    } else {
        quoted
    };
    format!(
        "<!--\nWARNING: this file is written by the virtualization daemon. What is changed in it by\n\
         hand may be overwritten and lost. Use instead:\n  virsh edit {shown}\n\
         or another program that speaks libvirt's API.\n-->\n\n"
    )
}

/// Shows readers what a status file says.
pub(crate) fn show(picture: &mut Snapshot, status: &Status) {
    // A driver may show another number than that of the run.
    picture.id = status.doc.id.or(Some(status.id));
    picture.state = status.reason.state();
    picture.reason = status.reason;
    // Whoever takes the guest over says when it reconnects.
    picture.phase = if status.phase.way() == Way::Up {
        Phase::Up
    } else {
        status.phase
    };
    picture.live = Some(Arc::clone(&status.doc));
    picture.pid = status.process;
    picture.taint.clone_from(&status.taint);
    picture.busy = None;
}

/// Shows readers a guest that does not run.
pub(crate) fn shut_off(picture: &mut Snapshot) {
    picture.id = None;
    picture.phase = Phase::Off;
    picture.live = None;
    picture.pid = None;
    picture.busy = None;
    if picture.state != State::Shutoff {
        picture.state = State::Shutoff;
        picture.reason = Reason::Shutoff(ShutoffReason::Unknown);
    }
}

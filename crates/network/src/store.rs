//! Files of networks: definitions, autostart links, ports. Layout and places are libvirt's (R15).

use std::path::{Path, PathBuf};

use ferrovirt_model::network::{Network, NetworkPort};
use ferrovirt_model::{Form, UnknownPolicy, Uuid};
use ferrovirt_sys::blocking::here;
use ferrovirt_sys::durable;

use crate::Config;
use crate::error::{Error, Result};

/// Mode of files that only the daemon reads.
pub(crate) const PRIVATE: u32 = 0o600;

/// The comment that opens each file which the daemon writes over again; `command` is what to use instead of an editor.
/// As many lines as libvirt's.
pub(crate) fn warning(command: &str) -> String {
    // Two dashes may not stand in a comment.
    let command = command.replace("--", "- -");
    format!(
        "<!--\nWARNING: this file is written by the virtualization daemon. What is changed in it by\n\
         hand may be overwritten and lost. Use instead:\n  virsh {command}\n\
         or another program that speaks libvirt's API.\n-->\n\n"
    )
}

impl Config {
    /// Definition of a network.
    pub(crate) fn definition(&self, name: &str) -> PathBuf {
        self.config_dir.join(format!("{name}.xml"))
    }

    /// The link that marks it to be started with the daemon.
    pub(crate) fn autostart_link(&self, name: &str) -> PathBuf {
        self.config_dir.join("autostart").join(format!("{name}.xml"))
    }

    /// Its status file.
    pub(crate) fn status_file(&self, name: &str) -> PathBuf {
        self.status_dir.join(format!("{name}.xml"))
    }

    /// Directory of its ports.
    pub(crate) fn ports_dir(&self, name: &str) -> PathBuf {
        self.status_dir.join(name).join("ports")
    }

    /// File of one of its ports.
    pub(crate) fn port_file(&self, name: &str, uuid: &Uuid) -> PathBuf {
        self.ports_dir(name).join(format!("{uuid}.xml"))
    }
}

/// Writes a file that survives a power failure, making its directory where needed.
///
/// # Errors
/// `File`.
pub(crate) fn write(path: PathBuf, text: String, mode: u32) -> Result<()> {
    blocking(path, "write", move |path| {
        make_parent(path)?;
        durable::write(path, text.as_bytes(), mode)
    })
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// `File`.
pub(crate) fn remove(path: PathBuf) -> Result<()> {
    blocking(path, "remove", durable::remove)
}

/// Runs file work where it may wait for the disk.
pub(crate) fn blocking<T>(
    path: PathBuf,
    action: &'static str,
    work: impl FnOnce(&Path) -> std::io::Result<T>,
) -> Result<T> {
    here(|| work(&path)).map_err(|source| Error::File { action, path, source })
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    }
}

/// Puts a definition on disk.
///
/// # Errors
/// `File`.
pub(crate) fn write_definition(config: &Config, network: &Network) -> Result<()> {
    let text = warning(&format!("net-edit {}", network.name)) + &network.to_xml(&Form::STORED);
    write(config.definition(&network.name), text, PRIVATE)
}

/// Takes a definition from disk, and its mark with it.
///
/// # Errors
/// `File`.
pub(crate) fn remove_definition(config: &Config, name: &str) -> Result<()> {
    // The link first: one that leads nowhere would be a warning at each start.
    remove(config.autostart_link(name))?;
    remove(config.definition(name))
}

/// Marks a network to be started with the daemon, or not.
///
/// # Errors
/// `File`.
pub(crate) fn set_autostart(config: &Config, name: &str, autostart: bool) -> Result<()> {
    let link = config.autostart_link(name);
    if !autostart {
        return remove(link);
    }
    let target = config.definition(name);
    blocking(link, "make the link", move |link| {
        make_parent(link)?;
        durable::symlink(&target, link)
    })
}

/// One definition found on disk.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The document.
    pub network: Network,
    /// Whether it is marked to be started with the daemon.
    pub autostart: bool,
}

/// All definitions on disk; a broken one is a line in the log.
///
/// # Errors
/// `File` when the directory cannot be read.
pub(crate) fn read_definitions(config: &Config) -> Result<Vec<Definition>> {
    let config = config.clone();
    let directory = config.config_dir.clone();
    blocking(directory, "read", move |directory| {
        let mut found = Vec::new();
        for (name, text) in read_documents(directory)? {
            match Network::parse(&text, UnknownPolicy::Keep) {
                Ok(parsed) if parsed.value.name == name => {
                    for unknown in &parsed.kept {
                        tracing::warn!("network '{name}': {unknown} is not known and has no effect");
                    }
                    let autostart = config.autostart_link(&name).symlink_metadata().is_ok();
                    found.push(Definition {
                        network: parsed.value,
                        autostart,
                    });
                }
                Ok(parsed) => tracing::error!(
                    "{}: the network in it is called '{}': not used",
                    config.definition(&name).display(),
                    parsed.value.name
                ),
                Err(error) => {
                    tracing::error!("{}: {error}: not used", config.definition(&name).display());
                }
            }
        }
        Ok(found)
    })
}

/// All ports of a network that are on disk; a broken one is a line in the log.
///
/// # Errors
/// `File` when the directory cannot be read.
pub(crate) fn read_ports(config: &Config, name: &str) -> Result<Vec<NetworkPort>> {
    blocking(config.ports_dir(name), "read", |directory| {
        let mut ports = Vec::new();
        for (file, text) in read_documents(directory)? {
            match NetworkPort::parse(&text, UnknownPolicy::Keep) {
                Ok(parsed) => ports.push(parsed.value),
                Err(error) => tracing::error!("{}/{file}.xml: {error}: not used", directory.display()),
            }
        }
        Ok(ports)
    })
}

/// Puts a port on disk.
///
/// # Errors
/// `File`.
pub(crate) fn write_port(config: &Config, network: &str, port: &NetworkPort) -> Result<()> {
    let text = warning(&format!("net-port-create {}", port.uuid)) + &port.to_xml(&Form::STATUS);
    write(config.port_file(network, &port.uuid), text, PRIVATE)
}

/// Removes the directory of a network's ports, which are gone.
pub(crate) fn remove_ports_dir(config: &Config, name: &str) {
    let directory = config.status_dir.join(name);
    let removed = blocking(directory, "remove", |directory| {
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    });
    if let Err(error) = removed {
        tracing::warn!("{error}");
    }
}

/// Name (without `.xml`) and text of all documents in a directory, by name. What cannot be read is a line in the
/// log; a directory that is not there is empty.
pub(crate) fn read_documents(directory: &Path) -> std::io::Result<Vec<(String, String)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name();
        if file.to_str().is_some_and(durable::is_temporary) {
            // A daemon was killed while it wrote; what it wrote for is still as it was.
            let _ = std::fs::remove_file(entry.path());
            continue;
        }
        let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".xml")) else {
            continue;
        };
        if !entry.path().is_file() {
            continue;
        }
        match std::fs::read_to_string(entry.path()) {
            Ok(text) => found.push((name.to_owned(), text)),
            Err(error) => tracing::error!("cannot read {}: {error}", entry.path().display()),
        }
    }
    found.sort();
    Ok(found)
}

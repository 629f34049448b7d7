//! What of a guest can be talked with: its consoles and channels, by the names of their devices.

use std::path::PathBuf;

use ferrovirt_hook::Driver;
use ferrovirt_model::domain::{Backend, CharType, Devices, Domain};
use ferrovirt_sys::process::ProcessId;

use crate::error::{Error, Result};
use crate::handle::not_running;
use crate::snapshot::Snapshot;

/// A character device of a running guest, as far as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharDevice {
    /// Of its pseudo terminal, or of the socket that the hypervisor listens on. It means this guest as long as `process`
    /// is there, and may be somebody else's afterwards.
    pub path: PathBuf,
    /// The process behind the guest.
    pub process: Option<ProcessId>,
}

/// The terminal of the console with this alias; without a name, of the first one.
pub(crate) fn console(driver: Driver, seen: &Snapshot, name: Option<&str>) -> Result<CharDevice> {
    let doc = running(seen)?;
    let Some((alias, backend)) = find_console(&doc.devices, driver, name) else {
        return Err(Error::Internal(match driver {
            Driver::Lxc => format!("cannot find console device '{}'", name.unwrap_or("default")),
            _ => format!("cannot find character device {}", name.unwrap_or("<null>")),
        }));
    };
    match backend.path().filter(|_| backend.kind == CharType::Pty) {
        Some(path) => Ok(device(seen, path)),
        None => {
            let name = name.or(alias).unwrap_or("<null>");
            let text = format!("character device {name} is not using a PTY");
            Err(Error::Internal(text))
        }
    }
}

/// The socket of the channel with this alias or this name in the guest; without a name, of the first one.
pub(crate) fn channel(seen: &Snapshot, name: Option<&str>) -> Result<CharDevice> {
    let doc = running(seen)?;
    let found = doc.devices.channels.iter().find(|channel| match name {
        Some(_) => channel.info.alias.as_deref() == name || channel.target.name.as_deref() == name,
        None => true,
    });
    let Some(channel) = found else {
        let text = format!("cannot find channel {}", name.unwrap_or("<null>"));
        return Err(Error::Internal(text));
    };
    match channel
        .backend
        .path()
        .filter(|_| channel.backend.kind == CharType::Unix)
    {
        Some(path) => Ok(device(seen, path)),
        None => {
            let name = name.or(channel.info.alias.as_deref()).unwrap_or("<null>");
            let text = format!("channel {name} is not using a UNIX socket");
            Err(Error::Internal(text))
        }
    }
}

fn running(seen: &Snapshot) -> Result<&Domain> {
    let live = seen.live.as_deref().filter(|_| seen.is_active());
    live.ok_or_else(not_running)
}

fn device(seen: &Snapshot, path: &str) -> CharDevice {
    CharDevice {
        path: path.into(),
        process: seen.pid,
    }
}

/// Containers have consoles only. Elsewhere, ports that are no consoles are found by their names, too, but no channels.
fn find_console<'a>(
    devices: &'a Devices,
    driver: Driver,
    name: Option<&str>,
) -> Option<(Option<&'a str>, &'a Backend)> {
    let consoles = devices
        .consoles
        .iter()
        .map(|d| (d.info.alias.as_deref(), &d.backend));
    let serials = devices
        .serials
        .iter()
        .map(|d| (d.info.alias.as_deref(), &d.backend));
    let parallels = devices
        .parallels
        .iter()
        .map(|d| (d.info.alias.as_deref(), &d.backend));
    match (name, driver) {
        (None, _) => consoles.chain(serials).next(),
        (Some(_), Driver::Lxc) => consoles.into_iter().find(|(alias, _)| *alias == name),
        (Some(_), _) => consoles
            .chain(serials)
            .chain(parallels)
            .find(|(alias, _)| *alias == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Phase, Reason, RunningReason, State};
    use ferrovirt_model::Uuid;
    use std::sync::Arc;

    fn seen(devices: &str, active: bool) -> Snapshot {
        let text = format!(
            "<domain type='qemu'><name>g</name><memory>1024</memory><os><type>hvm</type></os>\
             <devices>{devices}</devices></domain>"
        );
        let doc = Domain::parse_live(&text, ferrovirt_xml::UnknownPolicy::Refuse).unwrap();
        Snapshot {
            name: "g".to_owned(),
            uuid: Uuid([1; 16]),
            id: active.then_some(1),
            state: State::Running,
            reason: Reason::Running(RunningReason::Booted),
            phase: Phase::Up,
            persistent: true,
            autostart: false,
            updated: false,
            live: Some(Arc::new(doc.value)),
            config: None,
            pid: None,
            busy: None,
            taint: Vec::new(),
        }
    }

    const DEVICES: &str = "<serial type='pty'><source path='/dev/pts/7'/><alias name='serial0'/></serial>\
        <serial type='file'><source path='/f'/><alias name='serial1'/></serial>\
        <parallel type='pty'><source path='/dev/pts/8'/><alias name='parallel0'/></parallel>\
        <console type='pty'><source path='/dev/pts/7'/><target type='serial' port='0'/><alias name='serial0'/></console>\
        <console type='pty'><source path='/dev/pts/9'/><target type='virtio' port='1'/><alias name='console1'/></console>\
        <channel type='pty'><source path='/dev/pts/6'/><target type='virtio' name='a'/><alias name='channel0'/></channel>\
        <channel type='unix'><source mode='bind' path='/s'/><target type='virtio' name='b'/><alias name='channel1'/></channel>";

    fn said<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn consoles_are_found_by_alias_and_the_first_without_a_name() {
        let seen = seen(DEVICES, true);
        let path = |driver, name| console(driver, &seen, name).unwrap().path;
        for (name, expected) in [
            (None, "/dev/pts/7"),
            (Some("serial0"), "/dev/pts/7"),
            (Some("parallel0"), "/dev/pts/8"),
            (Some("console1"), "/dev/pts/9"),
        ] {
            assert_eq!(path(Driver::Qemu, name), PathBuf::from(expected), "{name:?}");
        }
        assert_eq!(path(Driver::Lxc, Some("console1")), PathBuf::from("/dev/pts/9"));
    }

    #[test]
    fn what_is_no_console_is_refused_in_libvirts_words() {
        let has = seen(DEVICES, true);
        let ask = |name| said(console(Driver::Qemu, &has, Some(name)));
        assert_eq!(ask("serial1"), "character device serial1 is not using a PTY");
        for name in ["channel0", "x", ""] {
            assert_eq!(ask(name), format!("cannot find character device {name}"));
        }
        let none = seen("", true);
        let text = "cannot find character device <null>";
        assert_eq!(said(console(Driver::Qemu, &none, None)), text);
        let text = "cannot find console device 'default'";
        assert_eq!(said(console(Driver::Lxc, &none, None)), text);
        let text = "cannot find console device 'parallel0'";
        assert_eq!(said(console(Driver::Lxc, &has, Some("parallel0"))), text);
        let file = "<serial type='file'><source path='/f'/><alias name='serial0'/></serial>";
        let text = "character device serial0 is not using a PTY";
        assert_eq!(said(console(Driver::Qemu, &seen(file, true), None)), text);
        let off = seen(DEVICES, false);
        assert_eq!(said(console(Driver::Qemu, &off, None)), "domain is not running");
        assert_eq!(said(channel(&off, None)), "domain is not running");
    }

    #[test]
    fn channels_are_found_by_alias_and_by_the_guests_name() {
        let seen = seen(DEVICES, true);
        for name in ["channel1", "b"] {
            assert_eq!(channel(&seen, Some(name)).unwrap().path, PathBuf::from("/s"));
        }
        assert_eq!(
            said(channel(&seen, None)),
            "channel channel0 is not using a UNIX socket"
        );
        assert_eq!(
            said(channel(&seen, Some("a"))),
            "channel a is not using a UNIX socket"
        );
        for name in ["serial0", "x"] {
            assert_eq!(
                said(channel(&seen, Some(name))),
                format!("cannot find channel {name}")
            );
        }
    }
}

//! Events: what QEMU says unasked. Unknown names are ordinary events; who listens decides what to ignore.

use ferrovirt_guest::DiskName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Time of day as QEMU saw it. Both are -1 when its clock failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Microseconds within the second.
    pub microseconds: i64,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// QEMU's name, e.g. `SHUTDOWN`.
    pub name: String,
    /// Its data as written; absent for many.
    pub data: Option<Box<RawValue>>,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// The data as `T`; `T`'s default when there is none or it has another shape, since an event whose
    /// details changed is still the event.
    #[must_use]
    pub fn data_or_default<T: DeserializeOwned + Default>(&self) -> T {
        self.data
            .as_deref()
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }
}

/// Data of `SHUTDOWN`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Shutdown {
    /// The guest did it (ACPI), rather than a monitor command or a signal.
    #[serde(default)]
    pub guest: bool,
    /// `guest-shutdown`, `host-signal`, `host-qmp-quit`, ...
    #[serde(default)]
    pub reason: String,
}

/// Data of `RESET`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Reset {
    /// The guest did it.
    #[serde(default)]
    pub guest: bool,
    /// `guest-reset`, `host-qmp-system-reset`, ...
    #[serde(default)]
    pub reason: String,
}

/// Data of `GUEST_PANICKED`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GuestPanicked {
    /// What QEMU does about it: `pause`, `poweroff`, `run`.
    #[serde(default)]
    pub action: String,
}

/// Data of `BALLOON_CHANGE`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct BalloonChange {
    /// Bytes the guest has now.
    #[serde(default)]
    pub actual: u64,
}

/// Data of `BLOCK_IO_ERROR`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BlockIoError {
    /// `stop`, `report`, `ignore`.
    pub action: String,
    /// Place of the device in the composition tree; older QEMUs do not say it.
    pub qom_path: String,
    /// The node that failed.
    pub node_name: String,
    /// The host has no room for more.
    pub nospace: bool,
}

impl BlockIoError {
    /// The disk that failed; none if it is nothing that we named.
    #[must_use]
    pub fn disk(&self) -> Option<DiskName> {
        let alias = self.qom_path.strip_prefix("/machine/peripheral/");
        if let Some(alias) = alias.and_then(|rest| rest.split('/').next()) {
            return Some(DiskName::Alias(alias.to_owned()));
        }
        let node = self.node_name.strip_prefix("libvirt-")?;
        node.split('-').next()?.parse().ok().map(DiskName::Index)
    }
}

/// Data of `DEVICE_DELETED` and `DEVICE_UNPLUG_GUEST_ERROR`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DeviceEvent {
    /// The device's id; parts of devices have none.
    #[serde(default)]
    pub device: Option<String>,
}

/// Data of `WATCHDOG`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Watchdog {
    /// `reset`, `shutdown`, `poweroff`, `pause`, `debug`, `none`, `inject-nmi`.
    #[serde(default)]
    pub action: String,
}

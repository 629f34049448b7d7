//! The one error of this crate: what was tried, on which device, and what the kernel said.

use std::fmt;
use std::io;

/// A request to the kernel about a network device that failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The netlink socket could not be made.
    #[error("cannot open a netlink socket: {}", Reason(.0))]
    Open(#[source] io::Error),
    /// There is no device of this name.
    #[error("Cannot get interface index on '{device}': No such device")]
    Missing {
        /// Name of the device.
        device: String,
    },
    /// The kernel refused.
    #[error("error {action} {device}: {}", Reason(.source))]
    Kernel {
        /// What was tried, with what it was tried on ("creating bridge interface").
        action: &'static str,
        /// Name of the device.
        device: String,
        /// The kernel's answer; `raw_os_error` is its errno.
        source: io::Error,
    },
}

impl LinkError {
    /// The kernel's errno, where the kernel was asked (ENODEV for a device that is not there).
    pub fn errno(&self) -> Option<i32> {
        match self {
            LinkError::Open(source) | LinkError::Kernel { source, .. } => source.raw_os_error(),
            LinkError::Missing { .. } => Some(ENODEV),
        }
    }

    /// What `error` of rtnetlink means for `device`.
    pub(crate) fn from_kernel(action: &'static str, device: &str, error: rtnetlink::Error) -> LinkError {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other.to_string()),
        };
        if source.raw_os_error() == Some(ENODEV) {
            return LinkError::Missing {
                device: device.to_owned(),
            };
        }
        LinkError::Kernel {
            action,
            device: device.to_owned(),
            source,
        }
    }
}

/// "No such device".
pub(crate) const ENODEV: i32 = 19;

/// The kernel's words without the number that `io::Error` adds: the number is for `errno()`, and libvirt's
/// users know these texts without it.
struct Reason<'a>(&'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        out.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

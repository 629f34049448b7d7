//! The one error of this crate: what was tried, on which device, and what the kernel said.

use std::io;

/// A request to the kernel about a network device that failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The netlink socket could not be made.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// There is no device of this name.
    #[error("Cannot find network device '{device}'")]
    Missing {
        /// Name of the device.
        device: String,
    },
    /// The kernel refused.
    #[error("cannot {action} network device '{device}': {source}")]
    Kernel {
        /// What was tried, as a verb ("create", "set up").
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
            LinkError::Missing { .. } => Some(19),
        }
    }
}

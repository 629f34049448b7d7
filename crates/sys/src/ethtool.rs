//! What a network device can do in hardware, by `SIOCETHTOOL`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// A question that is answered with one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Question {
    /// Checksums of what is received.
    ReceiveChecksum = 0x14,
    /// Checksums of what is sent.
    SendChecksum = 0x16,
    /// Packets in pieces.
    ScatterGather = 0x18,
    /// TCP cut into segments.
    TcpSegmentation = 0x1e,
    /// A word of [`flag`]s.
    Flags = 0x25,
    /// Anything cut into segments.
    Segmentation = 0x23,
    /// What is received put together.
    Receive = 0x2b,
}

/// Bits of [`Question::Flags`].
pub mod flag {
    /// VLAN tags of what is sent.
    pub const SEND_VLAN: u32 = 1 << 7;
    /// VLAN tags of what is received.
    pub const RECEIVE_VLAN: u32 = 1 << 8;
    /// Large packets put together.
    pub const LARGE_RECEIVE: u32 = 1 << 15;
    /// Filters.
    pub const FILTERS: u32 = 1 << 27;
    /// Hashes of what is received.
    pub const RECEIVE_HASH: u32 = 1 << 28;
}

/// `ETHTOOL_GFEATURES`.
const FEATURES: u32 = 0x3a;

/// A way to ask the kernel about network devices of this network namespace.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_gfeatures` with room for two blocks of 32 bits.
#[repr(C)]
struct Features {
    command: u32,
    size: u32,
    blocks: [Block; 2],
}

/// `struct ethtool_get_features_block`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    available: u32,
    requested: u32,
    active: u32,
    never_changed: u32,
}

/// `struct ifreq` as far as SIOCETHTOOL uses it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut libc::c_void,
    rest: [u8; 16],
}

impl Ethtool {
    /// Opens the way.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Ethtool> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Ethtool { socket })
    }

    /// The number that answers a question; none if the device does not know.
    pub fn ask(&self, device: &str, question: Question) -> Option<u32> {
        let mut value = Value {
            command: question as u32,
            data: 0,
        };
        // SAFETY: these questions read and write one `struct ethtool_value`, whose layout `Value` has.
        unsafe { self.call(device, (&raw mut value).cast()) }.ok()?;
        Some(value.data)
    }

    /// Whether the feature of this number (of `netdev_features.h`, below 64) is on; none if the device does not know.
    pub fn feature(&self, device: &str, number: u32) -> Option<bool> {
        let mut features = Features {
            command: FEATURES,
            size: 2,
            blocks: [Block::default(); 2],
        };
        // SAFETY: the kernel writes at most `size` blocks behind the two words, and there are as many.
        unsafe { self.call(device, (&raw mut features).cast()) }.ok()?;
        let block = features.blocks.get(number as usize / 32)?;
        Some(block.active & (1 << (number % 32)) != 0)
    }

    /// # Safety
    /// `data` points to what the command in its first word reads and writes.
    unsafe fn call(&self, device: &str, data: *mut libc::c_void) -> io::Result<()> {
        let bytes = device.as_bytes();
        if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut request = Request {
            name: [0; libc::IFNAMSIZ],
            data,
            rest: [0; 16],
        };
        request.name[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: `Request` has size and layout of `struct ifreq`; `data` is what the caller promises.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_and_what_is_not_there_does_not() {
        assert_eq!((size_of::<Request>(), size_of::<Value>()), (40, 8));
        let ethtool = Ethtool::open().unwrap();
        assert_eq!(ethtool.ask("lo", Question::SendChecksum), Some(1));
        assert_eq!(ethtool.ask("no such device at all", Question::SendChecksum), None);
        assert_eq!(ethtool.ask("none", Question::SendChecksum), None);
        assert_eq!(ethtool.feature("lo", 64), None);
    }
}

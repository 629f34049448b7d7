//! Addresses of guests among sockets between host and guest (vsock).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// `_IOW(VHOST_VIRTIO, 0x60, __u64)` of `linux/vhost.h`.
const SET_GUEST_CID: libc::c_ulong = 0x4008_af60;
/// The smallest address of a guest: below are the hypervisor and the host.
const FIRST: u32 = 3;

/// Opens the host's side with an address: this one, or the first that nobody has. The address is taken as long as a
/// descriptor is open.
///
/// # Errors
/// `NotFound` where the kernel has no vhost-vsock, `EADDRINUSE` for an address that somebody has, `EPERM` without the right.
pub fn open(address: Option<u32>) -> io::Result<(OwnedFd, u32)> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/vhost-vsock")?;
    let mut wanted = address.unwrap_or(FIRST);
    loop {
        let number = u64::from(wanted);
        // SAFETY: the request reads one 64-bit number, which lives across the call.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_GUEST_CID as _, &raw const number) };
        if result == 0 {
            return Ok((device.into(), wanted));
        }
        let error = io::Error::last_os_error();
        let taken = error.raw_os_error() == Some(libc::EADDRINUSE);
        match wanted.checked_add(1) {
            Some(next) if taken && address.is_none() => wanted = next,
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_once() {
        // Hosts without the device say so.
        let Ok((first, address)) = open(None) else {
            assert!(open(None).is_err());
            return;
        };
        assert!(address >= FIRST);
        assert!(open(Some(address)).is_err());
        let (_second, other) = open(None).unwrap();
        assert_ne!(address, other);
        drop(first);
        assert_eq!(open(Some(address)).unwrap().1, address);
    }
}

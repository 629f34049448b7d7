//! Tap devices: a guest's network card as the host sees it. rtnetlink cannot make them, an `ioctl` does.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Makes a tap device. `name` may hold one `%d`, for which the kernel takes the first free number. The device lives as long
/// as a descriptor of it is open: the returned one, or those that QEMU inherits. With `multi_queue` more queues can be
/// added by calling this again with the name that was returned.
///
/// # Errors
/// `EINVAL` for a name that is too long (15 bytes) or has a zero byte, `EBUSY` when the device exists and is in use,
/// `EPERM` without the right, `NotFound` where the machine has no `/dev/net/tun`.
pub fn create(name: &str, vnet_hdr: bool, multi_queue: bool) -> io::Result<(OwnedFd, String)> {
    let mut request = Request::named(name)?;
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
    if vnet_hdr {
        flags |= libc::IFF_VNET_HDR;
    }
    if multi_queue {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    // The flags of a tap are a 16 bit field in which IFF_VNET_HDR fits: the cast only drops zero bits.
    request.flags = flags as libc::c_short;
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, whose layout and size `Request` has; it lives across the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((device.into(), request.name()))
}

/// `struct ifreq` as far as TUNSETIFF uses it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

impl Request {
    fn named(name: &str) -> io::Result<Request> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut request = Request {
            name: [0; libc::IFNAMSIZ],
            flags: 0,
            rest: [0; 22],
        };
        request.name[..bytes.len()].copy_from_slice(bytes);
        Ok(request)
    }

    fn name(&self) -> String {
        let end = self
            .name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.name.len());
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_names_that_do_not_fit_are_refused() {
        for wrong in ["", "a-name-of-16-byt", "nul\0"] {
            assert_eq!(
                create(wrong, true, false).unwrap_err().raw_os_error(),
                Some(libc::EINVAL),
                "{wrong:?}"
            );
        }
        assert_eq!(size_of::<Request>(), 40);
    }

    /// Set where the test runs again, in a namespace.
    const INSIDE: &str = "FERROVIRT_TEST_INSIDE";

    /// Runs itself again inside its own network namespace, where devices disturb nobody.
    #[test]
    fn r15_taps_are_made_in_a_private_namespace() {
        if std::env::var_os(INSIDE).is_some() {
            return inside();
        }
        let me = std::env::current_exe().unwrap();
        let output = std::process::Command::new("unshare")
            .args(["-n", "--"])
            .arg(me)
            .args(["--exact", "tap::tests::r15_taps_are_made_in_a_private_namespace"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    fn inside() {
        let (first, name) = create("vnet%d", true, false).unwrap();
        assert_eq!(name, "vnet0");
        let (_second, name) = create("vnet%d", true, false).unwrap();
        assert_eq!(name, "vnet1");
        assert_eq!(
            create("vnet0", true, false).unwrap_err().raw_os_error(),
            Some(libc::EBUSY)
        );
        let flags = std::fs::read_to_string("/sys/class/net/vnet0/tun_flags");
        if let Ok(flags) = flags {
            let flags = i32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap();
            assert_eq!(flags & libc::IFF_VNET_HDR, libc::IFF_VNET_HDR);
        }
        drop(first);
        let (_again, name) = create("vnet%d", false, true).unwrap();
        assert_eq!(name, "vnet0");
        let (_queue, name) = create("vnet0", false, true).unwrap();
        assert_eq!(name, "vnet0");
    }
}

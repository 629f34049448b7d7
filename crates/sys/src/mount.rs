//! Mounts as objects: what `rustix` lacks of the calls that make and change one without a path, and loop devices.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

/// What a mount forbids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forbid {
    /// Writing.
    pub write: bool,
    /// Set-user-id bits have no effect.
    pub suid: bool,
    /// Device nodes have no effect.
    pub devices: bool,
    /// Executing.
    pub exec: bool,
}

impl Forbid {
    /// As attributes of `mount_setattr` and `fsmount`.
    pub fn bits(self) -> u64 {
        [
            (self.write, libc::MOUNT_ATTR_RDONLY),
            (self.suid, libc::MOUNT_ATTR_NOSUID),
            (self.devices, libc::MOUNT_ATTR_NODEV),
            (self.exec, libc::MOUNT_ATTR_NOEXEC),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |bits, (_, bit)| bits | bit)
    }
}

/// Adds to what a mount forbids; it and, where wanted, all mounts below.
///
/// # Errors
/// `EINVAL` when `mount` is no root of a mount, `EPERM`, `ENOSYS` before Linux 5.12.
pub fn forbid(mount: impl AsFd, what: Forbid, recursive: bool) -> io::Result<()> {
    set_attributes(&mount, what.bits(), 0, recursive)
}

/// Makes the mount and all below it private: nothing that is mounted there is seen elsewhere, nor the other way round.
///
/// # Errors
/// As [`forbid`].
pub fn make_private(mount: impl AsFd) -> io::Result<()> {
    set_attributes(&mount, 0, libc::MS_PRIVATE, true)
}

fn set_attributes(mount: &impl AsFd, set: u64, propagation: u64, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string, the struct is one that the kernel only reads; its size goes along.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The numbers of `linux/loop.h`.
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_config` with its `struct loop_info64`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// How often another process may take the free device first.
const LOOP_TRIES: usize = 50;

/// Attaches a file to a free loop device, which goes away by itself with its last user. The device stays as long as the
/// returned descriptor, or a mount of it, is there.
///
/// # Errors
/// What opening the file or `/dev/loop-control` gives; `EBUSY` when there is no free device.
pub fn attach_loop(file: &File, read_only: bool) -> io::Result<(PathBuf, OwnedFd)> {
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    let mut config = LoopConfig {
        fd: file.as_raw_fd().cast_unsigned(),
        block_size: 0,
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_AUTOCLEAR | if read_only { LO_FLAGS_READ_ONLY } else { 0 },
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
    for _ in 0..LOOP_TRIES {
        // SAFETY: this request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::options().read(true).write(!read_only).open(&path)?;
        // SAFETY: the kernel reads one struct of this layout.
        if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw mut config) } == 0 {
            return Ok((path, device.into()));
        }
        match io::Error::last_os_error() {
            // Somebody else has it by now.
            error if error.raw_os_error() == Some(libc::EBUSY) => {}
            error => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forbidden_has_the_kernels_bits() {
        assert_eq!(Forbid::default().bits(), 0);
        let all = Forbid {
            write: true,
            suid: true,
            devices: true,
            exec: true,
        };
        assert_eq!(all.bits(), 15);
    }

    #[test]
    fn what_is_no_mount_cannot_be_changed() {
        let directory = tempfile::tempdir().unwrap();
        let fd = File::open(directory.path()).unwrap();
        let write = Forbid {
            write: true,
            ..Forbid::default()
        };
        assert_eq!(
            forbid(&fd, write, false).unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
    }

    #[test]
    fn the_loop_struct_has_the_kernels_size() {
        assert_eq!(size_of::<LoopConfig>(), 8 + 232 + 64);
    }
}

//! Installing a filter of system calls. What it says is made elsewhere.

use std::io;

/// One instruction of a filter: code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// From now on this process, and whatever it becomes or forks, passes each system call through the filter. Unlike other
/// ways this does not set `no_new_privs`, so it needs `CAP_SYS_ADMIN` in its user namespace.
///
/// # Errors
/// `EACCES` without that capability, `EINVAL` for what is no filter.
pub fn install(filter: &[Instruction]) -> io::Result<()> {
    let mut code: Vec<libc::sock_filter> = filter
        .iter()
        .map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(code.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        filter: code.as_mut_ptr(),
    };
    // SAFETY: the program points to `len` instructions, which live across the call; the kernel checks and copies them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused() {
        assert_eq!(install(&[]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(install(&[(0xffff, 0, 0, 0)]).is_err());
    }
}

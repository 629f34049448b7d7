//! Refusing system calls to a process and to whatever it becomes or starts.
//!
//! The filter is put together here, in a dozen kinds of instruction: it knows both sets of numbers that a 64-bit kernel of x86
//! serves (a 32-bit program is refused the same calls and otherwise left alone), which filters of libraries do not.

use std::io;

/// A call that can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its number for programs of this machine's own kind.
    native: i64,
    /// Its number for 32-bit programs on x86-64.
    compat: u32,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $native:ident, $compat:literal;)*) => {
        impl Call {
            $($(#[$doc])* pub const $name: Call = Call { native: libc::$native, compat: $compat };)*
        }
    };
}

calls! {
    /// Files by handle, past every mount namespace.
    OPEN_BY_HANDLE_AT = SYS_open_by_handle_at, 342;
    /// Another kernel.
    KEXEC_LOAD = SYS_kexec_load, 283;
    /// Modules of the kernel.
    INIT_MODULE = SYS_init_module, 128;
    /// Modules of the kernel.
    FINIT_MODULE = SYS_finit_module, 350;
    /// Modules of the kernel.
    DELETE_MODULE = SYS_delete_module, 129;
    /// Keys, of which the kernel has one set for each user.
    ADD_KEY = SYS_add_key, 286;
    /// Keys.
    REQUEST_KEY = SYS_request_key, 287;
    /// Keys.
    KEYCTL = SYS_keyctl, 288;
    /// The clock of the machine.
    SETTIMEOFDAY = SYS_settimeofday, 79;
    /// The clock of the machine.
    CLOCK_SETTIME = SYS_clock_settime, 264;
    /// The clock of the machine.
    CLOCK_ADJTIME = SYS_clock_adjtime, 343;
    /// The clock of the machine.
    ADJTIMEX = SYS_adjtimex, 124;
    /// Swap space of the machine.
    SWAPON = SYS_swapon, 87;
    /// Swap space of the machine.
    SWAPOFF = SYS_swapoff, 115;
    /// Accounting of the machine.
    ACCT = SYS_acct, 51;
    /// Programs in the kernel.
    BPF = SYS_bpf, 357;
    /// Counters of the processor, and what runs on it.
    PERF_EVENT_OPEN = SYS_perf_event_open, 336;
    /// Faults of memory in the program's own hands: what attacks on the kernel like.
    USERFAULTFD = SYS_userfaultfd, 374;
}

/// One instruction of a filter: code, jump if true, jump if false, operand.
type Instruction = (u16, u8, u8, u32);

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;
const I386: u32 = 0x4000_0003;

/// On x86-64, numbers from here on are those of programs with 32-bit pointers and 64-bit registers.
const X32: u32 = 0x4000_0000;

/// From now on this process, and whatever it becomes or starts, gets `EPERM` from these calls. Unlike other
/// ways this does not set `no_new_privs`, so it needs `CAP_SYS_ADMIN` in its user namespace.
///
/// # Errors
/// `EACCES` without that capability.
pub fn refuse(calls: &[Call]) -> io::Result<()> {
    install(&filter(calls))
}

fn filter(calls: &[Call]) -> Vec<Instruction> {
    let native: Vec<u32> = calls
        .iter()
        .filter_map(|call| u32::try_from(call.native).ok())
        .collect();
    let mut code = vec![(LOAD, 0, 0, ARCHITECTURE)];
    append(&mut code, NATIVE, &native, cfg!(target_arch = "x86_64"));
    if cfg!(target_arch = "x86_64") {
        let compat: Vec<u32> = calls.iter().map(|call| call.compat).collect();
        append(&mut code, I386, &compat, false);
    }
    code.push((RETURN, 0, 0, refusal(libc::ENOSYS)));
    code
}

/// The part for one architecture; others jump over it.
fn append(code: &mut Vec<Instruction>, architecture: u32, numbers: &[u32], has_x32: bool) {
    let mut part = vec![(LOAD, 0, 0, NUMBER)];
    if has_x32 {
        part.push((JUMP_AT_LEAST, 0, 1, X32));
        part.push((RETURN, 0, 0, refusal(libc::ENOSYS)));
    }
    for number in numbers {
        part.push((JUMP_EQUAL, 0, 1, *number));
        part.push((RETURN, 0, 0, refusal(libc::EPERM)));
    }
    part.push((RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    code.push((JUMP_EQUAL, 1, 0, architecture));
    code.push((JUMP, 0, 0, u32::try_from(part.len()).unwrap_or(u32::MAX)));
    code.extend(part);
}

fn refusal(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

fn install(filter: &[Instruction]) -> io::Result<()> {
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

    /// What the filter says to a call, as the kernel would run it.
    fn answer(filter: &[Instruction], architecture: u32, number: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let (code, jt, jf, k) = filter[at];
            at += 1;
            match code {
                LOAD if k == ARCHITECTURE => loaded = architecture,
                LOAD => loaded = number,
                JUMP => at += k as usize,
                JUMP_EQUAL => at += usize::from(if loaded == k { jt } else { jf }),
                JUMP_AT_LEAST => at += usize::from(if loaded >= k { jt } else { jf }),
                RETURN => return k,
                other => panic!("code {other:#x}"),
            }
        }
    }

    #[test]
    fn each_architecture_has_its_own_numbers() {
        let filter = filter(&[Call::KEYCTL, Call::OPEN_BY_HANDLE_AT]);
        let native = u32::try_from(libc::SYS_keyctl).unwrap();
        assert_eq!(answer(&filter, NATIVE, native), refusal(libc::EPERM));
        assert_eq!(answer(&filter, NATIVE, native + 1), libc::SECCOMP_RET_ALLOW);
        assert_eq!(answer(&filter, 1, native), refusal(libc::ENOSYS));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(answer(&filter, I386, 288), refusal(libc::EPERM));
            assert_eq!(answer(&filter, I386, 342), refusal(libc::EPERM));
            assert_eq!(answer(&filter, I386, native), libc::SECCOMP_RET_ALLOW);
            assert_eq!(answer(&filter, NATIVE, native | X32), refusal(libc::ENOSYS));
        }
    }
}

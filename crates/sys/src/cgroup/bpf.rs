//! `bpf(2)` as far as a group's device program needs it: load, attach, find, detach. The structures are the parts of the
//! kernel's `union bpf_attr` that these commands read; what is left out at their end counts as zero.

use std::ffi::c_char;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::device_program::Instruction;

/// Commands.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;

/// `BPF_PROG_TYPE_CGROUP_DEVICE` and `BPF_CGROUP_DEVICE`.
const TYPE: u32 = 15;
const ATTACH_TYPE: u32 = 6;
/// `BPF_F_ALLOW_MULTI`: others may have programs here, too.
const ALLOW_MULTI: u32 = 2;

/// Most programs of one group that are looked at; the kernel allows no more.
const PROGRAMS: usize = 64;

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    unused: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
    unused: u32,
}

/// One system call.
///
/// # Safety
/// `T` is the beginning of the kernel's structure for `command`, and each address in it is valid for what the command reads
/// and writes there.
unsafe fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: the structure is ours and as long as we say; the caller answers for what is in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    match libc::c_int::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn number(fd: &impl AsRawFd) -> u32 {
    // An open descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

/// Loads a program.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license: &[c_char; 11] = &b"Apache-2.0\0".map(|byte| byte as c_char);
    let mut attributes = Load {
        kind: TYPE,
        count: u32::try_from(program.len()).unwrap_or(u32::MAX),
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        attach_type: ATTACH_TYPE,
        ..Load::default()
    };
    // SAFETY: `Load` is the structure of this command; program and licence live across the call, and are only read.
    let fd = unsafe { call(PROG_LOAD, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program to a group, beside others.
pub(super) fn attach(group: &File, program: &OwnedFd) -> io::Result<()> {
    let mut attributes = Attach {
        target: number(group),
        program: number(program),
        kind: ATTACH_TYPE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: `Attach` is the structure of this command; it holds no addresses.
    unsafe { call(PROG_ATTACH, &mut attributes) }.map(drop)
}

/// Detaches a program from a group.
pub(super) fn detach(group: &File, program: &OwnedFd) -> io::Result<()> {
    let mut attributes = Attach {
        target: number(group),
        program: number(program),
        kind: ATTACH_TYPE,
        ..Attach::default()
    };
    // SAFETY: `Attach` is the structure of this command; it holds no addresses.
    unsafe { call(PROG_DETACH, &mut attributes) }.map(drop)
}

/// The device programs of a group itself.
pub(super) fn attached(group: &File) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; PROGRAMS];
    let mut attributes = Query {
        target: number(group),
        kind: ATTACH_TYPE,
        ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS as u32,
        ..Query::default()
    };
    // SAFETY: `Query` is the structure of this command; it writes at most `count` numbers to `ids`, which has that many
    // and lives across the call.
    unsafe { call(PROG_QUERY, &mut attributes) }?;
    let count = usize::try_from(attributes.count).unwrap_or(0).min(PROGRAMS);
    ids[..count].iter().map(|id| by_id(*id)).collect()
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = ById {
        id,
        ..ById::default()
    };
    // SAFETY: `ById` is the structure of this command; it holds no addresses.
    let fd = unsafe { call(PROG_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

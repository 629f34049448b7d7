//! What a process that was not executed anew is called: its path and arguments in `/proc/PID/cmdline`.

use std::ffi::CString;

/// `struct prctl_mm_map` of the kernel.
#[repr(C)]
struct Map {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *mut u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Shows path and arguments where an exec would. Where the kernel does not allow that, the process is shown as what it was.
pub(super) fn show(args: &[CString]) {
    let text: Vec<u8> = { args.iter() }
        .flat_map(|arg| arg.as_bytes_with_nul())
        .copied()
        .collect();
    // Others read it as long as this process lives.
    let range = text.leak().as_ptr_range();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some(map) = map(&stat, range.start as u64, range.end as u64) else {
        return;
    };
    // SAFETY: all addresses but those of the arguments are what the kernel has just said of this process; the arguments are in memory
    // that is never freed. The kernel copies the structure and keeps no address of it.
    unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP,
            &raw const map,
            size_of::<Map>(),
            0,
        );
    }
}

/// The fields as proc(5) numbers them: what the kernel has, but for the arguments.
fn map(stat: &str, arg_start: u64, arg_end: u64) -> Option<Map> {
    let (_, rest) = stat.rsplit_once(") ")?;
    // The first after the name is number 3.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    // SAFETY: asks where the heap ends, and moves nothing.
    let brk = unsafe { libc::sbrk(0) } as u64;
    Some(Map {
        start_code: field(26)?,
        end_code: field(27)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk,
        start_stack: field(28)?,
        arg_start,
        arg_end,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: std::ptr::null_mut(),
        auxv_size: 0,
        exe_fd: u32::MAX,
    })
}

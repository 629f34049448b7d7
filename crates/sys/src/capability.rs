//! What root may do, piece by piece. In sets of capabilities, bit n is capability n.

use std::io;

use rustix::thread::CapabilitySet;

/// The highest capability that any kernel has; those that this one lacks are passed over.
const LAST: u32 = 63;

/// Whatever this process executes can get no more than these; nothing is handed on beyond what executing gives.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn limit(set: u64) -> io::Result<()> {
    for capability in (0..=LAST).filter(|capability| set & (1 << capability) == 0) {
        // SAFETY: takes numbers only.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        let error = io::Error::last_os_error();
        if done < 0 && error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    // SAFETY: takes numbers only. Kernels without ambient capabilities have none to clear.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    Ok(())
}

/// Whether this process may mount file systems and make device nodes in them (`CAP_SYS_ADMIN`, `CAP_MKNOD`).
pub fn may_make_dev() -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::MKNOD;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// This process itself keeps no more than these, and hands on none as inheritable.
///
/// # Errors
/// What the kernel says; it never refuses to give up something.
pub fn drop_others(set: u64) -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    let keep = CapabilitySet::from_bits_retain(set);
    sets.effective &= keep;
    sets.permitted &= keep;
    sets.inheritable = CapabilitySet::empty();
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

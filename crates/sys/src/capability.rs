//! What root may do, piece by piece.

use std::io;

/// The highest capability that a kernel has; those that this kernel lacks are passed over.
pub const LAST: u32 = 63;

/// This process, and what it executes, keep only these capabilities (bit n is capability n): the bounding set, the effective
/// and the permitted one shrink, the inheritable and the ambient one are empty.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn keep_only(set: u64) -> io::Result<()> {
    for capability in (0..=LAST).filter(|capability| set & (1 << capability) == 0) {
        // SAFETY: takes numbers only.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        let error = io::Error::last_os_error();
        if done < 0 && error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let mut sets = rustix::thread::capabilities(None)?;
    let keep = rustix::thread::CapabilitySet::from_bits_retain(set);
    sets.effective &= keep;
    sets.permitted &= keep;
    sets.inheritable = rustix::thread::CapabilitySet::empty();
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

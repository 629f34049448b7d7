//! Which system calls the container is refused.

use ferrovirt_sys::seccomp::{Call, refuse};

use crate::protocol::Orders;

use super::{Named, Step, caps};

/// What reaches the host's kernel as a whole, where the orders ask for a filter.
const WHOLE_MACHINE: [Call; 18] = [
    Call::OPEN_BY_HANDLE_AT,
    Call::KEXEC_LOAD,
    Call::INIT_MODULE,
    Call::FINIT_MODULE,
    Call::DELETE_MODULE,
    Call::ADD_KEY,
    Call::REQUEST_KEY,
    Call::KEYCTL,
    Call::SETTIMEOFDAY,
    Call::CLOCK_SETTIME,
    Call::CLOCK_ADJTIME,
    Call::ADJTIMEX,
    Call::SWAPON,
    Call::SWAPOFF,
    Call::ACCT,
    Call::BPF,
    Call::PERF_EVENT_OPEN,
    Call::USERFAULTFD,
];

/// Installs what the orders ask for. Without a user namespace files by handle are refused in any case, unless the document asks for them:
/// the host's root needs no path to a file of the host, whatever it sees of the mounts.
pub(super) fn restrict(orders: &Orders) -> Step<()> {
    let is_host_root = orders.namespaces.user.is_none();
    let calls: &[Call] = if orders.seccomp {
        &WHOLE_MACHINE
    } else if is_host_root && caps::forbids_handles(&orders.capabilities) {
        &[Call::OPEN_BY_HANDLE_AT]
    } else {
        return Ok(());
    };
    refuse(calls).named(|| "cannot install the filter of system calls".to_owned())
}

//! What devices need of the rest of the document.

use ferrovirt_model::domain::{Domain, MemoryAccess};

/// Is there a thread of this number?
pub(super) fn has_iothread(doc: &Domain, number: u32) -> bool {
    doc.io_threads().iter().any(|thread| thread.id == number)
}

/// Can other processes see all of the guest's memory? A NUMA node may say otherwise than the guest.
pub(super) fn shares_memory(doc: &Domain) -> bool {
    let whole = doc.memory_backing.as_ref().and_then(|backing| backing.access);
    match doc.numa_cells() {
        [] => whole == Some(MemoryAccess::Shared),
        cells => { cells.iter() }.all(|cell| cell.access.or(whole) == Some(MemoryAccess::Shared)),
    }
}

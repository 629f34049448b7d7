//! What devices need of the rest of the document.

use ferrovirt_model::domain::Domain;

/// Is there a thread of this number? Documents cannot ask for any yet.
pub(super) fn has_iothread(_doc: &Domain, _number: u32) -> bool {
    false
}

/// Can other processes see the guest's memory? Documents cannot ask for that yet.
pub(super) fn shares_memory(_doc: &Domain) -> bool {
    false
}

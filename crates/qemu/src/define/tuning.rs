//! Limits and shares of a guest: what this driver can hold a guest to.

use ferrovirt_model::domain::Domain;

use crate::error::{Error, Result};

/// Refuses what would have no effect.
pub(super) fn settle(doc: &Domain) -> Result<()> {
    let limits = doc.memtune.as_ref();
    match limits.and_then(|limits| limits.min_guarantee) {
        Some(_) => Err(Error::unsupported(
            "Parameter 'min_guarantee' not supported by QEMU.",
        )),
        None => Ok(()),
    }
}

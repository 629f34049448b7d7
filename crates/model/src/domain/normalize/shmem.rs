//! Shared memory: models, sizes, servers.

use super::inconsistent;
use crate::Kib;
use crate::domain::{Shmem, ShmemModel};
use ferrovirt_xml::XmlError;

/// Completes and checks one.
pub(super) fn normalize(shmem: &mut Shmem) -> Result<(), XmlError> {
    shmem.model.get_or_insert(ShmemModel::default());
    if shmem.name.contains('/') {
        return Err(inconsistent("shmem name cannot include '/' character"));
    }
    if shmem.name == "." || shmem.name == ".." {
        return Err(inconsistent(format!(
            "shmem name cannot be equal to '{}'",
            shmem.name
        )));
    }
    if let Some(size) = shmem.size
        && (!size.0.0.is_power_of_two() || size.0 < Kib(1024))
    {
        return Err(inconsistent(
            "shmem size must be a power of 2 and at least 1 MiB (1024 KiB)",
        ));
    }
    if let Some(msi) = &mut shmem.msi {
        if shmem.server.is_none() {
            return Err(inconsistent("msi option is only supported with a server"));
        }
        msi.enabled = None;
    }
    Ok(())
}

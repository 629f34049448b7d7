//! Shared memory: what each model has.

use ferrovirt_model::Kib;
use ferrovirt_model::domain::{Shmem, ShmemModel, ShmemMsi, ShmemSize};

use crate::error::{Error, Result};

/// Settles `<shmem>`.
pub(super) fn settle(all: &mut [Shmem]) -> Result<()> {
    for (at, shmem) in all.iter().enumerate() {
        if all[..at]
            .iter()
            .any(|other| other.name == shmem.name && other.model == shmem.model)
        {
            return Err(Error::Xml(format!("shmem '{}' is there twice", shmem.name)));
        }
    }
    all.iter_mut().try_for_each(one)
}

fn one(shmem: &mut Shmem) -> Result<()> {
    let model = shmem.model.unwrap_or_default();
    let refused = |text: String| Err(Error::unsupported(text));
    match model {
        ShmemModel::Ivshmem => {
            refused("ivshmem device is no longer supported: shmem model 'ivshmem'".to_owned())
        }
        ShmemModel::IvshmemPlain if shmem.server.is_some() => refused(format!(
            "shmem model '{model}' is supported only with server option disabled"
        )),
        ShmemModel::IvshmemPlain if shmem.msi.is_some() => {
            refused(format!("shmem model '{model}' doesn't support msi"))
        }
        ShmemModel::IvshmemPlain => {
            shmem.size.get_or_insert(ShmemSize(Kib(4096)));
            Ok(())
        }
        ShmemModel::IvshmemDoorbell if shmem.server.is_none() => refused(format!(
            "shmem model '{model}' is supported only with server option enabled"
        )),
        ShmemModel::IvshmemDoorbell if shmem.size.is_some() => {
            refused(format!("shmem model '{model}' does not support size setting"))
        }
        ShmemModel::IvshmemDoorbell => {
            let msi = shmem.msi.get_or_insert_with(ShmemMsi::default);
            msi.ioeventfd.get_or_insert(true);
            Ok(())
        }
    }
}

//! `<tpm>`: which of them this QEMU and this host have, in libvirt's words.

use ferrovirt_model::domain::{Domain, Tpm, TpmBackendType, TpmModel, TpmVersion};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};
use crate::swtpm::Swtpm;

/// Settles them. Without `swtpm` there are no chips played by programs.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator, swtpm: Option<&Swtpm>) -> Result<()> {
    doc.devices.tpms.iter_mut().for_each(fill_in);
    let chips = doc.devices.tpms.iter().filter(|tpm| !tpm.is_proxy()).count();
    if chips > 1 {
        return Err(Error::unsupported(
            "only a single TPM non-proxy device is supported",
        ));
    }
    doc.devices
        .tpms
        .iter()
        .try_for_each(|tpm| check(tpm, emulator, swtpm))
}

/// The model of old, and the version that belongs to a model.
fn fill_in(tpm: &mut Tpm) {
    let model = *tpm.model.get_or_insert(TpmModel::TpmTis);
    for backend in &mut tpm.backends {
        if backend.kind == TpmBackendType::Emulator {
            backend.version.get_or_insert(match model {
                TpmModel::TpmCrb | TpmModel::TpmSpapr => TpmVersion::V2_0,
                TpmModel::TpmTis | TpmModel::SpaprTpmProxy => TpmVersion::V1_2,
            });
        }
    }
}

fn check(tpm: &Tpm, emulator: &Emulator, swtpm: Option<&Swtpm>) -> Result<()> {
    let (Some(model), Some(backend)) = (tpm.model, tpm.backend()) else {
        return Ok(());
    };
    if backend.kind == TpmBackendType::Emulator {
        backend
            .check_version()
            .map_err(|error| Error::Xml(error.to_string()))?;
    }
    if let Some(version) = backend.version {
        if !swtpm.is_some_and(|swtpm| swtpm.plays(version)) {
            return Err(Error::unsupported(format!(
                "TPM version '{version}' is not supported"
            )));
        }
        if version == TpmVersion::V1_2 && model != TpmModel::TpmTis {
            return Err(Error::unsupported(format!(
                "TPM 1.2 is not supported for model '{model}'"
            )));
        }
    }
    let program = emulator.path.display();
    if backend.kind != TpmBackendType::Passthrough && swtpm.is_none() {
        return Err(Error::unsupported(format!(
            "The QEMU executable {program} does not support TPM backend type {}",
            backend.kind
        )));
    }
    if !emulator.has(model.as_str()) {
        return Err(Error::unsupported(format!(
            "The QEMU executable {program} does not support TPM model {model}"
        )));
    }
    place(tpm, model)
}

/// Both models are where the machine has them.
fn place(tpm: &Tpm, model: TpmModel) -> Result<()> {
    if tpm.info.address.is_some() {
        return Err(Error::unsupported(format!(
            "a <tpm> of model '{model}' has no <address>"
        )));
    }
    if tpm.info.acpi_index.is_some() {
        return Err(Error::unsupported(
            "ACPI index is only supported for PCI devices (<tpm>)",
        ));
    }
    Ok(())
}

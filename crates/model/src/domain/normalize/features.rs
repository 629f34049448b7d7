//! What the machine has: what contradicts itself is refused, what says nothing is dropped.

use super::{inconsistent, unsupported};
use crate::domain::{Features, Hyperv, HypervMode, KvmFeatures, TcgFeatures};
use ferrovirt_xml::XmlError;

/// Completes `<features>`; one that says nothing is not there.
pub(super) fn normalize(all: &mut Option<Features>) -> Result<(), XmlError> {
    if let Some(features) = all {
        features.capabilities.take_if(|kept| kept.is_default());
        features.tcg.take_if(|tcg| *tcg == TcgFeatures::default());
        if let Some(hyperv) = &mut features.hyperv {
            normalize_hyperv(hyperv)?;
        }
        if let Some(kvm) = &mut features.kvm {
            normalize_kvm(kvm)?;
        }
        if let Some(smm) = &mut features.smm {
            smm.tseg.take_if(|_| !smm.state);
        }
    }
    all.take_if(|features| *features == Features::default());
    Ok(())
}

fn missing(attribute: &str, element: &str) -> XmlError {
    inconsistent(format!(
        "Missing required attribute '{attribute}' in element '{element}'"
    ))
}

fn normalize_hyperv(hyperv: &mut Hyperv) -> Result<(), XmlError> {
    let bare = Hyperv {
        mode: HypervMode::Passthrough,
        ..Hyperv::default()
    };
    if hyperv.mode == HypervMode::Passthrough && *hyperv != bare {
        let text = "single features of 'hyperv' cannot be set with mode='passthrough'";
        return Err(unsupported(text));
    }
    if let Some(spinlocks) = &mut hyperv.spinlocks {
        spinlocks.retries.take_if(|_| !spinlocks.state);
        match spinlocks.retries {
            None if spinlocks.state => return Err(missing("retries", "spinlocks")),
            Some(..4095) => {
                return Err(inconsistent(
                    "HyperV spinlock retry count ('retries') must be at least 4095",
                ));
            }
            _ => {}
        }
    }
    if let Some(vendor) = &mut hyperv.vendor_id {
        vendor.value.take_if(|_| !vendor.state);
        check_vendor(vendor.state, vendor.value.as_deref())?;
    }
    if let Some(stimer) = &mut hyperv.stimer {
        let on = stimer.state;
        stimer.direct.take_if(|direct| !on || !direct.state);
    }
    if let Some(flush) = &mut hyperv.tlbflush {
        let on = flush.state;
        flush.direct.take_if(|direct| !on || !direct.state);
        flush.extended.take_if(|extended| !on || !extended.state);
    }
    Ok(())
}

fn check_vendor(on: bool, value: Option<&str>) -> Result<(), XmlError> {
    let Some(value) = value else {
        return if on {
            Err(inconsistent(
                "missing 'value' attribute for HyperV feature 'vendor_id'",
            ))
        } else {
            Ok(())
        };
    };
    if value.len() > 12 {
        return Err(inconsistent(
            "HyperV vendor_id value must not be more than 12 characters.",
        ));
    }
    // A comma would begin another option of QEMU's.
    if value.contains(',') {
        return Err(inconsistent("HyperV vendor_id value is invalid"));
    }
    Ok(())
}

fn normalize_kvm(kvm: &mut KvmFeatures) -> Result<(), XmlError> {
    let Some(ring) = &mut kvm.dirty_ring else {
        return Ok(());
    };
    ring.size.take_if(|_| !ring.state);
    match ring.size {
        None if ring.state => Err(missing("size", "dirty-ring")),
        Some(size) if !size.is_power_of_two() || !(1024..=65536).contains(&size) => Err(inconsistent(
            "dirty ring ('dirty-ring') must be power of 2 and ranges [1024, 65536]",
        )),
        _ => Ok(()),
    }
}

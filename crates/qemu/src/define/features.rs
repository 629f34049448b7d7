//! What the machine has, as far as only this driver knows whether it fits.

use ferrovirt_model::domain::{
    Clock, Domain, Features, InputBus, TickPolicy, TimerName, TimerTrack, VirtType,
};

use super::machine::Chipset;
use crate::error::{Error, Result};

/// One MiB.
const MIB: u64 = 1 << 20;

/// Refuses what would not fit together.
pub(super) fn settle(doc: &Domain, chipset: Chipset) -> Result<()> {
    if let Some(features) = &doc.features {
        check(features, doc, chipset)?;
    }
    timers(&doc.clock)
}

/// Whether the guest has a controller of PS/2 devices.
pub(super) fn has_ps2(doc: &Domain) -> bool {
    let state = doc.features.as_ref().and_then(|features| features.ps2);
    state.is_none_or(|ps2| ps2.state)
}

fn check(features: &Features, doc: &Domain, chipset: Chipset) -> Result<()> {
    if let Some(tseg) = features.smm.as_ref().and_then(|smm| smm.tseg) {
        if chipset != Chipset::Q35 {
            return Err(Error::unsupported(
                "SMM TSEG ('tseg') is only supported with q35 machine type",
            ));
        }
        if tseg.0 % MIB != 0 {
            return Err(Error::unsupported(
                "SMM TSEG ('tseg') size must be divisible by 1 MiB",
            ));
        }
    }
    if let Some(cache) = features.tcg.as_ref().and_then(|tcg| tcg.tb_cache) {
        if doc.kind != VirtType::Qemu {
            let text = format!(
                "TCG features ('tcg') are incompatible with domain type '{}'",
                doc.kind
            );
            return Err(Error::unsupported(text));
        }
        if cache.bytes() % MIB != 0 {
            return Err(Error::unsupported(
                "tb-cache size must be an integer multiple of MiB",
            ));
        }
    }
    if !has_ps2(doc) {
        if features.vmport.is_some_and(|vmport| vmport.state) {
            return Err(Error::unsupported(
                "vmport feature requires the ps2 feature not to be disabled",
            ));
        }
        let ps2 = Some(InputBus::Ps2);
        if doc.devices.inputs.iter().any(|input| input.bus == ps2) {
            return Err(Error::unsupported(
                "ps2 bus inputs require the ps2 feature not to be disabled",
            ));
        }
    }
    Ok(())
}

/// Timers that QEMU's machines have, and what they can do.
fn timers(clock: &Clock) -> Result<()> {
    for timer in &clock.timers {
        let name = timer.name;
        if let TimerName::Platform | TimerName::Armvtimer = name {
            return Err(Error::unsupported(format!(
                "unsupported timer type (name) '{name}'"
            )));
        }
        if name == TimerName::Rtc && timer.track == Some(TimerTrack::Boot) {
            return Err(Error::unsupported("unsupported rtc timer track 'boot'"));
        }
        let unsupported = match (name, timer.tick_policy) {
            (TimerName::Rtc, policy @ Some(TickPolicy::Merge | TickPolicy::Discard)) => policy,
            (TimerName::Pit, policy @ Some(TickPolicy::Merge)) => policy,
            _ => None,
        };
        if let Some(policy) = unsupported {
            return Err(Error::unsupported(format!(
                "unsupported {name} timer tickpolicy '{policy}'"
            )));
        }
    }
    Ok(())
}

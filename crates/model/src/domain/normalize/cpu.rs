//! The CPU and its number: defaults that are the same everywhere, and what contradicts itself.

use super::{inconsistent, unsupported};
use crate::domain::{
    Cpu, CpuCacheMode, CpuMatch, CpuMode, Domain, FeaturePolicy, MaxPhysAddrMode, ModelFallback, VcpuState,
};
use ferrovirt_xml::XmlError;

/// Completes `<cpu>`.
pub(super) fn normalize(cpu: &mut Cpu) -> Result<(), XmlError> {
    if *cpu == Cpu::default() {
        return Ok(());
    }
    let mode = *cpu.mode.get_or_insert(CpuMode::Custom);
    if cpu.migratable.is_some() && !matches!(mode, CpuMode::HostPassthrough | CpuMode::Maximum) {
        let text = "Attribute migratable is only allowed for 'host-passthrough' / 'maximum' CPU mode";
        return Err(inconsistent(text));
    }
    normalize_model(cpu, mode)?;
    check_cache(cpu, mode)?;
    check_addresses(cpu)?;
    normalize_features(cpu)
}

fn normalize_model(cpu: &mut Cpu, mode: CpuMode) -> Result<(), XmlError> {
    match (mode, &mut cpu.model) {
        (CpuMode::Custom, Some(model)) => {
            if model.name.is_empty() {
                return Err(inconsistent("Missing CPU model name"));
            }
            cpu.matching.get_or_insert(CpuMatch::Exact);
            model.fallback.get_or_insert(ModelFallback::Allow);
        }
        (CpuMode::Custom, None) if !cpu.features.is_empty() => {
            return Err(inconsistent("Non-empty feature list specified without CPU model"));
        }
        (_, None) if cpu.vendor.is_some() => {
            return Err(inconsistent("CPU vendor specified without CPU model"));
        }
        _ => {}
    }
    let vendor = cpu.model.as_ref().and_then(|model| model.vendor_id.as_deref());
    match vendor {
        Some(vendor) if vendor.len() != 12 => {
            Err(inconsistent("vendor_id must be exactly 12 characters long"))
        }
        // A comma would begin another option of QEMU's.
        Some(vendor) if vendor.contains(',') => Err(inconsistent("vendor id ('vendor_id') is invalid")),
        _ => Ok(()),
    }
}

fn check_cache(cpu: &Cpu, mode: CpuMode) -> Result<(), XmlError> {
    let Some(cache) = cpu.cache else { return Ok(()) };
    let of_host = matches!(mode, CpuMode::HostPassthrough | CpuMode::Maximum);
    match (cache.mode, cache.level) {
        (CpuCacheMode::Emulate, level) if level != Some(3) => Err(unsupported(
            "CPU cache mode 'emulate' can only be used with level='3'",
        )),
        (CpuCacheMode::Passthrough, _) if !of_host => Err(unsupported(
            "CPU cache mode 'passthrough' can only be used with 'host-passthrough' / 'maximum' CPUs",
        )),
        (mode @ (CpuCacheMode::Passthrough | CpuCacheMode::Disable), Some(_)) => Err(unsupported(format!(
            "unsupported CPU cache level for mode '{mode}'"
        ))),
        _ => Ok(()),
    }
}

fn check_addresses(cpu: &Cpu) -> Result<(), XmlError> {
    let Some(width) = cpu.max_phys_addr else {
        return Ok(());
    };
    match width.mode {
        MaxPhysAddrMode::Passthrough if width.bits.is_some_and(|bits| bits > 0) => Err(unsupported(
            "CPU maximum physical address bits number specification ('bits') cannot be used with mode='passthrough'",
        )),
        MaxPhysAddrMode::Emulate if width.limit.is_some() => Err(unsupported(
            "attribute 'limit' is only supported for maxphysaddr mode 'passthrough'",
        )),
        _ => Ok(()),
    }
}

fn normalize_features(cpu: &mut Cpu) -> Result<(), XmlError> {
    for (position, feature) in cpu.features.iter_mut().enumerate() {
        feature.policy.get_or_insert(FeaturePolicy::Require);
        if feature.name.is_empty() {
            return Err(inconsistent(format!(
                "Invalid CPU feature name at position {}",
                position + 1
            )));
        }
    }
    let mut names: Vec<&str> = cpu.features.iter().map(|feature| feature.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(inconsistent(format!(
            "CPU feature '{}' specified more than once",
            twice[0]
        ))),
        None => Ok(()),
    }
}

/// Completes `<vcpu>` and `<vcpus>`.
pub(super) fn normalize_number(doc: &mut Domain) -> Result<(), XmlError> {
    normalize_each(doc)?;
    let (count, current) = (doc.vcpu.count, doc.vcpu.current);
    if count == 0 || current == Some(0) {
        return Err(inconsistent("invalid number of vCPUs in <vcpu>: 0"));
    }
    if let Some(current) = current.filter(|current| *current > count) {
        let text = format!("maxvcpus must not be less than current vcpus ({count} < {current})");
        return Err(unsupported(text));
    }
    doc.vcpu.current.take_if(|current| *current == count);
    Ok(())
}

/// Where single CPUs are named, they say how many there are; those that are not named are not there.
fn normalize_each(doc: &mut Domain) -> Result<(), XmlError> {
    if doc.vcpus.is_empty() {
        return Ok(());
    }
    let count = doc.vcpu.count;
    // A document that names one CPU of millions is no reason to make millions.
    if count > 16384 {
        return Err(unsupported(format!("<vcpus> for {count} vCPUs")));
    }
    let named = std::mem::take(&mut doc.vcpus);
    if let Some(beyond) = named.iter().find(|vcpu| vcpu.id >= count) {
        let text = format!("vcpu id '{}' is out of range of maximum vcpu count", beyond.id);
        return Err(inconsistent(text));
    }
    let mut all: Vec<VcpuState> = (0..count)
        .map(|id| VcpuState {
            id,
            enabled: false,
            hotpluggable: None,
            order: None,
        })
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for vcpu in named {
        if !seen.insert(vcpu.id) {
            return Err(inconsistent(format!("vcpu id '{}' is named twice", vcpu.id)));
        }
        all[vcpu.id as usize] = vcpu;
    }
    for vcpu in &mut all {
        vcpu.order.take_if(|order| *order == 0);
        let hotpluggable = *vcpu.hotpluggable.get_or_insert(!vcpu.enabled);
        if !vcpu.enabled && !hotpluggable {
            return Err(inconsistent(format!(
                "vcpu '{}' is both offline and not hotpluggable",
                vcpu.id
            )));
        }
    }
    let there = all.iter().filter(|vcpu| vcpu.enabled).count();
    if there == 0 {
        return Err(unsupported("vcpu 0 can't be offline"));
    }
    doc.vcpu.current = u32::try_from(there).ok();
    doc.vcpus = all;
    Ok(())
}

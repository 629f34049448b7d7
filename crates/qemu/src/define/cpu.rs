//! The CPU a guest gets when its document says nothing, or not everything.

use ferrovirt_model::domain::{
    Cpu, CpuCheck, CpuMatch, CpuMode, CpuModel, Domain, ModelFallback, VcpuState, VirtType,
};

use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Settles `<cpu>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    let kvm = doc.kind == VirtType::Kvm;
    let machine = doc
        .os
        .kind
        .machine
        .as_deref()
        .and_then(|name| emulator.machine(name));
    let default = match machine.and_then(|m| m.default_cpu.as_deref()) {
        // What a binary takes by itself goes by its own architecture, not by the guest's.
        _ if emulator.arch == "i686" => "qemu32",
        Some(model) => model,
        None => "qemu64",
    }
    .to_owned();
    let cpu = doc.cpu.get_or_insert_with(Cpu::default);
    match cpu.mode.get_or_insert(CpuMode::Custom) {
        CpuMode::Custom => {
            if cpu.model.is_none() {
                // How exactly nothing is met says nothing.
                (cpu.matching, cpu.check) = (None, None);
            }
            cpu.matching.get_or_insert(CpuMatch::Exact);
            cpu.check.get_or_insert(if kvm && cpu.model.is_some() {
                CpuCheck::Partial
            } else {
                CpuCheck::None
            });
            let model = cpu.model.get_or_insert(CpuModel {
                fallback: Some(ModelFallback::Forbid),
                vendor_id: None,
                name: default,
            });
            model.fallback.get_or_insert(ModelFallback::Allow);
        }
        CpuMode::HostModel => {
            cpu.check.get_or_insert(CpuCheck::Partial);
            // What may replace a model means nothing without a model; libvirt lets go of it here.
            cpu.model
                .take_if(|model| model.name.is_empty() && model.vendor_id.is_none());
            if let Some(model) = cpu.model.as_mut().filter(|model| model.name.is_empty()) {
                model.fallback = None;
            }
            cpu.matching = None;
        }
        CpuMode::HostPassthrough => {
            without_model(cpu)?;
            cpu.matching = None;
            cpu.check.get_or_insert(CpuCheck::None);
            cpu.migratable.get_or_insert(true);
        }
        CpuMode::Maximum => {
            without_model(cpu)?;
            cpu.matching = None;
            cpu.check.get_or_insert(CpuCheck::None);
        }
    }
    number(doc)
}

/// A named model would be passed over where the host's CPU itself is the model.
fn without_model(cpu: &mut Cpu) -> Result<()> {
    cpu.model
        .take_if(|model| model.name.is_empty() && model.vendor_id.is_none());
    let Some(model) = &cpu.model else { return Ok(()) };
    let mode = cpu.mode.map(|mode| mode.as_str()).unwrap_or_default();
    Err(Error::unsupported(format!(
        "CPU model '{}' has no effect with CPU mode '{mode}'",
        model.vendor_id.as_ref().unwrap_or(&model.name)
    )))
}

/// Number of CPUs, and how they are put into sockets.
fn number(doc: &Domain) -> Result<()> {
    if let Some(topology) = doc.cpu.as_ref().and_then(|cpu| cpu.topology)
        && topology.cpus() != u64::from(doc.vcpu.count)
    {
        let text = "CPU topology doesn't match maximum vcpu count";
        return Err(Error::unsupported(text));
    }
    if doc.vcpu.count > 255 {
        let text = format!(
            "{} CPUs ('vcpu') need an IOMMU with extended interrupt mode",
            doc.vcpu.count
        );
        return Err(Error::unsupported(text));
    }
    each(&doc.vcpus)
}

/// The first CPU is part of the machine; what is added has an order or has none.
fn each(vcpus: &[VcpuState]) -> Result<()> {
    let Some(first) = vcpus.first() else { return Ok(()) };
    if !first.enabled {
        return Err(Error::unsupported("vcpu 0 can't be offline"));
    }
    if first.hotpluggable == Some(true) {
        return Err(Error::unsupported("vcpu0 can't be hotpluggable"));
    }
    if first.order.is_some_and(|order| order != 1) {
        return Err(Error::unsupported("vcpu0 must be enabled first"));
    }
    let there = || vcpus.iter().filter(|vcpu| vcpu.enabled);
    if there().any(|vcpu| vcpu.order.is_some()) != there().all(|vcpu| vcpu.order.is_some()) {
        let text = "all vcpus must have either set or unset order";
        return Err(Error::unsupported(text));
    }
    let ordered = |hotpluggable| {
        let some = there().filter(move |vcpu| vcpu.hotpluggable == Some(hotpluggable));
        some.filter_map(|vcpu| vcpu.order)
    };
    let first_added = ordered(true).min();
    if first_added.is_some() && ordered(false).max() > first_added {
        return Err(Error::unsupported(
            "online non-hotpluggable vcpus need to be ordered prior to hotpluggable vcpus",
        ));
    }
    Ok(())
}

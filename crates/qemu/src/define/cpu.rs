//! The CPU a guest gets when its document says nothing, or not everything.

use ferrovirt_model::domain::{Cpu, CpuCheck, CpuMatch, CpuMode, CpuModel, Domain, ModelFallback, VirtType};

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
            cpu.matching.get_or_insert(CpuMatch::Exact);
            cpu.check.get_or_insert(if kvm && cpu.model.is_some() {
                CpuCheck::Partial
            } else {
                CpuCheck::None
            });
            let model = cpu.model.get_or_insert(CpuModel {
                fallback: Some(ModelFallback::Forbid),
                name: default,
            });
            model.fallback.get_or_insert(ModelFallback::Allow);
            known(&model.name, emulator, kvm)?;
        }
        CpuMode::HostModel => {
            cpu.check.get_or_insert(CpuCheck::Partial);
            // What may replace a model means nothing without a model; libvirt lets go of it here.
            cpu.model.take_if(|model| model.name.is_empty());
        }
        CpuMode::HostPassthrough => {
            cpu.check.get_or_insert(CpuCheck::None);
            cpu.migratable.get_or_insert(true);
        }
        CpuMode::Maximum => {
            cpu.check.get_or_insert(CpuCheck::None);
            if kvm {
                cpu.migratable.get_or_insert(true);
            }
        }
    }
    Ok(())
}

fn known(model: &str, emulator: &Emulator, kvm: bool) -> Result<()> {
    let models = emulator.cpus(kvm);
    if models.is_empty() || models.iter().any(|known| known.name == model) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "CPU model '{model}' not supported by hypervisor"
    )))
}

//! `-cpu` and `-smp`: the CPU that the guest sees, and how many there are.

use ferrovirt_model::domain::{
    Clock, Cpu, CpuCacheMode, CpuMatch, CpuMode, Domain, FeaturePolicy, Features, Hyperv, HypervMode,
    KvmFeatures, MaxPhysAddrMode, State, TimerName, VirtType,
};

use super::{Context, escaped, on_off};
use crate::error::{Error, Result};

/// The value of `-cpu`.
pub(super) fn cpu(context: &Context<'_>) -> Result<Option<String>> {
    let doc = context.doc;
    let Some(cpu) = &doc.cpu else { return Ok(None) };
    let quiet = Features::default();
    let features = doc.features.as_ref().unwrap_or(&quiet);
    let mut text = model(context, cpu)?;
    if let Some(vendor) = cpu.model.as_ref().and_then(|model| model.vendor_id.as_deref()) {
        text += &format!(",vendor={}", escaped(vendor));
    }
    let told = |name: &str| !NOT_OF_QEMU.contains(&name);
    for feature in cpu.features.iter().filter(|feature| told(&feature.name)) {
        // What the accelerator lacks QEMU leaves out by itself.
        let state = match feature.policy.unwrap_or(FeaturePolicy::Require) {
            FeaturePolicy::Force | FeaturePolicy::Require | FeaturePolicy::Optional => "on",
            FeaturePolicy::Disable | FeaturePolicy::Forbid => "off",
        };
        text += &format!(",{}={state}", escaped(&of_qemu(&feature.name)));
    }
    timers(&doc.clock, &mut text);
    if let Some(eoi) = features.apic.as_ref().and_then(|apic| apic.eoi) {
        text += &format!(",kvm-pv-eoi={}", on_off(eoi));
    }
    if let Some(switch) = features.pvspinlock {
        text += &format!(",kvm-pv-unhalt={}", on_off(switch.state));
    }
    if let Some(given) = &features.hyperv {
        hyperv(given, &mut text);
    }
    let mut panics = doc.devices.panics.iter();
    if panics.any(|panic| panic.model.as_deref() == Some("hyperv")) {
        text += ",hv-crash";
    }
    if let Some(given) = &features.kvm {
        kvm(given, &mut text);
    }
    if let Some(switch) = features.pmu {
        text += &format!(",pmu={}", on_off(switch.state));
    }
    caches(cpu, &mut text);
    addresses(cpu, &mut text);
    Ok(Some(text))
}

fn model(context: &Context<'_>, cpu: &Cpu) -> Result<String> {
    let kvm = context.doc.kind == VirtType::Kvm;
    let mode = cpu.mode.unwrap_or(CpuMode::Custom);
    let migratable = |name: &str| match cpu.migratable {
        Some(migratable) => format!("{name},migratable={}", on_off(migratable)),
        None => name.to_owned(),
    };
    match mode {
        // At least what the model has: all that there is.
        CpuMode::Custom if cpu.matching == Some(CpuMatch::Minimum) => Ok(nearest(kvm)),
        CpuMode::Custom => {
            let name = cpu.model.as_ref().map(|model| model.name.as_str());
            let name = name.unwrap_or("qemu64");
            known(context, name, kvm)?;
            Ok(escaped(name))
        }
        CpuMode::Maximum => Ok(migratable("max")),
        CpuMode::HostModel => Ok(nearest(kvm)),
        CpuMode::HostPassthrough if kvm => Ok(migratable("host")),
        CpuMode::HostPassthrough => Err(Error::unsupported(format!(
            "CPU mode '{mode}' for x86_64 {} domain on x86_64 host is not supported by hypervisor",
            context.doc.kind
        ))),
    }
}

/// The host's CPU as the accelerator can have it, without what could not move to another host.
fn nearest(kvm: bool) -> String {
    if kvm { "host,migratable=on" } else { "max" }.to_owned()
}

/// `host` and `max` are QEMU's words for what a document says by its mode.
fn known(context: &Context<'_>, model: &str, kvm: bool) -> Result<()> {
    let models = context.emulator.cpus(kvm);
    let own = matches!(model, "host" | "max");
    if !own && (models.is_empty() || models.iter().any(|known| known.name == model)) {
        return Ok(());
    }
    Err(Error::unsupported(format!("Unknown CPU model {model}")))
}

/// What the host's kernel or the guest itself decides; QEMU takes no word of it.
const NOT_OF_QEMU: &[&str] = &["cmt", "mbm_total", "mbm_local", "osxsave", "ospke"];

/// QEMU's name for libvirt's name of a feature.
fn of_qemu(name: &str) -> String {
    match name {
        "pclmuldq" => "pclmulqdq".to_owned(),
        other => other.replace('_', "-"),
    }
}

fn timers(clock: &Clock, text: &mut String) {
    for timer in &clock.timers {
        match (timer.name, timer.present, timer.frequency) {
            (TimerName::Kvmclock, Some(present), _) => *text += &format!(",kvmclock={}", on_off(present)),
            (TimerName::Hypervclock, Some(true), _) => *text += ",hv-time=on",
            (TimerName::Tsc, _, Some(frequency)) => *text += &format!(",tsc-frequency={frequency}"),
            _ => {}
        }
    }
}

fn is_on(state: Option<State>) -> bool {
    state.is_some_and(|state| state.state)
}

fn hyperv(given: &Hyperv, text: &mut String) {
    if given.mode == HypervMode::Passthrough {
        *text += ",hv-passthrough=on";
        return;
    }
    switches(
        &[("relaxed", is_on(given.relaxed)), ("vapic", is_on(given.vapic))],
        text,
    );
    if let Some(retries) = given.spinlocks.and_then(|spinlocks| spinlocks.retries) {
        *text += &format!(",hv-spinlocks=0x{retries:x}");
    }
    let (stimer, direct) = given
        .stimer
        .map_or((false, None), |stimer| (stimer.state, stimer.direct));
    let early = [
        ("vpindex", is_on(given.vpindex)),
        ("runtime", is_on(given.runtime)),
        ("synic", is_on(given.synic)),
        ("stimer", stimer),
        ("stimer-direct", is_on(direct)),
        ("reset", is_on(given.reset)),
    ];
    switches(&early, text);
    let vendor = given.vendor_id.as_ref();
    if let Some(vendor) = vendor.and_then(|vendor| vendor.value.as_deref()) {
        *text += &format!(",hv-vendor-id={}", escaped(vendor));
    }
    let flush = given.tlbflush;
    let late = [
        ("frequencies", is_on(given.frequencies)),
        ("reenlightenment", is_on(given.reenlightenment)),
        ("tlbflush", flush.is_some_and(|flush| flush.state)),
        ("tlbflush-direct", is_on(flush.and_then(|flush| flush.direct))),
        ("tlbflush-ext", is_on(flush.and_then(|flush| flush.extended))),
        ("ipi", is_on(given.ipi)),
        ("evmcs", is_on(given.evmcs)),
        ("avic", is_on(given.avic)),
        ("emsr-bitmap", is_on(given.emsr_bitmap)),
        ("xmm-input", is_on(given.xmm_input)),
    ];
    switches(&late, text);
}

fn switches(all: &[(&str, bool)], text: &mut String) {
    for (name, _) in all.iter().filter(|(_, on)| *on) {
        *text += &format!(",hv-{name}=on");
    }
}

fn kvm(given: &KvmFeatures, text: &mut String) {
    for (option, said) in [
        (",kvm=off", is_on(given.hidden)),
        (",kvm-hint-dedicated=on", is_on(given.hint_dedicated)),
        (",kvm-poll-control=on", is_on(given.poll_control)),
        (",kvm-pv-ipi=off", given.pv_ipi.is_some_and(|state| !state.state)),
    ] {
        if said {
            *text += option;
        }
    }
}

/// Only models of the host's CPU know of the host's caches.
fn caches(cpu: &Cpu, text: &mut String) {
    let of_host = matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum));
    *text += match cpu.cache.map(|cache| cache.mode) {
        None => "",
        Some(CpuCacheMode::Emulate) if of_host => ",l3-cache=on,host-cache-info=off",
        Some(CpuCacheMode::Emulate) => ",l3-cache=on",
        Some(CpuCacheMode::Passthrough) => ",host-cache-info=on,l3-cache=off",
        Some(CpuCacheMode::Disable) if of_host => ",host-cache-info=off,l3-cache=off",
        Some(CpuCacheMode::Disable) => ",l3-cache=off",
    };
}

fn addresses(cpu: &Cpu, text: &mut String) {
    let Some(width) = cpu.max_phys_addr else { return };
    match (width.mode, width.bits.filter(|bits| *bits > 0)) {
        (MaxPhysAddrMode::Emulate, Some(bits)) => *text += &format!(",phys-bits={bits}"),
        (MaxPhysAddrMode::Emulate, None) => *text += ",host-phys-bits=off",
        (MaxPhysAddrMode::Passthrough, _) => {
            *text += ",host-phys-bits=on";
            if let Some(limit) = width.limit {
                *text += &format!(",host-phys-bits-limit={limit}");
            }
        }
    }
}

/// The value of `-smp`. CPUs that can be taken away again are added once QEMU is up.
pub(super) fn smp(doc: &Domain) -> String {
    let count = doc.vcpu.count;
    let fixed = doc
        .vcpus
        .iter()
        .filter(|vcpu| vcpu.enabled && vcpu.hotpluggable == Some(false));
    let boot = match u32::try_from(fixed.count()).unwrap_or(0) {
        0 => doc.vcpu.current.unwrap_or(count),
        fixed => fixed,
    };
    let mut text = boot.to_string();
    if boot < count {
        text += &format!(",maxcpus={count}");
    }
    match doc.cpu.as_ref().and_then(|cpu| cpu.topology) {
        Some(t) => format!(
            "{text},sockets={},dies={},clusters={},cores={},threads={}",
            t.sockets, t.dies, t.clusters, t.cores, t.threads
        ),
        None => format!("{text},sockets={count},cores=1,threads=1"),
    }
}

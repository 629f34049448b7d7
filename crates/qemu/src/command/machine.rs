//! The machine itself: name, accelerator, CPU, memory, monitor, clock, boot.

use ferrovirt_model::domain::{
    ClockOffset, CpuMode, Domain, FeaturePolicy, MemoryModel, Switch, TickPolicy, TimerName, VirtType,
};

use super::json::Object;
use super::{Arguments, Context, escaped, iothread, memory, numa};
use crate::define::Chipset;
use crate::error::{Error, Result};

/// Name to monitor.
pub(super) fn base(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    let dir = context.given.guest_dir.display();
    args.add("-name", format!("guest={},debug-threads=on", escaped(&doc.name)));
    args.flag("-S");
    let key = Object::default()
        .text("qom-type", "secret")
        .text("id", "masterKey0")
        .text("format", "raw")
        .text("file", &format!("{dir}/master-key.aes"));
    args.add("-object", key.finish());
    args.add("-machine", machine(context));
    args.add("-accel", if doc.kind == VirtType::Kvm { "kvm" } else { "tcg" });
    if let Some(cpu) = cpu(doc)? {
        args.add("-cpu", cpu);
    }
    memory::base(context, args)?;
    args.add("-smp", smp(doc));
    iothread::all(context, args);
    numa::all(context, args)?;
    if let Some(uuid) = doc.uuid {
        args.add("-uuid", uuid.to_string());
    }
    if doc.devices.graphics.is_empty() {
        args.add("-display", "none");
    }
    args.flag("-no-user-config");
    args.flag("-nodefaults");
    let monitor = match context.given.monitor {
        Some(fd) => format!("socket,id=charmonitor,fd={fd},server=on,wait=off"),
        None => format!(
            "socket,id=charmonitor,path={},server=on,wait=off",
            escaped(&format!("{dir}/monitor.sock"))
        ),
    };
    args.add("-chardev", monitor);
    args.add("-mon", "chardev=charmonitor,id=monitor,mode=control");
    Ok(())
}

/// The name of all memory of a machine.
pub(super) fn ram_id<'a>(context: &'a Context<'_>) -> &'a str {
    let name = context.doc.os.kind.machine.as_deref().unwrap_or_default();
    context
        .emulator
        .machine(name)
        .and_then(|machine| machine.ram_id.as_deref())
        .unwrap_or("pc.ram")
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn machine(context: &Context<'_>) -> String {
    let doc = context.doc;
    let features = doc.features.clone().unwrap_or_default();
    let mut text = format!(
        "{},usb=off",
        escaped(doc.os.kind.machine.as_deref().unwrap_or_default())
    );
    if let Some(Switch { state }) = features.vmport {
        text += &format!(",vmport={}", on_off(state));
    }
    text += ",dump-guest-core=off";
    if doc
        .memory_backing
        .as_ref()
        .is_some_and(|backing| backing.nosharepages)
    {
        text += ",mem-merge=off";
    }
    text += &memory_options(context);
    let hpet = doc
        .clock
        .timers
        .iter()
        .find(|timer| timer.name == TimerName::Hpet)
        .and_then(|timer| timer.present);
    if let Some(present) = hpet {
        text += &format!(",hpet={}", on_off(present));
    }
    text += &format!(",acpi={}", on_off(features.acpi));
    text
}

/// What the machine has to know of its memory.
fn memory_options(context: &Context<'_>) -> String {
    let doc = context.doc;
    let mut text = String::new();
    if doc
        .devices
        .memories
        .iter()
        .any(|memory| memory.model == MemoryModel::Nvdimm)
    {
        text += ",nvdimm=on";
    }
    let numa = doc.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref());
    match numa {
        Some(numa) if numa.has_attributes() => text += ",hmat=on",
        Some(_) => {}
        None => text += &format!(",memory-backend={}", ram_id(context)),
    }
    text
}

fn cpu(doc: &Domain) -> Result<Option<String>> {
    let Some(cpu) = &doc.cpu else { return Ok(None) };
    let kvm = doc.kind == VirtType::Kvm;
    let mut text = match cpu.mode.unwrap_or(CpuMode::Custom) {
        CpuMode::Custom => escaped(
            cpu.model
                .as_ref()
                .map(|model| model.name.as_str())
                .unwrap_or("qemu64"),
        ),
        CpuMode::Maximum => "max".to_owned(),
        CpuMode::HostModel | CpuMode::HostPassthrough if kvm => {
            format!("host,migratable={}", on_off(cpu.migratable != Some(false)))
        }
        mode => {
            let name = if mode == CpuMode::HostModel {
                "host-model"
            } else {
                "host-passthrough"
            };
            return Err(Error::unsupported(format!(
                "CPU mode '{name}' for x86_64 qemu domain on x86_64 host is not supported by hypervisor"
            )));
        }
    };
    for feature in &cpu.features {
        // What was filled in for a running guest is a finding, not a wish.
        let state = match feature.policy.unwrap_or(FeaturePolicy::Require) {
            FeaturePolicy::Force | FeaturePolicy::Require => "on",
            FeaturePolicy::Disable | FeaturePolicy::Forbid => "off",
            FeaturePolicy::Optional => continue,
        };
        text += &format!(",{}={state}", escaped(&feature.name.replace('_', "-")));
    }
    let features = doc.features.clone().unwrap_or_default();
    if let Some(eoi) = features.apic.as_ref().and_then(|apic| apic.eoi) {
        text += &format!(",kvm-pv-eoi={}", on_off(eoi));
    }
    if let Some(Switch { state }) = features.pvspinlock {
        text += &format!(",kvm-pv-unhalt={}", on_off(state));
    }
    if let Some(Switch { state }) = features.pmu {
        text += &format!(",pmu={}", on_off(state));
    }
    Ok(Some(text))
}

fn smp(doc: &Domain) -> String {
    let count = doc.vcpu.count;
    match doc.vcpu.current.filter(|current| *current < count) {
        Some(current) => format!("{current},maxcpus={count},sockets={count},cores=1,threads=1"),
        None => format!("{count},sockets={count},cores=1,threads=1"),
    }
}

/// Clock, timers, sleep states. QEMU never ends by itself: we end it when a power-off means the end.
pub(super) fn clock_and_power(context: &Context<'_>, args: &mut Arguments) {
    let doc = context.doc;
    let base = match doc.clock.offset {
        ClockOffset::Utc => "utc",
        ClockOffset::Localtime => "localtime",
    };
    let timer = |name| doc.clock.timers.iter().find(move |timer| timer.name == name);
    let catchup = timer(TimerName::Rtc).is_some_and(|rtc| rtc.tick_policy == Some(TickPolicy::Catchup));
    args.add(
        "-rtc",
        format!("base={base}{}", if catchup { ",driftfix=slew" } else { "" }),
    );
    match timer(TimerName::Pit).and_then(|pit| pit.tick_policy) {
        Some(TickPolicy::Delay) => args.add("-global", "kvm-pit.lost_tick_policy=delay"),
        Some(TickPolicy::Discard) => args.add("-global", "kvm-pit.lost_tick_policy=discard"),
        _ => {}
    }
    args.flag("-no-shutdown");
    let Some(pm) = &doc.pm else { return };
    let device = if context.chipset == Chipset::Q35 {
        "ICH9-LPC"
    } else {
        "PIIX4_PM"
    };
    for (state, power) in [("s3", pm.suspend_to_mem), ("s4", pm.suspend_to_disk)] {
        if let Some(enabled) = power.and_then(|power| power.enabled) {
            args.add(
                "-global",
                format!("{device}.disable_{state}={}", u8::from(!enabled)),
            );
        }
    }
}

/// Boot menu, kernel.
pub(super) fn boot(context: &Context<'_>, args: &mut Arguments) {
    let os = &context.doc.os;
    let mut boot = String::new();
    if let Some(menu) = &os.boot_menu {
        boot += &format!("menu={},", on_off(menu.enable));
        if let Some(timeout) = menu.timeout.filter(|_| menu.enable) {
            boot += &format!("splash-time={timeout},");
        }
    }
    args.add("-boot", boot + "strict=on");
    for (option, value) in [
        ("-kernel", &os.kernel),
        ("-initrd", &os.initrd),
        ("-append", &os.cmdline),
    ] {
        if let Some(value) = value {
            args.add(option, value.clone());
        }
    }
}

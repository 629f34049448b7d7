//! The machine itself: name, accelerator, memory, monitor, boot.

use ferrovirt_model::domain::{Domain, IoapicDriver, MemoryModel, TimerName, VirtType};

use super::json::Object;
use super::{
    Arguments, Context, cpu, escaped, firmware, iothread, memory, numa, on_off, qemu_namespace, told,
};
use crate::error::Result;

/// Name to monitor.
pub(super) fn base(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    let dir = context.given.guest_dir.display();
    args.add("-name", format!("guest={},debug-threads=on", escaped(&doc.name)));
    qemu_namespace::compatibility(context, args);
    args.flag("-S");
    let key = Object::default()
        .text("qom-type", "secret")
        .text("id", "masterKey0")
        .text("format", "raw")
        .text("file", &format!("{dir}/master-key.aes"));
    args.add("-object", key.finish());
    firmware::images(context, args);
    args.add("-machine", machine(context));
    args.add("-accel", accelerator(doc));
    if let Some(tseg) = doc
        .features
        .as_ref()
        .and_then(|features| features.smm.as_ref()?.tseg)
    {
        args.add("-global", format!("mch.extended-tseg-mbytes={}", tseg.0 >> 20));
    }
    if let Some(cpu) = cpu::cpu(context)? {
        args.add("-cpu", cpu);
    }
    firmware::loader(context, args);
    memory::base(context, args)?;
    args.add("-smp", cpu::smp(doc));
    iothread::all(context, args);
    super::virtual_devices::throttle_groups(context, args);
    numa::all(context, args)?;
    if let Some(uuid) = doc.uuid {
        args.add("-uuid", uuid.to_string());
    }
    told::told(context, args)?;
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

fn machine(context: &Context<'_>) -> String {
    let doc = context.doc;
    let features = doc.features.clone().unwrap_or_default();
    let mut text = format!(
        "{},usb=off",
        escaped(doc.os.kind.machine.as_deref().unwrap_or_default())
    );
    if let Some(vmport) = features.vmport {
        text += &format!(",vmport={}", on_off(vmport.state));
    }
    if let Some(smm) = &features.smm {
        text += &format!(",smm={}", on_off(smm.state));
    }
    text += match features.ioapic {
        None => "",
        Some(IoapicDriver::Kvm) => ",kernel_irqchip=on",
        Some(IoapicDriver::Qemu) => ",kernel_irqchip=split",
    };
    if let Some(ps2) = features.ps2 {
        text += &format!(",i8042={}", on_off(ps2.state));
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
    text += &firmware::machine_options(context);
    if doc.os.bios.as_ref().and_then(|bios| bios.use_serial) == Some(true) {
        text += ",graphics=off";
    }
    let hpets = doc
        .clock
        .timers
        .iter()
        .filter(|timer| timer.name == TimerName::Hpet);
    for present in hpets.filter_map(|timer| timer.present) {
        text += &format!(",hpet={}", on_off(present));
    }
    if let Some(output) = super::audio::speaker(doc) {
        text += &format!(",pcspk-audiodev={output}");
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

/// Boot menu, kernel.
pub(super) fn boot(context: &Context<'_>, args: &mut Arguments) {
    let os = &context.doc.os;
    let mut boot = String::new();
    if let Some(menu) = &os.boot_menu {
        boot += &format!("menu={},", on_off(menu.enable));
    }
    if let Some(timeout) = os.bios.as_ref().and_then(|bios| bios.reboot_timeout) {
        boot += &format!("reboot-timeout={timeout},");
    }
    let timed = os.boot_menu.as_ref().filter(|menu| menu.enable);
    if let Some(timeout) = timed.and_then(|menu| menu.timeout) {
        boot += &format!("splash-time={timeout},");
    }
    args.add("-boot", boot + "strict=on");
    for (option, value) in [
        ("-kernel", &os.kernel),
        ("-initrd", &os.initrd),
        ("-append", &os.cmdline),
        ("-shim", &os.shim),
        ("-dtb", &os.dtb),
    ] {
        if let Some(value) = value {
            args.add(option, value.clone());
        }
    }
    told::tables(context, args);
}

/// The accelerator, and what it does other than usual.
fn accelerator(doc: &Domain) -> String {
    let features = doc.features.as_ref();
    if doc.kind == VirtType::Kvm {
        let ring = features
            .and_then(|features| features.kvm.as_ref()?.dirty_ring)
            .and_then(|ring| ring.size);
        return ring.map_or_else(|| "kvm".to_owned(), |size| format!("kvm,dirty-ring-size={size}"));
    }
    let cache = features.and_then(|features| features.tcg.as_ref()?.tb_cache);
    cache.map_or_else(
        || "tcg".to_owned(),
        |cache| format!("tcg,tb-size={}", cache.mib()),
    )
}

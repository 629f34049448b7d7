//! What documents can say and a container has no effect for: refused by name, never passed over. Whole structs are taken apart, so
//! that a new part of the document does not compile until somebody decides here.

use ferrovirt_model::domain::{
    Clock, ClockOffset, CpuTune, CrashLifecycle, Devices, Domain, Features, Lifecycle, LxcNamespace, MemTune,
    NumaMode, NumaTune, Os, Resource, ShareType, Vcpu, VcpuPlacement,
};

use ferrovirt_xml::what_is;

use crate::error::{Error, Result};

/// Path of a part, and whether the document has it.
type Part = (&'static str, bool);

/// Refuses the first part that has no effect.
pub(super) fn without_effect(doc: &Domain) -> Result<()> {
    for (path, there) in parts(doc) {
        if there {
            let what = what_is(path);
            return Err(Error::unsupported(format!(
                "not supported: {what}, domain/{path}"
            )));
        }
    }
    lifecycle(doc)?;
    if let Some(Resource { partition }) = &doc.resource
        && !partition.starts_with('/')
    {
        let text = format!("Resource partition '{partition}' must start with '/'");
        return Err(Error::unsupported(text));
    }
    if let Some(shared) = &doc.lxc_namespace {
        namespaces(shared)?;
    }
    Ok(())
}

fn parts(doc: &Domain) -> Vec<Part> {
    let Domain {
        kind: _,
        id: _,
        name: _,
        uuid: _,
        generation_id,
        title: _,
        description: _,
        metadata: _,
        max_memory,
        memory: _,
        current_memory: _,
        blkiotune: _,
        memtune,
        memory_backing,
        vcpu,
        throttle_groups,
        vcpus,
        iothreads,
        iothread_ids,
        default_iothread,
        cputune,
        numatune,
        resource: _,
        sysinfos,
        os,
        id_map: _,
        features: has,
        cpu,
        clock,
        on_poweroff: _,
        on_reboot: _,
        on_crash: _,
        on_lockfailure,
        pm,
        perf,
        devices: all,
        seclabels: _,
        lxc_namespace: _,
        qemu_commandline,
        qemu_capabilities,
        qemu_override,
        qemu_deprecation,
        rest: _,
    } = doc;
    let mut parts = vec![
        ("cpu", cpu.is_some()),
        ("pm", pm.is_some()),
        ("maxMemory", max_memory.is_some()),
        ("memoryBacking", memory_backing.is_some()),
        ("iothreads", iothreads.is_some() || iothread_ids.is_some()),
        ("defaultiothread", default_iothread.is_some()),
        ("throttlegroups", !throttle_groups.is_empty()),
        ("genid", generation_id.is_some()),
        ("vcpus", !vcpus.is_empty()),
        ("sysinfo", !sysinfos.is_empty()),
        ("on_lockfailure", on_lockfailure.is_some()),
        ("perf", perf.is_some()),
        ("qemu:commandline", qemu_commandline.is_some()),
        ("qemu:capabilities", qemu_capabilities.is_some()),
        ("qemu:override", qemu_override.is_some()),
        ("qemu:deprecation", qemu_deprecation.is_some()),
    ];
    parts.extend(processors(vcpu));
    parts.extend(cputune.iter().flat_map(threads));
    parts.extend(memtune.iter().flat_map(guarantees));
    parts.extend(numatune.iter().flat_map(nodes));
    parts.extend(booting(os));
    parts.extend(has.iter().flat_map(features));
    parts.extend(time(clock));
    parts.extend(devices(all));
    parts
}

fn processors(vcpu: &Vcpu) -> [Part; 2] {
    let Vcpu {
        placement,
        cpuset: _,
        current,
        count: _,
    } = vcpu;
    [
        ("vcpu/@placement", *placement == VcpuPlacement::Auto),
        ("vcpu/@current", current.is_some()),
    ]
}

/// All processes of a container are one group: none of them is the hypervisor's.
fn threads(tune: &CpuTune) -> [Part; 12] {
    let CpuTune {
        shares: _,
        period: _,
        quota: _,
        global_period,
        global_quota,
        emulator_period,
        emulator_quota,
        iothread_period,
        iothread_quota,
        vcpu_pins,
        emulator_pin,
        iothread_pins,
        emulator_sched,
        vcpu_scheds,
        iothread_scheds,
        rest: _,
    } = tune;
    [
        ("cputune/global_period", global_period.is_some()),
        ("cputune/global_quota", global_quota.is_some()),
        ("cputune/emulator_period", emulator_period.is_some()),
        ("cputune/emulator_quota", emulator_quota.is_some()),
        ("cputune/iothread_period", iothread_period.is_some()),
        ("cputune/iothread_quota", iothread_quota.is_some()),
        ("cputune/vcpupin", !vcpu_pins.is_empty()),
        ("cputune/emulatorpin", emulator_pin.is_some()),
        ("cputune/iothreadpin", !iothread_pins.is_empty()),
        ("cputune/emulatorsched", emulator_sched.is_some()),
        ("cputune/vcpusched", !vcpu_scheds.is_empty()),
        ("cputune/iothreadsched", !iothread_scheds.is_empty()),
    ]
}

fn guarantees(tune: &MemTune) -> [Part; 1] {
    let MemTune {
        hard_limit: _,
        soft_limit: _,
        min_guarantee,
        swap_hard_limit: _,
        rest: _,
    } = tune;
    [("memtune/min_guarantee", min_guarantee.is_some())]
}

/// The control group keeps memory on its nodes; which of them is taken first is nobody's choice.
fn nodes(tune: &NumaTune) -> [Part; 3] {
    let NumaTune { memory, memnodes } = tune;
    let first = |mode| matches!(mode, NumaMode::Preferred | NumaMode::Interleave);
    let mode = memory.as_ref().map(|memory| memory.mode);
    [
        ("numatune/memory/@mode", mode.is_some_and(first)),
        ("numatune/memory/@placement", tune.is_auto()),
        ("numatune/memnode", !memnodes.is_empty()),
    ]
}

/// A container has no firmware and no kernel.
fn booting(os: &Os) -> [Part; 15] {
    let Os {
        firmware,
        firmware_features,
        loader,
        nvram,
        kind,
        init: _,
        init_args: _,
        init_env: _,
        init_dir: _,
        init_user: _,
        init_group: _,
        kernel,
        initrd,
        cmdline,
        shim,
        dtb,
        acpi,
        boot,
        boot_menu,
        bios,
        smbios,
        rest: _,
    } = os;
    [
        ("os/type/@machine", kind.machine.is_some()),
        ("os/@firmware", firmware.is_some()),
        ("os/firmware", firmware_features.is_some()),
        ("os/loader", loader.is_some()),
        ("os/nvram", nvram.is_some()),
        ("os/kernel", kernel.is_some()),
        ("os/initrd", initrd.is_some()),
        ("os/cmdline", cmdline.is_some()),
        ("os/shim", shim.is_some()),
        ("os/dtb", dtb.is_some()),
        ("os/acpi", acpi.is_some()),
        ("os/bios", bios.is_some()),
        ("os/smbios", smbios.is_some()),
        ("os/boot", !boot.is_empty()),
        ("os/bootmenu", boot_menu.is_some()),
    ]
}

fn features(features: &Features) -> [Part; 18] {
    let Features {
        acpi,
        apic,
        pae,
        hap,
        viridian,
        privnet: _,
        hyperv,
        kvm,
        pvspinlock,
        capabilities: _,
        pmu,
        vmport,
        smm,
        ioapic,
        vmcoreinfo,
        msrs,
        xen,
        tcg,
        async_teardown,
        ps2,
        rest: _,
    } = features;
    [
        ("features/acpi", *acpi),
        ("features/apic", apic.is_some()),
        ("features/pae", *pae),
        ("features/hap", hap.is_some()),
        ("features/viridian", *viridian),
        ("features/pvspinlock", pvspinlock.is_some()),
        ("features/pmu", pmu.is_some()),
        ("features/vmport", vmport.is_some()),
        ("features/vmcoreinfo", vmcoreinfo.is_some()),
        ("features/hyperv", hyperv.is_some()),
        ("features/kvm", kvm.is_some()),
        ("features/smm", smm.is_some()),
        ("features/ioapic", ioapic.is_some()),
        ("features/msrs", msrs.is_some()),
        ("features/xen", xen.is_some()),
        ("features/tcg", tcg.is_some()),
        ("features/async-teardown", async_teardown.is_some()),
        ("features/ps2", ps2.is_some()),
    ]
}

/// A container's clock is the host's; what its time zone is, `/etc/localtime` inside says.
fn time(clock: &Clock) -> [Part; 3] {
    let Clock {
        offset,
        adjustment,
        basis: _,
        timezone: _,
        start: _,
        timers,
        rest: _,
    } = clock;
    let own = !matches!(offset, ClockOffset::Utc | ClockOffset::Localtime);
    [
        ("clock/@offset", own),
        ("clock/@adjustment", adjustment.is_some()),
        ("clock/timer", !timers.is_empty()),
    ]
}

fn devices(devices: &Devices) -> [Part; 26] {
    let Devices {
        emulator: _,
        disks,
        controllers,
        filesystems: _,
        interfaces: _,
        smartcards,
        serials,
        parallels,
        consoles: _,
        channels,
        inputs,
        tpms,
        graphics,
        sounds,
        audios,
        videos,
        hostdevs: _,
        redirdevs,
        redirfilter,
        watchdogs,
        memballoon,
        rngs,
        panics,
        leases,
        hubs,
        iommus,
        vsocks,
        cryptos,
        pstores,
        shmems,
        memories,
        rest: _,
    } = devices;
    [
        ("devices/disk", !disks.is_empty()),
        ("devices/controller", !controllers.is_empty()),
        ("devices/serial", !serials.is_empty()),
        ("devices/parallel", !parallels.is_empty()),
        ("devices/channel", !channels.is_empty()),
        ("devices/input", !inputs.is_empty()),
        ("devices/graphics", !graphics.is_empty()),
        ("devices/audio", !audios.is_empty()),
        ("devices/video", !videos.is_empty()),
        ("devices/watchdog", !watchdogs.is_empty()),
        ("devices/memballoon", memballoon.is_some()),
        ("devices/rng", !rngs.is_empty()),
        ("devices/panic", !panics.is_empty()),
        ("devices/lease", !leases.is_empty()),
        ("devices/hub", !hubs.is_empty()),
        ("devices/iommu", !iommus.is_empty()),
        ("devices/vsock", !vsocks.is_empty()),
        ("devices/crypto", !cryptos.is_empty()),
        ("devices/pstore", !pstores.is_empty()),
        ("devices/smartcard", !smartcards.is_empty()),
        ("devices/sound", !sounds.is_empty()),
        ("devices/redirdev", !redirdevs.is_empty()),
        ("devices/redirfilter", redirfilter.is_some()),
        ("devices/shmem", !shmems.is_empty()),
        ("devices/tpm", !tpms.is_empty()),
        ("devices/memory", !memories.is_empty()),
    ]
}

fn lifecycle(doc: &Domain) -> Result<()> {
    let refused = |element: &str, action: &str| {
        Err(Error::unsupported(format!(
            "the action '{action}' of '{element}' is not supported by the LXC driver"
        )))
    };
    for (element, action) in [("on_poweroff", doc.on_poweroff), ("on_reboot", doc.on_reboot)] {
        match action {
            Lifecycle::Destroy | Lifecycle::Restart => {}
            Lifecycle::RenameRestart | Lifecycle::Preserve => return refused(element, action.as_str()),
        }
    }
    match doc.on_crash {
        CrashLifecycle::Destroy | CrashLifecycle::Restart => Ok(()),
        other => refused("on_crash", other.as_str()),
    }
}

fn namespaces(shared: &LxcNamespace) -> Result<()> {
    for (element, share) in [
        ("sharenet", &shared.net),
        ("shareipc", &shared.ipc),
        ("shareuts", &shared.uts),
    ] {
        let Some(share) = share else { continue };
        let value = &share.value;
        if share.kind == ShareType::Netns && element != "sharenet" {
            return Err(Error::unsupported(format!(
                "lxc:{element} of type 'netns': only a network has a name there"
            )));
        }
        let number = || value.parse::<u32>().is_ok_and(|pid| pid > 0);
        let file = || !value.contains('/') && value != "." && value != "..";
        let fits = match share.kind {
            ShareType::Netns | ShareType::Name => !value.is_empty() && file(),
            ShareType::Pid => number(),
        };
        if !fits {
            return Err(Error::Xml(format!(
                "lxc:{element} of type '{}' cannot have the value '{value}'",
                share.kind
            )));
        }
    }
    Ok(())
}

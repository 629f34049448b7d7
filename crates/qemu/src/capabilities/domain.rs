//! The document of what a guest of one machine type can have. It names what this driver takes and this emulator has, and
//! nothing else: programs write documents by it.

use std::path::PathBuf;
use std::sync::Arc;

use ferrovirt_model::domain::{
    FilesystemDriverType, GraphicsType, HostdevStartupPolicy, MemorySource, VirtType,
};
use ferrovirt_model::domain_capabilities::{
    CpuBlockers, CpuModePart, CpuModelName, CpuModelPart, DeviceParts, DomainCapabilities, FeatureParts,
    OsPart, Part, Words,
};

use super::cpu::libvirt_name;
use super::{CpuModel, Emulator, MachineType, Probes};
use crate::define::{Chipset, Firmwares, Offer, video_device};
use crate::error::{Error, Result};

/// Architectures that clients may name; those without an emulator here get another answer than words that are none.
const ARCHITECTURES: &[&str] = &[
    "alpha",
    "armv6l",
    "armv7b",
    "armv7l",
    "aarch64",
    "cris",
    "i686",
    "ia64",
    "lm32",
    "loongarch64",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
    "or32",
    "parisc",
    "parisc64",
    "ppc",
    "ppc64",
    "ppc64le",
    "ppcemb",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "unicore32",
    "x86_64",
    "xtensa",
    "xtensaeb",
];
/// Kinds of virtualization that clients may name.
const VIRTUALIZATIONS: &[&str] = &[
    "none",
    "qemu",
    "kqemu",
    "kvm",
    "xen",
    "lxc",
    "uml",
    "openvz",
    "test",
    "vmware",
    "hyperv",
    "vbox",
    "phyp",
    "parallels",
    "bhyve",
    "vz",
    "hvf",
];
/// What every accelerator tells Windows without the host's help.
const HYPERV: [&str; 2] = ["spinlocks", "vendor_id"];

/// What a client asks for; what it leaves open is the host's usual.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The program.
    pub emulator: Option<PathBuf>,
    /// The architecture.
    pub arch: Option<String>,
    /// The machine type.
    pub machine: Option<String>,
    /// Which virtualization.
    pub virtualization: Option<String>,
}

/// A question that has an answer.
struct Question<'a> {
    emulator: &'a Emulator,
    arch: &'a str,
    machine: &'a MachineType,
    kvm: bool,
    firmware: Offer,
}

/// Writes the document. Waits for the probe of the emulator.
///
/// # Errors
/// An architecture, machine type or virtualization that the emulator does not have; an emulator that is none.
pub async fn domain_document(probes: &Probes, firmwares: &Firmwares, asked: &Asked) -> Result<String> {
    let argument = |text: String| Err(Error::Argument(text));
    if let Some(kind) = { asked.virtualization.as_deref() }.filter(|kind| !VIRTUALIZATIONS.contains(kind)) {
        return argument(format!("unknown virttype: {kind}"));
    }
    if let Some(arch) = asked.arch.as_deref().filter(|arch| !ARCHITECTURES.contains(arch)) {
        return argument(format!("unknown architecture: {arch}"));
    }
    let emulator = emulator(probes, asked).await?;
    let path = emulator.path.display();
    let arch = asked.arch.as_deref().unwrap_or(&emulator.arch);
    if emulator.arch != arch && !(emulator.arch == "x86_64" && arch == "i686") {
        return argument(format!(
            "architecture from emulator '{}' doesn't match given architecture '{arch}'",
            emulator.arch
        ));
    }
    let kvm = match asked.virtualization.as_deref() {
        None => emulator.kvm,
        Some("kvm") if emulator.kvm => true,
        Some("qemu") => false,
        Some(kind) => {
            return argument(format!("Emulator '{path}' does not support virt type '{kind}'"));
        }
    };
    let machine = match asked.machine.as_deref() {
        Some(name) => emulator.machine(name),
        None => emulator.default_machine(),
    };
    let Some(machine) = machine else {
        let name = asked.machine.as_deref().unwrap_or_default();
        return argument(format!(
            "the machine '{name}' is not supported by emulator '{path}'"
        ));
    };
    let firmware = firmwares.offer(arch, &machine.name);
    let question = Question {
        emulator: &emulator,
        arch,
        machine,
        kvm,
        firmware,
    };
    Ok(question.answer().to_xml())
}

async fn emulator(probes: &Probes, asked: &Asked) -> Result<Arc<Emulator>> {
    if let Some(path) = &asked.emulator {
        return probes.emulator(path).await;
    }
    let arch = asked.arch.as_deref().unwrap_or("x86_64");
    let path = probes.default_path(arch).map_err(|_| {
        Error::unsupported(format!(
            "unable to find any emulator to serve '{arch}' architecture"
        ))
    })?;
    probes.emulator(path).await
}

impl Question<'_> {
    fn answer(&self) -> DomainCapabilities {
        let kind = if self.kvm { VirtType::Kvm } else { VirtType::Qemu };
        DomainCapabilities {
            path: self.emulator.path.display().to_string(),
            domain: kind.to_string(),
            machine: self.machine.name.clone(),
            arch: self.arch.to_owned(),
            vcpus: self.machine.cpu_max,
            iothreads: Part::plain(true),
            os: self.os(),
            cpu_modes: self.cpu_modes(),
            memory_backing: Part::with(vec![Words::new("sourceType", MemorySource::NAMES)]),
            devices: self.devices(),
            features: FeatureParts {
                vmcoreinfo: Part::plain(self.emulator.has("vmcoreinfo")),
                genid: Part::plain(self.emulator.has("vmgenid")),
                backing_store_input: Part::plain(true),
                async_teardown: Part::plain(true),
                ps2: Part::plain(self.chipset().is_some() && self.emulator.has("i8042")),
                hyperv: Part::with(vec![Words::new("features", HYPERV)]),
                ..FeatureParts::default()
            },
        }
    }

    fn chipset(&self) -> Option<Chipset> {
        Chipset::of_machine(&self.machine.name)
    }

    fn os(&self) -> OsPart {
        let efi = self.firmware.efi.then_some("efi");
        let secure: &[&str] = if self.firmware.secure {
            &["yes", "no"]
        } else {
            &["no"]
        };
        OsPart {
            supported: true,
            words: vec![Words::new("firmware", efi)],
            loader: Part {
                supported: true,
                values: self.firmware.loaders.clone(),
                words: vec![
                    Words::new("type", ["rom", "pflash"]),
                    Words::new("readonly", ["yes", "no"]),
                    Words::new("secure", secure),
                ],
            },
        }
    }

    fn cpu_modes(&self) -> Vec<CpuModePart> {
        let mode = |name: &str, supported: bool| CpuModePart {
            name: name.to_owned(),
            supported,
            ..CpuModePart::default()
        };
        let mut passthrough = mode("host-passthrough", self.kvm);
        if self.kvm {
            passthrough.words = vec![Words::new("hostPassthroughMigratable", ["on", "off"])];
        }
        let mut maximum = mode("maximum", true);
        maximum.words = vec![Words::new("maximumMigratable", ["on", "off"])];
        // The model that this mode is here (see `command/cpu.rs`).
        let mut host_model = mode("host-model", true);
        host_model.models = vec![CpuModelPart::Model(CpuModelName {
            fallback: Some("forbid".to_owned()),
            name: if self.kvm { "host" } else { "max" }.to_owned(),
            ..CpuModelName::default()
        })];
        let mut custom = mode("custom", true);
        let mut cpus: Vec<&CpuModel> = self.emulator.cpus(self.kvm).iter().collect();
        cpus.retain(|cpu| !matches!(cpu.name.as_str(), "base" | "host" | "max"));
        cpus.sort_by(|a, b| a.name.cmp(&b.name));
        custom.models = cpus.into_iter().flat_map(model).collect();
        vec![passthrough, maximum, host_model, custom]
    }

    fn devices(&self) -> DeviceParts {
        let has = |device: &str| self.emulator.has(device);
        let models = |device: &str| {
            let all = [
                ("virtio", format!("{device}-pci")),
                ("virtio-transitional", format!("{device}-pci-transitional")),
                (
                    "virtio-non-transitional",
                    format!("{device}-pci-non-transitional"),
                ),
            ];
            let there = all.into_iter().filter(|(_, device)| has(device));
            Words::new("model", there.map(|(word, _)| word))
        };
        let usb = has("usb-redir").then_some("usb");
        DeviceParts {
            disk: Part::with(vec![
                Words::new("diskDevice", ["disk", "cdrom", "floppy", "lun"]),
                self.disk_buses(),
                models("virtio-blk"),
            ]),
            graphics: Part::with(vec![Words::new("type", DISPLAYS)]),
            video: Part::with(vec![self.cards()]),
            hostdev: Part::with(vec![
                Words::new("mode", ["subsystem"]),
                Words::new("startupPolicy", HostdevStartupPolicy::NAMES),
                Words::new("subsysType", ["usb", "pci"]),
                Words::new::<&str>("capsType", []),
                Words::new::<&str>("pciBackend", []),
            ]),
            rng: Part::with(vec![
                models("virtio-rng"),
                Words::new("backendModel", ["random", "egd", "builtin"]),
            ]),
            filesystem: Part::with(vec![Words::new("driverType", [FilesystemDriverType::Path])]),
            tpm: Part::plain(false),
            redirdev: Part::with(vec![Words::new("bus", usb)]),
            channel: Part::with(vec![Words::new("type", ["pty", "unix"])]),
            crypto: Part::with(vec![
                Words::new("model", has("virtio-crypto-pci").then_some("virtio")),
                Words::new("type", ["qemu"]),
                Words::new("backendModel", ["builtin"]),
            ]),
            interface: Part::with(vec![Words::new("backendType", ["default"])]),
            panic: Part::with(vec![self.panics()]),
        }
    }

    fn disk_buses(&self) -> Words {
        let has = |device: &str| self.emulator.has(device);
        let all = [
            ("ide", self.chipset() == Some(Chipset::I440fx)),
            ("fdc", has("isa-fdc")),
            ("scsi", true),
            ("virtio", has("virtio-blk-pci")),
            ("usb", has("usb-storage")),
            ("sata", has("ich9-ahci")),
        ];
        Words::new(
            "bus",
            all.into_iter().filter(|(_, there)| *there).map(|(bus, _)| bus),
        )
    }

    fn cards(&self) -> Words {
        let known = [
            "vga", "cirrus", "vmvga", "qxl", "virtio", "none", "bochs", "ramfb",
        ];
        let there = known.into_iter().filter(|model| {
            *model == "none" || video_device(model).is_some_and(|device| self.emulator.has(device))
        });
        Words::new("modelType", there)
    }

    fn panics(&self) -> Words {
        let all = [
            ("isa", self.emulator.has("pvpanic")),
            ("hyperv", true),
            ("pvpanic", self.emulator.has("pvpanic-pci")),
        ];
        Words::new(
            "model",
            all.into_iter()
                .filter(|(_, there)| *there)
                .map(|(model, _)| model),
        )
    }
}

/// Displays that this driver takes.
const DISPLAYS: [GraphicsType; 4] = [
    GraphicsType::Sdl,
    GraphicsType::Vnc,
    GraphicsType::EglHeadless,
    GraphicsType::Dbus,
];

/// A model, and what it lacks.
fn model(cpu: &CpuModel) -> Vec<CpuModelPart> {
    let usable = match cpu.missing.as_deref() {
        None => "unknown",
        Some([]) => "yes",
        Some(_) => "no",
    };
    let mut parts = vec![CpuModelPart::Model(CpuModelName {
        fallback: None,
        usable: Some(usable.to_owned()),
        vendor: Some(vendor(&cpu.name).to_owned()),
        canonical: cpu.alias_of.clone(),
        name: cpu.name.clone(),
    })];
    let mut features: Vec<String> = { cpu.missing.iter().flatten() }
        .map(|name| libvirt_name(name))
        .collect();
    features.sort();
    features.dedup();
    if !features.is_empty() {
        parts.push(CpuModelPart::Blockers(CpuBlockers {
            model: cpu.name.clone(),
            features,
        }));
    }
    parts
}

/// Whose CPU a model is; QEMU does not say.
fn vendor(model: &str) -> &'static str {
    const VENDORS: [(&str, &str); 12] = [
        ("EPYC", "AMD"),
        ("Opteron", "AMD"),
        ("athlon", "AMD"),
        ("phenom", "AMD"),
        ("Dhyana", "Hygon"),
        ("YongFeng", "Zhaoxin"),
        ("486", "unknown"),
        ("kvm", "unknown"),
        ("pentium", "unknown"),
        ("qemu", "unknown"),
        ("n270", "Intel"),
        ("core", "Intel"),
    ];
    let found = VENDORS.iter().find(|(prefix, _)| model.starts_with(prefix));
    found.map_or("Intel", |(_, vendor)| *vendor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(change: impl FnOnce(&mut Emulator)) -> String {
        let mut emulator = crate::testing::emulator();
        change(&mut emulator);
        let question = Question {
            emulator: &emulator,
            arch: "x86_64",
            machine: emulator.default_machine().unwrap(),
            kvm: false,
            firmware: Offer::default(),
        };
        question.answer().to_xml()
    }

    #[test]
    fn a_model_names_what_it_lacks() {
        let text = answer(|emulator| {
            emulator.cpus_tcg[3].missing = Some(vec!["pcid".to_owned(), "sse4-1".to_owned()]);
            emulator.cpus_tcg[3].alias_of = Some("Nehalem-v1".to_owned());
        });
        let expected = "      <model usable='no' vendor='Intel' canonical='Nehalem-v1'>Nehalem</model>
      <blockers model='Nehalem'>
        <feature name='pcid'/>
        <feature name='sse4.1'/>
      </blockers>
      <model usable='yes' vendor='Intel'>Nehalem-v1</model>\n";
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains(">max</model>\n      <model usable"), "{text}");
    }

    #[test]
    fn only_what_the_emulator_has_is_named() {
        let with = answer(|_| {});
        let without = answer(|emulator| {
            emulator.devices.remove("cirrus-vga");
            emulator.devices.remove("usb-redir");
        });
        for word in [
            "<value>cirrus</value>",
            "<redirdev supported='yes'>\n      <enum name='bus'>\n        <value>usb",
        ] {
            assert!(with.contains(word) && !without.contains(word), "{word}: {with}");
        }
        assert!(
            with.contains("<enum name='firmware'/>") && with.contains("<tpm supported='no'/>"),
            "{with}"
        );
    }
}

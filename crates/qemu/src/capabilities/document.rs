//! The capabilities document: what clients read before they ask for a guest.

use ferrovirt_model::capabilities::{
    BaseLabel, Capabilities, Guest, GuestArch, GuestFeatures, GuestMachine, Migration, SecModel, Toggle,
};
use ferrovirt_model::{Uuid, host};

use super::{Emulator, Probes};
use crate::config::QemuConfig;
use crate::error::{Error, Result};

/// Writes the document. Waits for the probes.
///
/// # Errors
/// The host cannot be looked at.
pub async fn document(probes: &Probes, config: &QemuConfig, uuid: Uuid) -> Result<String> {
    let looked = tokio::task::spawn_blocking(host::describe).await;
    let mut host = looked.map_err(|error| Error::Failed(format!("looking at the host failed: {error}")))?;
    host.uuid = Some(uuid);
    host.migration = Some(Migration {
        live: true,
        transports: vec!["tcp".to_owned(), "rdma".to_owned()],
    });
    host.secmodels = secmodels(config);
    let mut guests = Vec::new();
    let defaults: Vec<_> = probes
        .defaults()
        .map(|(arch, path)| (arch, path.to_owned()))
        .collect();
    for (arch, path) in defaults {
        // One that cannot be asked has been reported by its probe.
        if let Ok(emulator) = probes.emulator(&path).await {
            guests.push(guest(arch, &emulator));
        }
    }
    Ok(Capabilities { host, guests }.to_xml())
}

fn secmodels(config: &QemuConfig) -> Vec<SecModel> {
    let mut models = vec![SecModel {
        model: "none".to_owned(),
        doi: "0".to_owned(),
        labels: Vec::new(),
    }];
    if config.privileged {
        let label = |kind: &str| BaseLabel {
            kind: kind.to_owned(),
            label: format!("+{}:+{}", config.uid, config.gid),
        };
        models.push(SecModel {
            model: "dac".to_owned(),
            doi: "0".to_owned(),
            labels: vec![label("kvm"), label("qemu")],
        });
    }
    models
}

fn guest(arch: &str, emulator: &Emulator) -> Guest {
    let mut domains = vec!["qemu".to_owned()];
    if emulator.kvm {
        domains.push("kvm".to_owned());
    }
    let toggle = |toggle| {
        Some(Toggle {
            default: true,
            toggle,
        })
    };
    let word = if arch == "i686" { 32 } else { 64 };
    Guest {
        os_type: "hvm".to_owned(),
        arch: GuestArch {
            name: arch.to_owned(),
            wordsize: word,
            emulator: Some(emulator.path.display().to_string()),
            machines: machines(emulator),
            domains,
        },
        features: Some(GuestFeatures {
            pae: arch == "i686",
            nonpae: arch == "i686",
            acpi: toggle(true),
            apic: toggle(false),
            cpuselection: true,
            deviceboot: true,
            disksnapshot: toggle(false),
            external_snapshot: true,
        }),
    }
}

/// The default machine first; an alias after what it stands for.
fn machines(emulator: &Emulator) -> Vec<GuestMachine> {
    let (default, others): (Vec<_>, Vec<_>) = emulator.machines.iter().partition(|machine| machine.default);
    let mut list = Vec::new();
    for machine in default.into_iter().chain(others) {
        let max_cpus = (machine.cpu_max > 0).then_some(machine.cpu_max);
        let deprecated = machine.deprecated.then_some(true);
        list.push(GuestMachine {
            canonical: None,
            max_cpus,
            deprecated,
            name: machine.name.clone(),
        });
        if let Some(alias) = &machine.alias {
            list.push(GuestMachine {
                canonical: Some(machine.name.clone()),
                max_cpus,
                deprecated,
                name: alias.clone(),
            });
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_and_their_machines() {
        let guest = guest("x86_64", &crate::testing::emulator());
        assert_eq!(guest.arch.wordsize, 64);
        assert_eq!(guest.arch.domains, ["qemu", "kvm"]);
        let names: Vec<_> = guest
            .arch
            .machines
            .iter()
            .map(|machine| machine.name.as_str())
            .collect();
        assert_eq!(names, ["pc-i440fx-10.0", "pc", "pc-q35-10.0", "q35"]);
        assert_eq!(
            guest.arch.machines[1].canonical.as_deref(),
            Some("pc-i440fx-10.0")
        );
    }
}

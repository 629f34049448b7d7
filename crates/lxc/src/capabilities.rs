//! The capabilities document of `lxc:///`: what clients read before they ask for a container.

use ferrovirt_model::Uuid;
use ferrovirt_model::capabilities::{Capabilities, Guest, GuestArch, Host, HostCpu, SecModel};

use crate::define::{self, EMULATOR};

/// Writes the document. `host` is what is known of the machine; of its CPU only what does not matter to machines is told,
/// and nothing of migration.
#[must_use]
pub fn document(host: Host, uuid: Uuid, runs: &define::Host) -> String {
    let cpu = HostCpu {
        arch: host.cpu.arch,
        pages: host.cpu.pages,
        ..HostCpu::default()
    };
    let none = SecModel {
        model: "none".to_owned(),
        doi: "0".to_owned(),
        labels: Vec::new(),
    };
    let host = Host {
        uuid: Some(uuid),
        cpu,
        migration: None,
        secmodels: vec![none],
        ..host
    };
    let guests = runs.architectures().into_iter().map(guest).collect();
    Capabilities { host, guests }.to_xml()
}

fn guest(arch: &str) -> Guest {
    let narrow = ["i686", "armv7l", "mips", "ppc"];
    Guest {
        os_type: "exe".to_owned(),
        arch: GuestArch {
            name: arch.to_owned(),
            wordsize: if narrow.contains(&arch) { 32 } else { 64 },
            emulator: Some(EMULATOR.to_owned()),
            machines: Vec::new(),
            domains: vec!["lxc".to_owned()],
        },
        features: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::capabilities::Migration;

    #[test]
    fn containers_of_both_word_sizes_and_nothing_of_machines() {
        let host = Host {
            cpu: HostCpu {
                arch: "x86_64".to_owned(),
                model: Some("Nehalem".to_owned()),
                features: vec!["vmx".to_owned()],
                ..HostCpu::default()
            },
            migration: Some(Migration::default()),
            ..Host::default()
        };
        let runs = define::Host {
            arch: "x86_64".to_owned(),
        };
        let text = document(host, Uuid([7; 16]), &runs);
        let guests = "
  <guest>
    <os_type>exe</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <emulator>/usr/lib/libvirt/libvirt_lxc</emulator>
      <domain type='lxc'/>
    </arch>
  </guest>

  <guest>
    <os_type>exe</os_type>
    <arch name='i686'>
      <wordsize>32</wordsize>
      <emulator>/usr/lib/libvirt/libvirt_lxc</emulator>
      <domain type='lxc'/>
    </arch>
  </guest>

</capabilities>
";
        assert!(text.ends_with(guests), "{text}");
        assert!(text.contains("<arch>x86_64</arch>"), "{text}");
        for word in ["Nehalem", "vmx", "migration"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}

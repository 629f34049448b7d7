//! Asks a binary what it is: started with `-machine none`, over its standard input and output, within a
//! deadline. It never runs a guest.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{CpuModel, Emulator, MachineType};
use crate::error::{Error, Result};
use crate::qmp::{Monitor, commands};

/// For each single answer; a machine under heavy load needs seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks the binary.
///
/// # Errors
/// It does not start, dies, is no QEMU, or does not answer in time; the text has its last words.
pub(super) async fn probe(path: &Path) -> Result<Emulator> {
    let kvm = kvm_works();
    let tcg = ask(path, "tcg").await?;
    let mut emulator = tcg;
    emulator.kvm = false;
    if kvm {
        // A QEMU without KVM inside refuses the accelerator: then it just has none.
        if let Ok(with_kvm) = ask(path, "kvm").await {
            emulator.kvm = with_kvm.kvm;
            emulator.cpus_kvm = with_kvm.cpus_tcg;
        }
    }
    Ok(emulator)
}

/// Whether the host's KVM can be opened.
pub(super) fn kvm_works() -> bool {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok()
}

async fn ask(path: &Path, accelerator: &str) -> Result<Emulator> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(Error::io("Cannot probe", path))?;
    let output = theirs.try_clone().map_err(Error::io("Cannot probe", path))?;
    let mut child = Command::new(path)
        .args(["-S", "-no-user-config", "-nodefaults", "-nographic"])
        .args(["-machine", &format!("none,accel={accelerator}")])
        .args(["-qmp", "stdio"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .stderr(Stdio::piped())
        .env_clear()
        .envs([("LC_ALL", "C"), ("HOME", "/"), ("PATH", "/usr/bin:/bin")])
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("Cannot check QEMU binary", path))?;
    ours.set_nonblocking(true)
        .map_err(Error::io("Cannot probe", path))?;
    let stream = UnixStream::from_std(ours).map_err(Error::io("Cannot probe", path))?;
    let (monitor, _events) = Monitor::new(stream);
    match questions(path, &monitor).await {
        Ok(emulator) => {
            // It is over anyway: the answer does not matter, and dropping the child ends it.
            let _ = monitor.execute(&commands::Quit {}, Duration::from_secs(1)).await;
            let _ = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
            Ok(emulator)
        }
        Err(error) => Err(Error::Died(last_words(path, &mut child, &error).await)),
    }
}

async fn last_words(path: &Path, child: &mut Child, error: &Error) -> String {
    let mut text = String::new();
    if let Some(stderr) = child.stderr.take() {
        let mut limited = stderr.take(4096);
        let _ = tokio::time::timeout(Duration::from_millis(500), limited.read_to_string(&mut text)).await;
    }
    format!(
        "Failed to probe QEMU binary '{}': {error}: {}",
        path.display(),
        text.trim()
    )
    .trim_end_matches([' ', ':'])
    .to_owned()
}

async fn questions(path: &Path, monitor: &Monitor) -> Result<Emulator> {
    let kinds = commands::QomListTypes {
        implements: "device".into(),
        r#abstract: false,
    };
    // All at once: QEMU buffers them, and one slow answer does not wait for another.
    let (hello, version, target, machines, devices, cpus, kvm, names) = tokio::try_join!(
        monitor.negotiate(DEADLINE),
        monitor.execute(&commands::QueryVersion {}, DEADLINE),
        monitor.execute(&commands::QueryTarget {}, DEADLINE),
        monitor.execute(&commands::QueryMachines {}, DEADLINE),
        monitor.execute(&kinds, DEADLINE),
        monitor.execute(&commands::QueryCpuDefinitions {}, DEADLINE),
        monitor.execute(&commands::QueryKvm {}, DEADLINE),
        monitor.execute(&commands::QueryCommands {}, DEADLINE),
    )?;
    let () = hello;
    Ok(Emulator {
        path: path.to_owned(),
        arch: libvirt_arch(&target.arch).to_owned(),
        version: (version.qemu.major, version.qemu.minor, version.qemu.micro),
        package: version.package,
        kvm: kvm.enabled && kvm.present,
        machines: machines.into_iter().filter_map(machine).collect(),
        devices: devices.into_iter().map(|kind| kind.name).collect(),
        cpus_tcg: cpus.into_iter().map(cpu).collect(),
        cpus_kvm: Vec::new(),
        commands: names.into_iter().map(|name| name.name).collect::<BTreeSet<_>>(),
    })
}

/// libvirt's name for QEMU's name of an architecture.
fn libvirt_arch(target: &str) -> &str {
    match target {
        "i386" => "i686",
        other => other,
    }
}

fn machine(machine: commands::Machine) -> Option<MachineType> {
    // The machine without anything is for probing only.
    if machine.name == "none" {
        return None;
    }
    Some(MachineType {
        name: machine.name,
        alias: machine.alias,
        default: machine.is_default,
        cpu_max: machine.cpu_max,
        deprecated: machine.deprecated,
        ram_id: machine.default_ram_id,
        default_cpu: machine.default_cpu_type.as_deref().map(cpu_of_type),
        hotpluggable_cpus: machine.hotpluggable_cpus,
        numa_mem: machine.numa_mem_supported,
    })
}

/// `qemu64-x86_64-cpu` is the model `qemu64`.
fn cpu_of_type(kind: &str) -> String {
    kind.strip_suffix("-cpu")
        .and_then(|rest| rest.rsplit_once('-'))
        .map_or(kind, |(model, _)| model)
        .to_owned()
}

fn cpu(cpu: commands::CpuDefinition) -> CpuModel {
    CpuModel {
        name: cpu.name,
        missing: cpu.unavailable_features,
        alias_of: cpu.alias_of,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpu_types() {
        assert_eq!(cpu_of_type("qemu64-x86_64-cpu"), "qemu64");
        assert_eq!(cpu_of_type("Skylake-Server-v1-x86_64-cpu"), "Skylake-Server-v1");
        assert_eq!(libvirt_arch("i386"), "i686");
    }

    #[tokio::test]
    async fn a_program_that_is_no_qemu_is_named() {
        let error = probe(Path::new("/bin/false")).await.unwrap_err();
        assert!(error.to_string().contains("/bin/false"), "{error}");
        let error = probe(Path::new("/no/such/qemu")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Cannot check QEMU binary '/no/such/qemu': No such file or directory"
        );
    }
}

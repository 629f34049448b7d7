//! Figures that only the kernel and QEMU know. They have a short deadline: a guest that is slow to answer must not
//! make a listing slow (R90).
//!
//! * `questions`: what QEMU is asked, one round at a time.
//! * `host`: what the kernel knows of the guest's process and taps.
//! * `images`: disks.

mod host;
mod images;
mod questions;

use std::sync::Arc;
use std::time::Duration;

use ferrovirt_guest::{
    BalloonStats, DirtyRateStats, DirtyRateStatus, Figures, GuestStats, StatsAsk, VcpuStats,
};
use ferrovirt_model::domain::Domain;

use crate::error::{Error, Plain, Result};
use crate::machine::Machine;
use crate::qmp::commands::{self, Cpu, DirtyRate};
use questions::{Questions, Said};

const DEADLINE: Duration = Duration::from_secs(2);
/// What the files of the kernel and of images may take at least, however short a patience is.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Asks kernel and QEMU.
///
/// # Errors
/// The process is gone.
pub async fn figures(guest: &Machine) -> Result<Figures> {
    let pid = guest.process().pid;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| {
        Error::Invalid(format!(
            "cannot read the CPU time of guest '{}': {}",
            guest.name(),
            Plain(&e)
        ))
    })?;
    let cpu_time = host::cpu_nanoseconds(&stat).unwrap_or(0);
    let balloon = if guest.has_balloon() {
        match guest
            .monitor()
            .execute(&commands::QueryBalloon {}, DEADLINE)
            .await
        {
            Ok(balloon) => Some(balloon.actual / 1024),
            Err(error) => {
                tracing::debug!(guest = guest.name(), %error, "no balloon");
                None
            }
        }
    } else {
        None
    };
    Ok(Figures { cpu_time, balloon })
}

/// Groups of figures, of a guest that runs or is off.
pub async fn stats(guest: Option<&Machine>, doc: &Arc<Domain>, ask: &StatsAsk) -> GuestStats {
    let Some(machine) = guest else {
        return off(doc, ask).await;
    };
    let mut said = Questions::new(machine, doc, ask).put(machine, ask.patience).await;
    if let Some(cpus) = said.cpus.take() {
        machine.set_cpus(cpus);
    }
    let blocks = if ask.blocks {
        Some(images::running(doc, ask.backing, said.blocks.take(), ask.patience).await)
    } else {
        None
    };
    let seen = {
        let (machine, doc, ask) = (machine.clone(), Arc::clone(doc), *ask);
        tokio::task::spawn_blocking(move || with_host(&machine, &doc, &ask, &said))
    };
    let seen = tokio::time::timeout(BRIEFLY, seen).await;
    GuestStats {
        blocks,
        ..seen.ok().and_then(std::result::Result::ok).unwrap_or_default()
    }
}

async fn off(doc: &Domain, ask: &StatsAsk) -> GuestStats {
    GuestStats {
        balloon: ask.balloon.then(|| BalloonStats {
            current: Some(memory_of(doc)),
            ..BalloonStats::default()
        }),
        blocks: if ask.blocks {
            Some(images::off(doc, ask.backing, ask.patience).await)
        } else {
            None
        },
        ..GuestStats::default()
    }
}

/// What QEMU said, with what the kernel knows of the same things. Reads files of the kernel.
fn with_host(machine: &Machine, doc: &Domain, ask: &StatsAsk, said: &Said) -> GuestStats {
    let pid = machine.process().pid;
    let cpus = machine.cpus().filter(|_| ask.vcpus).unwrap_or_default();
    GuestStats {
        cpu: if ask.cpu { host::cpu(machine) } else { None },
        balloon: ask
            .balloon
            .then(|| balloon(doc, machine.has_balloon(), said, host::rss(pid))),
        vcpus: vcpus(pid, cpus),
        interfaces: if ask.interfaces {
            ferrovirt_guest::traffic::interfaces(doc)
        } else {
            Vec::new()
        },
        blocks: None,
        dirty_rate: said.dirty_rate.as_ref().map(dirty_rate),
    }
}

/// What a guest that is off will have, in KiB. Only a balloon takes some of its memory away.
fn memory_of(doc: &Domain) -> u64 {
    let has_balloon = doc
        .devices
        .memballoon
        .as_ref()
        .is_some_and(|device| device.model != "none");
    doc.current_memory.filter(|_| has_balloon).unwrap_or(doc.memory).0
}

/// What QEMU says where the guest has said nothing.
const NOT_SAID: u64 = u64::MAX;

fn balloon(doc: &Domain, has_balloon: bool, said: &Said, rss: Option<u64>) -> BalloonStats {
    let memory = said.guest_memory.as_ref();
    let figure = |name: &str| {
        let value = memory?.get("stats")?.get(name)?.as_u64()?;
        (value != NOT_SAID).then_some(value)
    };
    let kib = |name| Some(figure(name)? / 1024);
    BalloonStats {
        // The size of a balloon changes: where there is one, only QEMU knows it.
        current: if has_balloon {
            said.balloon.map(|bytes| bytes / 1024)
        } else {
            Some(doc.memory.0)
        },
        swap_in: kib("stat-swap-in"),
        swap_out: kib("stat-swap-out"),
        major_fault: figure("stat-major-faults"),
        minor_fault: figure("stat-minor-faults"),
        unused: kib("stat-free-memory"),
        available: kib("stat-total-memory"),
        usable: kib("stat-available-memory"),
        last_update: memory.and_then(|memory| memory.get("last-update")?.as_u64()),
        disk_caches: kib("stat-disk-caches"),
        hugetlb_pgalloc: figure("stat-htlb-pgalloc"),
        hugetlb_pgfail: figure("stat-htlb-pgfail"),
        rss,
    }
}

fn vcpus(pid: i32, cpus: &[Cpu]) -> Vec<VcpuStats> {
    let mut all: Vec<VcpuStats> = cpus
        .iter()
        .filter_map(|cpu| Some(host::vcpu(pid, u32::try_from(cpu.index).ok()?, cpu.thread_id)))
        .collect();
    all.sort_unstable_by_key(|vcpu| vcpu.number);
    all
}

fn dirty_rate(said: &DirtyRate) -> DirtyRateStats {
    let status = match said.status.as_str() {
        "measuring" => DirtyRateStatus::Measuring,
        "measured" => DirtyRateStatus::Measured,
        _ => DirtyRateStatus::Unstarted,
    };
    DirtyRateStats {
        status,
        start_time: said.start_time,
        period: said.calc_time,
        mode: said.mode.clone(),
        mib_per_second: said.dirty_rate.filter(|_| status == DirtyRateStatus::Measured),
        vcpus: said
            .vcpu_dirty_rate
            .iter()
            .filter(|_| status == DirtyRateStatus::Measured)
            .filter_map(|vcpu| Some((u32::try_from(vcpu.id).ok()?, vcpu.dirty_rate)))
            .collect(),
    }
}

#[cfg(test)]
mod tests;

//! Limits and shares of a guest: its control group, and its balloon.

use std::sync::Arc;

use ferrovirt_guest::limits::{self, bandwidth, known, limit, quota};
use ferrovirt_guest::{BackendError, Tune, Tuned};
use ferrovirt_model::Kib;
use ferrovirt_model::domain::{CpuTune, Domain};
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::{Bandwidth, CgroupError, Part, Partition, Scope};

use crate::backend::QemuBackend;
use crate::error::{Error, Result};
use crate::machine::{DEADLINE, Machine};
use crate::qmp::commands::SetBalloon;
use crate::threads;

impl Tune for QemuBackend {
    async fn tune(
        &self,
        guest: &Machine,
        from: &Domain,
        to: &mut Domain,
    ) -> std::result::Result<(), BackendError> {
        let (old, new) = (Tuned::of(from), Tuned::of(to));
        let parts = parts_of(to);
        blocking::here(|| {
            let scope = guest.scope();
            limit(scope, &old, &new)?;
            share(scope, &old.cpu, &new.cpu, &parts)
        })?;
        threads::change(guest, from, to).await?;
        if let Some(memory) = to
            .current_memory
            .filter(|_| to.current_memory != from.current_memory)
        {
            balloon(guest, memory).await?;
            // How much it has then is the guest's to say.
            to.current_memory = from.current_memory;
        }
        Ok(())
    }

    async fn tuned(&self, guest: &Machine, doc: &Arc<Domain>) -> std::result::Result<Tuned, BackendError> {
        Ok(blocking::here(|| read(guest.scope(), doc))?)
    }
}

async fn balloon(guest: &Machine, memory: Kib) -> Result<()> {
    if !guest.has_balloon() {
        let text =
            "Unable to change memory of active domain without the balloon device and guest OS balloon driver";
        return Err(Error::Invalid(text.to_owned()));
    }
    let value = memory.bytes();
    guest.monitor().execute(&SetBalloon { value }, DEADLINE).await?;
    Ok(())
}

/// Memory and block devices of a guest that starts: before its process takes any.
///
/// # Errors
/// What the document asks for is not there, or the kernel refuses.
pub(crate) fn limit_at_start(scope: Option<&Scope>, doc: &Domain) -> Result<()> {
    for (asked, text) in [
        (
            doc.memtune.is_some(),
            "Memory cgroup is not available on this host",
        ),
        (
            doc.blkiotune.is_some(),
            "Block I/O tuning is not available on this host",
        ),
        (
            doc.cputune.as_ref().is_some_and(of_group),
            "CPU tuning is not available on this host",
        ),
        (
            { doc.resource.as_ref() }
                .is_some_and(|resource| resource.partition != Partition::default().path()),
            "Resource partitions are not available on this host",
        ),
    ] {
        if asked && scope.is_none() {
            return Err(Error::unsupported(text));
        }
    }
    Ok(limit(scope, &Tuned::default(), &Tuned::of(doc))?)
}

/// Whether any of it needs a control group: pins and schedulers do not.
fn of_group(tune: &CpuTune) -> bool {
    group_part(tune) != CpuTune::default()
}

/// The shares and limits, without what is said of single threads.
fn group_part(tune: &CpuTune) -> CpuTune {
    CpuTune {
        vcpu_pins: Vec::new(),
        emulator_pin: None,
        iothread_pins: Vec::new(),
        emulator_sched: None,
        vcpu_scheds: Vec::new(),
        iothread_scheds: Vec::new(),
        ..tune.clone()
    }
}

/// I/O threads that came to a running guest have the limit of the others.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn share_with(scope: &Scope, doc: &Domain, iothreads: &[(u32, i32)]) -> Result<()> {
    let Some(tune) = &doc.cputune else {
        return Ok(());
    };
    let wanted = bandwidth(tune.iothread_period, tune.iothread_quota);
    let parts = iothreads.iter().map(|(number, _)| Part::IoThread(*number));
    for part in parts.filter(|part| wanted != Bandwidth::default() && scope.has(*part)) {
        scope.set_bandwidth(part, wanted)?;
    }
    Ok(())
}

/// Processors of a guest that starts, once its threads have groups of their own.
///
/// # Errors
/// As [`limit_at_start`].
pub(crate) fn share_at_start(scope: &Scope, doc: &Domain) -> Result<()> {
    let wanted = Tuned::of(doc).cpu;
    share(Some(scope), &CpuTune::default(), &wanted, &parts_of(doc))
}

/// The threads of a guest that have groups of their own.
fn parts_of(doc: &Domain) -> Vec<Part> {
    let vcpus = (0..doc.vcpu.count).map(Part::Vcpu);
    let iothreads = doc
        .io_threads()
        .into_iter()
        .map(|thread| Part::IoThread(thread.id));
    vcpus.chain(iothreads).collect()
}

/// Processors.
fn share(scope: Option<&Scope>, old: &CpuTune, new: &CpuTune, own: &[Part]) -> Result<()> {
    if group_part(old) == group_part(new) {
        return Ok(());
    }
    let scope = scope.ok_or(CgroupError::NoController("CPU"))?;
    match new.shares {
        shares if shares == old.shares => {}
        Some(shares) => scope.set_cpu_shares(shares)?,
        None => scope
            .weigh(1)
            .map_err(Error::io("cannot set the weight of", &scope.name))?,
    }
    let whole = |tune: &CpuTune| bandwidth(tune.global_period, tune.global_quota);
    let emulator = |tune: &CpuTune| bandwidth(tune.emulator_period, tune.emulator_quota);
    let vcpu = |tune: &CpuTune| bandwidth(tune.period, tune.quota);
    let iothread = |tune: &CpuTune| bandwidth(tune.iothread_period, tune.iothread_quota);
    let mut parts = vec![(Part::Emulator, emulator(old), emulator(new))];
    parts.extend(own.iter().map(|part| match part {
        Part::IoThread(_) => (*part, iothread(old), iothread(new)),
        _ => (*part, vcpu(old), vcpu(new)),
    }));
    parts.retain(|(part, old, new)| old != new && (*part == Part::Emulator || scope.has(*part)));
    let whole = (Part::Whole, whole(old), whole(new));
    if whole.1 != whole.2 {
        // No part may have more than the whole: the whole grows first, and shrinks last.
        let at = if is_more(whole.2, whole.1) { 0 } else { parts.len() };
        parts.insert(at, whole);
    }
    for (part, _, wanted) in parts {
        scope.set_bandwidth(part, wanted)?;
    }
    Ok(())
}

/// Whether one is more than the other.
fn is_more(one: Bandwidth, other: Bandwidth) -> bool {
    let product = |quota: u64, period: u64| u128::from(quota) * u128::from(period);
    match (one.quota, other.quota) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) => product(a, other.period) >= product(b, one.period),
    }
}

/// What the kernel says; what it cannot say is as the document says.
fn read(scope: Option<&Scope>, doc: &Domain) -> Result<Tuned> {
    let mut tuned = limits::read(scope, doc)?;
    if let Some(scope) = scope {
        read_bandwidth(scope, &mut tuned.cpu)?;
    }
    Ok(tuned)
}

fn read_bandwidth(scope: &Scope, tune: &mut CpuTune) -> Result<()> {
    let Some(whole) = known(scope.bandwidth(Part::Whole))? else {
        return Ok(());
    };
    (tune.global_period, tune.global_quota) = (Some(whole.period), Some(quota(whole)));
    // There are no I/O threads apart from the rest.
    (tune.iothread_period, tune.iothread_quota) = (tune.global_period, tune.global_quota);
    let emulator = scope.bandwidth(Part::Emulator)?;
    (tune.emulator_period, tune.emulator_quota) = (Some(emulator.period), Some(quota(emulator)));
    let vcpu = scope.bandwidth(Part::Vcpu(0))?;
    (tune.period, tune.quota) = (Some(vcpu.period), Some(quota(vcpu)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::domain::MemTune;

    #[test]
    fn a_whole_that_grows_goes_before_its_parts() {
        let of = |period, quota| bandwidth(Some(period), quota);
        assert!(is_more(of(1000, None), of(1000, Some(5))));
        assert!(!is_more(of(1000, Some(5000)), of(1000, None)));
        assert!(is_more(of(1000, Some(2000)), of(10_000, Some(10_000))));
        assert!(!is_more(of(100_000, Some(2000)), of(10_000, Some(10_000))));
        assert_eq!(of(1000, Some(-5)).quota, None);
        assert_eq!(bandwidth(None, None), Bandwidth::default());
    }

    #[test]
    fn limits_without_control_groups_are_refused_by_name() {
        let mut doc = Domain::default();
        limit_at_start(None, &doc).unwrap();
        doc.cputune = Some(CpuTune {
            shares: Some(5),
            ..CpuTune::default()
        });
        let refused = limit_at_start(None, &doc).unwrap_err();
        assert_eq!(refused.to_string(), "CPU tuning is not available on this host");
        let refused = share(None, &CpuTune::default(), &Tuned::of(&doc).cpu, &[]).unwrap_err();
        assert_eq!(refused.to_string(), "cgroup CPU controller is not mounted");
        doc.memtune = Some(MemTune {
            hard_limit: Some(Kib(5)),
            ..MemTune::default()
        });
        let refused = limit_at_start(None, &doc).unwrap_err();
        assert_eq!(refused.to_string(), "Memory cgroup is not available on this host");
        assert_eq!(read(None, &doc).unwrap(), Tuned::of(&doc));
    }
}

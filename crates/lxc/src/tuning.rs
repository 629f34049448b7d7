//! Limits and shares of a container: those of its control group.

use std::sync::Arc;

use ferrovirt_guest::limits::{self, bandwidth, known, quota};
use ferrovirt_guest::{BackendError, Tune, Tuned};
use ferrovirt_model::domain::{CpuTune, Domain, MemTune};
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::{CgroupError, Part, Scope};

use crate::backend::LxcBackend;
use crate::container::Container;
use crate::error::{Error, Result};

impl Tune for LxcBackend {
    async fn tune(
        &self,
        guest: &Container,
        from: &Domain,
        to: &mut Domain,
    ) -> std::result::Result<(), BackendError> {
        if from.vcpu.count != to.vcpu.count {
            let text = "the number of processors of a container cannot be changed";
            return Err(BackendError::Unsupported(text.to_owned()));
        }
        Ok(blocking::here(|| {
            change(guest.scope(), &wanted(from), &wanted(to))
        })?)
    }

    async fn tuned(&self, guest: &Container, doc: &Arc<Domain>) -> std::result::Result<Tuned, BackendError> {
        Ok(blocking::here(|| read(guest.scope(), doc))?)
    }
}

/// A container's memory is what its document says, unless `<memtune>` says otherwise.
fn wanted(doc: &Domain) -> Tuned {
    let tuned = Tuned::of(doc);
    let memory = doc.current_memory.unwrap_or(doc.memory);
    Tuned {
        memory: MemTune {
            hard_limit: tuned.memory.hard_limit.or(Some(memory)),
            ..tuned.memory
        },
        ..tuned
    }
}

/// Holds a container that starts to its document, before it has a process.
///
/// # Errors
/// The document asks for a limit that no control group of this host can hold it to, or the kernel refuses.
pub fn at_start(scope: &Scope, doc: &Domain) -> Result<()> {
    let wanted = wanted(doc);
    let asked = doc.memtune.is_some() || doc.blkiotune.is_some() || doc.cputune.is_some();
    match change(Some(scope), &Tuned::default(), &wanted) {
        // Memory that only the document's size speaks of is no reason not to start.
        Err(Error::Cgroup(CgroupError::NoController(_))) if !asked => Ok(()),
        result => result,
    }
}

/// A host without control groups has containers without limits; one that asks for some is refused.
///
/// # Errors
/// What is asked for.
pub fn none_asked(doc: &Domain) -> Result<()> {
    let asked = [
        (doc.memtune.is_some(), "memory"),
        (doc.blkiotune.is_some(), "blkio"),
        (doc.cputune.is_some(), "cpu"),
        (doc.vcpu.cpuset.is_some() || doc.numatune.is_some(), "cpuset"),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, controller)) => Err(CgroupError::NoController(controller).into()),
        None => Ok(()),
    }
}

/// Keeps a container that starts on its processors and nodes.
///
/// # Errors
/// As [`at_start`].
pub fn place(scope: &Scope, doc: &Domain) -> Result<()> {
    if let Some(processors) = &doc.vcpu.cpuset {
        scope.set_processors(&processors.to_string())?;
    }
    let memory = doc.numatune.as_ref().and_then(|tune| tune.memory.as_ref());
    if let Some(nodes) = memory.and_then(|memory| memory.nodeset.as_ref()) {
        scope.set_memory_nodes(&nodes.to_string())?;
    }
    Ok(())
}

fn change(scope: Option<&Scope>, old: &Tuned, new: &Tuned) -> Result<()> {
    limits::limit(scope, old, new)?;
    if old.cpu == new.cpu {
        return Ok(());
    }
    let scope = scope.ok_or(CgroupError::NoController("cpu"))?;
    match new.cpu.shares {
        shares if shares == old.cpu.shares => {}
        Some(shares) => scope.set_cpu_shares(shares)?,
        None => scope
            .weigh(1)
            .map_err(Error::io("cannot set the weight of", &scope.name))?,
    }
    let whole = |tune: &CpuTune| bandwidth(tune.period, tune.quota);
    if whole(&old.cpu) != whole(&new.cpu) {
        scope.set_bandwidth(Part::Whole, whole(&new.cpu))?;
    }
    Ok(())
}

fn read(scope: Option<&Scope>, doc: &Domain) -> Result<Tuned> {
    let mut tuned = limits::read(scope, doc)?;
    if let Some(whole) = scope
        .map(|scope| known(scope.bandwidth(Part::Whole)))
        .transpose()?
        .flatten()
    {
        (tuned.cpu.period, tuned.cpu.quota) = (Some(whole.period), Some(quota(whole)));
    }
    Ok(tuned)
}

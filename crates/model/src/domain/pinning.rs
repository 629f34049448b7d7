//! Parts of `<cputune>`: on which of the host's CPUs each thread of a guest runs, and by which scheduler.

use super::cputune::CpuTune;
use crate::cpuset::CpuSet;
use ferrovirt_xml::{Xml, XmlError};
use std::collections::{BTreeMap, BTreeSet};

/// `<vcpupin>`: where a virtual CPU runs.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct VcpuPin {
    /// Which virtual CPU.
    #[xml(attr)]
    pub vcpu: u32,
    /// The host's CPUs.
    #[xml(attr)]
    pub cpuset: CpuSet,
}

/// `<iothreadpin>`: where an I/O thread runs.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct IoThreadPin {
    /// Which thread.
    #[xml(attr)]
    pub iothread: u32,
    /// The host's CPUs.
    #[xml(attr)]
    pub cpuset: CpuSet,
}

/// A scheduler of the host's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Xml)]
pub enum Scheduler {
    /// Who calculates much.
    Batch,
    /// Who may wait for all others.
    Idle,
    /// Real time: until it waits.
    Fifo,
    /// Real time: in turns.
    Rr,
}

impl Scheduler {
    /// Whether it has priorities.
    pub fn has_priority(self) -> bool {
        matches!(self, Scheduler::Fifo | Scheduler::Rr)
    }
}

/// `<vcpusched>`: how virtual CPUs are scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct VcpuSched {
    /// Which virtual CPUs.
    #[xml(attr)]
    pub vcpus: CpuSet,
    /// How.
    #[xml(attr)]
    pub scheduler: Scheduler,
    /// Priority in real time.
    #[xml(attr)]
    pub priority: Option<i32>,
}

/// `<iothreadsched>`: how I/O threads are scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct IoThreadSched {
    /// Which threads.
    #[xml(attr)]
    pub iothreads: CpuSet,
    /// How.
    #[xml(attr)]
    pub scheduler: Scheduler,
    /// Priority in real time.
    #[xml(attr)]
    pub priority: Option<i32>,
}

/// `<emulatorsched>`: how the hypervisor's own threads are scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct EmulatorSched {
    /// How.
    #[xml(attr)]
    pub scheduler: Scheduler,
    /// Priority in real time.
    #[xml(attr)]
    pub priority: Option<i32>,
}

/// Of each thread with a scheduler of its own: which.
type Schedules = BTreeMap<u32, (Scheduler, Option<i32>)>;

impl CpuTune {
    /// Whether any thread has its own place.
    pub fn has_pins(&self) -> bool {
        !self.vcpu_pins.is_empty() || self.emulator_pin.is_some() || !self.iothread_pins.is_empty()
    }

    /// Checks whom the pins and schedulers are for, and puts them in order.
    pub(crate) fn normalize_threads(&mut self, vcpus: u32, iothreads: &[u32]) -> Result<(), XmlError> {
        self.vcpu_pins.retain(|pin| pin.vcpu < vcpus);
        self.vcpu_pins.sort_by_key(|pin| pin.vcpu);
        let twice = self
            .vcpu_pins
            .windows(2)
            .find(|pair| pair[0].vcpu == pair[1].vcpu);
        if let Some(pair) = twice {
            let text = format!("duplicate vcpupin for vcpu '{}'", pair[0].vcpu);
            return Err(XmlError::Inconsistent(text));
        }
        self.normalize_iothread_pins(iothreads)?;
        let vcpu_rows = self
            .vcpu_scheds
            .iter()
            .map(|s| (&s.vcpus, s.scheduler, s.priority));
        let known: Vec<u32> = (0..vcpus).collect();
        let schedules = collect(vcpu_rows, &known, "vcpu")?;
        self.vcpu_scheds = grouped(&schedules, &known)
            .into_iter()
            .map(|(vcpus, scheduler, priority)| VcpuSched {
                vcpus,
                scheduler,
                priority,
            })
            .collect();
        let rows = self
            .iothread_scheds
            .iter()
            .map(|s| (&s.iothreads, s.scheduler, s.priority));
        let schedules = collect(rows, iothreads, "iothread")?;
        self.iothread_scheds = grouped(&schedules, iothreads)
            .into_iter()
            .map(|(iothreads, scheduler, priority)| IoThreadSched {
                iothreads,
                scheduler,
                priority,
            })
            .collect();
        if let Some(own) = &mut self.emulator_sched {
            own.priority = checked(own.scheduler, own.priority)?;
        }
        Ok(())
    }

    fn normalize_iothread_pins(&mut self, iothreads: &[u32]) -> Result<(), XmlError> {
        let place = |id: u32| iothreads.iter().position(|thread| *thread == id);
        let mut seen = BTreeSet::new();
        for pin in &self.iothread_pins {
            if pin.iothread == 0 {
                let text = "Invalid value for attribute 'iothread' in element 'iothreadpin': '0'. Zero is not permitted";
                return Err(XmlError::Inconsistent(text.to_owned()));
            }
            if place(pin.iothread).is_none() {
                let text = format!("Cannot find 'iothread' : {}", pin.iothread);
                return Err(XmlError::Inconsistent(text));
            }
            if !seen.insert(pin.iothread) {
                let text = format!("duplicate iothreadpin for same iothread '{}'", pin.iothread);
                return Err(XmlError::Inconsistent(text));
            }
        }
        self.iothread_pins.sort_by_key(|pin| place(pin.iothread));
        Ok(())
    }
}

/// Real time has a priority, everything else none.
fn checked(scheduler: Scheduler, priority: Option<i32>) -> Result<Option<i32>, XmlError> {
    match (scheduler.has_priority(), priority) {
        (true, None) => Err(XmlError::Inconsistent(format!(
            "Missing required attribute 'priority' in element of scheduler '{scheduler}'"
        ))),
        (true, some) => Ok(some),
        (false, _) => Ok(None),
    }
}

fn collect<'a>(
    rows: impl Iterator<Item = (&'a CpuSet, Scheduler, Option<i32>)>,
    known: &[u32],
    what: &str,
) -> Result<Schedules, XmlError> {
    let mut all = Schedules::new();
    for (set, scheduler, priority) in rows {
        let priority = checked(scheduler, priority)?;
        for id in set.iter() {
            if !known.contains(&id) {
                return Err(XmlError::Unsupported(format!("Cannot find '{what}' : {id}")));
            }
            if all.insert(id, (scheduler, priority)).is_some() {
                return Err(XmlError::Unsupported(format!(
                    "'{what}sched' attributes '{what}s' must not overlap"
                )));
            }
        }
    }
    Ok(all)
}

/// One row for all that are scheduled alike: by scheduler, then by priority.
fn grouped(all: &Schedules, known: &[u32]) -> Vec<(CpuSet, Scheduler, Option<i32>)> {
    let kinds: BTreeSet<(Scheduler, Option<i32>)> = all.values().copied().collect();
    let row = |(scheduler, priority)| {
        let alike = known
            .iter()
            .filter(|id| all.get(id) == Some(&(scheduler, priority)));
        Some((CpuSet::new(alike.copied())?, scheduler, priority))
    };
    kinds.into_iter().filter_map(row).collect()
}

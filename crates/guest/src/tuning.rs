//! Limits and shares of a guest: what can be changed, and what a change makes of a document.

use ferrovirt_model::Kib;
use ferrovirt_model::domain::{BlkioDevice, BlkioTune, CpuTune, Domain, MemTune, UNLIMITED, VcpuState};

use crate::error::{Error, Result};
use crate::threads::ThreadChange;

/// A change of a guest's limits and shares. What is not said stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tuning {
    /// `<memtune>`; [`UNLIMITED`] takes a limit away.
    Memory(MemTune),
    /// `<blkiotune>`; zero takes a value of a device away.
    Blkio(BlkioTune),
    /// `<cputune>`; zero changes nothing, a negative quota is no limit.
    Cpu(Box<CpuTune>),
    /// Memory that the guest has now (its balloon).
    CurrentMemory(Kib),
    /// Memory that it boots with; of the definition only.
    MaximumMemory(Kib),
    /// Processors that it has now.
    Vcpus(u32),
    /// Processors that it can have; of the definition only.
    MaximumVcpus(u32),
    /// Its threads: where they run, and which I/O threads there are.
    Threads(Box<ThreadChange>),
}

/// What a guest is held to: what the kernel says of one that runs, what the document says of one that does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuned {
    /// Limits of memory.
    pub memory: MemTune,
    /// Shares and limits of block I/O.
    pub blkio: BlkioTune,
    /// Shares and limits of processor time.
    pub cpu: CpuTune,
}

impl Tuned {
    /// What a document says.
    pub fn of(doc: &Domain) -> Tuned {
        Tuned {
            memory: doc.memtune.clone().unwrap_or_default(),
            blkio: doc.blkiotune.clone().unwrap_or_default(),
            cpu: doc.cputune.clone().unwrap_or_default(),
        }
    }
}

fn replace<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        old.clone_from(new);
    }
}

impl Tuning {
    /// Changes a document; `live`: of a running guest.
    ///
    /// # Errors
    /// `Argument` for values that contradict what there is, `Invalid` and `NotSupported` for what a running guest cannot
    /// have changed.
    pub(crate) fn apply(&self, doc: &mut Domain, live: bool) -> Result<()> {
        match self {
            Tuning::Memory(change) => memory(doc.memtune.get_or_insert_default(), change)?,
            Tuning::Blkio(change) => blkio(doc.blkiotune.get_or_insert_default(), change),
            Tuning::Cpu(change) => cpu(doc.cputune.get_or_insert_default(), change),
            Tuning::CurrentMemory(amount) if *amount > doc.memory => {
                return Err(Error::Argument(
                    "cannot set memory higher than max memory".to_owned(),
                ));
            }
            Tuning::CurrentMemory(amount) => doc.current_memory = Some(*amount),
            Tuning::MaximumMemory(_) if live => {
                let text = "cannot resize the maximum memory on an active domain";
                return Err(Error::Invalid(text.to_owned()));
            }
            Tuning::MaximumMemory(amount) => {
                doc.memory = *amount;
                doc.current_memory = doc.current_memory.map(|current| current.min(*amount));
            }
            Tuning::Vcpus(count) => vcpus(doc, *count, live)?,
            Tuning::MaximumVcpus(_) if live => {
                let text = "maximum vcpu count of a live domain can't be modified";
                return Err(Error::Argument(text.to_owned()));
            }
            Tuning::MaximumVcpus(count) => maximum_vcpus(doc, *count)?,
            Tuning::Threads(change) => change.apply(doc, live)?,
        }
        doc.memtune.take_if(|tune| tune.is_empty());
        doc.blkiotune.take_if(|tune| tune.is_empty());
        doc.cputune.take_if(|tune| tune.is_empty());
        Ok(())
    }
}

fn memory(tune: &mut MemTune, change: &MemTune) -> Result<()> {
    replace(&mut tune.hard_limit, &change.hard_limit);
    replace(&mut tune.soft_limit, &change.soft_limit);
    replace(&mut tune.swap_hard_limit, &change.swap_hard_limit);
    let said = change.hard_limit.is_some() || change.swap_hard_limit.is_some();
    let limit = |limit: Option<Kib>| limit.unwrap_or(UNLIMITED).min(UNLIMITED);
    if said && limit(tune.hard_limit) > limit(tune.swap_hard_limit) {
        let text = "memory hard_limit tunable value must be lower than or equal to swap_hard_limit";
        return Err(Error::Argument(text.to_owned()));
    }
    for limit in [
        &mut tune.hard_limit,
        &mut tune.soft_limit,
        &mut tune.swap_hard_limit,
    ] {
        limit.take_if(|limit| *limit >= UNLIMITED);
    }
    Ok(())
}

fn blkio(tune: &mut BlkioTune, change: &BlkioTune) {
    fn value<T: Copy + PartialEq + Default>(old: &mut Option<T>, new: Option<T>) {
        replace(old, &new);
        old.take_if(|value| *value == T::default());
    }
    value(&mut tune.weight, change.weight);
    for new in &change.devices {
        let at = tune.devices.iter().position(|device| device.path == new.path);
        let at = at.unwrap_or_else(|| {
            tune.devices.push(BlkioDevice::new(&new.path));
            tune.devices.len() - 1
        });
        let old = &mut tune.devices[at];
        value(&mut old.weight, new.weight);
        value(&mut old.read_iops_sec, new.read_iops_sec);
        value(&mut old.write_iops_sec, new.write_iops_sec);
        value(&mut old.read_bytes_sec, new.read_bytes_sec);
        value(&mut old.write_bytes_sec, new.write_bytes_sec);
    }
    tune.devices.retain(|device| !device.is_empty());
}

fn cpu(tune: &mut CpuTune, change: &CpuTune) {
    replace(&mut tune.shares, &change.shares);
    for (old, new) in [
        (&mut tune.period, change.period),
        (&mut tune.global_period, change.global_period),
        (&mut tune.emulator_period, change.emulator_period),
        (&mut tune.iothread_period, change.iothread_period),
    ] {
        replace(old, &new.filter(|period| *period != 0));
    }
    for (old, new) in [
        (&mut tune.quota, change.quota),
        (&mut tune.global_quota, change.global_quota),
        (&mut tune.emulator_quota, change.emulator_quota),
        (&mut tune.iothread_quota, change.iothread_quota),
    ] {
        replace(old, &new.filter(|quota| *quota != 0));
    }
}

fn vcpus(doc: &mut Domain, count: u32, live: bool) -> Result<()> {
    let most = doc.vcpu.count;
    if count > most {
        let which = if live { "live" } else { "persistent" };
        return Err(Error::Argument(format!(
            "requested vcpus is greater than max allowable vcpus for the {which} domain: {count} > {most}"
        )));
    }
    let current = doc.vcpu.current.unwrap_or(most);
    if live && current != count {
        return Err(Error::NotSupported(
            "the number of processors of a running guest cannot be changed".to_owned(),
        ));
    }
    doc.vcpu.current = (count != most).then_some(count);
    if current != count {
        name_vcpus(doc);
    }
    Ok(())
}

fn maximum_vcpus(doc: &mut Domain, count: u32) -> Result<()> {
    let topology = doc.cpu.as_ref().and_then(|cpu| cpu.topology);
    if topology.is_some_and(|topology| topology.cpus() != u64::from(count)) {
        let text = "CPU topology doesn't match the desired vcpu count";
        return Err(Error::Argument(text.to_owned()));
    }
    doc.vcpu.count = count;
    doc.vcpu.current.take_if(|current| *current >= count);
    name_vcpus(doc);
    Ok(())
}

/// Where each CPU is named, the first ones are those that are there.
fn name_vcpus(doc: &mut Domain) {
    if doc.vcpus.is_empty() {
        return;
    }
    let there = doc.vcpu.current.unwrap_or(doc.vcpu.count);
    let known = std::mem::take(&mut doc.vcpus);
    doc.vcpus = (0..doc.vcpu.count)
        .map(|id| {
            let enabled = id < there;
            let known = known.iter().find(|vcpu| vcpu.id == id && vcpu.enabled == enabled);
            VcpuState {
                id,
                enabled,
                hotpluggable: known.map_or(Some(id > 0), |vcpu| vcpu.hotpluggable),
                order: None,
            }
        })
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc() -> Domain {
        Domain {
            memory: Kib(1000),
            current_memory: Some(Kib(1000)),
            ..Domain::default()
        }
    }

    #[test]
    fn limits_of_memory_are_merged_and_taken_away() {
        let mut doc = doc();
        let change = |hard: Option<u64>, swap: Option<u64>| {
            Tuning::Memory(MemTune {
                hard_limit: hard.map(Kib),
                swap_hard_limit: swap.map(Kib),
                ..MemTune::default()
            })
        };
        change(Some(100), None).apply(&mut doc, false).unwrap();
        change(None, Some(100)).apply(&mut doc, false).unwrap();
        let before = doc.memtune.clone();
        for (hard, swap) in [(Some(200), None), (None, Some(50)), (Some(UNLIMITED.0), None)] {
            let mut tried = doc.clone();
            let refused = change(hard, swap).apply(&mut tried, false).unwrap_err();
            assert!(matches!(refused, Error::Argument(_)), "{refused}");
        }
        assert_eq!(doc.memtune, before);
        change(Some(UNLIMITED.0), Some(UNLIMITED.0))
            .apply(&mut doc, false)
            .unwrap();
        assert_eq!(doc.memtune, None);
    }

    #[test]
    fn devices_are_merged_by_their_path() {
        let mut doc = doc();
        let change = |path: &str, weight, reads| {
            Tuning::Blkio(BlkioTune {
                devices: vec![BlkioDevice {
                    weight,
                    read_iops_sec: reads,
                    ..BlkioDevice::new(path)
                }],
                ..BlkioTune::default()
            })
        };
        change("/dev/a", Some(500), None).apply(&mut doc, true).unwrap();
        change("/dev/a", None, Some(7)).apply(&mut doc, true).unwrap();
        change("/dev/b", Some(3), None).apply(&mut doc, true).unwrap();
        change("/dev/b", Some(0), None).apply(&mut doc, true).unwrap();
        let devices = doc.blkiotune.clone().unwrap().devices;
        assert_eq!(devices.len(), 1);
        assert_eq!(
            (devices[0].weight, devices[0].read_iops_sec),
            (Some(500), Some(7))
        );
        change("/dev/a", Some(0), Some(0)).apply(&mut doc, true).unwrap();
        assert_eq!(doc.blkiotune, None);
    }

    #[test]
    fn zero_is_no_quota_and_no_period() {
        let mut doc = doc();
        let change = |period, quota, shares| {
            Tuning::Cpu(Box::new(CpuTune {
                shares,
                period: Some(period),
                quota: Some(quota),
                ..CpuTune::default()
            }))
        };
        change(20_000, -1, Some(5)).apply(&mut doc, true).unwrap();
        change(0, 0, None).apply(&mut doc, true).unwrap();
        let tune = doc.cputune.unwrap();
        assert_eq!(
            (tune.shares, tune.period, tune.quota),
            (Some(5), Some(20_000), Some(-1))
        );
    }

    #[test]
    fn a_running_guest_keeps_its_maximum() {
        let mut doc = doc();
        doc.vcpu.count = 4;
        let refused = |tuning: Tuning, live| {
            let mut doc = doc.clone();
            tuning.apply(&mut doc, live).unwrap_err().to_string()
        };
        let text = "cannot resize the maximum memory on an active domain";
        assert_eq!(refused(Tuning::MaximumMemory(Kib(5)), true), text);
        let text = "cannot set memory higher than max memory";
        assert_eq!(refused(Tuning::CurrentMemory(Kib(1001)), true), text);
        let text = "requested vcpus is greater than max allowable vcpus for the persistent domain: 5 > 4";
        assert_eq!(refused(Tuning::Vcpus(5), false), text);
        assert!(refused(Tuning::Vcpus(3), true).contains("cannot be changed"));
        assert!(refused(Tuning::MaximumVcpus(5), true).contains("can't be modified"));
        Tuning::MaximumMemory(Kib(10)).apply(&mut doc, false).unwrap();
        assert_eq!((doc.memory, doc.current_memory), (Kib(10), Some(Kib(10))));
        Tuning::Vcpus(2).apply(&mut doc, false).unwrap();
        assert_eq!(doc.vcpu.current, Some(2));
        Tuning::Vcpus(2).apply(&mut doc, true).unwrap();
        Tuning::MaximumVcpus(2).apply(&mut doc, false).unwrap();
        assert_eq!((doc.vcpu.count, doc.vcpu.current), (2, None));
    }
}

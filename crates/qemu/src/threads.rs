//! The threads of a guest that starts: on which of the host's processors each runs, from which nodes it takes memory, and by
//! which scheduler. Where control groups can tell threads apart, they hold them there; affinity does it everywhere.

use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{Domain, IoThread, NumaMode, Scheduler};
use ferrovirt_sys::blocking;
use ferrovirt_sys::cgroup::{Part, Scope};
use ferrovirt_sys::schedule::{self, Policy};

use crate::error::{Error, Result};
use crate::machine::{DEADLINE, Machine};
use crate::qmp::{Monitor, commands};
use crate::tuning;

/// The threads, as QEMU names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Threads {
    /// Of virtual CPUs, with their numbers: where some are off, there are gaps.
    pub(crate) vcpus: Vec<(u32, i32)>,
    /// Of I/O threads, with their numbers.
    pub(crate) iothreads: Vec<(u32, i32)>,
}

impl Threads {
    /// Those that QEMU tells of.
    pub(crate) fn of(cpus: &[commands::Cpu], iothreads: &[commands::IoThread]) -> Self {
        let number = |io: &commands::IoThread| io.id.strip_prefix("iothread")?.parse().ok();
        let vcpus = cpus
            .iter()
            .filter_map(|cpu| Some((u32::try_from(cpu.index).ok()?, cpu.thread_id)));
        let iothreads = iothreads
            .iter()
            .filter_map(|io| Some((number(io)?, io.thread_id)));
        Self {
            vcpus: vcpus.collect(),
            iothreads: iothreads.collect(),
        }
    }
}

/// Brings the I/O threads of a running guest, and the places of all threads, from one document to another.
///
/// # Errors
/// QEMU or the kernel refuses; a part may have been done.
pub(crate) async fn change(guest: &Machine, from: &Domain, to: &Domain) -> Result<()> {
    let (old, new) = (from.io_threads(), to.io_threads());
    let pins = |doc: &Domain| {
        doc.cputune.as_ref().map(|tune| {
            (
                tune.vcpu_pins.clone(),
                tune.emulator_pin.clone(),
                tune.iothread_pins.clone(),
            )
        })
    };
    if old == new && pins(from) == pins(to) {
        return Ok(());
    }
    let monitor = guest.monitor();
    let same = |one: &IoThread, other: &IoThread| one.id == other.id;
    for gone in old.iter().filter(|one| !new.iter().any(|other| same(one, other))) {
        let id = format!("iothread{}", gone.id);
        monitor.execute(&commands::ObjectDel { id }, DEADLINE).await?;
    }
    let mut added = Vec::new();
    for thread in &new {
        let before = old.iter().find(|one| same(one, thread));
        if before.is_none() {
            let id = format!("iothread{}", thread.id);
            let object = commands::ObjectAdd {
                qom_type: "iothread",
                id,
            };
            monitor.execute(&object, DEADLINE).await?;
            added.push(thread.id);
        }
        tell(monitor, before.unwrap_or(&IoThread::default()), thread).await?;
    }
    let (cpus, iothreads) = tokio::try_join!(
        monitor.execute(&commands::QueryCpus {}, DEADLINE),
        monitor.execute(&commands::QueryIoThreads {}, DEADLINE),
    )?;
    let found = Threads::of(&cpus, &iothreads);
    let fresh: Vec<(u32, i32)> = { found.iothreads.iter().copied() }
        .filter(|(number, _)| added.contains(number))
        .collect();
    blocking::here(|| {
        let scope = guest.scope();
        if let Some(scope) = scope.filter(|_| !fresh.is_empty()) {
            scope
                .place_threads(&[], &fresh)
                .map_err(Error::io("cannot place I/O threads below", &scope.name))?;
            tuning::share_with(scope, to, &fresh)?;
        }
        settle(scope, to, guest.process().pid, &found)
    })
}

/// Tells QEMU what is new of an I/O thread. The most of a pool goes before its least where it grows.
async fn tell(monitor: &Monitor, old: &IoThread, new: &IoThread) -> Result<()> {
    let (before, after) = (
        old.poll.clone().unwrap_or_default(),
        new.poll.clone().unwrap_or_default(),
    );
    let number = |value: Option<u32>| value.map(i64::from);
    let min = ("thread-pool-min", number(old.pool_min), number(new.pool_min));
    let max = ("thread-pool-max", number(old.pool_max), number(new.pool_max));
    let grows = max.2 > max.1;
    let time = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let all = [
        ("poll-max-ns", time(before.max), time(after.max)),
        ("poll-grow", number(before.grow), number(after.grow)),
        ("poll-shrink", number(before.shrink), number(after.shrink)),
        if grows { max } else { min },
        if grows { min } else { max },
    ];
    for (property, _, value) in all.into_iter().filter(|(_, old, new)| old != new) {
        let command = commands::QomSet {
            path: format!("/objects/iothread{}", new.id),
            property,
            // What is not said any more is what QEMU takes then; only a least has another word for that.
            value: value.unwrap_or(0),
        };
        monitor.execute(&command, DEADLINE).await?;
    }
    Ok(())
}

/// What holds for one thread, or for QEMU's own.
struct Wish<'a> {
    part: Part,
    threads: Vec<i32>,
    processors: Option<&'a CpuSet>,
    scheduler: Option<(Scheduler, Option<i32>)>,
}

/// Whether a document says anything of single threads.
pub(crate) fn asked(doc: &Domain) -> bool {
    let of_tune = |tune: &ferrovirt_model::domain::CpuTune| {
        tune.has_pins()
            || tune.emulator_sched.is_some()
            || !tune.vcpu_scheds.is_empty()
            || !tune.iothread_scheds.is_empty()
    };
    doc.vcpu.cpuset.is_some() || nodes(doc).is_some() || doc.cputune.as_ref().is_some_and(of_tune)
}

/// The nodes that a guest must not leave, and whether the control group alone sees to that.
fn nodes(doc: &Domain) -> Option<(&CpuSet, bool)> {
    let memory = doc.numatune.as_ref()?.memory.as_ref()?;
    let nodes = memory.nodeset.as_ref()?;
    match memory.mode {
        NumaMode::Strict => Some((nodes, false)),
        NumaMode::Restrictive => Some((nodes, true)),
        NumaMode::Preferred | NumaMode::Interleave => None,
    }
}

/// Puts the threads of a process where the document wants them.
///
/// # Errors
/// A processor or node that is not there, or the kernel refuses.
pub(crate) fn settle(scope: Option<&Scope>, doc: &Domain, process: i32, found: &Threads) -> Result<()> {
    if !asked(doc) {
        return Ok(());
    }
    for wish in wishes(doc, process, found)? {
        if let Some((nodes, alone)) = nodes(doc) {
            let nodes = nodes.to_string();
            let held = scope.map(|scope| scope.set_memory_nodes_of(wish.part, &nodes));
            if !held.transpose()?.unwrap_or(false) && alone {
                return Err(Error::unsupported(
                    "numatune mode 'restrictive' needs control groups with cpusets, which this host does not have",
                ));
            }
        }
        if let Some(processors) = wish.processors {
            if let Some(scope) = scope {
                scope.set_processors_of(wish.part, &processors.to_string())?;
            }
            each(&wish.threads, "Failed to set CPU affinity of", |thread| {
                schedule::keep_on(thread, processors.iter())
            })?;
        }
        if let Some((scheduler, priority)) = wish.scheduler {
            let policy = match scheduler {
                Scheduler::Batch => Policy::Batch,
                Scheduler::Idle => Policy::Idle,
                Scheduler::Fifo => Policy::Fifo,
                Scheduler::Rr => Policy::RoundRobin,
            };
            // As libvirt does: of QEMU's own threads, the first one.
            let threads = &wish.threads[..wish.threads.len().min(1)];
            each(threads, "Cannot set scheduler parameters of", |thread| {
                schedule::schedule(thread, policy, priority.unwrap_or(0))
            })?;
        }
    }
    Ok(())
}

/// A thread that has ended meanwhile is none that could be put anywhere.
fn each(threads: &[i32], what: &'static str, act: impl Fn(i32) -> std::io::Result<()>) -> Result<()> {
    for thread in threads {
        match act(*thread) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
            other => other.map_err(Error::io(what, format!("/proc/{thread}")))?,
        }
    }
    Ok(())
}

fn wishes<'a>(doc: &'a Domain, process: i32, found: &Threads) -> Result<Vec<Wish<'a>>> {
    let everywhere = doc.vcpu.cpuset.as_ref();
    let tune = doc.cputune.as_ref();
    let own =
        schedule::threads_of(process).map_err(Error::io("Cannot read", format!("/proc/{process}/task")))?;
    let apart = |thread: &i32| {
        let mut others = found.vcpus.iter().chain(&found.iothreads);
        others.any(|(_, other)| other == thread)
    };
    let mut emulator: Vec<i32> = own.into_iter().filter(|thread| !apart(thread)).collect();
    // The first one is the process itself.
    emulator.sort_by_key(|thread| *thread != process);
    let mut list = vec![Wish {
        part: Part::Emulator,
        threads: emulator,
        processors: tune.and_then(|tune| tune.emulator_pin.as_ref()).or(everywhere),
        scheduler: tune
            .and_then(|tune| tune.emulator_sched.as_ref())
            .map(|own| (own.scheduler, own.priority)),
    }];
    for (number, thread) in &found.vcpus {
        let pin = tune.and_then(|tune| tune.vcpu_pins.iter().find(|pin| pin.vcpu == *number));
        let row = tune.and_then(|tune| {
            let mut rows = tune.vcpu_scheds.iter();
            rows.find(|row| row.vcpus.iter().any(|vcpu| vcpu == *number))
        });
        list.push(Wish {
            part: Part::Vcpu(*number),
            threads: vec![*thread],
            processors: pin.map(|pin| &pin.cpuset).or(everywhere),
            scheduler: row.map(|row| (row.scheduler, row.priority)),
        });
    }
    for (number, thread) in &found.iothreads {
        let pin = tune.and_then(|tune| tune.iothread_pins.iter().find(|pin| pin.iothread == *number));
        let row = tune.and_then(|tune| {
            let mut rows = tune.iothread_scheds.iter();
            rows.find(|row| row.iothreads.iter().any(|io| io == *number))
        });
        list.push(Wish {
            part: Part::IoThread(*number),
            threads: vec![*thread],
            processors: pin.map(|pin| &pin.cpuset).or(everywhere),
            scheduler: row.map(|row| (row.scheduler, row.priority)),
        });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::UnknownPolicy;

    #[test]
    fn each_thread_has_its_own_place_or_that_of_all() {
        let text = "<domain type='qemu'><name>g</name><memory>1024</memory><vcpu cpuset='0-1'>2</vcpu>\
                    <iothreads>1</iothreads><cputune><vcpupin vcpu='1' cpuset='1'/><emulatorpin cpuset='0'/>\
                    <iothreadsched iothreads='1' scheduler='fifo' priority='3'/></cputune>\
                    <os><type>hvm</type></os></domain>";
        let doc = Domain::parse(text, UnknownPolicy::Refuse).unwrap().value;
        let own = std::process::id() as i32;
        let found = Threads {
            vcpus: vec![(0, -2), (1, -3)],
            iothreads: vec![(1, -4)],
        };
        let list = wishes(&doc, own, &found).unwrap();
        let short: Vec<(Part, String, bool)> = list
            .iter()
            .map(|wish| {
                let processors = wish.processors.map(ToString::to_string).unwrap_or_default();
                (wish.part, processors, wish.scheduler.is_some())
            })
            .collect();
        assert_eq!(
            short,
            [
                (Part::Emulator, "0".to_owned(), false),
                (Part::Vcpu(0), "0-1".to_owned(), false),
                (Part::Vcpu(1), "1".to_owned(), false),
                (Part::IoThread(1), "0-1".to_owned(), true),
            ]
        );
        assert_eq!(list[0].threads[0], own);
        assert!(asked(&doc));
        assert!(!asked(&Domain::default()));
    }
}

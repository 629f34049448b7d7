//! Where a guest's threads run, and which I/O threads it has: what can be changed, and what a change makes of a document.

use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::domain::{Domain, IoThread, IoThreadIds, IoThreadPin, IoThreadPoll, VcpuPin};

use crate::error::{Error, Result};

/// A change of a guest's threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadChange {
    /// A virtual CPU runs on these processors.
    PinVcpu(u32, CpuSet),
    /// The hypervisor's own threads do.
    PinEmulator(CpuSet),
    /// An I/O thread does.
    PinIoThread(u32, CpuSet),
    /// There is one more I/O thread, of this number.
    AddIoThread(u32),
    /// There is one less.
    RemoveIoThread(u32),
    /// An I/O thread works in another way; what is not said stays.
    SetIoThread {
        /// Which one.
        id: u32,
        /// Nanoseconds that it looks for work, at most.
        max: Option<u64>,
        /// By what they are multiplied.
        grow: Option<u32>,
        /// By what they are divided.
        shrink: Option<u32>,
        /// Least and most threads that it hands work to; a negative one is none.
        pool: (Option<i32>, Option<i32>),
    },
}

impl ThreadChange {
    /// Changes a document; `live`: of a running guest.
    pub(crate) fn apply(&self, doc: &mut Domain, live: bool) -> Result<()> {
        match self {
            Self::PinVcpu(vcpu, cpus) => pin_vcpu(doc, *vcpu, cpus, live),
            Self::PinEmulator(cpus) => {
                doc.cputune.get_or_insert_default().emulator_pin = Some(cpus.clone());
                Ok(())
            }
            Self::PinIoThread(id, cpus) => pin_io_thread(doc, *id, cpus, live),
            Self::AddIoThread(id) => add(doc, *id),
            Self::RemoveIoThread(id) => remove(doc, *id),
            Self::SetIoThread {
                id,
                max,
                grow,
                shrink,
                pool,
            } => {
                let poll = IoThreadPoll {
                    max: *max,
                    grow: *grow,
                    shrink: *shrink,
                };
                set(doc, *id, &poll, *pool)
            }
        }
    }
}

fn argument(text: String) -> Error {
    Error::Argument(text)
}

fn pin_vcpu(doc: &mut Domain, vcpu: u32, cpus: &CpuSet, live: bool) -> Result<()> {
    let count = doc.vcpu.count;
    if vcpu >= count {
        let which = if live { "live" } else { "persistent" };
        return Err(argument(format!(
            "vcpu {vcpu} is out of range of {which} cpu count {count}"
        )));
    }
    let pins = &mut doc.cputune.get_or_insert_default().vcpu_pins;
    pins.retain(|pin| pin.vcpu != vcpu);
    pins.push(VcpuPin {
        vcpu,
        cpuset: cpus.clone(),
    });
    pins.sort_by_key(|pin| pin.vcpu);
    Ok(())
}

fn pin_io_thread(doc: &mut Domain, id: u32, cpus: &CpuSet, live: bool) -> Result<()> {
    if !doc.io_threads().iter().any(|thread| thread.id == id) {
        let what = if live { "iothread" } else { "iothreadid" };
        return Err(argument(format!("{what} {id} not found")));
    }
    let pins = &mut doc.cputune.get_or_insert_default().iothread_pins;
    pins.retain(|pin| pin.iothread != id);
    pins.push(IoThreadPin {
        iothread: id,
        cpuset: cpus.clone(),
    });
    pins.sort_by_key(|pin| pin.iothread);
    Ok(())
}

/// Writes the threads down one by one.
fn keep(doc: &mut Domain, threads: Vec<IoThread>) {
    let count = u32::try_from(threads.len()).unwrap_or(u32::MAX);
    doc.iothreads = Some(count).filter(|count| *count > 0);
    doc.iothread_ids = Some(IoThreadIds { threads }).filter(|ids| !ids.threads.is_empty());
}

fn add(doc: &mut Domain, id: u32) -> Result<()> {
    let mut threads = doc.io_threads();
    if id == 0 {
        return Err(argument("invalid value of 0 for iothread_id".to_owned()));
    }
    if threads.iter().any(|thread| thread.id == id) {
        return Err(argument(format!(
            "an IOThread is already using iothread_id '{id}'"
        )));
    }
    threads.push(IoThread {
        id,
        ..IoThread::default()
    });
    keep(doc, threads);
    Ok(())
}

/// Who uses an I/O thread, as it is told.
fn user_of(doc: &Domain, id: u32) -> Option<String> {
    let disk = doc.devices.disks.iter().find(|disk| {
        let driver = disk.driver.as_ref();
        driver.is_some_and(|driver| {
            driver.iothread == Some(id) || driver.threads.iter().any(|thread| thread.id == id)
        })
    });
    let controller = doc.devices.controllers.iter().find(|controller| {
        let driver = controller.driver.as_ref();
        driver.is_some_and(|driver| driver.iothread == Some(id))
    });
    let disk = disk.map(|disk| format!("disk '{}'", disk.target.dev));
    disk.or_else(|| controller.map(|controller| format!("controller '{}'", controller.number())))
}

fn remove(doc: &mut Domain, id: u32) -> Result<()> {
    let mut threads = doc.io_threads();
    let before = threads.len();
    threads.retain(|thread| thread.id != id);
    if threads.len() == before {
        return Err(argument(format!(
            "cannot find IOThread '{id}' in iothreadids list"
        )));
    }
    if let Some(user) = user_of(doc, id) {
        return Err(Error::Invalid(format!(
            "cannot remove IOThread {id} since it is being used by {user}"
        )));
    }
    keep(doc, threads);
    if let Some(tune) = &mut doc.cputune {
        tune.iothread_pins.retain(|pin| pin.iothread != id);
        tune.iothread_scheds.retain_mut(|row| {
            let left = CpuSet::new(row.iothreads.iter().filter(|other| *other != id));
            left.map(|left| row.iothreads = left).is_some()
        });
    }
    Ok(())
}

fn set(doc: &mut Domain, id: u32, poll: &IoThreadPoll, pool: (Option<i32>, Option<i32>)) -> Result<()> {
    let mut threads = doc.io_threads();
    let Some(thread) = threads.iter_mut().find(|thread| thread.id == id) else {
        return Err(argument(format!("cannot find IOThread '{id}' in iothreadids")));
    };
    if *poll != IoThreadPoll::default() {
        let old = thread.poll.get_or_insert_default();
        old.max = poll.max.or(old.max);
        old.grow = poll.grow.or(old.grow);
        old.shrink = poll.shrink.or(old.shrink);
    }
    for (old, new) in [(&mut thread.pool_min, pool.0), (&mut thread.pool_max, pool.1)] {
        if let Some(new) = new {
            *old = u32::try_from(new).ok();
        }
    }
    let number = |value: Option<u32>| value.map_or(-1, i64::from);
    let (min, max) = (number(thread.pool_min), number(thread.pool_max));
    if min > max {
        return Err(Error::Invalid(format!(
            "thread_pool_min ({min}) can't be greater than thread_pool_max ({max})"
        )));
    }
    keep(doc, threads);
    Ok(())
}

/// On which of the host's processors a virtual CPU may run, by its document; `None`: on all.
pub fn vcpu_place(doc: &Domain, vcpu: u32) -> Option<&CpuSet> {
    let pins = doc.cputune.iter().flat_map(|tune| &tune.vcpu_pins);
    let own = { pins }.find(|pin| pin.vcpu == vcpu).map(|pin| &pin.cpuset);
    own.or(doc.vcpu.cpuset.as_ref())
}

/// The same of the hypervisor's own threads.
pub fn emulator_place(doc: &Domain) -> Option<&CpuSet> {
    let own = doc.cputune.as_ref().and_then(|tune| tune.emulator_pin.as_ref());
    own.or(doc.vcpu.cpuset.as_ref())
}

/// The same of an I/O thread.
pub fn io_thread_place(doc: &Domain, id: u32) -> Option<&CpuSet> {
    let pins = doc.cputune.iter().flat_map(|tune| &tune.iothread_pins);
    let own = { pins }.find(|pin| pin.iothread == id).map(|pin| &pin.cpuset);
    own.or(doc.vcpu.cpuset.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::UnknownPolicy;

    fn doc() -> Domain {
        let text = "<domain type='qemu'><name>g</name><memory>1024</memory><vcpu cpuset='0-3'>2</vcpu>\
                    <iothreads>2</iothreads><cputune><iothreadsched iothreads='1-2' scheduler='batch'/></cputune>\
                    <os><type>hvm</type></os><devices>\
                    <disk type='file'><driver name='qemu' iothread='2'/><source file='/a'/><target dev='vda' bus='virtio'/></disk>\
                    </devices></domain>";
        Domain::parse(text, UnknownPolicy::Refuse).unwrap().value
    }

    fn cpus(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    #[test]
    fn pins_are_those_of_the_thread_or_of_all() {
        let mut doc = doc();
        assert_eq!(vcpu_place(&doc, 1), Some(&cpus("0-3")));
        ThreadChange::PinVcpu(1, cpus("2"))
            .apply(&mut doc, false)
            .unwrap();
        ThreadChange::PinVcpu(0, cpus("3"))
            .apply(&mut doc, false)
            .unwrap();
        ThreadChange::PinVcpu(1, cpus("1"))
            .apply(&mut doc, false)
            .unwrap();
        ThreadChange::PinEmulator(cpus("0"))
            .apply(&mut doc, false)
            .unwrap();
        ThreadChange::PinIoThread(2, cpus("0-1"))
            .apply(&mut doc, false)
            .unwrap();
        let pins = &doc.cputune.as_ref().unwrap().vcpu_pins;
        assert_eq!(pins.iter().map(|pin| pin.vcpu).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(vcpu_place(&doc, 1), Some(&cpus("1")));
        assert_eq!(emulator_place(&doc), Some(&cpus("0")));
        assert_eq!(io_thread_place(&doc, 1), Some(&cpus("0-3")));
        assert_eq!(io_thread_place(&doc, 2), Some(&cpus("0-1")));
        let refused = ThreadChange::PinVcpu(2, cpus("0"))
            .apply(&mut doc, true)
            .unwrap_err();
        assert_eq!(refused.to_string(), "vcpu 2 is out of range of live cpu count 2");
    }

    #[test]
    fn io_threads_come_and_go() {
        let mut doc = doc();
        ThreadChange::AddIoThread(5).apply(&mut doc, true).unwrap();
        assert_eq!(doc.iothreads, Some(3));
        let text = |change: ThreadChange| change.apply(&mut self::doc(), false).unwrap_err().to_string();
        assert!(text(ThreadChange::AddIoThread(2)).contains("already using iothread_id '2'"));
        assert!(text(ThreadChange::RemoveIoThread(9)).contains("cannot find IOThread '9'"));
        assert!(text(ThreadChange::RemoveIoThread(2)).contains("used by disk 'vda'"));
        assert!(text(ThreadChange::PinIoThread(7, cpus("0"))).contains("iothreadid 7 not found"));
        ThreadChange::RemoveIoThread(1).apply(&mut doc, true).unwrap();
        let ids: Vec<u32> = doc.io_threads().iter().map(|thread| thread.id).collect();
        assert_eq!(ids, [2, 5]);
        assert_eq!(doc.cputune.unwrap().iothread_scheds[0].iothreads, cpus("2"));
    }

    #[test]
    fn a_pool_has_a_most_that_is_not_below_its_least() {
        let mut doc = doc();
        let set = |max, pool| ThreadChange::SetIoThread {
            id: 1,
            max,
            grow: None,
            shrink: None,
            pool,
        };
        let refused = set(None, (Some(2), None)).apply(&mut doc, false).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "thread_pool_min (2) can't be greater than thread_pool_max (-1)"
        );
        set(Some(500), (Some(2), Some(4))).apply(&mut doc, false).unwrap();
        set(None, (None, Some(3))).apply(&mut doc, false).unwrap();
        let thread = &doc.io_threads()[0];
        assert_eq!((thread.pool_min, thread.pool_max), (Some(2), Some(3)));
        assert_eq!(thread.poll.as_ref().unwrap().max, Some(500));
    }
}

//! Limits and shares of memory, block devices and processors as control groups have them: the same for every hypervisor.

use ferrovirt_model::Kib;
use ferrovirt_model::domain::{BlkioDevice, BlkioTune, Domain, MemTune};
use ferrovirt_sys::cgroup::{Bandwidth, BlockDevice, CgroupError, MemoryLimits, Scope, Throttle};

use crate::tuning::Tuned;

/// What can be said to the kernel, or not.
type Result<T> = std::result::Result<T, CgroupError>;

/// The share of block devices that a guest has when nobody says anything.
const USUAL_WEIGHT: u32 = 100;

fn missing(controller: &'static str) -> CgroupError {
    CgroupError::NoController(controller)
}

/// Holds a group to memory and block devices of `new` where they differ from those of `old`.
///
/// # Errors
/// `NoController` when something is asked for that no group of the guest has; what the kernel refuses.
pub fn limit(scope: Option<&Scope>, old: &Tuned, new: &Tuned) -> Result<()> {
    if old.memory != new.memory {
        let scope = scope.ok_or_else(|| missing("memory"))?;
        let bytes = |limit: Option<Kib>| limit.map(Kib::bytes);
        scope.set_memory_limits(&MemoryLimits {
            hard: bytes(new.memory.hard_limit),
            soft: bytes(new.memory.soft_limit),
            with_swap: bytes(new.memory.swap_hard_limit),
        })?;
    }
    if old.blkio != new.blkio {
        let scope = scope.ok_or_else(|| missing("blkio"))?;
        limit_blocks(scope, &old.blkio, &new.blkio)?;
    }
    Ok(())
}

fn limit_blocks(scope: &Scope, old: &BlkioTune, new: &BlkioTune) -> Result<()> {
    if old.weight != new.weight {
        scope.set_io_weight(new.weight.unwrap_or(USUAL_WEIGHT))?;
    }
    let find = |tune: &BlkioTune, path: &str| tune.devices.iter().find(|device| device.path == path).cloned();
    let gone = old
        .devices
        .iter()
        .filter(|device| find(new, &device.path).is_none());
    let gone = gone.map(|device| BlkioDevice::new(&device.path));
    for wanted in new.devices.iter().cloned().chain(gone) {
        let had = find(old, &wanted.path).unwrap_or_else(|| BlkioDevice::new(&wanted.path));
        if had == wanted {
            continue;
        }
        let device = BlockDevice::of(wanted.path.as_ref())?;
        if had.weight != wanted.weight {
            scope.set_device_weight(device, wanted.weight.unwrap_or(0))?;
        }
        let (had, values) = (throttles(&had), throttles(&wanted));
        for (throttle, value) in values.into_iter().filter(|value| !had.contains(value)) {
            scope.set_throttle(device, throttle, value)?;
        }
    }
    Ok(())
}

/// What may be done on a device; zero is no limit.
fn throttles(device: &BlkioDevice) -> [(Throttle, u64); 4] {
    [
        (Throttle::ReadBytes, device.read_bytes_sec.unwrap_or(0)),
        (Throttle::WriteBytes, device.write_bytes_sec.unwrap_or(0)),
        (Throttle::ReadRequests, device.read_iops_sec.unwrap_or(0).into()),
        (Throttle::WriteRequests, device.write_iops_sec.unwrap_or(0).into()),
    ]
}

/// Processor time in a document's words: a quota that is negative is none.
#[must_use]
pub fn bandwidth(period: Option<u64>, quota: Option<i64>) -> Bandwidth {
    Bandwidth {
        period: period.unwrap_or(Bandwidth::default().period),
        quota: quota.and_then(|quota| u64::try_from(quota).ok()),
    }
}

/// The same back.
#[must_use]
pub fn quota(bandwidth: Bandwidth) -> i64 {
    bandwidth
        .quota
        .map_or(-1, |quota| i64::try_from(quota).unwrap_or(-1))
}

/// What the kernel says of memory, block devices and the share of processors; what it cannot say is as the document says.
///
/// # Errors
/// A file that cannot be read.
pub fn read(scope: Option<&Scope>, doc: &Domain) -> Result<Tuned> {
    let mut tuned = Tuned::of(doc);
    let Some(scope) = scope else { return Ok(tuned) };
    if let Some(limits) = known(scope.memory_limits())? {
        let kib = |limit: Option<u64>| limit.map(|bytes| Kib(bytes / 1024));
        tuned.memory = MemTune {
            hard_limit: kib(limits.hard),
            soft_limit: kib(limits.soft),
            swap_hard_limit: kib(limits.with_swap),
            ..MemTune::default()
        };
    }
    if let Some(weight) = known(scope.io_weight())? {
        tuned.blkio.weight = Some(weight);
    }
    if let Some(shares) = known(scope.cpu_shares())? {
        tuned.cpu.shares = Some(shares);
    }
    Ok(tuned)
}

/// Nothing where the machine has no such controller.
///
/// # Errors
/// All other answers.
pub fn known<T>(asked: Result<T>) -> Result<Option<T>> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(CgroupError::NoController(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

//! Tuning: what says nothing is dropped, what the kernel would refuse is refused.

use super::unsupported;
use crate::Kib;
use crate::domain::{BlkioDevice, BlkioTune, CpuTune, Domain, MemTune, NumaTune};
use ferrovirt_xml::XmlError;

impl Domain {
    /// Completes all tuning elements.
    pub(super) fn normalize_tuning(&mut self) -> Result<(), XmlError> {
        if let Some(tune) = &mut self.blkio_tune {
            normalize_blkio(tune)?;
        }
        self.blkio_tune.take_if(|tune| *tune == BlkioTune::default());
        if let Some(tune) = &mut self.mem_tune {
            normalize_memory(tune);
        }
        self.mem_tune.take_if(|tune| *tune == MemTune::default());
        if let Some(tune) = &mut self.cpu_tune {
            normalize_cpu(tune)?;
        }
        self.cpu_tune.take_if(|tune| *tune == CpuTune::default());
        if let Some(memory) = self.numa_tune.as_mut().and_then(|tune| tune.memory.as_mut()) {
            memory.placement = None;
        }
        self.numa_tune.take_if(|tune| *tune == NumaTune::default());
        Ok(())
    }
}

fn normalize_blkio(tune: &mut BlkioTune) -> Result<(), XmlError> {
    tune.weight.take_if(|weight| *weight == 0);
    for device in &mut tune.devices {
        if device.path.is_empty() {
            return Err(unsupported("missing per-device path"));
        }
        device.weight.take_if(|weight| *weight == 0);
        for limit in [&mut device.read_iops_sec, &mut device.write_iops_sec] {
            limit.take_if(|limit| *limit == 0);
        }
        for limit in [&mut device.read_bytes_sec, &mut device.write_bytes_sec] {
            limit.take_if(|limit| *limit == 0);
        }
    }
    let mut paths: Vec<&str> = tune.devices.iter().map(|device| device.path.as_str()).collect();
    paths.sort_unstable();
    if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(unsupported(format!("duplicate blkio device path '{}'", twice[0])));
    }
    tune.devices.retain(|device| !BlkioDevice::is_idle(device));
    Ok(())
}

/// The highest amount that can be written means that there is no limit.
fn normalize_memory(tune: &mut MemTune) {
    for limit in [
        &mut tune.hard_limit,
        &mut tune.soft_limit,
        &mut tune.swap_hard_limit,
    ] {
        limit.take_if(|limit| *limit >= Kib::MAX);
    }
}

/// The kernel's limits, in microseconds.
fn normalize_cpu(tune: &mut CpuTune) -> Result<(), XmlError> {
    const LONGEST_QUOTA: i64 = 17_592_186_044_415;
    tune.period.take_if(|period| *period == 0);
    tune.quota.take_if(|quota| *quota == 0);
    if tune
        .period
        .is_some_and(|period| !(1000..=1_000_000).contains(&period))
    {
        return Err(unsupported(
            "Value of cputune 'period' must be in range [1000, 1000000]",
        ));
    }
    if tune
        .quota
        .is_some_and(|quota| quota > 0 && !(1000..=LONGEST_QUOTA).contains(&quota))
    {
        return Err(unsupported(format!(
            "Value of cputune 'quota' must be in range [1000, {LONGEST_QUOTA}]"
        )));
    }
    Ok(())
}

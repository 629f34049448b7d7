//! `<cputune>`: how much processor time a guest gets.

use super::pinning::{EmulatorSched, IoThreadPin, IoThreadSched, VcpuPin, VcpuSched};
use crate::cpuset::CpuSet;
use ferrovirt_xml::{Rest, Xml, XmlError};
use std::ops::RangeInclusive;

/// What a period may be, in microseconds.
pub const CPU_PERIODS: RangeInclusive<u64> = 1000..=1_000_000;
/// What a quota may be, in microseconds; negative ones are no limit.
pub const CPU_QUOTAS: RangeInclusive<i64> = 1000..=(1 << 44) - 1;

/// `<cputune>`: shares and limits of processor time. Periods and quotas are in microseconds; a quota is what may be used
/// in one period, a negative one is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CpuTune {
    /// The guest's share beside others.
    pub shares: Option<u64>,
    /// Period of each virtual processor.
    pub period: Option<u64>,
    /// Quota of each virtual processor.
    pub quota: Option<i64>,
    /// Period of the whole guest.
    pub global_period: Option<u64>,
    /// Quota of the whole guest.
    pub global_quota: Option<i64>,
    /// Period of the hypervisor's own threads.
    pub emulator_period: Option<u64>,
    /// Quota of the hypervisor's own threads.
    pub emulator_quota: Option<i64>,
    /// Period of each I/O thread.
    pub iothread_period: Option<u64>,
    /// Quota of each I/O thread.
    pub iothread_quota: Option<i64>,
    /// Where virtual CPUs run.
    #[xml(name = "vcpupin")]
    pub vcpu_pins: Vec<VcpuPin>,
    /// Where the hypervisor's own threads run.
    #[xml(child = "emulatorpin", attr = "cpuset")]
    pub emulator_pin: Option<CpuSet>,
    /// Where I/O threads run.
    #[xml(name = "iothreadpin")]
    pub iothread_pins: Vec<IoThreadPin>,
    /// How the hypervisor's own threads are scheduled.
    #[xml(name = "emulatorsched")]
    pub emulator_sched: Option<EmulatorSched>,
    /// How virtual CPUs are scheduled.
    #[xml(name = "vcpusched")]
    pub vcpu_scheds: Vec<VcpuSched>,
    /// How I/O threads are scheduled.
    #[xml(name = "iothreadsched")]
    pub iothread_scheds: Vec<IoThreadSched>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl CpuTune {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == CpuTune::default()
    }

    /// Values that the kernel does not take are refused; zero is no value. Shares are what the kernel makes of them.
    pub(crate) fn normalize(&mut self) -> Result<(), XmlError> {
        for (name, period) in [
            ("period", &mut self.period),
            ("global_period", &mut self.global_period),
            ("emulator_period", &mut self.emulator_period),
            ("iothread_period", &mut self.iothread_period),
        ] {
            period.take_if(|period| *period == 0);
            check_period(name, *period).map_err(XmlError::Unsupported)?;
        }
        for (name, quota) in [
            ("quota", &mut self.quota),
            ("global_quota", &mut self.global_quota),
            ("emulator_quota", &mut self.emulator_quota),
            ("iothread_quota", &mut self.iothread_quota),
        ] {
            quota.take_if(|quota| *quota == 0);
            check_quota(name, *quota).map_err(XmlError::Unsupported)?;
        }
        Ok(())
    }
}

/// Whether a period, in microseconds, is one that the kernel takes.
///
/// # Errors
/// The refusal in libvirt's words; `name` is what the value is called.
pub fn check_period(name: &str, period: Option<u64>) -> Result<(), String> {
    check(name, period.as_ref(), &CPU_PERIODS)
}

/// The same of a quota, in microseconds; negative ones are no limit.
///
/// # Errors
/// The refusal in libvirt's words.
pub fn check_quota(name: &str, quota: Option<i64>) -> Result<(), String> {
    check(name, quota.filter(|quota| *quota >= 0).as_ref(), &CPU_QUOTAS)
}

fn check<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: Option<&T>,
    range: &RangeInclusive<T>,
) -> Result<(), String> {
    match value {
        Some(value) if !range.contains(value) => Err(format!(
            "Value of cputune '{name}' must be in range [{}, {}]",
            range.start(),
            range.end()
        )),
        _ => Ok(()),
    }
}

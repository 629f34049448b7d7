//! Sizes with units.

/// An amount of memory in KiB, as libvirt stores it; what was given in smaller units is rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Kib(pub u64);

impl Kib {
    /// The same in bytes.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1024)
    }

    /// The same in MiB, rounded up.
    pub fn mib(self) -> u64 {
        self.0.div_ceil(1024)
    }
}

//! Sizes with units.

use ferrovirt_xml::{Cursor, Element, Shape, Writer, XmlError, parse};

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

    /// Largest amount that libvirt takes: its bytes fit a signed 64-bit number.
    pub const MAX: Kib = Kib(i64::MAX as u64 / 1024);

    /// So much of a unit, rounded up.
    ///
    /// # Errors
    /// A unit that is none, or an amount above [`Kib::MAX`].
    pub fn from_unit(amount: u64, unit: &str) -> Result<Self, String> {
        let bytes = bytes(amount, unit)?;
        Self::checked(bytes.div_ceil(1024)).ok_or_else(|| format!("value too large: {amount}{unit}"))
    }

    /// So much of a unit, rounded down.
    ///
    /// # Errors
    /// As [`Kib::from_unit`].
    pub fn whole_from_unit(amount: u64, unit: &str) -> Result<Self, String> {
        let bytes = bytes(amount, unit)?;
        Self::checked(bytes / 1024).ok_or_else(|| format!("value too large: {amount}{unit}"))
    }

    /// So much of a unit, in bytes.
    ///
    /// # Errors
    /// As [`Kib::from_unit`].
    pub fn bytes_of(amount: u64, unit: &str) -> Result<u64, String> {
        u64::try_from(bytes(amount, unit)?).map_err(|_| format!("value too large: {amount}{unit}"))
    }

    fn checked(kib: u128) -> Option<Self> {
        let kib = u64::try_from(kib).ok().map(Self);
        kib.filter(|kib| *kib <= Self::MAX)
    }
}

/// So much of a unit in bytes.
pub(crate) fn bytes(amount: u64, unit: &str) -> Result<u128, String> {
    let scale = bytes_of_unit(unit).ok_or_else(|| format!("unknown suffix '{unit}'"))?;
    Ok(u128::from(amount) * u128::from(scale))
}

/// Units as libvirt knows them, in any case: `KB` is 1000 bytes, `K` and `KiB` are 1024.
fn bytes_of_unit(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    if matches!(unit.as_str(), "b" | "byte" | "bytes") {
        return Some(1);
    }
    let (first, kind) = unit.split_at_checked(1)?;
    let power = "kmgtpe".find(first)? as u32 + 1;
    match kind {
        "b" => Some(1000u64.pow(power)),
        "" | "ib" => Some(1024u64.pow(power)),
        _ => None,
    }
}

/// `<memory unit='MiB'>512</memory>`; written with `unit='KiB'` always.
impl Element for Kib {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let unit: Option<String> = cursor.attribute("unit", parse)?;
        let amount: u64 = cursor.text_value(parse)?;
        Self::from_unit(amount, unit.as_deref().unwrap_or("KiB")).map_err(|why| cursor.invalid(why))
    }

    fn attributes(&self, out: &mut Writer) {
        out.attribute("unit", "KiB");
    }

    fn content(&self, out: &mut Writer) {
        out.text(self.0);
    }

    fn shape(shape: &mut Shape) {
        shape.attribute("unit", "Unit of the size.");
        shape.text();
    }
}

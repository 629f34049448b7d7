//! `<pstore>`: where a guest's kernel keeps its last words.

use super::address::DeviceInfo;
use crate::Kib;
use ferrovirt_xml::{Rest, Xml};

/// What the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum PstoreBackend {
    /// An error record of ACPI.
    AcpiErst,
}

/// `<pstore>`.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Pstore {
    /// What the guest sees.
    #[xml(attr)]
    pub backend: PstoreBackend,
    /// The file that keeps it.
    pub path: Option<String>,
    /// How much there is of it.
    pub size: Option<Kib>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

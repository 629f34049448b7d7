//! `<lease>`: what a lock manager keeps for a guest while it runs.

use ferrovirt_xml::{Rest, Xml};

/// `<target>` of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct LeaseTarget {
    /// The file.
    #[xml(attr)]
    pub path: String,
    /// Where in it.
    #[xml(attr)]
    pub offset: Option<u64>,
}

/// `<lease>`.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Lease {
    /// In which space of names.
    pub lockspace: Option<String>,
    /// Its name.
    pub key: String,
    /// Where it is kept.
    pub target: LeaseTarget,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

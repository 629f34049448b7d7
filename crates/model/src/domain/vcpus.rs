//! `<vcpus>`: each virtual CPU on its own.

use ferrovirt_xml::Xml;
use ferrovirt_xml::values::yes_no;

/// `<vcpus><vcpu>`: one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct VcpuState {
    /// Its number, from 0.
    #[xml(attr)]
    pub id: u32,
    /// Is it there at boot?
    #[xml(attr, with = "yes_no")]
    pub enabled: bool,
    /// Can it be taken away? `normalize` says no for those that are there, yes for the others.
    #[xml(attr, with = "yes_no")]
    pub hotpluggable: Option<bool>,
    /// As which it is added, from 1.
    #[xml(attr)]
    pub order: Option<u32>,
}

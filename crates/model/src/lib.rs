//! The documents of libvirt as typed values: domain, network, network port, capabilities. One layer of types: what
//! the XML says is what the daemon works with. Reading and writing come from one declaration per element
//! (`#[derive(Xml)]`, see `ferrovirt_xml`); what libvirt's parser fills in without asking a hypervisor is in
//! `normalize`, what needs one is in the hypervisor's crate.

pub mod capabilities;
pub mod cpuset;
pub mod domain;
pub mod domain_capabilities;
pub mod host;
pub mod mac;
pub mod network;
pub mod network_port;
pub mod node_device;
pub mod units;
pub mod uuid;

pub use cpuset::CpuSet;
pub use ferrovirt_xml::{Form, Parsed, Rest, Unknown, UnknownPolicy, XmlError};
pub use mac::MacAddress;
pub use units::Kib;
pub use uuid::Uuid;

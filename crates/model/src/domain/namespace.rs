//! `<lxc:namespace>`: which namespaces of others a container uses.

use ferrovirt_xml::Xml;

/// How a namespace is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum ShareType {
    /// By a file of `/run/netns` (only for networks).
    Netns,
    /// By another container's name.
    Name,
    /// By the number of a process in it.
    Pid,
}

/// One namespace of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Share {
    /// How it is named.
    #[xml(attr = "type")]
    pub kind: ShareType,
    /// The name or number.
    #[xml(attr)]
    pub value: String,
}

/// `<lxc:namespace>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct LxcNamespace {
    /// Network.
    #[xml(
        name = "sharenet",
        namespace = "lxc=http://libvirt.org/schemas/domain/lxc/1.0"
    )]
    pub net: Option<Share>,
    /// System V IPC.
    #[xml(
        name = "shareipc",
        namespace = "lxc=http://libvirt.org/schemas/domain/lxc/1.0"
    )]
    pub ipc: Option<Share>,
    /// Host name.
    #[xml(
        name = "shareuts",
        namespace = "lxc=http://libvirt.org/schemas/domain/lxc/1.0"
    )]
    pub uts: Option<Share>,
}

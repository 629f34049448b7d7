//! `<features><capabilities>`: which of Linux's capabilities a container keeps.

use super::Switch;
use ferrovirt_xml::{Cursor, Element, Shape, Writer, Xml, XmlError};
use std::collections::BTreeMap;

/// What holds for capabilities that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum CapabilityPolicy {
    /// All but the few that reach the host.
    #[default]
    Default,
    /// The container keeps them.
    Allow,
    /// It loses them.
    Deny,
}

/// One of Linux's capabilities by libvirt's name, in the order in which libvirt writes them (capabilities(7) says what each allows).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Xml)]
#[allow(missing_docs)]
pub enum Capability {
    #[xml(name = "audit_control")]
    AuditControl,
    #[xml(name = "audit_write")]
    AuditWrite,
    #[xml(name = "block_suspend")]
    BlockSuspend,
    Chown,
    #[xml(name = "dac_override")]
    DacOverride,
    #[xml(name = "dac_read_search")]
    DacReadSearch,
    Fowner,
    Fsetid,
    #[xml(name = "ipc_lock")]
    IpcLock,
    #[xml(name = "ipc_owner")]
    IpcOwner,
    Kill,
    Lease,
    #[xml(name = "linux_immutable")]
    LinuxImmutable,
    #[xml(name = "mac_admin")]
    MacAdmin,
    #[xml(name = "mac_override")]
    MacOverride,
    Mknod,
    #[xml(name = "net_admin")]
    NetAdmin,
    #[xml(name = "net_bind_service")]
    NetBindService,
    #[xml(name = "net_broadcast")]
    NetBroadcast,
    #[xml(name = "net_raw")]
    NetRaw,
    Setgid,
    Setfcap,
    Setpcap,
    Setuid,
    #[xml(name = "sys_admin")]
    SysAdmin,
    #[xml(name = "sys_boot")]
    SysBoot,
    #[xml(name = "sys_chroot")]
    SysChroot,
    #[xml(name = "sys_module")]
    SysModule,
    #[xml(name = "sys_nice")]
    SysNice,
    #[xml(name = "sys_pacct")]
    SysPacct,
    #[xml(name = "sys_ptrace")]
    SysPtrace,
    #[xml(name = "sys_rawio")]
    SysRawio,
    #[xml(name = "sys_resource")]
    SysResource,
    #[xml(name = "sys_time")]
    SysTime,
    #[xml(name = "sys_tty_config")]
    SysTtyConfig,
    Syslog,
    #[xml(name = "wake_alarm")]
    WakeAlarm,
}

/// `<capabilities>`: a policy, and what differs from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What holds for those that are not named.
    pub policy: CapabilityPolicy,
    /// Those that are named: kept (`state='on'`) or lost.
    pub toggles: BTreeMap<Capability, bool>,
}

impl Capabilities {
    /// Does it say what would hold without it?
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// By hand, because the elements' names are the keys of the map.
impl Element for Capabilities {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, XmlError> {
        let policy = cursor
            .attribute("policy", ferrovirt_xml::parse)?
            .unwrap_or_default();
        let mut toggles = BTreeMap::new();
        for name in Capability::NAMES {
            let toggle = cursor.optional::<Switch>(name)?;
            if let (Some(toggle), Ok(capability)) = (toggle, name.parse()) {
                toggles.insert(capability, toggle.state);
            }
        }
        Ok(Self { policy, toggles })
    }

    fn attributes(&self, out: &mut Writer) {
        out.attribute("policy", self.policy);
    }

    fn content(&self, out: &mut Writer) {
        for (capability, state) in &self.toggles {
            out.element(capability.as_str(), &Switch { state: *state });
        }
    }

    fn shape(shape: &mut Shape) {
        shape.attribute("policy", "What holds for those that are not named.");
        for name in Capability::NAMES {
            shape.child::<Switch>(name, "Kept or lost.");
        }
    }
}

//! SCSI: controllers, targets, devices and their generic nodes.

use ferrovirt_xml::Xml;

/// `<capability type='scsi_host'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct ScsiHostCapability {
    /// The kernel's number for it.
    pub host: u32,
    /// The driver's number for it.
    #[xml(name = "unique_id")]
    pub unique_id: Option<i64>,
    /// What else it is.
    #[xml(name = "capability")]
    pub extra: Vec<ScsiHostExtra>,
}

/// What a controller can be besides.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(tag = "type")]
pub enum ScsiHostExtra {
    /// One of Fibre Channel.
    #[xml(name = "fc_host")]
    FcHost(FcHost),
    /// One that can have virtual ports.
    #[xml(name = "vport_ops")]
    VportOps(VportOps),
}

/// `<capability type='fc_host'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct FcHost {
    /// World wide name of the node.
    pub wwnn: String,
    /// World wide name of the port.
    pub wwpn: String,
    /// World wide name of the fabric.
    #[xml(name = "fabric_wwn")]
    pub fabric_wwn: String,
}

/// `<capability type='vport_ops'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct VportOps {
    /// How many virtual ports it can have.
    #[xml(name = "max_vports")]
    pub max: u32,
    /// How many it has.
    pub vports: u32,
}

/// `<capability type='scsi_target'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct ScsiTargetCapability {
    /// The kernel's name for it.
    pub target: String,
}

/// `<capability type='scsi'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct ScsiCapability {
    /// Its controller.
    pub host: u32,
    /// The channel of the controller.
    pub bus: u32,
    /// The target on the channel.
    pub target: u32,
    /// The unit of the target.
    pub lun: u64,
    /// What it is, in a word.
    #[xml(name = "type")]
    pub kind: Option<String>,
}

/// `<capability type='scsi_generic'>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct ScsiGenericCapability {
    /// Its node.
    pub char: String,
}

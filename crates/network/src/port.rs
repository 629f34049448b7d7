//! Ports: where guests' interfaces are plugged into a network.

use ferrovirt_model::{MacAddress, Uuid};

/// What a guest asks of a network for one of its interfaces.
#[derive(Debug, Clone)]
pub struct PortRequest {
    /// The port's id; at a reconnect the one it had, which is then taken over with its hook (R24).
    pub uuid: Option<Uuid>,
    /// Name of the guest.
    pub owner_name: String,
    /// Id of the guest.
    pub owner_uuid: Uuid,
    /// Hardware address of the guest's interface.
    pub mac: MacAddress,
}

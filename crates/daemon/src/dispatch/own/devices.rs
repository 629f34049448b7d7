//! The host's PCI devices: who has each, who wants it, and what keeps it from being given away.

use ferrovirt_host::PciAddress;
use ferrovirt_host::group::{Candidate, survey};
use ferrovirt_wire::own::{DevicesAnswer, HostDevice};

use super::{Answer, failed};
use crate::host::Host;

/// Looks at the machine; `wants` says which guests have which device in their documents.
pub(super) async fn list(
    host: &Host,
    wants: fn(&Host) -> Vec<(PciAddress, String)>,
) -> Answer<DevicesAnswer> {
    let wanted = wants(host);
    let passthrough = host.passthrough.clone();
    let look = move || survey(passthrough.places(), passthrough.taken());
    let seen = tokio::task::spawn_blocking(look).await.map_err(failed)?;
    Ok(DevicesAnswer {
        iommu: seen.iommu,
        possible: seen.vfio,
        advice: seen.advice,
        devices: seen
            .devices
            .into_iter()
            .map(|device| shown(device, &wanted))
            .collect(),
    })
}

fn shown(device: Candidate, wanted: &[(PciAddress, String)]) -> HostDevice {
    let by = wanted.iter().filter(|(address, _)| *address == device.address);
    let names = [device.names.vendor, device.names.product];
    HostDevice {
        address: device.address.to_string(),
        group: device.group,
        ids: format!("{:04x}:{:04x}", device.ids.0, device.ids.1),
        class: format!("{:06x}", device.class),
        name: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
        driver: device.driver,
        bridge: device.bridge,
        guest: device.guest.map(|guest| guest.name),
        wanted_by: by.map(|(_, guest)| guest.clone()).collect(),
        detached: device.detached,
        available: device.obstacles.is_empty(),
        obstacles: device.obstacles,
        remarks: device.remarks,
    }
}

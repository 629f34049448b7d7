//! Virtual functions of a network card (SR-IOV), which only the physical function's device can speak for.

use std::pin::pin;

use futures_util::StreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkVfInfo, VfInfo, VfInfoMac, VfInfoVlan,
};

use crate::{LinkError, Links};

/// What a virtual function is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VfSettings {
    /// Its administrative MAC address; zero: the one that its driver chooses.
    pub mac: [u8; 6],
    /// The VLAN that all of its packets are in; 0: none.
    pub vlan: u16,
    /// The priority of those packets, 0 to 7.
    pub qos: u8,
}

impl Links {
    /// What the virtual function of this number is set to.
    ///
    /// # Errors
    /// `Missing`; `Kernel`, also for a function that there is not.
    pub async fn vf(&self, device: &str, number: u32) -> Result<VfSettings, LinkError> {
        const ACTION: &str = "asking for a virtual function of interface";
        let request = { self.handle.link().get() }
            .match_name(device)
            .set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::Vf]);
        let mut answer = pin!(request.execute());
        let link = match answer.next().await {
            Some(link) => link.map_err(|error| LinkError::from_kernel(ACTION, device, error))?,
            None => {
                return Err(LinkError::Missing {
                    device: device.to_owned(),
                });
            }
        };
        settings(&link.attributes, number).ok_or_else(|| LinkError::Kernel {
            action: ACTION,
            device: device.to_owned(),
            source: std::io::Error::other(format!("it has no virtual function {number}")),
        })
    }

    /// Sets the MAC address of a virtual function.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_vf_mac(&self, device: &str, number: u32, mac: [u8; 6]) -> Result<(), LinkError> {
        let action = "setting the MAC address of a virtual function of interface";
        let info = VfInfo::Mac(VfInfoMac::new(number, &mac));
        self.set_vf(device, action, info).await
    }

    /// Sets the VLAN of a virtual function; 0: none.
    ///
    /// # Errors
    /// `Missing`, `Kernel`.
    pub async fn set_vf_vlan(&self, device: &str, number: u32, vlan: u16, qos: u8) -> Result<(), LinkError> {
        let action = "setting the VLAN of a virtual function of interface";
        let info = VfInfo::Vlan(VfInfoVlan::new(number, u32::from(vlan), u32::from(qos)));
        self.set_vf(device, action, info).await
    }

    async fn set_vf(&self, device: &str, action: &'static str, info: VfInfo) -> Result<(), LinkError> {
        let list = LinkAttribute::VfInfoList(vec![LinkVfInfo(vec![info])]);
        self.change(device, action, |link| link.append_extra_attribute(list))
            .await
    }
}

/// One function of the list that a device tells of.
fn settings(attributes: &[LinkAttribute], number: u32) -> Option<VfSettings> {
    let lists = attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::VfInfoList(list) => Some(list),
        _ => None,
    });
    let of = |function: &LinkVfInfo| {
        let mut mac = None;
        let mut found = VfSettings::default();
        for info in &function.0 {
            match info {
                VfInfo::Mac(info) if info.vf_id == number => mac = info.mac.first_chunk::<6>().copied(),
                VfInfo::Vlan(info) if info.vf_id == number => {
                    found.vlan = u16::try_from(info.vlan_id).unwrap_or_default();
                    found.qos = u8::try_from(info.qos).unwrap_or_default();
                }
                _ => {}
            }
        }
        mac.map(|mac| VfSettings { mac, ..found })
    };
    lists.flatten().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(number: u32, last: u8, vlan: u32) -> LinkVfInfo {
        LinkVfInfo(vec![
            VfInfo::Mac(VfInfoMac::new(number, &[2, 0, 0, 0, 0, last])),
            VfInfo::Vlan(VfInfoVlan::new(number, vlan, 3)),
        ])
    }

    #[test]
    fn a_function_is_found_by_its_number() {
        let list = vec![function(0, 10, 0), function(1, 11, 42)];
        let attributes = [LinkAttribute::Mtu(1500), LinkAttribute::VfInfoList(list)];
        let one = settings(&attributes, 1);
        let expected = VfSettings {
            mac: [2, 0, 0, 0, 0, 11],
            vlan: 42,
            qos: 3,
        };
        assert_eq!(one, Some(expected));
        assert_eq!(settings(&attributes, 0).map(|vf| vf.vlan), Some(0));
        assert_eq!(settings(&attributes, 2), None);
        assert_eq!(settings(&[], 0), None);
    }

    #[tokio::test]
    async fn a_card_without_functions_says_so() {
        let links = Links::open().unwrap();
        let error = links.vf("lo", 0).await.unwrap_err();
        assert!(error.to_string().contains("no virtual function 0"), "{error}");
        assert!(links.vf("nothing-here", 0).await.is_err());
        assert!(links.set_vf_mac("lo", 0, [2, 0, 0, 0, 0, 1]).await.is_err());
        assert!(links.set_vf_vlan("lo", 0, 42, 0).await.is_err());
    }
}

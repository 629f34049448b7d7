//! PCI functions: numbers and names, functions that belong together, the IOMMU group, the link.

use std::path::Path;

use ferrovirt_model::node_device::{
    IommuGroup, LinkValidity, MdevType, MdevTypes, NumaNode, PciCapability, PciClass, PciExpress, PciExtra,
    PciFunction, PciFunctions, PciId, PciLink, VirtualFunctions,
};

use super::{Look, vpd};
use crate::pci::config::{Config, HeaderType, Link};
use crate::pci::{PciAddress, virtual_functions};
use crate::sysfs;

pub(super) fn describe(look: &Look<'_>) -> Option<PciCapability> {
    let address = look.device.pci_address()?;
    let places = &look.shared.places;
    let hex = |attribute: &str| sysfs::hex(&look.dir.join(attribute));
    let (vendor, product) = (hex("vendor")?, hex("device")?);
    let names = look.shared.ids.names(&places.pci_ids, vendor, product);
    let config = Config::read(&look.dir);
    let node = sysfs::number::<i64>(&look.dir.join("numa_node"));
    Some(PciCapability {
        class: hex("class").map(PciClass),
        domain: address.domain,
        bus: address.bus.into(),
        slot: address.slot.into(),
        function: address.function.into(),
        product: PciId {
            id: product,
            name: names.product,
        },
        vendor: PciId {
            id: vendor,
            name: names.vendor,
        },
        extra: extra(&look.dir, config.as_ref()),
        group: group(&look.dir),
        numa: node
            .and_then(|node| u32::try_from(node).ok())
            .map(|node| NumaNode { node }),
        express: config.as_ref().and_then(express),
    })
}

/// The address as documents have it.
fn function(address: PciAddress) -> PciFunction {
    PciFunction {
        domain: address.domain,
        bus: address.bus.into(),
        slot: address.slot.into(),
        function: address.function.into(),
    }
}

fn extra(dir: &Path, config: Option<&Config>) -> Vec<PciExtra> {
    let mut extra = Vec::new();
    let physical = sysfs::link_name(&dir.join("physfn")).and_then(|name| name.parse().ok());
    if let Some(physical) = physical {
        extra.push(PciExtra::PhysicalFunction(PciFunctions {
            functions: vec![function(physical)],
        }));
    }
    let functions: Vec<PciFunction> = virtual_functions(dir).into_iter().map(function).collect();
    let max = sysfs::number::<u32>(&dir.join("sriov_totalvfs")).filter(|max| *max > 0);
    if max.is_some() || !functions.is_empty() {
        extra.push(PciExtra::VirtualFunctions(VirtualFunctions { max, functions }));
    }
    match config.map(Config::header_type) {
        Some(HeaderType::PciBridge) => extra.push(PciExtra::PciBridge(PciFunctions::default())),
        Some(HeaderType::CardbusBridge) => extra.push(PciExtra::CardbusBridge(PciFunctions::default())),
        Some(HeaderType::Endpoint | HeaderType::Other) | None => {}
    }
    let types = mdev_types(&dir.join("mdev_supported_types"));
    if !types.is_empty() {
        extra.push(PciExtra::MdevTypes(MdevTypes { types }));
    }
    extra.extend(vpd::read(dir).map(PciExtra::Vpd));
    extra
}

fn mdev_types(dir: &Path) -> Vec<MdevType> {
    let one = |id: String| {
        let own = dir.join(&id);
        Some(MdevType {
            name: sysfs::word(&own.join("name")),
            api: sysfs::word(&own.join("device_api"))?,
            available: sysfs::number(&own.join("available_instances"))?,
            id,
        })
    };
    sysfs::names(dir).into_iter().filter_map(one).collect()
}

fn group(dir: &Path) -> Option<IommuGroup> {
    let link = dir.join("iommu_group");
    let members = sysfs::names(&link.join("devices"));
    let members = members.iter().filter_map(|name| name.parse().ok()).map(function);
    Some(IommuGroup {
        number: sysfs::link_name(&link)?.parse().ok()?,
        members: members.collect(),
    })
}

fn express(config: &Config) -> Option<PciExpress> {
    let express = config.express()?;
    let link = |validity, link: Link, port| PciLink {
        validity,
        port,
        speed: link.speed().map(str::to_owned),
        width: link.width,
    };
    let links = express.links.map(|links| {
        vec![
            link(LinkValidity::Cap, links.able, Some(links.port)),
            link(LinkValidity::Sta, links.now, None),
        ]
    });
    Some(PciExpress {
        links: links.unwrap_or_default(),
    })
}

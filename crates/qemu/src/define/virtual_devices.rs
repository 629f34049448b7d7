//! IOMMU, vsock, crypto devices, pstore, file systems: what they are and where they can be.

use ferrovirt_model::Kib;
use ferrovirt_model::domain::{
    AccessMode, Domain, Filesystem, FilesystemDriverType, FilesystemType, IommuDriver, IommuModel, Multidevs,
    Rom, VirtioOptions, VsockCid, WritePolicy,
};

use super::machine::Chipset;
use crate::error::{Error, Result};

/// Where stores are kept that name no file.
const STORES: &str = "/var/lib/libvirt/qemu/nvram";
/// Smallest address of a guest among sockets.
const FIRST_CID: u32 = 3;

/// Settles them.
pub(super) fn settle(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    iommu(doc, chipset)?;
    vsock(doc)?;
    pstore(doc)?;
    for crypto in &mut doc.devices.cryptos {
        let nothing = |options: &mut VirtioOptions| options.is_empty();
        crypto.driver.take_if(nothing);
        crypto.backend.queues.take_if(|queues| *queues == 0);
    }
    doc.devices.filesystems.iter_mut().try_for_each(filesystem)?;
    if doc.devices.leases.iter().any(|lease| lease.lockspace.is_none()) {
        return Err(Error::Xml("a <lease> needs a <lockspace>".to_owned()));
    }
    numbers_and_roms(doc)
}

fn single(count: usize, what: &str) -> Result<()> {
    if count > 1 {
        return Err(Error::Xml(format!("only a single {what} device is supported")));
    }
    Ok(())
}

fn iommu(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    single(doc.devices.iommus.len(), "IOMMU")?;
    let acpi = doc.features.as_ref().is_some_and(|features| features.acpi);
    let Some(iommu) = doc.devices.iommus.first_mut() else {
        return Ok(());
    };
    iommu.driver.take_if(|driver| *driver == IommuDriver::default());
    let model = iommu.model;
    if chipset != Chipset::Q35 {
        return Err(Error::unsupported(format!(
            "IOMMU device: '{model}' is only supported with Q35 machines"
        )));
    }
    let driver = iommu.driver.unwrap_or_default();
    match model {
        IommuModel::Virtio if iommu.driver.is_some() => Err(Error::Xml(
            "iommu model 'virtio' doesn't support additional attributes".to_owned(),
        )),
        IommuModel::Virtio if !acpi => Err(Error::unsupported("IOMMU device: 'virtio' requires ACPI")),
        IommuModel::Intel if iommu.info.address.is_some() => {
            Err(Error::Xml("iommu model 'intel' can't have address".to_owned()))
        }
        IommuModel::Intel if driver.eim == Some(true) && driver.intremap != Some(true) => Err(
            Error::unsupported("IOMMU eim requires interrupt remapping to be enabled"),
        ),
        _ => Ok(()),
    }
}

fn vsock(doc: &mut Domain) -> Result<()> {
    single(doc.devices.vsocks.len(), "vsock")?;
    let Some(vsock) = doc.devices.vsocks.first_mut() else {
        return Ok(());
    };
    vsock.driver.take_if(|options| options.is_empty());
    vsock.model.take_if(|model| model == "default");
    let model = vsock.model.get_or_insert_with(|| "virtio".to_owned());
    if !matches!(
        model.as_str(),
        "virtio" | "virtio-transitional" | "virtio-non-transitional"
    ) {
        return Err(Error::unsupported(format!(
            "vsock model '{model}' is not supported"
        )));
    }
    let cid = vsock.cid.get_or_insert_with(VsockCid::default);
    if cid.address.is_none() {
        cid.auto.get_or_insert(true);
    }
    match cid.address {
        Some(address) if address < FIRST_CID => Err(Error::unsupported("guest CIDs must be >= 3")),
        _ => Ok(()),
    }
}

fn pstore(doc: &mut Domain) -> Result<()> {
    single(doc.devices.pstores.len(), "pstore")?;
    let path = format!("{STORES}/{}_PSTORE.raw", doc.name);
    let Some(store) = doc.devices.pstores.first_mut() else {
        return Ok(());
    };
    store.path.get_or_insert(path);
    // QEMU keeps a record per 4 KiB, and needs a head of its own.
    let size = store.size.unwrap_or_default();
    if size < Kib(4) || !size.0.is_power_of_two() {
        return Err(Error::Xml("invalid size of ACPI ERST pstore device".to_owned()));
    }
    Ok(())
}

fn filesystem(mount: &mut Filesystem) -> Result<()> {
    let target = mount.target.clone().unwrap_or_default();
    mount
        .multidevs
        .take_if(|multidevs| *multidevs == Multidevs::Default);
    if let Some(driver) = &mut mount.driver {
        driver
            .write_policy
            .take_if(|policy| *policy == WritePolicy::Default);
    }
    let unsupported = |text: &str| Err(Error::unsupported(format!("{text} (filesystem '{target}')")));
    if mount.kind != FilesystemType::Mount {
        return unsupported("only supports mount filesystem type");
    }
    if mount.info.boot.is_some() {
        return unsupported("boot order is only supported for virtiofs");
    }
    let driver = mount.driver.as_ref();
    if driver.is_some_and(|driver| driver.format.is_some()) {
        return unsupported("driver format is not supported with QEMU");
    }
    if let Some(kind) = driver.and_then(|driver| driver.kind)
        && kind != FilesystemDriverType::Path
    {
        return unsupported(&format!("filesystem driver type '{kind}' is not supported"));
    }
    if (mount.fmode.is_some() || mount.dmode.is_some()) && mount.access != AccessMode::Mapped {
        return unsupported("fmode and dmode must be used with accessmode=mapped");
    }
    Ok(())
}

/// Only what something can be booted from has a place in the order.
fn boot_order(doc: &Domain) -> Result<()> {
    let devices = &doc.devices;
    let all = devices
        .infos()
        .into_iter()
        .filter(|info| info.boot.is_some())
        .count();
    let disks = devices
        .disks
        .iter()
        .filter(|disk| disk.info.boot.is_some())
        .count();
    let cards = devices
        .interfaces
        .iter()
        .filter(|card| card.info.boot.is_some())
        .count();
    let hostdevs = devices
        .hostdevs
        .iter()
        .filter(|hostdev| hostdev.info.boot.is_some())
        .count();
    let redirected = devices
        .redirdevs
        .iter()
        .filter(|redirdev| redirdev.info.boot.is_some())
        .count();
    if disks + cards + hostdevs + redirected < all {
        return Err(Error::unsupported(
            "<boot order> is only supported for disks, interfaces, host devices and redirected ones",
        ));
    }
    Ok(())
}

/// Numbers for ACPI are for PCI devices, each once; code for the boot is for cards.
fn numbers_and_roms(doc: &Domain) -> Result<()> {
    let mut numbers: Vec<u32> = doc
        .devices
        .infos()
        .iter()
        .filter_map(|info| info.acpi_index)
        .collect();
    numbers.sort_unstable();
    if numbers.first() == Some(&0) {
        return Err(Error::Xml(
            "Invalid value for attribute 'index' in element 'acpi': Zero is not permitted".to_owned(),
        ));
    }
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Xml(format!(
            "ACPI index '{}' used for more than one device",
            twice[0]
        )));
    }
    boot_order(doc)?;
    let cards = doc
        .devices
        .interfaces
        .iter()
        .filter_map(|card| card.info.rom.as_ref());
    let hostdevs = doc
        .devices
        .hostdevs
        .iter()
        .filter_map(|hostdev| hostdev.info.rom.as_ref());
    let tuned = |rom: &&Rom| rom.enabled == Some(false) && (rom.bar.is_some() || rom.file.is_some());
    match cards.chain(hostdevs).find(tuned) {
        Some(_) => Err(Error::unsupported(
            "ROM tuning is not supported when ROM is disabled",
        )),
        None => Ok(()),
    }
}

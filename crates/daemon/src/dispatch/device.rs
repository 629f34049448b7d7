//! Devices that are attached, detached and changed.

use ferrovirt_guest::{Affect, DeviceChange};
use ferrovirt_model::domain::Device;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{DomainRef, ErrorReply};

use super::{Session, affect};
use crate::errors::{self, Document};

type Answer<T> = Result<T, ErrorReply>;

/// What the older procedures without flags are for.
const LIVE: Affect = Affect {
    live: true,
    config: false,
};

/// DOMAIN_UPDATE_DEVICE_FLAGS: also a medium that the guest has locked. None is changed yet.
const FORCE: u32 = 4;

/// Reads a device; `whole`: with all that libvirt's parser fills in.
fn parse(session: &Session, text: &str, whole: bool) -> Answer<Device> {
    let refused = |error| errors::document(&error, text, Document::Domain);
    let parsed = Device::parse(text, session.unknown_policy()).map_err(refused)?;
    for unknown in &parsed.kept {
        tracing::warn!("device: kept without being understood: {unknown}");
    }
    let mut device = parsed.value;
    if whole {
        device.normalize().map_err(refused)?;
    }
    Ok(device)
}

async fn change(session: &Session, dom: &DomainRef, change: DeviceChange, affect: Affect) -> Answer<()> {
    let handle = session.guest(dom)?;
    handle
        .change_device(change, affect, session.origin())
        .await
        .map_err(errors::guest)
}

pub(super) async fn attach(
    session: &Session,
    args: DomainAttachDeviceArgs,
) -> Answer<DomainAttachDeviceResults> {
    let device = parse(session, &args.xml, true)?;
    change(session, &args.dom, DeviceChange::Attach(device), LIVE).await?;
    Ok(DomainAttachDeviceResults {})
}

pub(super) async fn attach_flags(
    session: &Session,
    args: DomainAttachDeviceFlagsArgs,
) -> Answer<DomainAttachDeviceFlagsResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainAttachDeviceLiveAndConfig")?;
    let device = parse(session, &args.xml, true)?;
    change(session, &args.dom, DeviceChange::Attach(device), affect).await?;
    Ok(DomainAttachDeviceFlagsResults {})
}

pub(super) async fn detach(
    session: &Session,
    args: DomainDetachDeviceArgs,
) -> Answer<DomainDetachDeviceResults> {
    let device = parse(session, &args.xml, false)?;
    change(session, &args.dom, DeviceChange::Detach(device), LIVE).await?;
    Ok(DomainDetachDeviceResults {})
}

pub(super) async fn detach_flags(
    session: &Session,
    args: DomainDetachDeviceFlagsArgs,
) -> Answer<DomainDetachDeviceFlagsResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainDetachDeviceLiveAndConfig")?;
    let device = parse(session, &args.xml, false)?;
    change(session, &args.dom, DeviceChange::Detach(device), affect).await?;
    Ok(DomainDetachDeviceFlagsResults {})
}

pub(super) async fn detach_alias(
    session: &Session,
    args: DomainDetachDeviceAliasArgs,
) -> Answer<DomainDetachDeviceAliasResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainDetachDeviceAliasLiveAndConfig")?;
    change(session, &args.dom, DeviceChange::DetachAlias(args.alias), affect).await?;
    Ok(DomainDetachDeviceAliasResults {})
}

pub(super) async fn update_flags(
    session: &Session,
    args: DomainUpdateDeviceFlagsArgs,
) -> Answer<DomainUpdateDeviceFlagsResults> {
    let affect = affect::of(args.flags, FORCE, "qemuDomainUpdateDeviceFlags")?;
    let device = parse(session, &args.xml, true)?;
    change(session, &args.dom, DeviceChange::Update(device), affect).await?;
    Ok(DomainUpdateDeviceFlagsResults {})
}

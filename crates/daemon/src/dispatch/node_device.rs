//! Devices of the host. Mediated devices, which are the ones that can be made and defined, are refused by name.

use ferrovirt_host::{Device, Driver, Error, Filter, Kind, PciAddress};
use ferrovirt_sys::blocking;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, List, NodeDeviceRef};

use super::{Session, only_flags, passes, too_many};
use crate::errors;

type Answer<T> = Result<T, ErrorReply>;

/// The domain of everything in here.
const NODE_DEVICE: ErrorDomain = ErrorDomain::NodeDevice;

/// Bits of CONNECT_LIST_ALL_NODE_DEVICES beside those of kinds.
mod list_flag {
    pub(super) const PERSISTENT: u32 = 1 << 28;
    pub(super) const TRANSIENT: u32 = 1 << 29;
    pub(super) const INACTIVE: u32 = 1 << 30;
    pub(super) const ACTIVE: u32 = 1 << 31;
    pub(super) const ALL: u32 = PERSISTENT | TRANSIENT | INACTIVE | ACTIVE;
}

/// NODE_DEVICE_GET_XML_DESC: the definition.
const XML_INACTIVE: u32 = 1;

/// Refuses a bit of flags of a function that has none.
fn no_flags(flags: u32, function: &str) -> Answer<()> {
    only_flags(flags, 0, NODE_DEVICE, function)
}

fn find(session: &Session, name: &str) -> Answer<Device> {
    session
        .host
        .devices
        .find(name)
        .map_err(|error| errors::device(&error))
}

fn reference(device: &Device) -> NodeDeviceRef {
    NodeDeviceRef {
        name: device.name.to_string(),
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn refused(code: ErrorCode, text: impl Into<String>) -> ErrorReply {
    ErrorReply::new(code, NODE_DEVICE, text)
}

/// Names for the word of a kind; a word that is none has no devices.
fn of_kind(session: &Session, word: Option<&str>) -> Vec<std::sync::Arc<str>> {
    let filter = match word {
        None => Some(Filter::default()),
        Some(word) => Filter::of_word(word),
    };
    // Some kinds are told by files.
    filter.map_or_else(Vec::new, |filter| {
        blocking::here(|| session.host.devices.list(filter))
    })
}

pub(super) fn number(session: &Session, args: NodeNumOfDevicesArgs) -> Answer<NodeNumOfDevicesResults> {
    no_flags(args.flags, "nodeNumOfDevices")?;
    let num = count(of_kind(session, args.cap.as_deref()).len());
    Ok(NodeNumOfDevicesResults { num })
}

/// The first of a list, as many as the client wants.
fn first(names: impl Iterator<Item = String>, most: i32) -> Answer<List<String, DEVICE_LIMIT>> {
    let most = usize::try_from(most).unwrap_or(0);
    List::new(names.take(most).collect()).map_err(|_| too_many(NODE_DEVICE, "devices", DEVICE_LIMIT))
}

pub(super) fn names(session: &Session, args: NodeListDevicesArgs) -> Answer<NodeListDevicesResults> {
    no_flags(args.flags, "nodeListDevices")?;
    let names = of_kind(session, args.cap.as_deref());
    let names = first(names.iter().map(|name| name.to_string()), args.maxnames)?;
    Ok(NodeListDevicesResults { names })
}

pub(super) fn list_all(
    session: &Session,
    args: ConnectListAllNodeDevicesArgs,
) -> Answer<ConnectListAllNodeDevicesResults> {
    use list_flag::*;
    only_flags(
        args.flags,
        Filter::KINDS | ALL,
        NODE_DEVICE,
        "nodeConnectListAllNodeDevices",
    )?;
    let filter = Filter(args.flags & Filter::KINDS);
    let snapshot = session.host.devices.snapshot();
    let shown = |name: &str| {
        let device = snapshot.get(name);
        let persistent = device.is_some_and(is_the_machine);
        passes(args.flags, PERSISTENT, TRANSIENT, persistent) && passes(args.flags, ACTIVE, INACTIVE, true)
    };
    let names = blocking::here(|| session.host.devices.list(filter));
    let devices: Vec<_> = names
        .iter()
        .filter(|name| shown(name))
        .map(|name| NodeDeviceRef {
            name: name.to_string(),
        })
        .collect();
    let ret = u32::try_from(devices.len()).unwrap_or(u32::MAX);
    if args.need_results == 0 {
        return Ok(ConnectListAllNodeDevicesResults {
            devices: List::empty(),
            ret,
        });
    }
    let devices = List::new(devices).map_err(|_| too_many(NODE_DEVICE, "devices", DEVICE_LIMIT))?;
    Ok(ConnectListAllNodeDevicesResults { devices, ret })
}

pub(super) fn lookup_by_name(
    session: &Session,
    args: NodeDeviceLookupByNameArgs,
) -> Answer<NodeDeviceLookupByNameResults> {
    let dev = reference(&find(session, &args.name)?);
    Ok(NodeDeviceLookupByNameResults { dev })
}

pub(super) fn lookup_scsi_host(
    session: &Session,
    args: NodeDeviceLookupScsiHostByWwnArgs,
) -> Answer<NodeDeviceLookupScsiHostByWwnResults> {
    no_flags(args.flags, "nodeDeviceLookupSCSIHostByWWN")?;
    let found = blocking::here(|| session.host.devices.scsi_host(&args.wwnn, &args.wwpn));
    let dev = reference(&found.map_err(|error| errors::device(&error))?);
    Ok(NodeDeviceLookupScsiHostByWwnResults { dev })
}

pub(super) async fn xml_desc(
    session: &Session,
    args: NodeDeviceGetXmlDescArgs,
) -> Answer<NodeDeviceGetXmlDescResults> {
    only_flags(args.flags, XML_INACTIVE, NODE_DEVICE, "nodeDeviceGetXMLDesc")?;
    let device = find(session, &args.name)?;
    if args.flags & XML_INACTIVE != 0 && !is_the_machine(&device) {
        let text = format!("node device '{}' is not persistent", args.name);
        return Err(refused(ErrorCode::OperationInvalid, text));
    }
    // On a thread that may wait: a device that sleeps is woken up by some of these reads.
    let tree = session.host.devices.clone();
    let described = tokio::task::spawn_blocking(move || tree.describe(&device)).await;
    let described = described.map_err(|error| ErrorReply::internal(NODE_DEVICE, error.to_string()))?;
    let xml = described.map_err(|error| errors::device(&error))?.to_xml();
    Ok(NodeDeviceGetXmlDescResults { xml })
}

pub(super) fn parent(session: &Session, args: NodeDeviceGetParentArgs) -> Answer<NodeDeviceGetParentResults> {
    let parent = find(session, &args.name)?.parent;
    Ok(NodeDeviceGetParentResults {
        parent_name: parent.map(|parent| parent.to_string()),
    })
}

fn words_of(session: &Session, name: &str) -> Answer<Vec<&'static str>> {
    let device = find(session, name)?;
    Ok(blocking::here(|| session.host.devices.words(&device)))
}

pub(super) fn number_of_words(
    session: &Session,
    args: NodeDeviceNumOfCapsArgs,
) -> Answer<NodeDeviceNumOfCapsResults> {
    let num = count(words_of(session, &args.name)?.len());
    Ok(NodeDeviceNumOfCapsResults { num })
}

pub(super) fn words(session: &Session, args: NodeDeviceListCapsArgs) -> Answer<NodeDeviceListCapsResults> {
    let words = words_of(session, &args.name)?;
    let names = first(words.into_iter().map(str::to_owned), args.maxnames)?;
    Ok(NodeDeviceListCapsResults { names })
}

/// The address of a device that can go from one driver to another.
fn pci(session: &Session, name: &str) -> Answer<PciAddress> {
    let address = find(session, name)?.pci_address();
    address.ok_or_else(|| errors::device(&Error::NotPci(name.to_owned())))
}

async fn detach_from(session: &Session, name: &str, driver: Option<&str>) -> Answer<()> {
    let address = pci(session, name)?;
    let driver = Driver::of_word(driver).map_err(|error| errors::device(&error))?;
    let detached = session.host.passthrough.detach(address, driver).await;
    detached.map_err(|error| errors::device(&error))
}

pub(super) async fn detach(
    session: &Session,
    args: NodeDeviceDettachArgs,
) -> Answer<NodeDeviceDettachResults> {
    detach_from(session, &args.name, None).await?;
    Ok(NodeDeviceDettachResults {})
}

pub(super) async fn detach_flags(
    session: &Session,
    args: NodeDeviceDetachFlagsArgs,
) -> Answer<NodeDeviceDetachFlagsResults> {
    only_flags(args.flags, 0, ErrorDomain::Qemu, "qemuNodeDeviceDetachFlags")?;
    detach_from(session, &args.name, args.driver_name.as_deref()).await?;
    Ok(NodeDeviceDetachFlagsResults {})
}

pub(super) async fn reattach(
    session: &Session,
    args: NodeDeviceReAttachArgs,
) -> Answer<NodeDeviceReAttachResults> {
    let address = pci(session, &args.name)?;
    let back = session.host.passthrough.reattach(address).await;
    back.map_err(|error| errors::device(&error))?;
    Ok(NodeDeviceReAttachResults {})
}

pub(super) async fn reset(session: &Session, args: NodeDeviceResetArgs) -> Answer<NodeDeviceResetResults> {
    let address = pci(session, &args.name)?;
    let reset = session.host.passthrough.reset(address).await;
    reset.map_err(|error| errors::device(&error))?;
    Ok(NodeDeviceResetResults {})
}

/// The machine itself counts as defined and as started with the host; all other devices are there when they are there.
fn is_the_machine(device: &Device) -> bool {
    device.kind == Kind::System
}

pub(super) fn is_active(
    session: &Session,
    args: NodeDeviceIsActiveArgs,
) -> Answer<NodeDeviceIsActiveResults> {
    find(session, &args.name)?;
    Ok(NodeDeviceIsActiveResults { active: 1 })
}

pub(super) fn is_persistent(
    session: &Session,
    args: NodeDeviceIsPersistentArgs,
) -> Answer<NodeDeviceIsPersistentResults> {
    let persistent = i32::from(is_the_machine(&find(session, &args.name)?));
    Ok(NodeDeviceIsPersistentResults { persistent })
}

pub(super) fn autostart(
    session: &Session,
    args: NodeDeviceGetAutostartArgs,
) -> Answer<NodeDeviceGetAutostartResults> {
    let autostart = i32::from(is_the_machine(&find(session, &args.name)?));
    Ok(NodeDeviceGetAutostartResults { autostart })
}

/// Only mediated devices can be changed so.
fn unchangeable(code: ErrorCode) -> ErrorReply {
    refused(code, "Unsupported device type")
}

pub(super) fn set_autostart(
    session: &Session,
    args: NodeDeviceSetAutostartArgs,
) -> Answer<NodeDeviceSetAutostartResults> {
    find(session, &args.name)?;
    Err(unchangeable(ErrorCode::OperationUnsupported))
}

pub(super) fn destroy(session: &Session, args: NodeDeviceDestroyArgs) -> Answer<NodeDeviceDestroyResults> {
    find(session, &args.name)?;
    Err(unchangeable(ErrorCode::ConfigUnsupported))
}

pub(super) fn undefine(session: &Session, args: NodeDeviceUndefineArgs) -> Answer<NodeDeviceUndefineResults> {
    no_flags(args.flags, "nodeDeviceUndefine")?;
    find(session, &args.name)?;
    let text = format!("Node device '{}' is not defined", args.name);
    Err(refused(ErrorCode::OperationInvalid, text))
}

pub(super) fn create(session: &Session, args: NodeDeviceCreateArgs) -> Answer<NodeDeviceCreateResults> {
    no_flags(args.flags, "nodeDeviceCreate")?;
    find(session, &args.name)?;
    Err(refused(ErrorCode::OperationInvalid, "Device is already active"))
}

pub(super) fn update(session: &Session, args: NodeDeviceUpdateArgs) -> Answer<NodeDeviceUpdateResults> {
    find(session, &args.name)?;
    Err(unchangeable(ErrorCode::OperationUnsupported))
}

/// What is not here.
fn no_mediated_devices() -> ErrorReply {
    let text = "mediated devices and virtual ports of SCSI controllers cannot be made or defined";
    refused(ErrorCode::ConfigUnsupported, text)
}

pub(super) fn create_xml(_: &Session, _: NodeDeviceCreateXmlArgs) -> Answer<NodeDeviceCreateXmlResults> {
    Err(no_mediated_devices())
}

pub(super) fn define_xml(_: &Session, _: NodeDeviceDefineXmlArgs) -> Answer<NodeDeviceDefineXmlResults> {
    Err(no_mediated_devices())
}

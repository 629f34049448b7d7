//! Storage pools. There are none yet, and clients that look for some find an empty list, and no volume where they ask for one:
//! virt-install needs these answers, and then takes a disk by its path.

use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, List};

use super::{Session, only_flags};

/// Filters by state, persistence, autostart and by the fourteen types of pools.
const FILTERS: u32 = 0xf_ffff;

pub(super) fn list_all(
    _: &Session,
    args: ConnectListAllStoragePoolsArgs,
) -> Result<ConnectListAllStoragePoolsResults, ErrorReply> {
    only_flags(
        args.flags,
        FILTERS,
        ErrorDomain::Storage,
        "storageConnectListAllStoragePools",
    )?;
    Ok(ConnectListAllStoragePoolsResults {
        pools: List::empty(),
        ret: 0,
    })
}

fn nothing(code: ErrorCode, text: String) -> ErrorReply {
    ErrorReply::new(code, ErrorDomain::Storage, text)
}

pub(super) fn lookup_pool(
    _: &Session,
    args: StoragePoolLookupByNameArgs,
) -> Result<StoragePoolLookupByNameResults, ErrorReply> {
    let text = format!("no storage pool with matching name '{}'", args.name);
    Err(nothing(ErrorCode::NoStoragePool, text))
}

pub(super) fn lookup_by_key(
    _: &Session,
    args: StorageVolLookupByKeyArgs,
) -> Result<StorageVolLookupByKeyResults, ErrorReply> {
    let text = format!("no storage vol with matching key {}", args.key);
    Err(nothing(ErrorCode::NoStorageVolume, text))
}

pub(super) fn lookup_by_path(
    _: &Session,
    args: StorageVolLookupByPathArgs,
) -> Result<StorageVolLookupByPathResults, ErrorReply> {
    let text = format!("no storage vol with matching path '{}'", args.path);
    Err(nothing(ErrorCode::NoStorageVolume, text))
}

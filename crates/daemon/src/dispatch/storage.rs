//! Storage pools. There are none yet, and clients that look for some find an empty list, not an error: virt-install
//! needs the answer.

use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorDomain, ErrorReply, List};

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

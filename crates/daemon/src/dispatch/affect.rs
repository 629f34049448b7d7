//! Which of a guest's documents a request is about.

use std::sync::Arc;

use ferrovirt_guest::{Affect, Snapshot};
use ferrovirt_model::domain::Domain;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};

use super::only_flags;

type Answer<T> = Result<T, ErrorReply>;

/// The running guest.
pub(super) const LIVE: u32 = 1;
/// The definition on disk.
pub(super) const CONFIG: u32 = 2;

/// What a change is for; `more` are the bits beside those two, `function` is what libvirt calls the driver's function.
pub(super) fn of(flags: u32, more: u32, function: &str) -> Answer<Affect> {
    only_flags(flags, LIVE | CONFIG | more, ErrorDomain::Qemu, function)?;
    Ok(Affect {
        live: flags & LIVE != 0,
        config: flags & CONFIG != 0,
    })
}

/// Whether a question is about the running guest, and the document that it is about.
pub(super) fn asked(seen: &Snapshot, affect: Affect, function: &str) -> Answer<(bool, Arc<Domain>)> {
    let invalid = |text: &str| {
        Err(ErrorReply::new(
            ErrorCode::OperationInvalid,
            ErrorDomain::Domain,
            text,
        ))
    };
    if affect.live && affect.config {
        let text = "Flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually exclusive";
        return Err(ErrorReply::bad_argument(
            ErrorDomain::Domain,
            text,
            function,
            "flags",
        ));
    }
    if affect.live && !seen.is_active() {
        return invalid("domain is not running");
    }
    if affect.config && !seen.persistent {
        return invalid("transient domains do not have any persistent config");
    }
    let live = seen.is_active() && !affect.config;
    let missing = || {
        ErrorReply::internal(
            ErrorDomain::Qemu,
            format!("guest '{}' has no document", seen.name),
        )
    };
    let document = seen.document(!live).cloned().ok_or_else(missing)?;
    Ok((live, document))
}

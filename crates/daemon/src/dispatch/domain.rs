//! Guests: finding them, and everything that only looks. What changes one is in `change`.

use std::sync::Arc;

use ferrovirt_guest::{Snapshot, State};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::xdr::Char;
use ferrovirt_wire::{DomainRef, ErrorCode, ErrorDomain, ErrorReply, List};
use ferrovirt_xml::Form;

use super::{Session, only_flags, passes, too_many};

type Answer<T> = Result<T, ErrorReply>;

/// The domain of what libvirt's QEMU driver says.
const QEMU: ErrorDomain = ErrorDomain::Qemu;

pub(super) mod list_flag {
    pub(in super::super) const ACTIVE: u32 = 1;
    pub(in super::super) const INACTIVE: u32 = 2;
    pub(in super::super) const PERSISTENT: u32 = 4;
    pub(in super::super) const TRANSIENT: u32 = 8;
    pub(in super::super) const RUNNING: u32 = 16;
    pub(in super::super) const PAUSED: u32 = 32;
    pub(in super::super) const SHUTOFF: u32 = 64;
    pub(in super::super) const OTHER: u32 = 128;
    pub(in super::super) const MANAGED_SAVE: u32 = 256;
    pub(in super::super) const NO_MANAGED_SAVE: u32 = 512;
    pub(in super::super) const AUTOSTART: u32 = 1024;
    pub(in super::super) const NO_AUTOSTART: u32 = 2048;
    pub(in super::super) const HAS_SNAPSHOT: u32 = 4096;
    pub(in super::super) const NO_SNAPSHOT: u32 = 8192;
    pub(in super::super) const HAS_CHECKPOINT: u32 = 16_384;
    pub(in super::super) const NO_CHECKPOINT: u32 = 32_768;
    pub(in super::super) const ALL: u32 = 65_535;
    /// Active or not, persistent or not, and the states.
    pub(in super::super) const BASIC: u32 = 255;
}

mod xml_flag {
    pub(super) const SECURE: u32 = 1;
    pub(super) const INACTIVE: u32 = 2;
    pub(super) const MIGRATABLE: u32 = 8;
    /// Also 4, update the CPU: a running guest's CPU is always written as it is, and of one that is off nothing is known
    /// that its definition lacks.
    pub(super) const ALL: u32 = 15;
}

/// DOMAIN_SNAPSHOT_NUM: all filters.
const SNAPSHOT_FILTERS: u32 = 1023;
/// DOMAIN_GET_MESSAGES: deprecations, taints, I/O errors.
const MESSAGES_TAINTING: u32 = 2;
const MESSAGES_ALL: u32 = 7;

/// How a reply names a guest.
pub(super) fn reference(snapshot: &Snapshot) -> DomainRef {
    DomainRef {
        name: snapshot.name.clone(),
        uuid: snapshot.uuid.0,
        id: snapshot.id.unwrap_or(-1),
    }
}

fn no_domain(text: String) -> ErrorReply {
    ErrorReply::new(ErrorCode::NoDomain, QEMU, text)
}

pub(super) fn lookup_by_id(session: &Session, args: DomainLookupByIdArgs) -> Answer<DomainLookupByIdResults> {
    if args.id < 0 {
        let function = "virDomainLookupByID";
        let text = format!("id in {function} must be zero or greater");
        return Err(ErrorReply::bad_argument(
            ErrorDomain::Domain,
            text,
            function,
            "id",
        ));
    }
    let found = session.guests()?.by_id(args.id);
    let handle = found.ok_or_else(|| no_domain(format!("no domain with matching id {}", args.id)))?;
    Ok(DomainLookupByIdResults {
        dom: reference(&handle.snapshot()),
    })
}

pub(super) fn lookup_by_name(
    session: &Session,
    args: DomainLookupByNameArgs,
) -> Answer<DomainLookupByNameResults> {
    let found = session.guests()?.by_name(&args.name);
    let handle = found.ok_or_else(|| no_domain(format!("no domain with matching name '{}'", args.name)))?;
    Ok(DomainLookupByNameResults {
        dom: reference(&handle.snapshot()),
    })
}

pub(super) fn lookup_by_uuid(
    session: &Session,
    args: DomainLookupByUuidArgs,
) -> Answer<DomainLookupByUuidResults> {
    let uuid = Uuid(args.uuid);
    let found = session.guests()?.by_uuid(&uuid);
    let handle = found.ok_or_else(|| no_domain(format!("no domain with matching uuid '{uuid}'")))?;
    Ok(DomainLookupByUuidResults {
        dom: reference(&handle.snapshot()),
    })
}

pub(super) fn list_all(
    session: &Session,
    args: ConnectListAllDomainsArgs,
) -> Answer<ConnectListAllDomainsResults> {
    only_flags(args.flags, list_flag::ALL, QEMU, "qemuConnectListAllDomains")?;
    let all = session.guests()?.list();
    let found = all.iter().filter(|guest| wanted(guest, args.flags));
    if args.need_results == 0 {
        return Ok(ConnectListAllDomainsResults {
            domains: List::empty(),
            ret: count(found.count()),
        });
    }
    let domains: Vec<_> = found.map(|guest| reference(guest)).collect();
    let ret = count(domains.len());
    let domains = List::new(domains).map_err(|_| too_many(QEMU, "domains", LIST_LIMIT))?;
    Ok(ConnectListAllDomainsResults { domains, ret })
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Whether a list with these filters has the guest in it.
pub(super) fn wanted(guest: &Snapshot, flags: u32) -> bool {
    use list_flag::*;
    let state = match guest.state {
        State::Running => RUNNING,
        State::Paused => PAUSED,
        State::Shutoff => SHUTOFF,
        _ => OTHER,
    };
    let states = flags & (RUNNING | PAUSED | SHUTOFF | OTHER);
    passes(flags, ACTIVE, INACTIVE, guest.is_active())
        && passes(flags, PERSISTENT, TRANSIENT, guest.persistent)
        && (states == 0 || states & state != 0)
        && passes(flags, MANAGED_SAVE, NO_MANAGED_SAVE, false)
        && passes(flags, AUTOSTART, NO_AUTOSTART, guest.autostart)
        && passes(flags, HAS_SNAPSHOT, NO_SNAPSHOT, false)
        && passes(flags, HAS_CHECKPOINT, NO_CHECKPOINT, false)
}

pub(super) fn xml_desc(session: &Session, args: DomainGetXmlDescArgs) -> Answer<DomainGetXmlDescResults> {
    if session.read_only() && args.flags & (xml_flag::SECURE | xml_flag::MIGRATABLE) != 0 {
        let text = "virDomainGetXMLDesc with secure flag";
        return Err(ErrorReply::new(
            ErrorCode::OperationDenied,
            ErrorDomain::Domain,
            text,
        ));
    }
    only_flags(args.flags, xml_flag::ALL, QEMU, "qemuDomainGetXMLDesc")?;
    let has = |flag| args.flags & flag != 0;
    let form = Form {
        inactive: has(xml_flag::INACTIVE),
        secure: has(xml_flag::SECURE),
        migratable: has(xml_flag::MIGRATABLE),
    };
    Ok(DomainGetXmlDescResults {
        xml: session.guest(&args.dom)?.snapshot().to_xml(&form),
    })
}

pub(super) fn autostart(
    session: &Session,
    args: DomainGetAutostartArgs,
) -> Answer<DomainGetAutostartResults> {
    Ok(DomainGetAutostartResults {
        autostart: i32::from(session.guest(&args.dom)?.snapshot().autostart),
    })
}

/// Nothing can be marked to start only once yet.
pub(super) fn autostart_once(
    session: &Session,
    args: DomainGetAutostartOnceArgs,
) -> Answer<DomainGetAutostartOnceResults> {
    session.guest(&args.dom)?;
    Ok(DomainGetAutostartOnceResults { autostart: 0 })
}

/// State and numbers. What only the hypervisor knows it is asked for, and is left out if it does not answer in time.
pub(super) async fn info(session: &Session, args: DomainGetInfoArgs) -> Answer<DomainGetInfoResults> {
    let handle = session.guest(&args.dom)?;
    let snapshot = handle.snapshot();
    let figures = if snapshot.is_active() {
        handle.figures().await.ok()
    } else {
        None
    };
    let document = document(&snapshot)?;
    let boot = document.current_memory.unwrap_or(document.memory).0;
    Ok(DomainGetInfoResults {
        state: snapshot.state.number().cast_unsigned(),
        max_mem: document.memory.0,
        memory: figures.and_then(|figures| figures.balloon).unwrap_or(boot),
        nr_virt_cpu: document.vcpu.current.unwrap_or(document.vcpu.count),
        cpu_time: figures.map_or(0, |figures| figures.cpu_time),
    })
}

fn document(snapshot: &Snapshot) -> Answer<&Arc<Domain>> {
    snapshot.document(false).ok_or_else(|| {
        let text = format!(
            "no domain with matching uuid '{}' ({})",
            snapshot.uuid, snapshot.name
        );
        no_domain(text)
    })
}

pub(super) fn os_type(session: &Session, args: DomainGetOsTypeArgs) -> Answer<DomainGetOsTypeResults> {
    let snapshot = session.guest(&args.dom)?.snapshot();
    Ok(DomainGetOsTypeResults {
        kind: document(&snapshot)?.os.kind.kind.clone(),
    })
}

pub(super) fn state(session: &Session, args: DomainGetStateArgs) -> Answer<DomainGetStateResults> {
    only_flags(args.flags, 0, QEMU, "qemuDomainGetState")?;
    let snapshot = session.guest(&args.dom)?.snapshot();
    Ok(DomainGetStateResults {
        state: snapshot.state.number(),
        reason: snapshot.reason.number(),
    })
}

pub(super) fn is_active(session: &Session, args: DomainIsActiveArgs) -> Answer<DomainIsActiveResults> {
    Ok(DomainIsActiveResults {
        active: i32::from(session.guest(&args.dom)?.snapshot().is_active()),
    })
}

pub(super) fn is_persistent(
    session: &Session,
    args: DomainIsPersistentArgs,
) -> Answer<DomainIsPersistentResults> {
    Ok(DomainIsPersistentResults {
        persistent: i32::from(session.guest(&args.dom)?.snapshot().persistent),
    })
}

/// Guests are not saved yet.
pub(super) fn has_managed_save_image(
    session: &Session,
    args: DomainHasManagedSaveImageArgs,
) -> Answer<DomainHasManagedSaveImageResults> {
    only_flags(args.flags, 0, QEMU, "qemuDomainHasManagedSaveImage")?;
    session.guest(&args.dom)?;
    Ok(DomainHasManagedSaveImageResults { result: 0 })
}

/// Guests have no snapshots yet.
pub(super) fn snapshot_num(
    session: &Session,
    args: DomainSnapshotNumArgs,
) -> Answer<DomainSnapshotNumResults> {
    only_flags(args.flags, SNAPSHOT_FILTERS, QEMU, "qemuDomainSnapshotNum")?;
    session.guest(&args.dom)?;
    Ok(DomainSnapshotNumResults { num: 0 })
}

/// No security driver: an empty label.
pub(super) fn security_label(
    session: &Session,
    args: DomainGetSecurityLabelArgs,
) -> Answer<DomainGetSecurityLabelResults> {
    session.guest(&args.dom)?;
    let label = List::new(vec![Char(0)]).unwrap_or(List::empty());
    Ok(DomainGetSecurityLabelResults { label, enforcing: 0 })
}

pub(super) fn messages(session: &Session, args: DomainGetMessagesArgs) -> Answer<DomainGetMessagesResults> {
    only_flags(args.flags, MESSAGES_ALL, QEMU, "qemuDomainGetMessages")?;
    let snapshot = session.guest(&args.dom)?.snapshot();
    let mut messages = Vec::new();
    if args.flags == 0 || args.flags & MESSAGES_TAINTING != 0 {
        messages.extend(
            snapshot
                .taint
                .iter()
                .map(|taint| format!("tainted: {}", taint_in_words(taint))),
        );
    }
    let msgs = List::new(messages).map_err(|_| too_many(QEMU, "messages", 2048))?;
    Ok(DomainGetMessagesResults { msgs })
}

fn taint_in_words(taint: &str) -> &str {
    match taint {
        "hook-script" => "configuration potentially modified by hook script",
        "high-privileges" => "running with undesirable elevated privileges",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_guest::{Phase, Reason, RunningReason, ShutoffReason};

    fn guest(state: State, id: Option<i32>) -> Snapshot {
        let reason = match state {
            State::Shutoff => Reason::Shutoff(ShutoffReason::Unknown),
            _ => Reason::Running(RunningReason::Booted),
        };
        Snapshot {
            name: "g1".to_owned(),
            uuid: Uuid([7; 16]),
            id,
            state,
            reason,
            phase: Phase::Off,
            persistent: true,
            autostart: false,
            updated: false,
            live: None,
            config: None,
            pid: None,
            busy: None,
            taint: Vec::new(),
        }
    }

    #[test]
    fn a_filter_lets_through_what_it_names() {
        use list_flag::*;
        let (on, off, paused) = (
            guest(State::Running, Some(1)),
            guest(State::Shutoff, None),
            guest(State::Paused, Some(2)),
        );
        for (flags, expected) in [
            (0, [true, true, true]),
            (ACTIVE, [true, false, true]),
            (INACTIVE, [false, true, false]),
            (ACTIVE | INACTIVE, [true, true, true]),
            (PAUSED, [false, false, true]),
            (PAUSED | SHUTOFF, [false, true, true]),
            (OTHER, [false, false, false]),
            (ACTIVE | SHUTOFF, [false, false, false]),
            (
                PERSISTENT | NO_SNAPSHOT | NO_MANAGED_SAVE | NO_CHECKPOINT,
                [true, true, true],
            ),
            (TRANSIENT, [false, false, false]),
            (MANAGED_SAVE, [false, false, false]),
            (AUTOSTART, [false, false, false]),
            (NO_AUTOSTART, [true, true, true]),
            (HAS_SNAPSHOT, [false, false, false]),
        ] {
            assert_eq!(
                [&on, &off, &paused].map(|guest| wanted(guest, flags)),
                expected,
                "{flags:#x}"
            );
        }
    }

    #[test]
    fn a_guest_that_is_off_has_the_id_minus_one() {
        assert_eq!(reference(&guest(State::Shutoff, None)).id, -1);
        assert_eq!(reference(&guest(State::Running, Some(3))).id, 3);
    }
}

//! What changes a guest: definitions, starts, ends, and what is asked of a running one. Each request carries its origin
//! (R91).

use ferrovirt_guest::{DestroyFlags, Error as GuestError, GuestHandle, Leftovers, ShutdownMode, StartFlags};
use ferrovirt_model::domain::Domain;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{DomainRef, ErrorCode, ErrorDomain, ErrorReply};

use super::domain::reference;
use super::{Session, only_flags};
use crate::errors::{self, Document};

type Answer<T> = Result<T, ErrorReply>;

/// The domain of what libvirt's QEMU driver says.
const QEMU: ErrorDomain = ErrorDomain::Qemu;

mod start_flag {
    pub(super) const PAUSED: u32 = 1;
    pub(super) const AUTODESTROY: u32 = 2;
    /// Without a saved image these two mean nothing.
    pub(super) const BYPASS_CACHE: u32 = 4;
    pub(super) const FORCE_BOOT: u32 = 8;
    /// Every document is validated.
    pub(super) const VALIDATE: u32 = 16;
    /// What the firmware stores is made anew.
    pub(super) const RESET_NVRAM: u32 = 32;
    pub(super) const OF_CREATE_XML: u32 = PAUSED | AUTODESTROY | VALIDATE | RESET_NVRAM;
    pub(super) const OF_CREATE: u32 = PAUSED | AUTODESTROY | BYPASS_CACHE | FORCE_BOOT | RESET_NVRAM;
    /// A container has no CPUs that could be held, no image and no firmware.
    pub(super) const OF_CONTAINERS: u32 = AUTODESTROY | VALIDATE;
}

/// DOMAIN_DEFINE_XML_FLAGS: validate, which is always done.
const DEFINE_VALIDATE: u32 = 1;
/// DOMAIN_DESTROY_FLAGS: only if the guest lets itself be ended.
const DESTROY_GRACEFUL: u32 = 1;
/// DOMAIN_DESTROY_FLAGS: also the logs of its helpers, of which there are none.
const DESTROY_REMOVE_LOGS: u32 = 2;
/// DOMAIN_UNDEFINE_FLAGS: saved image, snapshots, checkpoints, firmware variables, TPM. A guest has none of them yet.
const UNDEFINE_ALL: u32 = 127;
/// Firmware variables go, or stay; the same of a TPM.
const UNDEFINE_NVRAM: u32 = 4;
const UNDEFINE_KEEP_NVRAM: u32 = 8;
const UNDEFINE_TPM: u32 = 32;
const UNDEFINE_KEEP_TPM: u32 = 64;
/// DOMAIN_SHUTDOWN_FLAGS and DOMAIN_REBOOT: the power button, the guest agent.
const SHUTDOWN_ACPI: u32 = 1;
const SHUTDOWN_AGENT: u32 = 2;
/// The same for containers: init's control pipe, a signal to init.
const SHUTDOWN_INITCTL: u32 = 4;
const SHUTDOWN_SIGNAL: u32 = 8;
const SHUTDOWN_OF_QEMU: u32 = SHUTDOWN_ACPI | SHUTDOWN_AGENT;
const SHUTDOWN_OF_CONTAINERS: u32 = SHUTDOWN_INITCTL | SHUTDOWN_SIGNAL;

fn parse(session: &Session, text: &str) -> Answer<Domain> {
    let parsed = Domain::parse(text, session.unknown_policy())
        .map_err(|error| errors::document(&error, text, Document::Domain))?;
    for unknown in &parsed.kept {
        tracing::warn!(
            "domain '{}': kept without being understood: {unknown}",
            parsed.value.name
        );
    }
    Ok(parsed.value)
}

pub(super) async fn define_xml(
    session: &Session,
    args: DomainDefineXmlArgs,
) -> Answer<DomainDefineXmlResults> {
    Ok(DomainDefineXmlResults {
        dom: define(session, &args.xml).await?,
    })
}

pub(super) async fn define_xml_flags(
    session: &Session,
    args: DomainDefineXmlFlagsArgs,
) -> Answer<DomainDefineXmlFlagsResults> {
    only_flags(args.flags, DEFINE_VALIDATE, QEMU, "qemuDomainDefineXMLFlags")?;
    Ok(DomainDefineXmlFlagsResults {
        dom: define(session, &args.xml).await?,
    })
}

async fn define(session: &Session, text: &str) -> Answer<DomainRef> {
    let document = parse(session, text)?;
    made(session.guests()?.define(document, session.origin()).await)
}

/// The only form of a command line that QEMU's driver knows.
const NATIVE_FORMAT: &str = "qemu-argv";

pub(super) async fn to_native(
    session: &Session,
    args: ConnectDomainXmlToNativeArgs,
) -> Answer<ConnectDomainXmlToNativeResults> {
    only_flags(args.flags, 0, QEMU, "qemuConnectDomainXMLToNative")?;
    if args.native_format != NATIVE_FORMAT {
        let text = format!("unsupported config type {}", args.native_format);
        return Err(ErrorReply::new(ErrorCode::InvalidArg, QEMU, &text));
    }
    let document = parse(session, &args.domain_xml)?;
    let native = session.host.guests.qemu.backend().native(document).await;
    Ok(ConnectDomainXmlToNativeResults {
        native_config: native.map_err(|error| errors::guest(error.into()))?,
    })
}

fn made(outcome: Result<GuestHandle, GuestError>) -> Answer<DomainRef> {
    Ok(reference(&outcome.map_err(errors::guest)?.snapshot()))
}

fn start_flags(session: &Session, flags: u32) -> StartFlags {
    StartFlags {
        paused: flags & start_flag::PAUSED != 0,
        autodestroy: (flags & start_flag::AUTODESTROY != 0).then(|| session.peer.life().clone()),
        reset_nvram: flags & start_flag::RESET_NVRAM != 0,
    }
}

pub(super) async fn create(session: &Session, args: DomainCreateArgs) -> Answer<DomainCreateResults> {
    start(session, &args.dom, 0).await?;
    Ok(DomainCreateResults {})
}

pub(super) async fn create_with_flags(
    session: &Session,
    args: DomainCreateWithFlagsArgs,
) -> Answer<DomainCreateWithFlagsResults> {
    only_flags(
        args.flags,
        session.by_driver(start_flag::OF_CREATE, start_flag::AUTODESTROY),
        QEMU,
        "qemuDomainCreateWithFlags",
    )?;
    Ok(DomainCreateWithFlagsResults {
        dom: start(session, &args.dom, args.flags).await?,
    })
}

async fn start(session: &Session, dom: &DomainRef, flags: u32) -> Answer<DomainRef> {
    let handle = session.guest(dom)?;
    handle
        .start(start_flags(session, flags), session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(reference(&handle.snapshot()))
}

pub(super) async fn create_xml(
    session: &Session,
    args: DomainCreateXmlArgs,
) -> Answer<DomainCreateXmlResults> {
    let known = session.by_driver(start_flag::OF_CREATE_XML, start_flag::OF_CONTAINERS);
    only_flags(args.flags, known, QEMU, "qemuDomainCreateXML")?;
    let document = parse(session, &args.xml_desc)?;
    let flags = start_flags(session, args.flags);
    Ok(DomainCreateXmlResults {
        dom: made(session.guests()?.create(document, flags, session.origin()).await)?,
    })
}

pub(super) async fn destroy(session: &Session, args: DomainDestroyArgs) -> Answer<DomainDestroyResults> {
    end(session, &args.dom, 0).await?;
    Ok(DomainDestroyResults {})
}

pub(super) async fn destroy_flags(
    session: &Session,
    args: DomainDestroyFlagsArgs,
) -> Answer<DomainDestroyFlagsResults> {
    only_flags(
        args.flags,
        session.by_driver(DESTROY_GRACEFUL | DESTROY_REMOVE_LOGS, 0),
        QEMU,
        "qemuDomainDestroyFlags",
    )?;
    end(session, &args.dom, args.flags).await?;
    Ok(DomainDestroyFlagsResults {})
}

async fn end(session: &Session, dom: &DomainRef, flags: u32) -> Answer<()> {
    let flags = DestroyFlags {
        graceful: flags & DESTROY_GRACEFUL != 0,
    };
    session
        .guest(dom)?
        .destroy(flags, session.origin())
        .await
        .map_err(errors::guest)
}

pub(super) async fn undefine(session: &Session, args: DomainUndefineArgs) -> Answer<DomainUndefineResults> {
    session
        .guest(&args.dom)?
        .undefine(session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainUndefineResults {})
}

pub(super) async fn undefine_flags(
    session: &Session,
    args: DomainUndefineFlagsArgs,
) -> Answer<DomainUndefineFlagsResults> {
    let known = session.by_driver(UNDEFINE_ALL, 0);
    only_flags(args.flags, known, QEMU, "qemuDomainUndefineFlags")?;
    let leftovers = Leftovers {
        nvram: one_of(args.flags, UNDEFINE_NVRAM, UNDEFINE_KEEP_NVRAM, "NVRAM")?,
        tpm: one_of(args.flags, UNDEFINE_TPM, UNDEFINE_KEEP_TPM, "TPM")?,
    };
    session
        .guest(&args.dom)?
        .undefine_with(leftovers, session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainUndefineFlagsResults {})
}

/// Removed, kept, or nothing said.
fn one_of(flags: u32, remove: u32, keep: u32, what: &str) -> Answer<Option<bool>> {
    match (flags & remove != 0, flags & keep != 0) {
        (true, true) => {
            let error = GuestError::Invalid(format!("cannot both keep and delete {what}"));
            Err(errors::guest(error))
        }
        (true, false) => Ok(Some(true)),
        (false, true) => Ok(Some(false)),
        (false, false) => Ok(None),
    }
}

fn shutdown_mode(flags: u32) -> ShutdownMode {
    match flags {
        SHUTDOWN_ACPI => ShutdownMode::Acpi,
        SHUTDOWN_AGENT => ShutdownMode::Agent,
        SHUTDOWN_INITCTL => ShutdownMode::Initctl,
        SHUTDOWN_SIGNAL => ShutdownMode::Signal,
        _ => ShutdownMode::Default,
    }
}

pub(super) async fn shutdown(session: &Session, args: DomainShutdownArgs) -> Answer<DomainShutdownResults> {
    let handle = session.guest(&args.dom)?;
    handle
        .shutdown(ShutdownMode::Default, session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainShutdownResults {})
}

pub(super) async fn shutdown_flags(
    session: &Session,
    args: DomainShutdownFlagsArgs,
) -> Answer<DomainShutdownFlagsResults> {
    only_flags(
        args.flags,
        session.by_driver(SHUTDOWN_OF_QEMU, SHUTDOWN_OF_CONTAINERS),
        QEMU,
        "qemuDomainShutdownFlags",
    )?;
    let handle = session.guest(&args.dom)?;
    handle
        .shutdown(shutdown_mode(args.flags), session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainShutdownFlagsResults {})
}

pub(super) async fn reboot(session: &Session, args: DomainRebootArgs) -> Answer<DomainRebootResults> {
    only_flags(
        args.flags,
        session.by_driver(SHUTDOWN_OF_QEMU, SHUTDOWN_OF_CONTAINERS),
        QEMU,
        "qemuDomainReboot",
    )?;
    let handle = session.guest(&args.dom)?;
    handle
        .reboot(shutdown_mode(args.flags), session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainRebootResults {})
}

pub(super) async fn reset(session: &Session, args: DomainResetArgs) -> Answer<DomainResetResults> {
    only_flags(args.flags, 0, QEMU, "qemuDomainReset")?;
    session
        .guest(&args.dom)?
        .reset(session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainResetResults {})
}

pub(super) async fn suspend(session: &Session, args: DomainSuspendArgs) -> Answer<DomainSuspendResults> {
    session
        .guest(&args.dom)?
        .suspend(session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainSuspendResults {})
}

pub(super) async fn resume(session: &Session, args: DomainResumeArgs) -> Answer<DomainResumeResults> {
    session
        .guest(&args.dom)?
        .resume(session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainResumeResults {})
}

pub(super) async fn set_autostart(
    session: &Session,
    args: DomainSetAutostartArgs,
) -> Answer<DomainSetAutostartResults> {
    let handle = session.guest(&args.dom)?;
    handle
        .set_autostart(args.autostart != 0, session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainSetAutostartResults {})
}

pub(super) async fn rename(session: &Session, args: DomainRenameArgs) -> Answer<DomainRenameResults> {
    let refuse = |text: &str| {
        let function = "virDomainRename";
        Err(ErrorReply::bad_argument(
            ErrorDomain::Domain,
            text.replace('%', function),
            function,
            "new_name",
        ))
    };
    let Some(name) = args.new_name else {
        return refuse("new_name in % must not be NULL");
    };
    if name.is_empty() {
        return refuse("string new_name in % must not be empty");
    }
    only_flags(args.flags, 0, QEMU, "qemuDomainRename")?;
    session
        .guest(&args.dom)?
        .rename(&name, session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainRenameResults { retcode: 0 })
}

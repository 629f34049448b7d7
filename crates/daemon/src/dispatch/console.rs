//! What of a guest is opened rather than asked for: its consoles and channels as streams, its namespaces as descriptors.

use std::os::fd::OwnedFd;
use std::path::Path;

use ferrovirt_guest::CharDevice;
use ferrovirt_sys::terminal::Terminal;
use ferrovirt_wire::lxc::DomainOpenNamespaceArgs;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};
use tokio::net::UnixStream;

use super::{Session, only_flags};
use crate::errors;
use crate::stream::{Endpoint, Seat};

type Answer<T> = Result<T, ErrorReply>;

/// Whoever has the console loses it.
const FORCE: u32 = 1;
/// Fail if two could have the console at the same time: here they never can.
const SAFE: u32 = 2;

pub(super) async fn open_console(
    session: &Session,
    args: DomainOpenConsoleArgs,
) -> Answer<(DomainOpenConsoleResults, Endpoint)> {
    only_flags(
        args.flags,
        FORCE | SAFE,
        ErrorDomain::Qemu,
        "qemuDomainOpenConsole",
    )?;
    let guest = session.guest(&args.dom)?;
    let device = guest.console(args.dev_name.as_deref()).map_err(errors::guest)?;
    let busy = "Active console session exists for this domain";
    let seat = sit_down(session, &device, args.flags & FORCE != 0, busy).await?;
    let terminal = Terminal::open(&device.path).map_err(|error| cannot_open(&device.path, &error))?;
    let endpoint = Endpoint::both(terminal.clone(), terminal);
    Ok((DomainOpenConsoleResults {}, still_there(&device, seat, endpoint)?))
}

pub(super) async fn open_channel(
    session: &Session,
    args: DomainOpenChannelArgs,
) -> Answer<(DomainOpenChannelResults, Endpoint)> {
    only_flags(args.flags, FORCE, ErrorDomain::Qemu, "qemuDomainOpenChannel")?;
    let guest = session.guest(&args.dom)?;
    let device = guest.channel(args.name.as_deref()).map_err(errors::guest)?;
    let busy = "Active channel stream exists for this domain";
    let seat = sit_down(session, &device, args.flags & FORCE != 0, busy).await?;
    let connected = UnixStream::connect(&device.path).await;
    let (source, sink) = connected
        .map_err(|error| cannot_open(&device.path, &error))?
        .into_split();
    let endpoint = Endpoint::both(source, sink);
    Ok((DomainOpenChannelResults {}, still_there(&device, seat, endpoint)?))
}

async fn sit_down(session: &Session, device: &CharDevice, force: bool, busy: &str) -> Answer<Seat> {
    let seat = session.host.seats.take(&device.path, force).await;
    seat.ok_or_else(|| ErrorReply::new(ErrorCode::OperationFailed, ErrorDomain::Qemu, busy))
}

/// A path may belong to somebody else as soon as the guest is gone; while its process is there, it does not.
fn still_there(device: &CharDevice, seat: Seat, endpoint: Endpoint) -> Answer<Endpoint> {
    if device.process.is_some_and(|process| !process.is_alive()) {
        let text = "domain is not running";
        return Err(ErrorReply::new(
            ErrorCode::OperationInvalid,
            ErrorDomain::Domain,
            text,
        ));
    }
    Ok(endpoint.until(seat.lost().clone()).keeping(seat))
}

fn cannot_open(path: &Path, error: &std::io::Error) -> ErrorReply {
    let reason = error
        .raw_os_error()
        .map_or_else(|| error.to_string(), ferrovirt_sys::errno_text);
    let text = format!("unable to open tty '{}': {reason}", path.display());
    ErrorReply::new(ErrorCode::SystemError, ErrorDomain::Streams, text)
}

/// Only reached on connections to a driver that has containers.
pub(super) fn open_namespace(session: &Session, args: DomainOpenNamespaceArgs) -> Answer<Vec<OwnedFd>> {
    only_flags(args.flags, 0, ErrorDomain::Lxc, "lxcDomainLxcOpenNamespace")?;
    let guest = session.guest(&args.dom)?;
    guest.namespaces().map_err(errors::guest)
}

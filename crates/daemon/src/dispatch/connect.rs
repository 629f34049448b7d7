//! The connection itself: opening, closing, features.

use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorDomain, ErrorReply, List};

use super::uri::{Scheme, Uri};
use super::{Opened, Session};
use crate::access;

/// CONNECT_OPEN: reading only.
const READ_ONLY: u32 = 1;
/// The version of libvirt whose behaviour clients get, as libvirt writes it in one number.
const LIBVIRT_VERSION: u64 = 11_003_000;
/// AUTH_LIST: nothing to do.
const AUTH_NONE: i32 = 0;
/// Feature: the client answers pings.
const FEATURE_KEEPALIVE: i32 = 10;
/// Features that every connection has: descriptors, typed parameters that are strings, events by callback, close
/// callbacks, the right order of NETWORK_UPDATE's arguments.
const FEATURES: &[i32] = &[8, 9, FEATURE_KEEPALIVE, 14, 15, 16];

/// While the machine boots, clients find the networks up that are marked autostart, as they do with libvirt; only a hook
/// that one of these networks waits for must not wait for them.
pub(super) async fn open(session: &Session, args: ConnectOpenArgs) -> Result<ConnectOpenResults, ErrorReply> {
    let already = || ErrorReply::internal(ErrorDomain::Rpc, "connection already open");
    if session.opened.get().is_some() {
        return Err(already());
    }
    let Some(name) = args.name else {
        return Err(ErrorReply::internal(ErrorDomain::Rpc, "connection not open"));
    };
    let uri = Uri::parse(&name, session.host.paths.privileged)?;
    if !session.in_a_hook {
        session.host.settled().await;
    }
    let opened = Opened {
        uri,
        read_only: session.peer.read_only || args.flags & READ_ONLY != 0,
    };
    session.opened.set(opened).map_err(|_| already())?;
    Ok(ConnectOpenResults {})
}

/// The connection closes itself behind this answer.
pub(super) fn close(_: &Session, _: ConnectCloseArgs) -> Result<ConnectCloseResults, ErrorReply> {
    Ok(ConnectCloseResults {})
}

pub(super) fn kind(session: &Session, _: ConnectGetTypeArgs) -> Result<ConnectGetTypeResults, ErrorReply> {
    let kind = match session.opened()?.uri.scheme {
        Scheme::Qemu => "QEMU",
        Scheme::Lxc => "LXC",
        Scheme::Network => "network",
    };
    Ok(ConnectGetTypeResults {
        kind: kind.to_owned(),
    })
}

pub(super) fn uri(session: &Session, _: ConnectGetUriArgs) -> Result<ConnectGetUriResults, ErrorReply> {
    Ok(ConnectGetUriResults {
        uri: session.opened()?.uri.text.clone(),
    })
}

pub(super) fn lib_version(
    _: &Session,
    _: ConnectGetLibVersionArgs,
) -> Result<ConnectGetLibVersionResults, ErrorReply> {
    Ok(ConnectGetLibVersionResults {
        lib_ver: LIBVIRT_VERSION,
    })
}

/// Keepalive is asked for before the connection is open, and asking for it switches it on.
pub(super) fn supports_feature(
    session: &Session,
    args: ConnectSupportsFeatureArgs,
) -> Result<ConnectSupportsFeatureResults, ErrorReply> {
    if args.feature == FEATURE_KEEPALIVE {
        session.peer.wants_keepalive();
    } else if session.opened.get().is_none() {
        return Err(access::not_open());
    }
    Ok(ConnectSupportsFeatureResults {
        supported: i32::from(FEATURES.contains(&args.feature)),
    })
}

/// Who may connect is decided by the sockets' owners and modes; whoever got through needs nothing more.
pub(super) fn auth_list(_: &Session, _: AuthListArgs) -> Result<AuthListResults, ErrorReply> {
    let types = List::new(vec![AUTH_NONE]).unwrap_or(List::empty());
    Ok(AuthListResults { types })
}

/// There is nothing to tell: the drivers live as long as the daemon.
pub(super) fn register_close_callback(
    _: &Session,
    _: ConnectRegisterCloseCallbackArgs,
) -> Result<ConnectRegisterCloseCallbackResults, ErrorReply> {
    Ok(ConnectRegisterCloseCallbackResults {})
}

pub(super) fn unregister_close_callback(
    _: &Session,
    _: ConnectUnregisterCloseCallbackArgs,
) -> Result<ConnectUnregisterCloseCallbackResults, ErrorReply> {
    Ok(ConnectUnregisterCloseCallbackResults {})
}

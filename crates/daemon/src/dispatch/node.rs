//! The host: its name, processors and memory, and what guests it can run.

use ferrovirt_guest::BackendError;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::xdr::{Char, FixedText};
use ferrovirt_wire::{ErrorDomain, ErrorReply, List};

use super::{Scheme, Session};
use crate::errors;

pub(super) fn hostname(
    _: &Session,
    _: ConnectGetHostnameArgs,
) -> Result<ConnectGetHostnameResults, ErrorReply> {
    let uname = rustix::system::uname();
    Ok(ConnectGetHostnameResults {
        hostname: uname.nodename().to_string_lossy().into_owned(),
    })
}

pub(super) fn info(session: &Session, _: NodeGetInfoArgs) -> Result<NodeGetInfoResults, ErrorReply> {
    let node = &session.host.node;
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Ok(NodeGetInfoResults {
        model: FixedText::new(&node.architecture),
        memory: node.memory_kib,
        cpus: number(node.cpus),
        mhz: number(node.mhz),
        nodes: number(node.numa_nodes),
        sockets: number(node.sockets),
        cores: number(node.cores),
        threads: number(node.threads),
    })
}

/// The emulator's version, which is asked once and remembered; for containers, the kernel's.
pub(super) async fn version(
    session: &Session,
    _: ConnectGetVersionArgs,
) -> Result<ConnectGetVersionResults, ErrorReply> {
    let hv_ver = match session.opened()?.uri.scheme {
        Scheme::Lxc => kernel_version(),
        Scheme::Qemu | Scheme::Network => {
            let qemu = session.host.guests.qemu.backend();
            qemu.version().await.map_err(emulator)?
        }
    };
    Ok(ConnectGetVersionResults { hv_ver })
}

/// 6.1.2 is 6001002, as libvirt writes versions.
fn kernel_version() -> u64 {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let plain = release.split(|c: char| !c.is_ascii_digit() && c != '.').next();
    let mut parts = plain
        .unwrap_or_default()
        .split('.')
        .map(|part| part.parse::<u64>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    part() * 1_000_000 + part() * 1_000 + part()
}

pub(super) async fn capabilities(
    session: &Session,
    _: ConnectGetCapabilitiesArgs,
) -> Result<ConnectGetCapabilitiesResults, ErrorReply> {
    let host = crate::node::host_uuid(&session.host.settings);
    let qemu = session.host.guests.qemu.backend();
    let capabilities = match (session.opened()?.uri.scheme, &session.host.guests.lxc) {
        (Scheme::Lxc, Some(lxc)) => lxc.backend().capabilities(host),
        _ => qemu.capabilities(host).await.map_err(emulator)?,
    };
    Ok(ConnectGetCapabilitiesResults { capabilities })
}

pub(super) async fn domain_capabilities(
    session: &Session,
    args: ConnectGetDomainCapabilitiesArgs,
) -> Result<ConnectGetDomainCapabilitiesResults, ErrorReply> {
    // Only models of other architectures have features that are out of use.
    const DISABLE_DEPRECATED_FEATURES: u32 = 1;
    super::only_flags(
        args.flags,
        DISABLE_DEPRECATED_FEATURES,
        ErrorDomain::Qemu,
        "qemuConnectGetDomainCapabilities",
    )?;
    let asked = ferrovirt_qemu::capabilities::Asked {
        emulator: args.emulatorbin.map(Into::into),
        arch: args.arch,
        machine: args.machine,
        virtualization: args.virttype,
    };
    let answer = session
        .host
        .guests
        .qemu
        .backend()
        .domain_capabilities(&asked)
        .await;
    let capabilities = answer.map_err(|error| errors::guest(error.into()))?;
    Ok(ConnectGetDomainCapabilitiesResults { capabilities })
}

fn emulator(error: ferrovirt_qemu::Error) -> ErrorReply {
    errors::guest(BackendError::from(error).into())
}

/// No security driver: clients are told so in libvirt's words.
pub(super) fn security_model(
    _: &Session,
    _: NodeGetSecurityModelArgs,
) -> Result<NodeGetSecurityModelResults, ErrorReply> {
    let text = |text: &[u8]| {
        List::new(text.iter().map(|byte| Char(*byte)).collect())
            .map_err(|error| ErrorReply::internal(ErrorDomain::Security, error.to_string()))
    };
    Ok(NodeGetSecurityModelResults {
        model: text(b"none\0")?,
        doi: text(b"0\0")?,
    })
}

//! Bytes that another host has.

use ferrovirt_model::domain::{DiskHost, DiskProtocol, DiskSource, HostTransport};

use super::Arguments;
use super::json::Object;
use crate::error::{Error, Result};

/// The driver of the bytes with what it needs.
///
/// # Errors
/// What this driver does not reach, named.
pub(super) fn storage(source: &DiskSource, node: &str, args: &mut Arguments) -> Result<Object> {
    let Some(protocol) = source.protocol else {
        return Err(Error::Failed(
            "a disk of type 'network' has no protocol".to_owned(),
        ));
    };
    let name = source.name.as_deref().unwrap_or_default();
    match protocol {
        DiskProtocol::Nbd => nbd(source, node, args),
        DiskProtocol::Rbd => rbd(source, name),
        DiskProtocol::Iscsi => iscsi(source, name),
        DiskProtocol::Http | DiskProtocol::Https | DiskProtocol::Ftp | DiskProtocol::Ftps => {
            if source.hosts.len() != 1 {
                return Err(Error::Failed(format!(
                    "protocol '{protocol}' accepts only one host"
                )));
            }
            Ok(Object::driver(protocol.as_str())
                .text("url", &url(protocol, source, name))
                .maybe_unsigned("readahead", source.readahead)
                .maybe_unsigned("timeout", source.timeout)
                .maybe_boolean("sslverify", source.ssl_verify))
        }
        DiskProtocol::Ssh => ssh(source, name),
        DiskProtocol::Nfs => {
            let host = Object::default()
                .text("host", first(source)?.name.as_deref().unwrap_or_default())
                .text("type", "inet");
            let object = Object::driver("nfs").object("server", &host).text("path", name);
            match &source.identity {
                Some(_) => Err(Error::unsupported(
                    "<identity> of an NFS disk is not supported by this driver",
                )),
                None => Ok(object),
            }
        }
        DiskProtocol::Gluster => gluster(source, name),
        DiskProtocol::Sheepdog | DiskProtocol::Tftp | DiskProtocol::Vxhs => Err(Error::unsupported(format!(
            "disk protocol '{protocol}' is not supported by this driver"
        ))),
    }
}

fn first(source: &DiskSource) -> Result<&DiskHost> {
    source
        .hosts
        .first()
        .ok_or_else(|| Error::unsupported("a network disk needs a <host>"))
}

/// Name and port of a host.
fn inet(host: &DiskHost) -> Object {
    let port = host.port.map(|port| port.to_string());
    Object::default()
        .text("host", host.name.as_deref().unwrap_or_default())
        .text("port", port.as_deref().unwrap_or("0"))
}

fn server(host: &DiskHost) -> Result<Object> {
    match host.transport {
        Some(HostTransport::Unix) => Ok(Object::default()
            .text("type", "unix")
            .text("path", host.socket.as_deref().unwrap_or_default())),
        Some(HostTransport::Rdma) => Err(Error::Failed(
            "transport protocol 'rdma' is not yet supported".to_owned(),
        )),
        Some(HostTransport::Tcp) | None => Ok(Object::default().text("type", "inet").append(&inet(host))),
    }
}

/// Where the certificates for encrypted connections are.
const CERTIFICATES: &str = "/etc/pki/qemu";

fn nbd(source: &DiskSource, node: &str, args: &mut Arguments) -> Result<Object> {
    let host = first(source)?;
    if source.hosts.len() > 1 {
        return Err(Error::Failed("nbd protocol accepts only one host".to_owned()));
    }
    let credentials = (source.tls == Some(true)).then(|| format!("obj{node}_tls0"));
    if let Some(id) = &credentials {
        let object = Object::default()
            .text("qom-type", "tls-creds-x509")
            .text("id", id)
            .text("dir", CERTIFICATES)
            .text("endpoint", "client")
            .boolean("verify-peer", true);
        args.add("-object", object.finish());
    }
    let delay = source.reconnect.as_ref().and_then(|again| again.delay);
    Ok(Object::driver("nbd")
        .object("server", &server(host)?)
        .maybe_text("export", source.name.as_deref())
        .maybe_text("tls-creds", credentials.as_deref())
        .maybe_text(
            "tls-hostname",
            source.tls_hostname.as_deref().filter(|_| credentials.is_some()),
        )
        .maybe_number("reconnect-delay", delay))
}

fn rbd(source: &DiskSource, name: &str) -> Result<Object> {
    let Some((pool, image)) = name.split_once('/') else {
        return Err(Error::unsupported(format!(
            "can't split path '{name}' into pool name and image name"
        )));
    };
    let hosts: Vec<Object> = source.hosts.iter().map(inet).collect();
    Ok(Object::driver("rbd")
        .text("pool", pool)
        .text("image", image)
        .maybe_text("snapshot", source.snapshot.as_deref())
        .maybe_text("conf", source.config.as_deref())
        .maybe_list("server", &hosts))
}

fn gluster(source: &DiskSource, name: &str) -> Result<Object> {
    let (volume, path) = name.split_once('/').unwrap_or((name, ""));
    let hosts = source.hosts.iter().map(server).collect::<Result<Vec<Object>>>()?;
    Ok(Object::driver("gluster")
        .text("volume", volume)
        .text("path", path)
        .maybe_list("server", &hosts)
        .number("debug", 4))
}

fn iscsi(source: &DiskSource, name: &str) -> Result<Object> {
    let host = first(source)?;
    let (target, lun) = name.rsplit_once('/').unwrap_or((name, "0"));
    let lun: u32 = lun
        .parse()
        .map_err(|_| Error::unsupported(format!("cannot parse target for lunStr '{lun}'")))?;
    let initiator = source.initiator.as_ref().map(|initiator| initiator.iqn.as_str());
    Ok(Object::driver("iscsi")
        .text("portal", &authority(host))
        .text("target", target)
        .number("lun", lun)
        .text("transport", "tcp")
        .maybe_text("initiator-name", initiator))
}

/// `host:port`, with brackets around what has colons.
fn authority(host: &DiskHost) -> String {
    let name = host.name.as_deref().unwrap_or_default();
    let name = if name.contains(':') {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    match host.port {
        Some(port) => format!("{name}:{port}"),
        None => name,
    }
}

/// The address of a file, with what has a meaning in one escaped.
fn url(protocol: DiskProtocol, source: &DiskSource, name: &str) -> String {
    let host = source.hosts.first().map(authority).unwrap_or_default();
    let mut text = format!("{protocol}://{host}");
    if !name.starts_with('/') {
        text.push('/');
    }
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    if let Some(query) = &source.query {
        text.push('?');
        text.push_str(query);
    }
    text
}

fn ssh(source: &DiskSource, name: &str) -> Result<Object> {
    if source.identity.is_some() || source.known_hosts.is_some() {
        return Err(Error::unsupported(
            "<identity> and <knownHosts> of an SSH disk are not supported by this driver",
        ));
    }
    Ok(Object::driver("ssh")
        .text("path", name)
        .object("server", &inet(first(source)?)))
}

//! Where a disk's data is: what belongs to which kind of source, ports that are meant, who encrypts.

use super::{inconsistent, unsupported};
use crate::Kib;
use crate::domain::{
    AuthSecretType, BackingStore, DataStore, Disk, DiskAuth, DiskProtocol, DiskSource, DiskType,
    EncryptionEngine, HostTransport, MetadataCache, SourceKind,
};
use ferrovirt_xml::XmlError;

/// Completes the source of a disk and of all images below.
pub(super) fn normalize(disk: &mut Disk) -> Result<(), XmlError> {
    if let Some(source) = &mut disk.source {
        normalize_source(source, disk.kind)?;
    }
    if disk.auth.is_some() && disk.source.as_ref().is_some_and(|source| source.auth.is_some()) {
        return Err(inconsistent(
            "an <auth> definition already found for the <disk> definition",
        ));
    }
    if disk.encryption.is_some()
        && disk
            .source
            .as_ref()
            .is_some_and(|source| source.encryption.is_some())
    {
        return Err(inconsistent(
            "an <encryption> definition already found for the <disk> definition",
        ));
    }
    if let Some(auth) = &disk.auth {
        check_auth(auth, disk.source.as_ref().and_then(|source| source.protocol))?;
    }
    for encryption in disk.encryption.iter_mut() {
        encryption.engine.get_or_insert(EncryptionEngine::Qemu);
    }
    if let Some(driver) = &mut disk.driver {
        normalize_cache(&mut driver.metadata_cache)?;
    }
    let mut below = disk.backing_store.as_deref_mut();
    while let Some(store) = below {
        normalize_store(store)?;
        below = store.backing_store.as_deref_mut();
    }
    Ok(())
}

fn normalize_store(store: &mut BackingStore) -> Result<(), XmlError> {
    let Some(kind) = store.kind else { return Ok(()) };
    let Some(source) = &mut store.source else {
        return Err(inconsistent("missing disk backing store source"));
    };
    normalize_source(source, kind)?;
    let Some(format) = &mut store.format else {
        return Err(inconsistent("missing disk backing store format"));
    };
    normalize_cache(&mut format.metadata_cache)
}

/// A size in bytes; none and 0 are the same.
fn normalize_cache(cache: &mut Option<MetadataCache>) -> Result<(), XmlError> {
    if let Some(size) = cache.as_mut().and_then(|cache| cache.max_size.as_mut()) {
        size.value = Kib::bytes_of(size.value, &size.unit).map_err(inconsistent)?;
        size.unit = "bytes".to_owned();
    }
    let empty = |cache: &MetadataCache| cache.max_size.as_ref().is_none_or(|size| size.value == 0);
    cache.take_if(|cache| empty(cache));
    Ok(())
}

fn normalize_data(store: &mut DataStore) -> Result<(), XmlError> {
    let Some(source) = &mut store.source else {
        return Err(inconsistent("missing <source> in <dataStore>"));
    };
    normalize_source(source, store.kind)
}

/// Parts of a source that belong to some kinds only.
fn parts(source: &DiskSource) -> [(&'static str, bool, &'static [DiskType]); 27] {
    use DiskType::{Block, Dir, File, Network, Nvme, VhostUser, VhostVdpa, Volume};
    [
        ("file", source.file.is_some(), &[File]),
        ("dev", source.dev.is_some(), &[Block, VhostVdpa]),
        ("dir", source.dir.is_some(), &[Dir]),
        ("protocol", source.protocol.is_some(), &[Network]),
        ("name", source.name.is_some(), &[Network]),
        ("query", source.query.is_some(), &[Network]),
        ("tls", source.tls.is_some(), &[Network]),
        ("tlsHostname", source.tls_hostname.is_some(), &[Network]),
        ("pool", source.pool.is_some(), &[Volume]),
        ("volume", source.volume.is_some(), &[Volume]),
        ("mode", source.mode.is_some(), &[Volume]),
        ("type", source.kind.is_some(), &[Nvme, VhostUser]),
        ("path", source.path.is_some(), &[VhostUser]),
        ("managed", source.managed.is_some(), &[Nvme]),
        ("namespace", source.namespace.is_some(), &[Nvme]),
        ("host", !source.hosts.is_empty(), &[Network]),
        ("snapshot", source.snapshot.is_some(), &[Network]),
        ("config", source.config.is_some(), &[Network]),
        ("initiator", source.initiator.is_some(), &[Network]),
        ("readahead", source.readahead.is_some(), &[Network]),
        ("timeout", source.timeout.is_some(), &[Network]),
        ("identity", source.identity.is_some(), &[Network]),
        ("knownHosts", source.known_hosts.is_some(), &[Network]),
        (
            "seclabel",
            !source.labels.is_empty(),
            &[File, Block, Dir, Volume, Nvme],
        ),
        ("cookies", !source.cookies.is_empty(), &[Network]),
        ("ssl", source.ssl_verify.is_some(), &[Network]),
        ("reconnect", source.reconnect.is_some(), &[Network, VhostUser]),
    ]
}

fn normalize_source(source: &mut DiskSource, kind: DiskType) -> Result<(), XmlError> {
    for (name, there, kinds) in parts(source) {
        if there && !kinds.contains(&kind) {
            return Err(unsupported(format!(
                "'{name}' in the <source> of a disk of type '{kind}'"
            )));
        }
    }
    match kind {
        DiskType::Network => network(source)?,
        DiskType::Volume if source.pool.is_none() != source.volume.is_none() => {
            return Err(inconsistent(
                "'pool' and 'volume' must be specified together for 'pool' type source",
            ));
        }
        DiskType::Nvme => nvme(source)?,
        DiskType::VhostUser if source.kind != Some(SourceKind::Unix) || source.path.is_none() => {
            return Err(inconsistent(
                "vhostuser disk needs a <source type='unix' path='…'>",
            ));
        }
        _ => {}
    }
    // Labelled as the guest's other files are: nothing is said.
    source
        .labels
        .retain(|label| label.relabel.is_some() || label.label.is_some());
    for (at, label) in source.labels.iter().enumerate() {
        if source.labels[..at].iter().any(|other| other.model == label.model) {
            let model = label.model.as_deref().unwrap_or("");
            return Err(inconsistent(format!(
                "seclabel for model {model} is already provided"
            )));
        }
        if label.label.is_none() && label.relabel == Some(true) {
            return Err(inconsistent("Cannot specify relabel if label is missing"));
        }
        if label.label.is_some() && label.relabel == Some(false) {
            let model = label.model.as_deref().unwrap_or("");
            let text = format!("Cannot specify a label if relabelling is turned off. model={model}");
            return Err(inconsistent(text));
        }
    }
    for label in &mut source.labels {
        label.relabel.get_or_insert(true);
    }
    if let Some(auth) = &source.auth {
        check_auth(auth, source.protocol)?;
    }
    if let Some(encryption) = &mut source.encryption {
        encryption.engine.get_or_insert(EncryptionEngine::Qemu);
    }
    source
        .data_store
        .as_mut()
        .map_or(Ok(()), |store| normalize_data(store))
}

/// A secret is of the protocol's kind.
fn check_auth(auth: &DiskAuth, protocol: Option<DiskProtocol>) -> Result<(), XmlError> {
    let fitting = match protocol {
        Some(DiskProtocol::Rbd) => AuthSecretType::Ceph,
        Some(_) => AuthSecretType::Iscsi,
        None => return Ok(()),
    };
    match auth.secret.kind {
        None => Err(unsupported("unknown secret type in <auth> of a network disk")),
        Some(kind) if kind != fitting => Err(unsupported(format!("invalid secret type '{kind}'"))),
        _ if auth.secret.uuid.is_some() == auth.secret.usage.is_some() => {
            Err(inconsistent("a <secret> needs either 'uuid' or 'usage'"))
        }
        _ => Ok(()),
    }
}

fn nvme(source: &mut DiskSource) -> Result<(), XmlError> {
    if source.kind != Some(SourceKind::Pci) {
        return Err(inconsistent("unsupported source type for disk of type 'nvme'"));
    }
    source.managed.get_or_insert(true);
    match source.namespace {
        None => Err(inconsistent("missing 'namespace' attribute to disk source")),
        Some(0) => Err(inconsistent("NVMe namespace can't be zero")),
        Some(_) if source.address.is_none() => {
            Err(inconsistent("missing <address> of an 'nvme' disk source"))
        }
        Some(_) => Ok(()),
    }
}

fn network(source: &mut DiskSource) -> Result<(), XmlError> {
    let Some(protocol) = source.protocol else {
        return Err(inconsistent(
            "Missing required attribute 'protocol' in element 'source'",
        ));
    };
    if source.name.is_none() && protocol != DiskProtocol::Nbd {
        return Err(inconsistent("missing name for disk source"));
    }
    if protocol == DiskProtocol::Sheepdog {
        return Err(unsupported(
            "'sheepdog' protocol is no longer supported by any hypervisor driver",
        ));
    }
    let halves = matches!(protocol, DiskProtocol::Rbd | DiskProtocol::Gluster);
    if let Some(name) = source.name.as_ref().filter(|name| halves && !name.contains('/')) {
        let text = format!("can't split path '{name}' into pool name and image name");
        return Err(inconsistent(text));
    }
    for host in &mut source.hosts {
        host.transport
            .take_if(|transport| *transport == HostTransport::Tcp);
        match host.transport {
            Some(HostTransport::Unix) if host.socket.is_none() => {
                return Err(inconsistent("missing socket for unix transport"));
            }
            Some(HostTransport::Unix) => {}
            _ if host.socket.is_some() => {
                let transport = host.transport.unwrap_or(HostTransport::Tcp);
                return Err(inconsistent(format!(
                    "transport '{transport}' does not support socket attribute"
                )));
            }
            _ if host.name.is_none() => return Err(inconsistent("missing name for host")),
            Some(_) => {}
            None => host.port = host.port.filter(|port| *port > 0).or(protocol.usual_port()),
        }
    }
    let iscsi_lun = protocol == DiskProtocol::Iscsi;
    if let Some(name) = source
        .name
        .as_mut()
        .filter(|name| iscsi_lun && !name.contains('/'))
    {
        // libvirt's parser names the unit that is meant.
        name.push_str("/0");
    }
    Ok(())
}

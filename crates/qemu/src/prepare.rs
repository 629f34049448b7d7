//! Between the ports and the `start` hook (R31): names, images, directories, sockets' paths, taps, labels. The first
//! look at anything of the host: the `prepare` hook may have made it.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ferrovirt_guest::{BackendError, PRIVATE_DEV, Run, Step};
use ferrovirt_host::Passthrough;
use ferrovirt_link::Links;
use ferrovirt_model::domain::{Domain, ModelFallback};
use ferrovirt_sys::blocking;

use crate::config::QemuConfig;
use crate::error::{Error, Result};
use crate::live::socket::Ports;
use crate::live::{alias, file_backends, image, nvram, socket, tap, tpm};
use crate::places::Places;
use crate::{hostdev, launch, ownership};

/// Kind of the step that stands for directories, sockets, pid file and control groups.
pub const STEP: &str = "run";

/// Descriptors that wait for QEMU, by the alias of their device.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Taps and files.
    pub descriptors: Vec<(String, OwnedFd)>,
}

/// Prepares a run.
///
/// # Errors
/// Something is missing or cannot be made; what was made is undone by the release.
pub async fn prepare(
    run: &mut Run,
    config: &QemuConfig,
    links: &Links,
    ports: &Ports,
    passthrough: &Passthrough,
) -> std::result::Result<Prepared, BackendError> {
    run.doc = inspected(run.doc.clone()).await?;
    let places = Places::of_run(config, run);
    alias::assign(&mut run.doc);
    ownership::label(&mut run.doc, config);
    hostdev::check(&run.doc, passthrough)?;
    settle_model(&mut run.doc);
    socket::channels(&mut run.doc, &places.channel_dir);
    socket::displays(&mut run.doc, ports, &config.vnc_listen)?;
    socket::own_displays(&mut run.doc, &places.guest_dir);
    run.monitor = Some(places.monitor());
    launch::name_scope(run)?;
    if config.private_dev && config.privileged {
        run.facts.insert(PRIVATE_DEV.to_owned(), "yes".to_owned());
    }
    run.journal(Step::new(STEP)).await?;
    hostdev::prepare(run, passthrough, links).await?;
    let mut prepared = blocking::here(|| {
        places.make(config)?;
        places.make_memory(&run.doc, config)?;
        let again = run.facts.contains_key(ferrovirt_guest::RESET_NVRAM);
        nvram::make(&run.doc, config, again)?;
        let mut prepared = opened_files(&run.doc)?;
        prepared.descriptors.extend(tpm::open(&run.doc)?);
        Ok::<_, Error>(prepared)
    })?;
    for interface in &mut run.doc.devices.interfaces {
        if let Some((fd, name)) = tap::make(links, interface).await? {
            prepared
                .descriptors
                .push((interface.info.alias.clone().unwrap_or_default(), fd));
            let others = blocking::here(|| tap::others(interface, &name))?;
            prepared.descriptors.extend(others);
        }
    }
    blocking::here(|| {
        prepared.descriptors.extend(vsocks(&mut run.doc)?);
        stores(&run.doc)
    })?;
    ownership::take(run, config).await?;
    Ok(prepared)
}

/// From the start on no other model of CPU is taken than the one that was named.
fn settle_model(doc: &mut Domain) {
    if let Some(model) = doc.cpu.as_mut().and_then(|cpu| cpu.model.as_mut()) {
        model.fallback = Some(ModelFallback::Forbid);
    }
}

/// The host's side of sockets between it and the guest; an address that is chosen goes into the document.
fn vsocks(doc: &mut Domain) -> Result<Vec<(String, OwnedFd)>> {
    let mut descriptors = Vec::new();
    for vsock in &mut doc.devices.vsocks {
        let cid = vsock.cid.get_or_insert_default();
        let wanted = cid.address.filter(|_| cid.auto != Some(true));
        let device = Path::new("/dev/vhost-vsock");
        let (fd, address) = ferrovirt_sys::vsock::open(wanted)
            .map_err(Error::io("unable to set a guest address on", device))?;
        cid.address = Some(address);
        descriptors.push((vsock.info.alias.clone().unwrap_or_default(), fd));
    }
    Ok(descriptors)
}

/// Files for the last words of kernels, of the size that QEMU wants.
fn stores(doc: &Domain) -> Result<()> {
    for store in &doc.devices.pstores {
        let path = Path::new(store.path.as_deref().unwrap_or_default());
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io("Cannot create directory", dir))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::io("Failed to create file", path))?;
        let size = store.size.unwrap_or_default().bytes();
        if file
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() < size)
        {
            file.set_len(size)
                .map_err(Error::io("Cannot set size of", path))?;
        }
    }
    Ok(())
}

/// Reads images' headers beside the runtime: a disk may be slow.
async fn inspected(doc: Domain) -> Result<Domain> {
    let looked = tokio::task::spawn_blocking(move || {
        let mut doc = doc;
        image::inspect(&mut doc).map(|()| doc)
    });
    looked
        .await
        .map_err(|error| Error::Failed(format!("looking at the guest's images failed: {error}")))?
}

fn opened_files(doc: &Domain) -> Result<Prepared> {
    let mut prepared = Prepared::default();
    for (alias, backend) in file_backends(doc) {
        let path = backend.path().unwrap_or_default().to_owned();
        let append = backend.source.as_ref().and_then(|source| source.append) == Some(true);
        prepared
            .descriptors
            .push((alias, open_file(Path::new(&path), append)?));
    }
    Ok(prepared)
}

/// A file that a character device writes to; the daemon opens it, QEMU may not have the right.
fn open_file(path: &Path, append: bool) -> Result<OwnedFd> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(0o2000) // O_APPEND: QEMU's descriptor set asks for it
        .open(path)
        .map_err(|source| Error::Io {
            what: "Failed to create file",
            path: path.to_owned(),
            source,
        })?;
    if !append && file.metadata().is_ok_and(|meta| meta.is_file()) {
        file.set_len(0)
            .map_err(Error::io("Failed to truncate file", path))?;
    }
    Ok(file.into())
}

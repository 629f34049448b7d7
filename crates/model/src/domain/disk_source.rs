//! `<source>` of a disk: where the data is, on this host or another, and what lies below.

use super::disk::{Disk, DiskType, MetadataCache};
use super::encryption::{DiskAuth, Encryption};
use super::host_bus::HostPciAddress;
use super::seclabel::DeviceLabel;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Form, Xml};

/// What a missing source leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum StartupPolicy {
    /// The start fails.
    Mandatory,
    /// The drive is empty, except at a start by the user.
    Requisite,
    /// The drive is empty.
    Optional,
}

/// How data on another host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum DiskProtocol {
    /// Network block device.
    Nbd,
    /// Ceph.
    Rbd,
    /// Sheepdog.
    Sheepdog,
    /// Gluster.
    Gluster,
    /// iSCSI.
    Iscsi,
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// FTP.
    Ftp,
    /// FTP over TLS.
    Ftps,
    /// TFTP.
    Tftp,
    /// SSH.
    Ssh,
    /// Veritas HyperScale.
    Vxhs,
    /// NFS.
    Nfs,
}

impl DiskProtocol {
    /// The port that is meant where none is named.
    pub fn usual_port(self) -> Option<u16> {
        Some(match self {
            DiskProtocol::Nbd => 10809,
            DiskProtocol::Sheepdog => 7000,
            DiskProtocol::Gluster => 24007,
            DiskProtocol::Iscsi => 3260,
            DiskProtocol::Http => 80,
            DiskProtocol::Https => 443,
            DiskProtocol::Ftp => 21,
            DiskProtocol::Ftps => 990,
            DiskProtocol::Tftp => 69,
            DiskProtocol::Ssh => 22,
            DiskProtocol::Vxhs => 9999,
            DiskProtocol::Rbd | DiskProtocol::Nfs => return None,
        })
    }
}

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum HostTransport {
    /// TCP.
    Tcp,
    /// A socket of this host.
    Unix,
    /// RDMA.
    Rdma,
}

/// `<host>`: who has the data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskHost {
    /// Name or address.
    #[xml(attr)]
    pub name: Option<String>,
    /// Port.
    #[xml(attr)]
    pub port: Option<u16>,
    /// What carries the bytes; TCP where nothing is said.
    #[xml(attr)]
    pub transport: Option<HostTransport>,
    /// Path of the socket.
    #[xml(attr)]
    pub socket: Option<String>,
}

/// `<initiator>`: as who an iSCSI target is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Initiator {
    /// Qualified name.
    #[xml(child = "iqn", attr = "name")]
    pub iqn: String,
}

/// `<cookie>` of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Cookie {
    /// Its name.
    #[xml(attr)]
    pub name: String,
    /// Its value.
    #[xml(text)]
    pub value: String,
}

/// `<identity>`: as who SSH or NFS is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskIdentity {
    /// User (NFS).
    #[xml(attr)]
    pub user: Option<String>,
    /// Group (NFS).
    #[xml(attr)]
    pub group: Option<String>,
    /// User (SSH).
    #[xml(attr)]
    pub username: Option<String>,
    /// File with the key (SSH).
    #[xml(attr)]
    pub keyfile: Option<String>,
    /// Socket of the agent (SSH).
    #[xml(attr)]
    pub agentsock: Option<String>,
}

/// `<reconnect>`: is a lost connection made anew?
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskReconnect {
    /// Is it (vhost-user)?
    #[xml(attr, with = "yes_no")]
    pub enabled: Option<bool>,
    /// After so many seconds (vhost-user).
    #[xml(attr)]
    pub timeout: Option<u32>,
    /// For so many seconds (NBD).
    #[xml(attr)]
    pub delay: Option<u32>,
}

/// `<slice>`: the part of the storage that holds the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct DiskSlice {
    /// Of what it is a part.
    #[xml(attr = "type")]
    pub kind: SliceType,
    /// Where it begins, in bytes.
    #[xml(attr)]
    pub offset: u64,
    /// How long it is, in bytes.
    #[xml(attr)]
    pub size: u64,
}

/// Of what a slice is a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SliceType {
    /// Of the storage.
    Storage,
}

/// `<source>` in `<reservations>`: who keeps persistent reservations.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct ReservationsSource {
    /// Always `unix`.
    #[xml(attr = "type")]
    pub kind: ReservationsKind,
    /// Path of its socket.
    #[xml(attr)]
    pub path: String,
    /// Always `client`.
    #[xml(attr)]
    pub mode: ReservationsMode,
}

/// A socket of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum ReservationsKind {
    /// The only kind.
    Unix,
}

/// On which side of a socket the hypervisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum ReservationsMode {
    /// It connects.
    Client,
}

/// `<reservations>`: persistent reservations of SCSI.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Reservations {
    /// Is the one who keeps them started with the guest?
    #[xml(attr, with = "yes_no")]
    pub managed: bool,
    /// Who keeps them.
    pub source: Option<ReservationsSource>,
}

/// How a volume of a pool is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum VolumeMode {
    /// As a device of the host.
    Host,
    /// By the hypervisor itself.
    Direct,
}

/// What `type` of `<source>` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum SourceKind {
    /// A PCI device (NVMe).
    Pci,
    /// A socket (vhost-user).
    Unix,
}

/// `<source>`: where the data is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DiskSource {
    /// Path of a file.
    #[xml(attr)]
    pub file: Option<String>,
    /// Path of a block device.
    #[xml(attr)]
    pub dev: Option<String>,
    /// Path of a directory.
    #[xml(attr)]
    pub dir: Option<String>,
    /// How it is reached on another host.
    #[xml(attr)]
    pub protocol: Option<DiskProtocol>,
    /// Its name there.
    #[xml(attr)]
    pub name: Option<String>,
    /// What is added to the name of HTTP.
    #[xml(attr)]
    pub query: Option<String>,
    /// Is the connection encrypted?
    #[xml(attr, with = "yes_no")]
    pub tls: Option<bool>,
    /// Name that the certificate must have.
    #[xml(attr = "tlsHostname")]
    pub tls_hostname: Option<String>,
    /// A storage pool.
    #[xml(attr)]
    pub pool: Option<String>,
    /// Its volume.
    #[xml(attr)]
    pub volume: Option<String>,
    /// How the volume is reached.
    #[xml(attr)]
    pub mode: Option<VolumeMode>,
    /// What follows (NVMe, vhost-user).
    #[xml(attr = "type")]
    pub kind: Option<SourceKind>,
    /// Path of a vhost-user socket.
    #[xml(attr)]
    pub path: Option<String>,
    /// Is an NVMe device taken from the host's driver?
    #[xml(attr, with = "yes_no")]
    pub managed: Option<bool>,
    /// Namespace of an NVMe device.
    #[xml(attr)]
    pub namespace: Option<u64>,
    /// What its absence leads to.
    #[xml(attr = "startupPolicy")]
    pub startup_policy: Option<StartupPolicy>,
    /// Number of this image among all of the running guest.
    #[xml(attr, live)]
    pub index: Option<u32>,
    /// Which NVMe device.
    pub address: Option<HostPciAddress>,
    /// Who has it.
    #[xml(name = "host")]
    pub hosts: Vec<DiskHost>,
    /// Snapshot that is meant.
    #[xml(child = "snapshot", attr = "name")]
    pub snapshot: Option<String>,
    /// Configuration file (Ceph).
    #[xml(child = "config", attr = "file")]
    pub config: Option<String>,
    /// As who iSCSI is asked.
    pub initiator: Option<Initiator>,
    /// Are certificates checked?
    #[xml(child = "ssl", attr = "verify", with = "yes_no")]
    pub ssl_verify: Option<bool>,
    /// Cookies of HTTP; they are secrets.
    #[xml(name = "cookie", within = "cookies", secret)]
    pub cookies: Vec<Cookie>,
    /// Bytes that are read ahead (HTTP).
    #[xml(child = "readahead", attr = "size")]
    pub readahead: Option<u64>,
    /// Seconds until a request is given up (HTTP).
    #[xml(child = "timeout", attr = "seconds")]
    pub timeout: Option<u64>,
    /// File with the hosts' keys (SSH).
    #[xml(child = "knownHosts", attr = "path")]
    pub known_hosts: Option<String>,
    /// As who SSH or NFS is asked.
    pub identity: Option<DiskIdentity>,
    /// Is a lost connection made anew?
    pub reconnect: Option<DiskReconnect>,
    /// The part that holds the data.
    #[xml(name = "slice", within = "slices")]
    pub slices: Vec<DiskSlice>,
    /// Labels of security drivers for this image.
    #[xml(name = "seclabel")]
    pub labels: Vec<DeviceLabel>,
    /// Who asks for it.
    pub auth: Option<DiskAuth>,
    /// How it is encrypted.
    pub encryption: Option<Encryption>,
    /// Persistent reservations.
    pub reservations: Option<Reservations>,
    /// The file with the data, where the image has only the map.
    #[xml(name = "dataStore")]
    pub data_store: Option<Box<DataStore>>,
}

impl DiskSource {
    /// The path on this host, of whichever kind.
    pub fn path(&self) -> Option<&str> {
        self.file.as_deref().or(self.dev.as_deref())
    }

    /// Does it say where the data is?
    pub fn is_somewhere(&self) -> bool {
        self.path().is_some_and(|path| !path.is_empty())
            || self.dir.is_some()
            || self.protocol.is_some()
            || self.pool.is_some()
            || self.kind.is_some()
    }

    /// Does it say more than what a run knows?
    pub(super) fn says_where(&self) -> bool {
        self.is_somewhere() || self.startup_policy.is_some()
    }
}

/// `<format>` of an image below another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct ImageFormat {
    /// `raw`, `qcow2`, …
    #[xml(attr = "type")]
    pub kind: String,
    /// How much of its map is kept in memory.
    #[xml(name = "metadata_cache")]
    pub metadata_cache: Option<MetadataCache>,
}

/// `<dataStore>`: the file with the data of an image that has only the map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DataStore {
    /// Where it is.
    #[xml(attr = "type")]
    pub kind: DiskType,
    /// Number of this image among all of the running guest.
    #[xml(attr, live)]
    pub index: Option<u32>,
    /// Its format.
    pub format: Option<ImageFormat>,
    /// Its place.
    pub source: Option<Box<DiskSource>>,
}

/// `<backingStore>`: the image under an image. Without a type it is the end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BackingStore {
    /// Where the data is; `None` at the end of the chain.
    #[xml(attr = "type")]
    pub kind: Option<DiskType>,
    /// Number of this image among all of the running guest.
    #[xml(attr, live)]
    pub index: Option<u32>,
    /// Its format.
    pub format: Option<ImageFormat>,
    /// Its place.
    pub source: Option<Box<DiskSource>>,
    /// The image under this one.
    #[xml(name = "backingStore", when = "BackingStore::shows_next")]
    pub backing_store: Option<Box<BackingStore>>,
    /// Was it found in the image, rather than given by the user? Then only the live form shows it.
    #[xml(skip)]
    pub detected: bool,
}

impl BackingStore {
    /// The name of its format, where it has one.
    pub fn format_name(&self) -> Option<&str> {
        self.format.as_ref().map(|format| format.kind.as_str())
    }

    fn shows_next(&self, form: &Form) -> bool {
        shown(&self.backing_store, form)
    }
}

/// A chain that was found in the image belongs to the run, one that the user gave to the definition.
fn shown(store: &Option<Box<BackingStore>>, form: &Form) -> bool {
    !form.inactive || store.as_ref().is_some_and(|store| !store.detected)
}

impl Disk {
    pub(super) fn shows_source(&self, form: &Form) -> bool {
        !form.inactive || self.source.as_ref().is_some_and(DiskSource::says_where)
    }

    pub(super) fn shows_backing_store(&self, form: &Form) -> bool {
        shown(&self.backing_store, form)
    }
}

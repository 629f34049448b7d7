//! `<encryption>` and `<auth>` of a disk. What they need of secrets is kept elsewhere and only named here.

use crate::Uuid;
use ferrovirt_xml::Xml;

/// How data is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum EncryptionFormat {
    /// As the storage likes.
    Default,
    /// The old way of qcow.
    Qcow,
    /// LUKS.
    Luks,
    /// LUKS, second version.
    Luks2,
    /// Either version of LUKS.
    LuksAny,
}

/// Who encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum EncryptionEngine {
    /// The hypervisor.
    Qemu,
    /// The library of Ceph.
    Librbd,
}

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum EncryptionSecretType {
    /// A passphrase.
    Passphrase,
}

/// `<secret>` of an encryption.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct EncryptionSecret {
    /// What it is.
    #[xml(attr = "type")]
    pub kind: EncryptionSecretType,
    /// Which secret.
    #[xml(attr)]
    pub uuid: Option<Uuid>,
    /// For what it is used.
    #[xml(attr)]
    pub usage: Option<String>,
}

/// `<cipher>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Cipher {
    /// Its name: `aes`.
    #[xml(attr)]
    pub name: String,
    /// Bits of the key.
    #[xml(attr)]
    pub size: u32,
    /// Mode: `cbc`, `xts`.
    #[xml(attr)]
    pub mode: Option<String>,
    /// Hash: `sha256`.
    #[xml(attr)]
    pub hash: Option<String>,
}

/// `<ivgen>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct IvGenerator {
    /// Its name: `essiv`.
    #[xml(attr)]
    pub name: String,
    /// Hash.
    #[xml(attr)]
    pub hash: Option<String>,
}

/// `<encryption>`: how data is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Encryption {
    /// How.
    #[xml(attr)]
    pub format: EncryptionFormat,
    /// Who does it; `normalize` fills it in.
    #[xml(attr)]
    pub engine: Option<EncryptionEngine>,
    /// With what.
    #[xml(name = "secret")]
    pub secrets: Vec<EncryptionSecret>,
    /// Cipher of a new volume.
    pub cipher: Option<Cipher>,
    /// Generator of a new volume.
    pub ivgen: Option<IvGenerator>,
}

/// What a secret of `<auth>` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum AuthSecretType {
    /// Ceph.
    Ceph,
    /// iSCSI and the like.
    Iscsi,
}

/// `<secret>` of `<auth>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct AuthSecret {
    /// What it is for.
    #[xml(attr = "type")]
    pub kind: Option<AuthSecretType>,
    /// Which secret.
    #[xml(attr)]
    pub uuid: Option<Uuid>,
    /// For what it is used.
    #[xml(attr)]
    pub usage: Option<String>,
}

/// `<auth>`: who asks for the data.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DiskAuth {
    /// The user.
    #[xml(attr)]
    pub username: String,
    /// The user's secret.
    pub secret: AuthSecret,
}

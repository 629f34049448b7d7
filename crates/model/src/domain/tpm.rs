//! `<tpm>`: a security chip. The host's own is handed through, a program plays one, or somebody else's program does.

use super::address::DeviceInfo;
use crate::Uuid;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Form, Rest, Xml, XmlError};

/// What the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TpmModel {
    /// The interface of old.
    TpmTis,
    /// The interface that version 2.0 brought.
    TpmCrb,
    /// That of POWER.
    TpmSpapr,
    /// What POWER hands to a guest's hypervisor.
    SpaprTpmProxy,
}

/// Who is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum TpmBackendType {
    /// The host's chip.
    #[default]
    Passthrough,
    /// A program that is started with the guest (swtpm).
    Emulator,
    /// A program that somebody else has started.
    External,
}

/// Version of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TpmVersion {
    /// 1.2.
    #[xml(name = "1.2")]
    V1_2,
    /// 2.0.
    #[xml(name = "2.0")]
    V2_0,
}

/// `<device>`: the host's chip.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct TpmDevice {
    /// Its path.
    #[xml(attr)]
    pub path: Option<String>,
}

/// `<encryption>`: its storage is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct TpmEncryption {
    /// The secret with the key.
    #[xml(attr)]
    pub secret: Uuid,
}

/// `<active_pcr_banks>`: the kinds of digests that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub struct TpmPcrBanks {
    /// SHA-1.
    #[xml(flag)]
    pub sha1: bool,
    /// SHA-256.
    #[xml(flag)]
    pub sha256: bool,
    /// SHA-384.
    #[xml(flag)]
    pub sha384: bool,
    /// SHA-512.
    #[xml(flag)]
    pub sha512: bool,
}

impl TpmPcrBanks {
    /// Their names, in libvirt's order.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [
            ("sha1", self.sha1),
            ("sha256", self.sha256),
            ("sha384", self.sha384),
            ("sha512", self.sha512),
        ];
        all.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect()
    }
}

/// What a program's storage is, or how another's program is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TpmSourceType {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A socket of the file system.
    Unix,
}

/// How another's program is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TpmSourceMode {
    /// By calling it.
    Connect,
    /// By waiting for its call.
    Bind,
}

/// `<source>`: where a program keeps what the chip stores, or where somebody else's program listens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct TpmSource {
    /// What it is.
    #[xml(attr = "type")]
    pub kind: Option<TpmSourceType>,
    /// How it is reached.
    #[xml(attr)]
    pub mode: Option<TpmSourceMode>,
    /// Where it is.
    #[xml(attr)]
    pub path: Option<String>,
}

/// What becomes of algorithms that the host's own rules forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TpmRemoveDisabled {
    /// Those go that fail a test.
    Check,
    /// Those go that a host in FIPS mode forbids.
    FipsHost,
}

/// `<profile>`: which algorithms and commands the chip has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct TpmProfile {
    /// The profile that is asked for.
    #[xml(attr)]
    pub source: Option<String>,
    /// What becomes of forbidden algorithms.
    #[xml(attr = "removeDisabled")]
    pub remove_disabled: Option<TpmRemoveDisabled>,
    /// The profile that was taken.
    #[xml(attr)]
    pub name: Option<String>,
}

/// `<backend>`: who is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct TpmBackend {
    /// Which kind.
    #[xml(attr = "type")]
    pub kind: TpmBackendType,
    /// Version of the standard (a program).
    #[xml(attr)]
    pub version: Option<TpmVersion>,
    /// What it stores stays when the guest is undefined or is gone for good.
    #[xml(attr, with = "yes_no", shown = "TpmBackend::kept")]
    pub persistent_state: Option<bool>,
    /// How much the program tells in its log.
    #[xml(attr)]
    pub debug: Option<u32>,
    /// The host's chip.
    pub device: Option<TpmDevice>,
    /// How the storage is encrypted.
    pub encryption: Option<TpmEncryption>,
    /// The digests it keeps.
    pub active_pcr_banks: Option<TpmPcrBanks>,
    /// Storage, or socket.
    pub source: Option<TpmSource>,
    /// What it can do.
    pub profile: Option<TpmProfile>,
}

impl TpmBackend {
    /// Whether what it stores outlives the guest's definition.
    pub fn is_persistent(&self) -> bool {
        self.persistent_state == Some(true)
    }

    /// What goes without saying is not written.
    fn kept(&self, _form: &Form) -> Option<bool> {
        self.persistent_state.filter(|kept| *kept)
    }
}

/// `<tpm>`.
#[derive(Debug, Clone, PartialEq, Xml)]
pub struct Tpm {
    /// What the guest sees.
    #[xml(attr)]
    pub model: Option<TpmModel>,
    /// Who is behind it.
    #[xml(name = "backend")]
    pub backends: Vec<TpmBackend>,
    /// Alias, address.
    #[xml(flatten)]
    pub info: DeviceInfo,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Tpm {
    /// Who is behind it; one that was read has exactly one.
    pub fn backend(&self) -> Option<&TpmBackend> {
        self.backends.first()
    }

    /// Is it a chip of its own, rather than a way to another's?
    pub fn is_proxy(&self) -> bool {
        self.model == Some(TpmModel::SpaprTpmProxy)
    }
}

fn inconsistent(text: impl Into<String>) -> XmlError {
    XmlError::Inconsistent(text.into())
}

/// The host's chip when none is named.
const DEFAULT_DEVICE: &str = "/dev/tpm0";

impl Tpm {
    /// Fills in what is not said and refuses what cannot be, in libvirt's words. Parts that the kind of backend has no use
    /// for are refused, too.
    ///
    /// # Errors
    /// Parts are missing or contradict each other.
    pub(super) fn normalize(&mut self) -> Result<(), XmlError> {
        let backend = match self.backends.as_mut_slice() {
            [] => return Err(inconsistent("missing TPM device backend")),
            [backend] => backend,
            _ => return Err(inconsistent("only one TPM backend is supported")),
        };
        if let Some(part) = backend.out_of_place() {
            return Err(XmlError::Unsupported(format!(
                "a <tpm> with backend type '{}' has no {part}",
                backend.kind
            )));
        }
        match backend.kind {
            TpmBackendType::Passthrough => {
                let device = backend.device.get_or_insert_default();
                device.path.get_or_insert_with(|| DEFAULT_DEVICE.to_owned());
                Ok(())
            }
            TpmBackendType::Emulator => backend.normalize_emulator(),
            TpmBackendType::External => backend.normalize_external(),
        }
    }
}

impl TpmBackend {
    /// A part that says nothing to a backend of this kind.
    fn out_of_place(&self) -> Option<&'static str> {
        let emulator = [
            ("attribute 'version'", self.version.is_some()),
            ("attribute 'persistent_state'", self.persistent_state.is_some()),
            ("attribute 'debug'", self.debug.is_some()),
            ("element 'encryption'", self.encryption.is_some()),
            ("element 'active_pcr_banks'", self.active_pcr_banks.is_some()),
            ("element 'profile'", self.profile.is_some()),
        ];
        let device = ("element 'device'", self.device.is_some());
        let source = ("element 'source'", self.source.is_some());
        let first = |parts: &[(&'static str, bool)]| {
            let part = parts.iter().find(|(_, there)| *there);
            part.map(|(name, _)| *name)
        };
        match self.kind {
            TpmBackendType::Passthrough => first(&emulator).or(first(&[source])),
            TpmBackendType::Emulator => first(&[device]),
            TpmBackendType::External => first(&emulator).or(first(&[device])),
        }
    }

    fn normalize_emulator(&mut self) -> Result<(), XmlError> {
        self.debug.take_if(|level| *level == 0);
        self.active_pcr_banks.take_if(|banks| banks.names().is_empty());
        if let Some(source) = &self.source {
            match source.kind {
                Some(TpmSourceType::File | TpmSourceType::Dir) => {}
                Some(kind) => {
                    return Err(inconsistent(format!(
                        "Invalid value for attribute 'type' in element 'source': '{kind}'."
                    )));
                }
                None => {
                    return Err(inconsistent(
                        "Missing required attribute 'type' in element 'source'",
                    ));
                }
            }
            if source.path.is_none() {
                return Err(inconsistent("missing TPM source path"));
            }
            if source.mode.is_some() {
                return Err(XmlError::Unsupported(
                    "the storage of a <tpm> has no attribute 'mode'".to_owned(),
                ));
            }
        }
        if let Some(profile) = &self.profile
            && profile.source.is_none()
            && profile.name.is_none()
        {
            return Err(XmlError::Unsupported(
                "a <profile> of a <tpm> needs an attribute 'source'".to_owned(),
            ));
        }
        Ok(())
    }

    fn normalize_external(&mut self) -> Result<(), XmlError> {
        let Some(source) = self.source.as_mut() else {
            return Err(inconsistent("missing external TPM backend source type"));
        };
        match source.kind {
            None => return Err(inconsistent("missing external TPM backend source type")),
            Some(TpmSourceType::Unix) => {}
            Some(_) => {
                return Err(inconsistent(
                    "only source type 'unix' is supported for external TPM device",
                ));
            }
        }
        if source.path.is_none() {
            return Err(inconsistent("missing socket path for external TPM device"));
        }
        match source.mode.get_or_insert(TpmSourceMode::Connect) {
            TpmSourceMode::Connect => Ok(()),
            TpmSourceMode::Bind => Err(inconsistent(
                "only 'connect' mode is supported for external TPM device",
            )),
        }
    }

    /// What only version 2.0 has, once the version is known.
    ///
    /// # Errors
    /// It is asked of another one.
    pub fn check_version(&self) -> Result<(), XmlError> {
        if self.version == Some(TpmVersion::V2_0) {
            return Ok(());
        }
        let parts = [
            ("active_pcr_banks", self.active_pcr_banks.is_some()),
            ("profile", self.profile.is_some()),
        ];
        match parts.iter().find(|(_, there)| *there) {
            Some((part, _)) => Err(inconsistent(format!("<{part}/> requires TPM version '2.0'"))),
            None => Ok(()),
        }
    }
}

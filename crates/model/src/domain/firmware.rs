//! Parts of `<os>`: the firmware, and where it stores its variables.

use super::os::Os;
use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Xml, XmlError};

/// Which kind of firmware is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum FirmwareKind {
    /// The old one.
    Bios,
    /// UEFI.
    Efi,
}

/// What firmware can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Xml)]
pub enum FirmwareFeatureName {
    /// Keys of those who sign systems are in its store.
    EnrolledKeys,
    /// It starts signed programs only.
    SecureBoot,
}

/// `<feature>`: whether firmware shall be able to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Xml)]
pub struct FirmwareFeature {
    /// Whether it shall.
    #[xml(attr, with = "yes_no")]
    pub enabled: bool,
    /// What.
    #[xml(attr)]
    pub name: FirmwareFeatureName,
}

/// `<firmware>`: what the firmware shall be able to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Firmware {
    /// The features, each once.
    #[xml(name = "feature")]
    pub features: Vec<FirmwareFeature>,
}

impl Firmware {
    /// What is said of one feature.
    pub fn says(&self, name: FirmwareFeatureName) -> Option<bool> {
        let said = self.features.iter().find(|feature| feature.name == name);
        said.map(|feature| feature.enabled)
    }

    /// Says it, unless something is said already.
    pub fn say(&mut self, name: FirmwareFeatureName, enabled: bool) {
        if self.says(name).is_none() {
            self.features.push(FirmwareFeature { enabled, name });
            self.features.sort_by_key(|feature| feature.name);
        }
    }
}

/// How firmware is put into the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum LoaderType {
    /// As memory that cannot be written.
    Rom,
    /// As flash memory.
    Pflash,
}

/// Format of an image of firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum FirmwareFormat {
    /// As it is.
    Raw,
    /// QEMU's own.
    Qcow2,
}

/// `<loader>`: the firmware.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Loader {
    /// The guest cannot change it.
    #[xml(attr, with = "yes_no")]
    pub readonly: Option<bool>,
    /// Only system management mode reaches its store.
    #[xml(attr, with = "yes_no")]
    pub secure: Option<bool>,
    /// How it is put into the machine.
    #[xml(attr = "type")]
    pub kind: Option<LoaderType>,
    /// It stores nothing.
    #[xml(attr, with = "yes_no")]
    pub stateless: Option<bool>,
    /// Format of its image.
    #[xml(attr)]
    pub format: Option<FirmwareFormat>,
    /// Path of its image.
    #[xml(text)]
    pub path: Option<String>,
}

/// On what the variables are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum NvramType {
    /// A file.
    File,
    /// A block device.
    Block,
}

/// `<nvram><source>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct NvramSource {
    /// The file.
    #[xml(attr)]
    pub file: Option<String>,
    /// The block device.
    #[xml(attr)]
    pub dev: Option<String>,
}

/// `<nvram>`: where the firmware stores its variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Nvram {
    /// What is stored at first.
    #[xml(attr)]
    pub template: Option<String>,
    /// Format of that.
    #[xml(attr = "templateFormat")]
    pub template_format: Option<FirmwareFormat>,
    /// On what they are stored; without it the path stands for a file.
    #[xml(attr = "type")]
    pub kind: Option<NvramType>,
    /// Format of the store.
    #[xml(attr)]
    pub format: Option<FirmwareFormat>,
    /// The file.
    #[xml(text)]
    pub path: Option<String>,
    /// The file or device, where a type is said.
    pub source: Option<NvramSource>,
}

impl Nvram {
    /// The file or device.
    pub fn target(&self) -> Option<&str> {
        let source = self.source.as_ref();
        match self.kind {
            None => self.path.as_deref(),
            Some(NvramType::File) => source.and_then(|source| source.file.as_deref()),
            Some(NvramType::Block) => source.and_then(|source| source.dev.as_deref()),
        }
    }
}

impl Os {
    /// What contradicts itself, whatever firmware the host has.
    pub(crate) fn normalize_firmware(&mut self) -> Result<(), XmlError> {
        for path in [
            self.loader.as_mut().map(|loader| &mut loader.path),
            self.nvram.as_mut().map(|nvram| &mut nvram.path),
        ]
        .into_iter()
        .flatten()
        {
            path.take_if(|path| path.is_empty());
        }
        // Where a store has a source, the space around that is no path.
        if let Some(nvram) = self.nvram.as_mut().filter(|nvram| nvram.source.is_some()) {
            nvram.path.take_if(|path| path.trim().is_empty());
        }
        self.check_firmware()
            .map_err(|text| XmlError::Unsupported(text.to_owned()))?;
        self.firmware_features
            .take_if(|firmware| firmware.features.is_empty());
        let Some(nvram) = &self.nvram else { return Ok(()) };
        let of_type = nvram.kind.is_some();
        if of_type && nvram.target().is_none() || !of_type && nvram.source.is_some() {
            let text = "missing or unexpected 'source' in element 'nvram'".to_owned();
            return Err(XmlError::Inconsistent(text));
        }
        Ok(())
    }

    fn check_firmware(&self) -> Result<(), &'static str> {
        let features = self.firmware_features.clone().unwrap_or_default();
        let loader = self.loader.as_ref();
        let stores = self.nvram.is_some() || loader.and_then(|loader| loader.stateless) == Some(false);
        match self.firmware {
            Some(kind) => {
                let enrolled = features.says(FirmwareFeatureName::EnrolledKeys) == Some(true);
                if enrolled && features.says(FirmwareFeatureName::SecureBoot) == Some(false) {
                    return Err(
                        "firmware feature 'enrolled-keys' cannot be enabled when firmware feature 'secure-boot' is disabled",
                    );
                }
                if stores && kind != FirmwareKind::Efi {
                    return Err("Only EFI firmware permits NVRAM");
                }
            }
            None => {
                if !features.features.is_empty() {
                    return Err(
                        "cannot use feature-based firmware autoselection when firmware autoselection is disabled",
                    );
                }
                if loader.is_none() && self.nvram.is_none() {
                    return Ok(());
                }
                if loader.is_none_or(|loader| loader.path.is_none()) {
                    return Err("no loader path specified and firmware auto selection disabled");
                }
                if stores && loader.and_then(|loader| loader.kind) != Some(LoaderType::Pflash) {
                    return Err("Only pflash loader type permits NVRAM");
                }
            }
        }
        if loader.and_then(|loader| loader.stateless) == Some(true) {
            match &self.nvram {
                Some(nvram) if nvram.template.is_some() => {
                    return Err("NVRAM template is not permitted when loader is stateless");
                }
                Some(_) => return Err("NVRAM is not permitted when loader is stateless"),
                None => {}
            }
        }
        Ok(())
    }
}

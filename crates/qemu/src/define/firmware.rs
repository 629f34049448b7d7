//! Which firmware a guest has: what the host's descriptors (in `firmware/` below `/usr/share/qemu` and `/etc/qemu`) offer,
//! matched against what the document asks for, and where its variables are stored.

use std::path::{Path, PathBuf};

use ferrovirt_model::domain::{
    Domain, FirmwareFeatureName, FirmwareFormat, FirmwareKind, Loader, LoaderType, Nvram, Smm,
};
use serde::Deserialize;

use super::machine::Chipset;
use crate::error::{Error, Result};

/// Where descriptors lie; a name in a later place stands for the same name in an earlier one.
const PLACES: [&str; 2] = ["/usr/share/qemu/firmware", "/etc/qemu/firmware"];
/// Firmware of distributions without descriptors, with the template of its store.
const LEGACY: [(&str, &str); 2] = [
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    (
        "/usr/share/OVMF/OVMF_CODE.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
];
/// Larger files are no descriptors.
const LARGEST: u64 = 1 << 20;

/// What the host offers, and where stores are made.
#[derive(Debug, Clone, Default)]
pub struct Firmwares {
    /// The descriptors by their names.
    descriptors: Vec<Descriptor>,
    /// Firmware and the template of its store.
    pairs: Vec<(PathBuf, PathBuf)>,
    /// Where stores are made.
    stores: PathBuf,
}

/// A file that describes one firmware (QEMU's `docs/interop/firmware.json`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Descriptor {
    interface_types: Vec<String>,
    mapping: Mapping,
    targets: Vec<Target>,
    features: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "device", rename_all = "kebab-case")]
enum Mapping {
    #[serde(rename_all = "kebab-case")]
    Flash {
        mode: Option<String>,
        executable: Image,
        nvram_template: Option<Image>,
    },
    Memory {
        filename: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Deserialize)]
struct Image {
    filename: String,
    format: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    architecture: String,
    machines: Vec<String>,
}

impl Firmwares {
    /// Reads what the host has. A file that is no descriptor is passed over with a warning; an empty one takes away the
    /// one of the same name. `pairs` is what the administrator says of firmware and templates, if anything.
    #[must_use]
    pub fn of_host(pairs: Option<&[(PathBuf, PathBuf)]>, state_dir: &Path) -> Self {
        let usual = || {
            LEGACY
                .iter()
                .map(|(code, vars)| (code.into(), vars.into()))
                .collect()
        };
        Self {
            descriptors: read(&PLACES.map(PathBuf::from)),
            pairs: pairs.map_or_else(usual, <[_]>::to_vec),
            stores: state_dir.join("nvram"),
        }
    }
}

/// What documents for one machine type can ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// `<os firmware='efi'>` finds something.
    pub efi: bool,
    /// Secure boot can be asked for.
    pub secure: bool,
    /// Files that `<loader>` can name.
    pub loaders: Vec<String>,
}

impl Firmwares {
    /// What this host has for guests of this architecture and machine type.
    #[must_use]
    pub fn offer(&self, arch: &str, machine: &str) -> Offer {
        let mut offer = Offer::default();
        for descriptor in self
            .descriptors
            .iter()
            .filter(|own| own.is_for_machine(arch, machine))
        {
            if !descriptor.interface_types.iter().any(|kind| kind == "uefi") {
                continue;
            }
            let file = match &descriptor.mapping {
                Mapping::Flash { executable, .. } => &executable.filename,
                Mapping::Memory { filename } => filename,
                Mapping::Other => continue,
            };
            offer.efi = true;
            offer.secure |= descriptor.has("requires-smm") && descriptor.has("secure-boot");
            if !offer.loaders.contains(file) {
                offer.loaders.push(file.clone());
            }
        }
        if offer.loaders.is_empty() {
            let there = self
                .pairs
                .iter()
                .map(|(code, _)| code)
                .filter(|code| code.exists());
            offer.loaders = there.map(|code| code.display().to_string()).collect();
        }
        offer
    }
}

fn read(places: &[PathBuf]) -> Vec<Descriptor> {
    let mut files = std::collections::BTreeMap::new();
    for entry in places
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flatten()
    {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.insert(entry.file_name(), path);
        }
    }
    files.values().filter_map(|path| descriptor(path)).collect()
}

fn descriptor(path: &Path) -> Option<Descriptor> {
    let size = std::fs::metadata(path).ok()?.len();
    let text = (size > 0 && size <= LARGEST).then(|| std::fs::read_to_string(path).ok())??;
    match serde_json::from_str(&text) {
        Ok(descriptor) => Some(descriptor),
        Err(error) => {
            tracing::warn!("'{}' describes no firmware: {error}", path.display());
            None
        }
    }
}

fn format_of(name: &str) -> Option<FirmwareFormat> {
    name.parse().ok()
}

/// Whether a pattern with `*` stands for a name.
fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(head) else {
        return false;
    };
    (0..=name.len()).any(|at| name.is_char_boundary(at) && glob(rest, &name[at..]))
}

impl Descriptor {
    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|own| own == feature)
    }

    fn is_for(&self, doc: &Domain) -> bool {
        let machine = doc.os.kind.machine.as_deref().unwrap_or_default();
        self.is_for_machine(super::architecture(doc), machine)
    }

    fn is_for_machine(&self, arch: &str, machine: &str) -> bool {
        self.targets.iter().any(|target| {
            target.architecture == arch && target.machines.iter().any(|pattern| glob(pattern, machine))
        })
    }

    /// Whether it does what the document asks for, besides where its parts are.
    fn does(&self, doc: &Domain) -> bool {
        let asked = doc.os.firmware_features.clone().unwrap_or_default();
        let smm = doc.features.as_ref().and_then(|features| features.smm.as_ref());
        let loader = doc.os.loader.clone().unwrap_or_default();
        let sleeps = |state: Option<ferrovirt_model::domain::Power>| {
            state.and_then(|power| power.enabled) == Some(true)
        };
        let pm = doc.pm.clone().unwrap_or_default();
        let secure = self.has("requires-smm");
        [
            (
                asked.says(FirmwareFeatureName::SecureBoot),
                self.has("secure-boot"),
            ),
            (
                asked.says(FirmwareFeatureName::EnrolledKeys),
                self.has("enrolled-keys"),
            ),
            (loader.secure, secure),
        ]
        .into_iter()
        .all(|(asked, has)| asked.is_none_or(|asked| asked == has))
            && !(secure && smm.is_some_and(|smm| !smm.state))
            && (!sleeps(pm.suspend_to_mem) || self.has("acpi-s3"))
            && (!sleeps(pm.suspend_to_disk) || self.has("acpi-s4"))
    }

    /// Whether its parts are those that the document names.
    fn fits(&self, doc: &Domain) -> bool {
        let loader = doc.os.loader.clone().unwrap_or_default();
        let nvram = doc.os.nvram.clone().unwrap_or_default();
        match &self.mapping {
            Mapping::Flash {
                mode,
                executable,
                nvram_template,
            } => {
                let split = mode.as_deref().is_none_or(|mode| mode == "split");
                let stateless = mode.as_deref() == Some("stateless");
                let Some(format) = format_of(&executable.format) else {
                    return false;
                };
                let template = nvram_template.as_ref();
                let store = template.and_then(|template| format_of(&template.format));
                (split || stateless)
                    && loader.kind.is_none_or(|kind| kind == LoaderType::Pflash)
                    && loader.readonly != Some(false)
                    && (loader.stateless != Some(true) || stateless)
                    && !(stateless && (loader.stateless == Some(false) || doc.os.nvram.is_some()))
                    && loader.path.is_none_or(|path| path == executable.filename)
                    && loader.format.is_none_or(|asked| asked == format)
                    && nvram.format.is_none_or(|asked| Some(asked) == store)
                    && nvram.template_format.is_none_or(|asked| Some(asked) == store)
                    && nvram
                        .template
                        .is_none_or(|path| template.is_some_and(|template| template.filename == path))
            }
            Mapping::Memory { filename } => {
                loader.kind.is_none_or(|kind| kind == LoaderType::Rom)
                    && loader.format.is_none_or(|format| format == FirmwareFormat::Raw)
                    && loader.stateless != Some(false)
                    && doc.os.nvram.is_none()
                    && loader.path.is_none_or(|path| path == *filename)
            }
            Mapping::Other => false,
        }
    }

    fn fill(&self, doc: &mut Domain) {
        let loader = doc.os.loader.get_or_insert_default();
        match &self.mapping {
            Mapping::Flash {
                executable,
                nvram_template,
                mode,
            } => {
                loader.kind = Some(LoaderType::Pflash);
                loader.readonly = Some(true);
                loader.format = format_of(&executable.format);
                loader.path = Some(executable.filename.clone());
                if mode.as_deref() == Some("stateless") {
                    loader.stateless = Some(true);
                }
                if let Some(template) = nvram_template {
                    let nvram = doc.os.nvram.get_or_insert_default();
                    nvram.template = Some(template.filename.clone());
                    nvram.template_format = format_of(&template.format);
                }
            }
            Mapping::Memory { filename } => {
                loader.kind = Some(LoaderType::Rom);
                loader.path = Some(filename.clone());
            }
            Mapping::Other => {}
        }
        if self.has("requires-smm") {
            loader.secure = Some(true);
            let features = doc.features.get_or_insert_default();
            features.smm.get_or_insert(Smm {
                state: true,
                tseg: None,
            });
        }
        if !self.interface_types.iter().any(|kind| kind == "uefi") {
            return;
        }
        doc.os.firmware = Some(FirmwareKind::Efi);
        let told = doc.os.firmware_features.get_or_insert_default();
        told.say(FirmwareFeatureName::EnrolledKeys, self.has("enrolled-keys"));
        told.say(FirmwareFeatureName::SecureBoot, self.has("secure-boot"));
    }
}

/// Settles firmware and store.
pub(super) fn settle(doc: &mut Domain, firmwares: &Firmwares, chipset: Chipset) -> Result<()> {
    let loader = doc.os.loader.as_mut().filter(|_| doc.os.firmware.is_none());
    if let Some(loader) = loader.filter(|loader| loader.kind.is_none()) {
        loader.kind = Some(LoaderType::Rom);
        loader.format.get_or_insert(FirmwareFormat::Raw);
    }
    let rom = |loader: &Loader| loader.kind == Some(LoaderType::Rom);
    let by_hand = doc.os.firmware.is_none();
    if !by_hand || doc.os.loader.as_ref().is_some_and(|loader| !rom(loader)) {
        choose(doc, firmwares)?;
        store(doc, firmwares);
    }
    check(doc, chipset)
}

fn choose(doc: &mut Domain, firmwares: &Firmwares) -> Result<()> {
    let kind = doc.os.firmware.map(|kind| match kind {
        FirmwareKind::Bios => "bios",
        FirmwareKind::Efi => "uefi",
    });
    let found = firmwares.descriptors.iter().find(|descriptor| {
        kind.is_none_or(|kind| descriptor.interface_types.iter().any(|own| own == kind))
            && descriptor.is_for(doc)
            && descriptor.does(doc)
            && descriptor.fits(doc)
    });
    if let Some(found) = found.cloned() {
        found.fill(doc);
        return Ok(());
    }
    if let Some(kind) = doc.os.firmware {
        return Err(Error::Failed(format!(
            "Unable to find '{kind}' firmware that is compatible with the current configuration"
        )));
    }
    legacy(doc, firmwares);
    Ok(())
}

/// Firmware that the administrator, or a distribution of old, has paired with a template.
fn legacy(doc: &mut Domain, firmwares: &Firmwares) {
    let Some(loader) = doc.os.loader.as_mut() else {
        return;
    };
    let path = loader.path.as_deref().map(Path::new);
    let pair = firmwares
        .pairs
        .iter()
        .find(|(code, _)| Some(code.as_path()) == path);
    let raw = loader.format.is_none_or(|format| format == FirmwareFormat::Raw);
    if let Some((_, template)) = pair
        && raw
        && loader.readonly != Some(false)
        && loader.stateless != Some(true)
    {
        loader.readonly = Some(true);
        let nvram = doc.os.nvram.get_or_insert_default();
        nvram
            .template
            .get_or_insert_with(|| template.display().to_string());
        nvram.template_format = Some(FirmwareFormat::Raw);
    }
}

/// Each firmware in flash memory that may store something gets a place for it.
fn store(doc: &mut Domain, firmwares: &Firmwares) {
    let name = doc.name.clone();
    let Some(loader) = doc.os.loader.as_mut() else {
        return;
    };
    if loader.kind != Some(LoaderType::Pflash) {
        return;
    }
    let format = *loader.format.get_or_insert(FirmwareFormat::Raw);
    if loader.stateless == Some(true) || loader.readonly != Some(true) {
        return;
    }
    let nvram = doc.os.nvram.get_or_insert_default();
    if nvram.target().is_some() {
        nvram.format.get_or_insert(FirmwareFormat::Raw);
        return;
    }
    let format = nvram.template_format.unwrap_or(format);
    let end = match format {
        FirmwareFormat::Raw => "fd",
        FirmwareFormat::Qcow2 => "qcow2",
    };
    *nvram = Nvram {
        format: Some(format),
        path: Some(
            firmwares
                .stores
                .join(format!("{name}_VARS.{end}"))
                .display()
                .to_string(),
        ),
        ..nvram.clone()
    };
}

fn check(doc: &Domain, chipset: Chipset) -> Result<()> {
    let loader = doc.os.loader.as_ref();
    let flash = loader.is_some_and(|loader| loader.kind == Some(LoaderType::Pflash));
    let features = doc.features.as_ref();
    if (flash || doc.os.firmware == Some(FirmwareKind::Efi))
        && !features.is_some_and(|features| features.acpi)
    {
        return Err(Error::unsupported("UEFI requires ACPI on this architecture"));
    }
    if loader.and_then(|loader| loader.secure) != Some(true) {
        return Ok(());
    }
    if chipset != Chipset::Q35 {
        return Err(Error::unsupported(
            "Secure boot is supported with q35 machine types only",
        ));
    }
    let smm = features.and_then(|features| features.smm.as_ref());
    if !smm.is_some_and(|smm| smm.state) {
        return Err(Error::unsupported("Secure boot requires SMM feature enabled"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_machines() {
        assert!(glob("pc-q35-*", "pc-q35-10.0"));
        assert!(glob("*", ""));
        assert!(glob("a*b*c", "axxbbc"));
        assert!(!glob("pc-q35-*", "pc-i440fx-10.0"));
        assert!(!glob("a*b", "abc"));
    }

    #[test]
    fn what_is_no_descriptor_is_passed_over_and_an_empty_file_takes_one_away() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = r#"{"description": "d", "interface-types": ["uefi"], "mapping": {"device": "flash", "mode": "split",
            "executable": {"filename": "/c", "format": "raw"}, "nvram-template": {"filename": "/v", "format": "raw"}},
            "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}], "features": ["secure-boot"], "tags": []}"#;
        std::fs::write(one.path().join("10-a.json"), text).unwrap();
        std::fs::write(one.path().join("20-b.json"), text).unwrap();
        std::fs::write(one.path().join("30-c.json"), "{}").unwrap();
        std::fs::write(one.path().join("other"), text).unwrap();
        std::fs::write(two.path().join("10-a.json"), "").unwrap();
        let found = read(&[
            one.path().to_owned(),
            two.path().to_owned(),
            PathBuf::from("/nowhere"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].has("secure-boot"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_descriptor_or_not(text in "\\PC{0,64}") {
            let _ = serde_json::from_str::<Descriptor>(&text);
        }
    }
}

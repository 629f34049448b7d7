//! `<domainCapabilities>`: what a guest of one machine type can have. The document is only written; programs that make
//! domain documents read it first.

use crate::Form;
use ferrovirt_xml::Xml;
use ferrovirt_xml::values::yes_no;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct DomainCapabilities {
    /// The emulator.
    pub path: String,
    /// Which virtualization.
    pub domain: String,
    /// Canonical name of the machine type.
    pub machine: String,
    /// The architecture.
    pub arch: String,
    /// Most virtual CPUs.
    #[xml(child = "vcpu", attr = "max")]
    pub vcpus: u32,
    /// I/O threads.
    pub iothreads: Part,
    /// What boots.
    pub os: OsPart,
    /// CPU modes and models.
    #[xml(within = "cpu", name = "mode")]
    pub cpu_modes: Vec<CpuModePart>,
    /// With what memory is backed.
    #[xml(name = "memoryBacking")]
    pub memory_backing: Part,
    /// Devices.
    pub devices: DeviceParts,
    /// Features.
    pub features: FeatureParts,
}

impl DomainCapabilities {
    /// The document with a newline at its end.
    pub fn to_xml(&self) -> String {
        ferrovirt_xml::to_string("domainCapabilities", self, &Form::LIVE)
    }
}

/// `<enum>`: the words that an attribute can have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Words {
    /// Name of the list.
    #[xml(attr)]
    pub name: String,
    /// The words.
    #[xml(name = "value")]
    pub values: Vec<String>,
}

impl Words {
    /// A list of words.
    pub fn new<T: ToString>(name: &str, values: impl IntoIterator<Item = T>) -> Self {
        Self {
            name: name.to_owned(),
            values: values.into_iter().map(|value| value.to_string()).collect(),
        }
    }
}

/// Something that is there or not, with the words that it is written with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Part {
    /// Is it there?
    #[xml(attr, with = "yes_no")]
    pub supported: bool,
    /// Files of the host (of `<loader>`).
    #[xml(name = "value")]
    pub values: Vec<String>,
    /// Its words.
    #[xml(name = "enum")]
    pub words: Vec<Words>,
}

impl Part {
    /// There, or not, without words.
    pub const fn plain(supported: bool) -> Self {
        Self {
            supported,
            values: Vec::new(),
            words: Vec::new(),
        }
    }

    /// There, with these words.
    pub fn with(words: Vec<Words>) -> Self {
        Self {
            words,
            ..Self::plain(true)
        }
    }
}

/// `<os>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct OsPart {
    /// Is it there?
    #[xml(attr, with = "yes_no")]
    pub supported: bool,
    /// What `<os firmware>` can ask for.
    #[xml(name = "enum")]
    pub words: Vec<Words>,
    /// Firmware that a document can name.
    pub loader: Part,
}

/// `<mode>` of `<cpu>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CpuModePart {
    /// Its word.
    #[xml(attr)]
    pub name: String,
    /// Is it there?
    #[xml(attr, with = "yes_no")]
    pub supported: bool,
    /// Its words.
    #[xml(name = "enum")]
    pub words: Vec<Words>,
    /// Models, each with what it lacks here.
    #[xml(any)]
    pub models: Vec<CpuModelPart>,
}

/// What stands in `<mode>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
#[xml(choice)]
pub enum CpuModelPart {
    /// A model.
    Model(CpuModelName),
    /// What the model before it lacks on this host.
    Blockers(CpuBlockers),
}

/// `<model>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CpuModelName {
    /// Whether another model may replace it.
    #[xml(attr)]
    pub fallback: Option<String>,
    /// Can guests have it here: `yes`, `no` or `unknown`.
    #[xml(attr)]
    pub usable: Option<String>,
    /// Whose CPU it is.
    #[xml(attr)]
    pub vendor: Option<String>,
    /// What the name stands for.
    #[xml(attr)]
    pub canonical: Option<String>,
    /// Its name.
    #[xml(text)]
    pub name: String,
}

/// `<blockers>`: features that a model needs and this host does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CpuBlockers {
    /// The model.
    #[xml(attr)]
    pub model: String,
    /// The features.
    #[xml(child = "feature", attr = "name")]
    pub features: Vec<String>,
}

/// `<devices>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DeviceParts {
    /// Disks.
    pub disk: Part,
    /// Displays.
    pub graphics: Part,
    /// Graphics cards.
    pub video: Part,
    /// Devices of the host.
    pub hostdev: Part,
    /// Random numbers.
    pub rng: Part,
    /// Directories of the host.
    pub filesystem: Part,
    /// Trusted platform modules.
    pub tpm: Part,
    /// USB devices from elsewhere.
    pub redirdev: Part,
    /// Channels.
    pub channel: Part,
    /// Devices that encrypt.
    pub crypto: Part,
    /// Network cards.
    pub interface: Part,
    /// Panic devices.
    pub panic: Part,
}

/// `<features>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct FeatureParts {
    /// The interrupt controller of ARM.
    pub gic: Part,
    /// What a crashed guest is looked at with.
    pub vmcoreinfo: Part,
    /// What tells a guest that its memory went back in time.
    pub genid: Part,
    /// `<backingStore>` in documents.
    #[xml(name = "backingStoreInput")]
    pub backing_store_input: Part,
    /// Backups of a running guest's disks.
    pub backup: Part,
    /// Memory is given back after the end.
    #[xml(name = "async-teardown")]
    pub async_teardown: Part,
    /// The controller of PS/2 devices can be left out.
    pub ps2: Part,
    /// AMD's encrypted memory.
    pub sev: Part,
    /// Intel's enclaves.
    pub sgx: Part,
    /// What Windows is told.
    pub hyperv: Part,
    /// Protected guests.
    #[xml(name = "launchSecurity")]
    pub launch_security: Part,
}

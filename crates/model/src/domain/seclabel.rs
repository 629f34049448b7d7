//! `<seclabel>`: what a security driver (DAC, SELinux, AppArmor) does for a guest.

use ferrovirt_xml::values::yes_no;
use ferrovirt_xml::{Form, Xml};

/// Who chooses the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum SecLabelType {
    /// The daemon, afresh for each run.
    #[default]
    Dynamic,
    /// The definition.
    Static,
    /// Nobody: no confinement.
    None,
}

/// `<seclabel>`: the label of one security driver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct SecLabel {
    /// Who chooses the label.
    #[xml(attr = "type", default)]
    pub kind: SecLabelType,
    /// The security driver's name.
    #[xml(attr)]
    pub model: Option<String>,
    /// Are files relabelled? Not said where nobody labels.
    #[xml(attr, with = "yes_no", when = "SecLabel::shows_relabel")]
    pub relabel: Option<bool>,
    /// The label of the process (live, unless it is static).
    #[xml(when = "SecLabel::shows_label")]
    pub label: Option<String>,
    /// The label of its files.
    #[xml(live)]
    pub imagelabel: Option<String>,
    /// From what a dynamic label is made.
    pub baselabel: Option<String>,
}

impl SecLabel {
    fn shows_relabel(&self, _form: &Form) -> bool {
        self.kind != SecLabelType::None
    }

    fn shows_label(&self, form: &Form) -> bool {
        !form.inactive || self.kind == SecLabelType::Static
    }
}

/// `<seclabel>` in the source of a device: what a security driver does with it in particular.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DeviceLabel {
    /// The security driver's name; all where nothing is said.
    #[xml(attr)]
    pub model: Option<String>,
    /// Was it left alone, because nobody could label it (live)?
    #[xml(attr, live, with = "yes_no")]
    pub labelskip: Option<bool>,
    /// Is it labelled?
    #[xml(attr, with = "yes_no", default = "true", when = "DeviceLabel::shows_relabel")]
    pub relabel: bool,
    /// Its label; without one the guest's.
    pub label: Option<String>,
}

impl DeviceLabel {
    fn shows_relabel(&self, form: &Form) -> bool {
        form.inactive || self.labelskip != Some(true)
    }
}

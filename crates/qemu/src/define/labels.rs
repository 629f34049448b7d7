//! `<seclabel>` without a model means the host's first security driver, which is none: this driver has DAC alone, which is
//! named where it is meant.

use ferrovirt_model::domain::{Domain, SecLabelType};

use crate::error::{Error, Result};

/// The driver that does nothing.
const NONE: &str = "none";

/// Settles them.
pub(super) fn settle(doc: &mut Domain) -> Result<()> {
    for label in &mut doc.seclabels {
        match label.model.as_deref() {
            Some(NONE) => {}
            Some(_) => continue,
            None => {
                if label.kind == SecLabelType::Static || label.baselabel.is_some() {
                    return Err(Error::Xml("missing security model in domain seclabel".to_owned()));
                }
                label.model = Some(NONE.to_owned());
            }
        }
        label.kind = SecLabelType::None;
        label.relabel = Some(false);
    }
    Ok(())
}

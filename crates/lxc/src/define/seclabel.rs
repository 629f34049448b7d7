//! Security labels. There is no security driver for containers, which libvirt calls `none`.

use ferrovirt_model::domain::{SecLabel, SecLabelType};

use crate::error::{Error, Result};

/// The name of the driver that does nothing.
const NONE: &str = "none";

/// Gives a label without a model the only one that there is; refuses to label anything.
pub(super) fn settle(labels: &mut [SecLabel]) -> Result<()> {
    if let [only] = labels
        && only.model.is_none()
    {
        unnamed(only)?;
    }
    // Of several, each has a model of its own: that was seen to while reading.
    let unknown = labels.iter().find(|label| label.kind != SecLabelType::None);
    match unknown.and_then(|label| label.model.as_deref()) {
        Some(model) => Err(Error::unsupported(format!(
            "Unable to find security driver for model {model}"
        ))),
        None => Ok(()),
    }
}

/// One that asks for nothing gets the name of the driver that does it.
fn unnamed(label: &mut SecLabel) -> Result<()> {
    let plain = label.label.is_none() && label.baselabel.is_none();
    match label.kind {
        SecLabelType::None if plain => {
            *label = SecLabel {
                kind: SecLabelType::None,
                model: Some(NONE.to_owned()),
                relabel: Some(false),
                ..SecLabel::default()
            };
            Ok(())
        }
        _ => Err(Error::Xml("missing security model in domain seclabel".to_owned())),
    }
}

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
    let mut models: Vec<&str> = Vec::new();
    for label in labels.iter() {
        let Some(model) = label.model.as_deref() else {
            return Err(Error::Xml(
                "missing security model when using multiple labels".to_owned(),
            ));
        };
        if models.contains(&model) {
            return Err(Error::Xml(format!(
                "seclabel for model {model} is already provided"
            )));
        }
        if label.kind != SecLabelType::None {
            return Err(Error::unsupported(format!(
                "Unable to find security driver for model {model}"
            )));
        }
        models.push(model);
    }
    Ok(())
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

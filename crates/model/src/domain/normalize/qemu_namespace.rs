//! QEMU's own namespace: names and values that can be.

use super::inconsistent;
use crate::domain::{
    Domain, QemuCapabilities, QemuCommandline, QemuEnv, QemuFrontend, QemuOverride, QemuProperty,
    QemuPropertyType,
};
use ferrovirt_xml::XmlError;

/// Checks it; what says nothing is dropped.
pub(super) fn normalize(doc: &mut Domain) -> Result<(), XmlError> {
    doc.qemu_commandline
        .take_if(|given| *given == QemuCommandline::default());
    doc.qemu_capabilities
        .take_if(|given| *given == QemuCapabilities::default());
    doc.qemu_override
        .take_if(|given| *given == QemuOverride::default());
    doc.qemu_deprecation.take_if(|given| given.behavior.is_none());
    if let Some(given) = &doc.qemu_commandline {
        given.env.iter().try_for_each(check_name)?;
    }
    if let Some(given) = &mut doc.qemu_override {
        for device in &mut given.devices {
            device
                .frontend
                .take_if(|frontend| *frontend == QemuFrontend::default());
            let properties = device.frontend.iter().flat_map(|frontend| &frontend.properties);
            properties.into_iter().try_for_each(check_value)?;
        }
    }
    Ok(())
}

fn check_name(variable: &QemuEnv) -> Result<(), XmlError> {
    let name = &variable.name;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        let text = format!("Invalid environment name '{name}', it must begin with a letter or underscore");
        return Err(inconsistent(text));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let text =
            format!("Invalid environment name '{name}', it must contain only alphanumerics and underscore");
        return Err(inconsistent(text));
    }
    Ok(())
}

fn check_value(property: &QemuProperty) -> Result<(), XmlError> {
    let Some(value) = &property.value else {
        return match property.kind {
            QemuPropertyType::Remove => Ok(()),
            _ => Err(inconsistent(format!(
                "missing 'value' attribute for 'qemu:property' '{}'",
                property.name
            ))),
        };
    };
    let fits = match property.kind {
        QemuPropertyType::String => true,
        QemuPropertyType::Signed => value.parse::<i64>().is_ok(),
        QemuPropertyType::Unsigned => value.parse::<u64>().is_ok(),
        QemuPropertyType::Bool => value == "true" || value == "false",
        QemuPropertyType::Remove => {
            return Err(inconsistent(
                "setting 'value' attribute of 'qemu:property' doesn't make sense with 'remove' type",
            ));
        }
    };
    if fits {
        return Ok(());
    }
    Err(inconsistent(format!(
        "invalid value '{value}' of 'value' attribute of 'qemu:property'"
    )))
}

//! Input devices: what each is attached to, and what only some have.

use super::{inconsistent, unsupported};
use crate::domain::{Input, InputBus, InputSource, InputType};
use ferrovirt_xml::XmlError;

/// Completes a device and checks that its parts fit.
pub(super) fn normalize(input: &mut Input) -> Result<(), XmlError> {
    let kind = input.kind;
    let bus = *input.bus.get_or_insert(match kind {
        InputType::Tablet => InputBus::Usb,
        InputType::Passthrough => InputBus::Virtio,
        InputType::Evdev => InputBus::None,
        InputType::Mouse | InputType::Keyboard => InputBus::Ps2,
    });
    let fits = match kind {
        InputType::Evdev => bus == InputBus::None,
        InputType::Passthrough => bus == InputBus::Virtio,
        InputType::Tablet | InputType::Mouse | InputType::Keyboard => bus != InputBus::None,
    };
    if !fits {
        return Err(unsupported(format!(
            "unsupported bus '{bus}' for input device of type '{kind}'"
        )));
    }
    check_source(kind, input.source.as_ref())?;
    if let Some(model) = &input.model {
        if bus != InputBus::Virtio {
            return Err(unsupported(
                "only input devices with bus 'virtio' support 'model'",
            ));
        }
        if !matches!(
            model.as_str(),
            "virtio" | "virtio-transitional" | "virtio-non-transitional"
        ) {
            return Err(inconsistent(format!(
                "Invalid value for attribute 'model' in element 'input': '{model}'"
            )));
        }
        if model != "virtio" && kind != InputType::Passthrough {
            return Err(unsupported(format!(
                "virtio (non-)transitional models are not supported for input type={kind}"
            )));
        }
    }
    if input.driver.is_some() && bus != InputBus::Virtio {
        return Err(unsupported(
            "'driver' is only supported by input devices with bus 'virtio'",
        ));
    }
    input.driver.take_if(|driver| driver.is_empty());
    Ok(())
}

fn check_source(kind: InputType, source: Option<&InputSource>) -> Result<(), XmlError> {
    let none = InputSource::default();
    let source = source.unwrap_or(&none);
    let (of_evdev, of_dev) = (source.evdev.is_some(), source.dev.is_some());
    let more = source.grab.is_some() || source.grab_toggle.is_some() || source.repeat.is_some();
    let wrong = match kind {
        InputType::Passthrough if !of_evdev => {
            return Err(inconsistent("missing evdev path for input device passthrough"));
        }
        InputType::Evdev if !of_dev => return Err(inconsistent("missing evdev path for input device")),
        InputType::Passthrough => of_dev || more,
        InputType::Evdev => of_evdev,
        InputType::Mouse | InputType::Tablet | InputType::Keyboard => *source != none,
    };
    if wrong {
        return Err(unsupported(format!(
            "<source> does not fit an input device of type '{kind}'"
        )));
    }
    Ok(())
}

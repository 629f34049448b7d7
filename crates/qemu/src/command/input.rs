//! Input devices that are not part of the machine.

use ferrovirt_model::domain::{Input, InputBus, InputType};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, virtio_options};

/// All of them.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for input in &context.doc.devices.inputs {
        match (input.bus, input.kind) {
            (_, InputType::Evdev) => args.add("-object", event_device(input).finish()),
            (Some(InputBus::Usb), _) => {
                let driver = match input.kind {
                    InputType::Mouse => "usb-mouse",
                    InputType::Tablet => "usb-tablet",
                    _ => "usb-kbd",
                };
                let object = Object::driver(driver).text("id", alias(&input.info));
                args.device(object.append(&place(context.doc, &input.info)));
            }
            (Some(InputBus::Virtio), _) => {
                args.device(virtio(input).append(&place(context.doc, &input.info)));
            }
            _ => {}
        }
    }
}

fn virtio(input: &Input) -> Object {
    let kind = match input.kind {
        InputType::Mouse => "mouse",
        InputType::Tablet => "tablet",
        InputType::Keyboard => "keyboard",
        InputType::Passthrough | InputType::Evdev => "input-host",
    };
    let model = input.model.as_deref().unwrap_or("virtio");
    let suffix = model.strip_prefix("virtio").unwrap_or_default();
    let object = Object::driver(&format!("virtio-{kind}-pci{suffix}"));
    let source = input.source.as_ref().and_then(|source| source.evdev.as_deref());
    virtio_options(object, input.driver.as_ref())
        .text("id", alias(&input.info))
        .maybe_text("evdev", source)
}

fn event_device(input: &Input) -> Object {
    let source = input.source.clone().unwrap_or_default();
    Object::default()
        .text("qom-type", "input-linux")
        .text("id", alias(&input.info))
        .maybe_text("evdev", source.dev.as_deref())
        .maybe_boolean("repeat", source.repeat)
        .maybe_boolean("grab_all", source.grab.map(|_| true))
        .maybe_text("grab-toggle", source.grab_toggle.map(|keys| keys.as_str()))
}

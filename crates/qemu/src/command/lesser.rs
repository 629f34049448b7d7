//! Devices of few words, and the options at the end.

use ferrovirt_model::domain::{InputBus, InputType, RngSource, WatchdogAction};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, on_off, qemu_namespace};

/// Input devices that are not part of the machine.
pub(super) fn inputs(context: &Context<'_>, args: &mut Arguments) {
    for input in &context.doc.devices.inputs {
        let driver = match (input.bus, input.kind) {
            (Some(InputBus::Usb), InputType::Mouse) => "usb-mouse",
            (Some(InputBus::Usb), InputType::Tablet) => "usb-tablet",
            (Some(InputBus::Usb), InputType::Keyboard) => "usb-kbd",
            (Some(InputBus::Virtio), InputType::Mouse) => "virtio-mouse-pci",
            (Some(InputBus::Virtio), InputType::Tablet) => "virtio-tablet-pci",
            (Some(InputBus::Virtio), InputType::Keyboard) => "virtio-keyboard-pci",
            (Some(InputBus::Ps2) | None, _) => continue,
        };
        args.device(
            Object::driver(driver)
                .text("id", alias(&input.info))
                .append(&place(context.doc, &input.info)),
        );
    }
}

/// Watchdogs, and what they do.
pub(super) fn watchdogs(context: &Context<'_>, args: &mut Arguments) {
    let watchdogs = &context.doc.devices.watchdogs;
    for watchdog in watchdogs {
        match watchdog.model.as_str() {
            "itco" => args.add("-global", "ICH9-LPC.noreboot=off"),
            model => {
                let object = Object::driver(model).text("id", alias(&watchdog.info));
                args.device(object.append(&place(context.doc, &watchdog.info)));
            }
        }
    }
    if let Some(watchdog) = watchdogs.first() {
        let action = match watchdog.action {
            WatchdogAction::Reset => "reset",
            WatchdogAction::Shutdown => "shutdown",
            WatchdogAction::Poweroff => "poweroff",
            // A dump is made by the daemon, of a guest that stands still.
            WatchdogAction::Pause | WatchdogAction::Dump => "pause",
            WatchdogAction::None => "none",
            WatchdogAction::InjectNmi => "inject-nmi",
        };
        args.add("-watchdog-action", action);
    }
}

/// `virtio-balloon-pci-transitional` for the model `virtio-transitional`.
fn virtio(kind: &str, model: &str) -> String {
    format!(
        "virtio-{kind}-pci{}",
        model.strip_prefix("virtio").unwrap_or_default()
    )
}

/// The balloon.
pub(super) fn balloon(context: &Context<'_>, args: &mut Arguments) {
    let Some(balloon) = context
        .doc
        .devices
        .memballoon
        .as_ref()
        .filter(|balloon| balloon.model != "none")
    else {
        return;
    };
    let object = Object::driver(&virtio("balloon", &balloon.model))
        .text("id", alias(&balloon.info))
        .maybe_boolean("deflate-on-oom", balloon.autodeflate)
        .maybe_boolean("free-page-reporting", balloon.free_page_reporting);
    args.device(object.append(&place(context.doc, &balloon.info)));
}

/// Random number generators.
pub(super) fn rngs(context: &Context<'_>, args: &mut Arguments) {
    for rng in &context.doc.devices.rngs {
        let id = alias(&rng.info);
        let source = format!("obj{id}");
        let object = match rng.backend.model {
            RngSource::Random => Object::default()
                .text("qom-type", "rng-random")
                .text("id", &source)
                .text("filename", rng.backend.path.as_deref().unwrap_or("/dev/urandom")),
            RngSource::Builtin => Object::default()
                .text("qom-type", "rng-builtin")
                .text("id", &source),
        };
        args.add("-object", object.finish());
        let mut device = Object::driver(&virtio("rng", &rng.model))
            .text("rng", &source)
            .text("id", id);
        if let Some(rate) = &rng.rate {
            device = device
                .number("max-bytes", rate.bytes)
                .number("period", rate.period.unwrap_or(1000));
        }
        args.device(device.append(&place(context.doc, &rng.info)));
    }
}

/// Sandbox, panic devices, and time stamps in the log.
pub(super) fn tail(context: &Context<'_>, args: &mut Arguments) {
    let doc = context.doc;
    if doc
        .features
        .as_ref()
        .and_then(|features| features.vmcoreinfo)
        .is_some_and(|switch| switch.state)
    {
        args.device(Object::driver("vmcoreinfo"));
    }
    qemu_namespace::arguments(context, args);
    args.add(
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    );
    for panic in &doc.devices.panics {
        match panic.model.as_deref() {
            Some("pvpanic") => args.device(Object::driver("pvpanic-pci").append(&place(doc, &panic.info))),
            _ => args.device(Object::driver("pvpanic")),
        }
    }
    let teardown = doc.features.as_ref().and_then(|features| features.async_teardown);
    if let Some(teardown) = teardown {
        args.add(
            "-run-with",
            format!("async-teardown={}", on_off(teardown.enabled)),
        );
    }
    args.add("-msg", "timestamp=on");
}

//! Devices of few words, and the options at the end.

use ferrovirt_model::domain::{RngBackend, WatchdogAction};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, chardev, on_off, qemu_namespace, virtio_options};
use crate::error::Result;

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
    let object = Object::driver(&virtio("balloon", &balloon.model));
    let object = virtio_options(object, balloon.driver.as_ref())
        .text("id", alias(&balloon.info))
        .maybe_boolean("deflate-on-oom", balloon.autodeflate)
        .maybe_boolean("free-page-reporting", balloon.free_page_reporting);
    args.device(object.append(&place(context.doc, &balloon.info)));
}

/// Random number generators.
pub(super) fn rngs(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for rng in &context.doc.devices.rngs {
        let id = alias(&rng.info);
        let source = format!("obj{id}");
        let object = Object::default()
            .text("qom-type", &format!("rng-{}", rng.backend.model()))
            .text("id", &source);
        let object = match &rng.backend {
            RngBackend::Random(path) => object.text("filename", path.as_deref().unwrap_or("/dev/urandom")),
            RngBackend::Egd(backend) => {
                object.text("chardev", &chardev::backend(context, backend, &rng.info, args)?)
            }
            RngBackend::Builtin => object,
        };
        args.add("-object", object.finish());
        let device = Object::driver(&virtio("rng", &rng.model));
        let mut device = virtio_options(device, rng.driver.as_ref())
            .text("rng", &source)
            .text("id", id);
        if let Some(rate) = &rng.rate {
            device = device
                .number("max-bytes", rate.bytes)
                .number("period", rate.period.unwrap_or(1000));
        }
        args.device(device.append(&place(context.doc, &rng.info)));
    }
    Ok(())
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
}

/// What stands last.
pub(super) fn messages(args: &mut Arguments) {
    args.add("-msg", "timestamp=on");
}

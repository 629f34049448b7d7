//! The firmware and its store.

use ferrovirt_model::domain::{FirmwareFormat, Loader, LoaderType, NvramType};

use super::json::Object;
use super::{Arguments, Context};

fn flash<'a>(context: &'a Context<'_>) -> Option<&'a Loader> {
    let loader = context.doc.os.loader.as_ref()?;
    (loader.kind == Some(LoaderType::Pflash)).then_some(loader)
}

/// The images of flash memory, before the machine that refers to them.
pub(super) fn images(context: &Context<'_>, args: &mut Arguments) {
    let Some(loader) = flash(context) else { return };
    let code = storage("file", loader.path.as_deref().unwrap_or_default(), 0)
        .boolean("auto-read-only", true)
        .text("discard", "unmap");
    args.add("-blockdev", code.finish());
    let readonly = loader.readonly == Some(true);
    args.add("-blockdev", format(0, readonly, loader.format).finish());
    let Some(nvram) = &context.doc.os.nvram else {
        return;
    };
    let driver = match nvram.kind {
        Some(NvramType::Block) => "host_device",
        _ => "file",
    };
    let vars = storage(driver, nvram.target().unwrap_or_default(), 1);
    match nvram.format {
        Some(FirmwareFormat::Qcow2) => {
            let vars = vars.boolean("auto-read-only", true).text("discard", "unmap");
            args.add("-blockdev", vars.finish());
            args.add("-blockdev", format(1, false, nvram.format).finish());
        }
        _ => args.add("-blockdev", vars.boolean("read-only", false).finish()),
    }
}

fn storage(driver: &str, path: &str, number: u32) -> Object {
    Object::driver(driver)
        .text("filename", path)
        .text("node-name", &format!("libvirt-pflash{number}-storage"))
}

fn format(number: u32, readonly: bool, format: Option<FirmwareFormat>) -> Object {
    let object = Object::default()
        .text("node-name", &format!("libvirt-pflash{number}-format"))
        .boolean("read-only", readonly)
        .text("driver", format.unwrap_or(FirmwareFormat::Raw).as_str())
        .text("file", &format!("libvirt-pflash{number}-storage"));
    match format {
        Some(FirmwareFormat::Qcow2) => object.null("backing"),
        _ => object,
    }
}

/// What the machine refers to.
pub(super) fn machine_options(context: &Context<'_>) -> String {
    if flash(context).is_none() {
        return String::new();
    }
    let mut text = ",pflash0=libvirt-pflash0-format".to_owned();
    if let Some(nvram) = &context.doc.os.nvram {
        let node = match nvram.format {
            Some(FirmwareFormat::Qcow2) => "format",
            _ => "storage",
        };
        text += &format!(",pflash1=libvirt-pflash1-{node}");
    }
    text
}

/// Firmware that is no flash memory, and who reaches the store of that which is.
pub(super) fn loader(context: &Context<'_>, args: &mut Arguments) {
    let Some(loader) = &context.doc.os.loader else {
        return;
    };
    match loader.kind {
        Some(LoaderType::Pflash) if loader.secure == Some(true) => {
            args.add("-global", "driver=cfi.pflash01,property=secure,value=on");
        }
        Some(LoaderType::Rom) => args.add("-bios", loader.path.clone().unwrap_or_default()),
        _ => {}
    }
}

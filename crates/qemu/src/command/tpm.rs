//! `-tpmdev` and the chip that the guest sees.

use ferrovirt_model::domain::{TpmBackend, TpmBackendType};

use super::json::Object;
use super::place::alias;
use super::{Arguments, Context, escaped};
use crate::live::file_backends;
use crate::live::tpm::{CANCEL, DEVICE};

/// The character device over which QEMU speaks with a program.
const CHARDEV: &str = "chrtpm";

/// All of them.
pub(super) fn all(context: &Context<'_>, args: &mut Arguments) {
    for tpm in &context.doc.devices.tpms {
        let (Some(model), Some(backend)) = (tpm.model, tpm.backend()) else {
            continue;
        };
        let name = alias(&tpm.info);
        let id = format!("tpm-{name}");
        match backend.kind {
            TpmBackendType::Passthrough => host(context, name, &id, args),
            TpmBackendType::Emulator | TpmBackendType::External => program(context, backend, &id, args),
        }
        let device = Object::driver(model.as_str())
            .text("tpmdev", &id)
            .text("id", name);
        args.device(device);
    }
}

/// The host's chip, and the file by which a command that it is busy with is cut short: opened by us, as QEMU may not.
fn host(context: &Context<'_>, name: &str, id: &str, args: &mut Arguments) {
    let first = file_backends(context.doc).len();
    let mut paths = Vec::new();
    for (set, what) in (first..).zip([DEVICE, CANCEL]) {
        if let Some(fd) = context.given.of(&format!("{name}-{what}")) {
            args.add("-add-fd", format!("set={set},fd={fd},opaque={name}-{what}"));
        }
        paths.push(format!("/dev/fdset/{set}"));
    }
    args.add(
        "-tpmdev",
        format!("passthrough,id={id},path={},cancel-path={}", paths[0], paths[1]),
    );
}

/// A program: ours at its socket of this run, or somebody else's.
fn program(context: &Context<'_>, backend: &TpmBackend, id: &str, args: &mut Arguments) {
    let path = match backend.kind {
        TpmBackendType::External => backend.source.as_ref().and_then(|source| source.path.clone()),
        _ => { context.given.tpm.as_ref() }.map(|path| path.display().to_string()),
    };
    if let Some(path) = path {
        args.add("-chardev", format!("socket,id={CHARDEV},path={}", escaped(&path)));
    }
    args.add("-tpmdev", format!("emulator,id={id},chardev={CHARDEV}"));
}

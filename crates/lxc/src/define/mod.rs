//! What libvirt's LXC driver fills in when a container is defined, and what it refuses.

pub mod live;
use crate::error::Result;
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
pub fn complete(doc: &mut Domain) -> Result<()> {
    doc.os.kind.arch.get_or_insert_with(|| "x86_64".to_owned());
    doc.devices
        .emulator
        .get_or_insert_with(|| "/usr/lib/libvirt/libvirt_lxc".to_owned());
    Ok(())
}
pub fn capabilities(_host: Uuid) -> String {
    String::new()
}

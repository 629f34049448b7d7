//! What a run adds to the document, and when hooks see it.
//!
//! | from | the document has | until |
//! |---|---|---|
//! | `prepare` ([`at_rest`]) | `<resource>` | it is gone |
//! | `start` ([`begin`]) | aliases of consoles, `<guest dev=…>` | it is gone |
//! | `started` ([`terminals`]) | id, ports, bridges and host's ends of interfaces, terminals of consoles | `stopped` |
//!
//! At `start` the interfaces are there already, but a container without a process is written like one that is off, so
//! what belongs to the run is left out until then; `release` sees the document of `start` again.

use std::path::PathBuf;

use ferrovirt_model::domain::{BackendSource, Domain, Resource};

/// The group that guests belong to unless they say otherwise.
pub const PARTITION: &str = "/machine";

/// The document as it is written while there is no process, not yet or no more.
#[must_use]
pub fn at_rest(doc: &Domain) -> Domain {
    let mut doc = doc.clone();
    settle_resource(&mut doc);
    forget(&mut doc);
    doc.id = None;
    doc
}

/// The run begins: consoles get their aliases, interfaces their names inside.
pub fn begin(doc: &mut Domain) {
    settle_resource(doc);
    for (number, console) in doc.devices.consoles.iter_mut().enumerate() {
        console.info.alias = Some(format!("console{number}"));
    }
    name_inside(doc);
}

fn settle_resource(doc: &mut Domain) {
    doc.resource.get_or_insert_with(|| Resource {
        partition: PARTITION.to_owned(),
    });
}

/// Interfaces without a name get `eth0`, `eth1`, … as far as these are free.
pub fn name_inside(doc: &mut Domain) {
    let interfaces = &mut doc.devices.interfaces;
    let taken: Vec<String> = interfaces
        .iter()
        .filter_map(|interface| interface.guest.as_ref()?.dev.clone())
        .collect();
    let mut free = (0u32..)
        .map(|number| format!("eth{number}"))
        .filter(|name| !taken.contains(name));
    for interface in interfaces {
        let guest = interface.guest.get_or_insert_default();
        if guest.dev.is_none() {
            guest.dev = free.next();
        }
    }
}

/// The paths of the consoles' pseudo terminals are known, in their order.
pub fn terminals(doc: &mut Domain, paths: &[PathBuf]) {
    for (console, path) in doc.devices.consoles.iter_mut().zip(paths) {
        console.backend.source = Some(BackendSource {
            path: Some(path.display().to_string()),
            ..BackendSource::default()
        });
    }
}

/// The run is over: without ports, bridges that networks had, generated names on the host, and terminals.
pub fn forget(doc: &mut Domain) {
    for interface in &mut doc.devices.interfaces {
        let network = interface
            .source
            .as_mut()
            .filter(|source| source.network.is_some());
        if let Some(source) = network {
            source.portid = None;
            source.bridge = None;
        }
        if interface.target_is_generated() {
            interface.target = None;
        }
    }
    for console in &mut doc.devices.consoles {
        console.backend.source = None;
        console.tty = None;
    }
}

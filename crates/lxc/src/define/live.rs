//! What a run adds to the document, and when hooks see it.
//!
//! | from | the document has | until |
//! |---|---|---|
//! | `prepare` | `<resource>` | it is gone |
//! | `start` ([`begin`], [`plugged`]) | aliases of consoles, `<guest dev= actual=>` | it is gone |
//! | `started` ([`terminals`]) | ports, bridges and host's ends of interfaces, terminals of consoles (and its id) | `stopped` |
//!
//! At `start` the interfaces are there already, but libvirt writes a container without an id like one that is off. The document of
//! the run has all of it, since the next daemon needs it; [`at_rest`] is what hooks are shown then, and at `release` again.

use std::path::PathBuf;

use ferrovirt_model::domain::{BackendSource, Domain, Resource};

/// The group that guests belong to unless they say otherwise.
pub const PARTITION: &str = "/machine";

/// The two ends of an interface, by the names that they have on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The one that stays; `None` where there is only one (`direct`).
    pub host: Option<String>,
    /// The one that is moved inside.
    pub inside: String,
}

/// A run begins: names of consoles, and of interfaces inside.
pub fn begin(doc: &mut Domain) {
    in_a_group(doc);
    for (number, console) in doc.devices.consoles.iter_mut().enumerate() {
        console.info.alias = Some(format!("console{number}"));
    }
    name_inside(doc);
}

fn in_a_group(doc: &mut Domain) {
    doc.resource.get_or_insert_with(|| Resource {
        partition: PARTITION.to_owned(),
    });
}

/// Interfaces without a name get `eth0`, `eth1`, … as far as these are free.
fn name_inside(doc: &mut Domain) {
    let taken: Vec<String> = doc
        .devices
        .interfaces
        .iter()
        .filter_map(|interface| interface.guest.as_ref()?.dev.clone())
        .collect();
    let mut free = (0u32..)
        .map(|number| format!("eth{number}"))
        .filter(|name| !taken.contains(name));
    for interface in &mut doc.devices.interfaces {
        let guest = interface.guest.get_or_insert_default();
        if guest.dev.is_none() {
            guest.dev = free.next();
        }
    }
}

/// The ends of the interface at this place were made.
pub fn plugged(doc: &mut Domain, at: usize, ends: Ends) {
    let Some(interface) = doc.devices.interfaces.get_mut(at) else {
        return;
    };
    interface.guest.get_or_insert_default().actual = Some(ends.inside);
    if let Some(host) = ends.host {
        interface.target.get_or_insert_default().dev = Some(host);
    }
}

/// The paths of the consoles' pseudo terminals, in their order.
pub fn terminals(doc: &mut Domain, paths: &[PathBuf]) {
    for (console, path) in doc.devices.consoles.iter_mut().zip(paths) {
        let path = path.display().to_string();
        console.tty = Some(path.clone());
        console.backend.source = Some(BackendSource {
            path: Some(path),
            ..BackendSource::default()
        });
    }
}

/// What hooks are shown of a container that has no process yet, or no more.
#[must_use]
pub fn at_rest(doc: &Domain) -> Domain {
    let mut doc = doc.clone();
    doc.id = None;
    in_a_group(&mut doc);
    forget(&mut doc);
    doc
}

/// Takes out what ends with the process.
pub fn forget(doc: &mut Domain) {
    for interface in &mut doc.devices.interfaces {
        if let Some(source) = interface
            .source
            .as_mut()
            .filter(|source| source.network.is_some())
        {
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

//! What a run adds to the document, and when hooks see it.
//!
//! | from | the document has | until |
//! |---|---|---|
//! | `prepare` ([`prepared`]) | `<resource>` | it is gone |
//! | `start` ([`starting`]) | aliases of consoles, `<guest dev= actual=>` | it is gone |
//! | `started` ([`started`]) | ports, bridges and host's ends of interfaces, terminals of consoles (and its id) | `stopped` |
//!
//! At `start` the interfaces are there already, but a container without an id is written like one that is off, so what belongs
//! to the run is withheld until then ([`Withheld`]); `release` sees the document of `start` again ([`ended`]).

use ferrovirt_model::Uuid;
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

/// What of one interface is not shown before the container has an id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct WithheldInterface {
    portid: Option<Uuid>,
    bridge: Option<String>,
    target: Option<String>,
}

/// What [`starting`] took out of the document, for [`started`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld(Vec<WithheldInterface>);

/// Before the hook `prepare`.
pub fn prepared(doc: &mut Domain) {
    doc.resource.get_or_insert_with(|| Resource {
        partition: PARTITION.to_owned(),
    });
}

/// Before the hook `start`: `ends` has what was made for each interface, in their order.
pub fn starting(doc: &mut Domain, ends: &[Option<Ends>]) -> Withheld {
    for (number, console) in doc.devices.consoles.iter_mut().enumerate() {
        console.info.alias = Some(format!("console{number}"));
    }
    name_inside(doc);
    let mut withheld = Vec::new();
    for (at, interface) in doc.devices.interfaces.iter_mut().enumerate() {
        let ends = ends.get(at).and_then(Option::as_ref);
        if let Some(ends) = ends {
            interface.guest.get_or_insert_default().actual = Some(ends.inside.clone());
        }
        let network = interface
            .source
            .as_mut()
            .filter(|source| source.network.is_some());
        let (portid, bridge) = network.map_or((None, None), |source| {
            (source.portid.take(), source.bridge.take())
        });
        withheld.push(WithheldInterface {
            portid,
            bridge,
            target: ends.and_then(|ends| ends.host.clone()),
        });
    }
    Withheld(withheld)
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

/// Before the hook `started`: `terminals` are the paths of the consoles' pseudo terminals, in their order.
pub fn started(doc: &mut Domain, withheld: &Withheld, terminals: &[String]) {
    for (interface, held) in doc.devices.interfaces.iter_mut().zip(&withheld.0) {
        if let Some(source) = interface
            .source
            .as_mut()
            .filter(|source| source.network.is_some())
        {
            source.portid = held.portid;
            source.bridge = held.bridge.clone();
        }
        if let Some(name) = &held.target {
            interface.target.get_or_insert_default().dev = Some(name.clone());
        }
    }
    for (console, path) in doc.devices.consoles.iter_mut().zip(terminals) {
        console.backend.source = Some(BackendSource {
            path: Some(path.clone()),
            ..BackendSource::default()
        });
    }
}

/// After the hook `stopped`: back to what it was at `start`.
pub fn ended(doc: &mut Domain) {
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

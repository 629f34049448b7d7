//! What is known when hooks are about to be called: the event, and the document with what can be found in it.

use std::path::Path;
use std::sync::OnceLock;

use roxmltree::{Document, Node};

use crate::event::{Driver, HookEvent};
use crate::policy::document;

/// One call of hooks, as the conditions of rules see it. The document is parsed when a condition asks, and once.
#[derive(Debug)]
pub struct Moment<'a> {
    event: &'a HookEvent,
    document: Option<&'a str>,
    uuid: Option<&'a str>,
    sysfs: &'a Path,
    parsed: OnceLock<Option<Document<'a>>>,
}

impl<'a> Moment<'a> {
    /// `document` is what scripts get on standard input; `uuid` that of the guest or network, where the caller knows it
    /// (otherwise it is looked for in the document).
    pub fn new(event: &'a HookEvent, document: Option<&'a str>, uuid: Option<&'a str>) -> Moment<'a> {
        Moment {
            event,
            document,
            uuid,
            sysfs: Path::new("/sys"),
            parsed: OnceLock::new(),
        }
    }

    /// Where the kernel says what a device is.
    pub(crate) fn sysfs(&self) -> &'a Path {
        self.sysfs
    }

    /// What happened.
    pub fn event(&self) -> &'a HookEvent {
        self.event
    }

    fn parsed(&self) -> Option<&Document<'a>> {
        self.parsed
            .get_or_init(|| self.document.and_then(document::parse))
            .as_ref()
    }

    /// The guest or network that the event is about, in the document.
    pub(crate) fn object(&self) -> Option<Node<'_, 'a>> {
        match self.event.driver() {
            Driver::Daemon => None,
            Driver::Network => document::network(self.parsed()?),
            Driver::Qemu | Driver::Lxc | Driver::Libxl => document::guest(self.parsed()?),
        }
    }

    /// That object, if it is a guest.
    pub(crate) fn guest(&self) -> Option<Node<'_, 'a>> {
        self.object().filter(|object| object.has_tag_name("domain"))
    }

    /// The UUID of that object.
    pub(crate) fn uuid(&self) -> Option<&str> {
        self.uuid.or_else(|| document::text_of(self.object()?, "uuid"))
    }

    /// The name of the guest: of the event, or the one whose port it is.
    pub(crate) fn guest_name(&self) -> Option<&str> {
        match self.event.driver() {
            Driver::Daemon => None,
            Driver::Network if self.event.is_of_a_port() => {
                let port = document::port(self.parsed()?)?;
                document::text_of(document::child(port, "owner")?, "name")
            }
            Driver::Network => None,
            Driver::Qemu | Driver::Lxc | Driver::Libxl => Some(self.event.object()),
        }
    }

    /// The name of the network that the event is about.
    pub(crate) fn network_name(&self) -> Option<&'a str> {
        (self.event.driver() == Driver::Network).then(|| self.event.object())
    }

    /// The networks that the guest is plugged into; for a port hook the one network.
    pub(crate) fn on_networks(&self) -> Vec<&str> {
        if self.event.driver() == Driver::Network {
            return self
                .event
                .is_of_a_port()
                .then(|| self.event.object())
                .into_iter()
                .collect();
        }
        self.guest()
            .into_iter()
            .flat_map(document::devices)
            .filter(|device| device.has_tag_name("interface") && device.attribute("type") == Some("network"))
            .filter_map(|interface| document::attribute_of(interface, "source", "network"))
            .collect()
    }
}

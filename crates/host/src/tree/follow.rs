//! The tree follows udev's news; where no udev runs, the kernel's.

use std::io;
use std::sync::{Arc, Weak};

use ferrovirt_sys::blocking;
use ferrovirt_sys::uevent::{News, Received, Source};

use super::kind::LISTS;
use super::{Change, Device, Event, Shared, Snapshot, scan};
use crate::places::Places;
use crate::udev::{Action, Message};

/// Listens; what is told before anybody reads waits in the socket. None outside a runtime: nobody would read.
pub(super) fn open(places: &Places) -> Option<News> {
    tokio::runtime::Handle::try_current().ok()?;
    let source = match places.has_udev() {
        true => Source::Udev,
        false => Source::Kernel,
    };
    let opened = News::open(source);
    opened
        .inspect_err(|error| tracing::warn!("devices that come and go will not be noticed: {error}"))
        .ok()
}

/// Brings the news into the tree for as long as somebody has it.
pub(super) fn begin(shared: &Arc<Shared>, news: News) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        if let Err(error) = follow(&shared, news).await {
            tracing::error!("devices that come and go are no longer noticed: {error}");
        }
    });
}

/// What is to be done about what was received.
enum Told {
    About(Message),
    Lost,
    Nothing,
}

async fn follow(shared: &Weak<Shared>, mut news: News) -> io::Result<()> {
    loop {
        let told = news.next(|received| match received {
            Received::Message(bytes) => Message::parse(bytes).map_or(Told::Nothing, Told::About),
            Received::Lost => Told::Lost,
            Received::Foreign => Told::Nothing,
        });
        let told = told.await?;
        let Some(shared) = shared.upgrade() else {
            return Ok(());
        };
        match told {
            Told::About(message) => blocking::here(|| shared.hear(&message)),
            Told::Lost => blocking::here(|| shared.look_again()),
            Told::Nothing => {}
        }
    }
}

impl Shared {
    /// Brings one message into the tree, and tells of what came of it.
    pub(super) fn hear(&self, message: &Message) {
        let Some((_, subsystem)) = LISTS
            .iter()
            .find(|(_, subsystem)| *subsystem == message.subsystem)
        else {
            return;
        };
        let _changing = self.changing();
        let mut next = Snapshot::clone(&self.current());
        let mut events = Vec::new();
        match message.action {
            Action::Remove => gone(&mut next, &message.path, &mut events),
            Action::Move => {
                if let Some(old) = &message.old_path {
                    gone(&mut next, old, &mut events);
                }
                self.there(&mut next, &message.path, subsystem, &mut events);
            }
            Action::Add | Action::Change => self.there(&mut next, &message.path, subsystem, &mut events),
            Action::Other => return,
        }
        if events.is_empty() {
            return;
        }
        self.publish(next);
        self.tell(&events);
    }

    /// A device is there, or is different from what it was.
    fn there(&self, next: &mut Snapshot, path: &str, subsystem: &str, events: &mut Vec<Event>) {
        let Some(found) = scan::one(&self.places, path, subsystem) else {
            return;
        };
        match next.by_path.get(path) {
            // A network device keeps its name when it gets another address: guests' documents and people go by it.
            Some(known) if known.name == found.name || found.kind == super::Kind::Net => {
                events.push(Event {
                    name: known.name.clone(),
                    change: Change::Updated,
                });
                return;
            }
            // A disk whose serial number is known now.
            Some(_) => gone(next, path, events),
            None => {}
        }
        let parent = Some(next.above(path));
        events.push(Event {
            name: found.name.clone(),
            change: Change::Created,
        });
        next.insert(Device { parent, ..found });
    }

    /// News were lost: the tree is read anew, and what is different is told of.
    pub(super) fn look_again(&self) {
        let _changing = self.changing();
        let before = self.current();
        let next = scan::all(&self.places);
        let of = |name: &Arc<str>, change| Event {
            name: name.clone(),
            change,
        };
        let names = |snapshot: &Snapshot| {
            snapshot
                .by_name
                .keys()
                .cloned()
                .collect::<std::collections::BTreeSet<_>>()
        };
        let (old, new) = (names(&before), names(&next));
        let mut events: Vec<Event> = old
            .difference(&new)
            .map(|name| of(name, Change::Deleted))
            .collect();
        events.extend(new.difference(&old).map(|name| of(name, Change::Created)));
        self.publish(next);
        self.tell(&events);
    }
}

fn gone(next: &mut Snapshot, path: &str, events: &mut Vec<Event>) {
    if let Some(device) = next.remove(path) {
        events.push(Event {
            name: device.name,
            change: Change::Deleted,
        });
    }
}

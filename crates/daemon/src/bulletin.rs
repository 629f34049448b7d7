//! Who asked to be told of which events, and the telling of them.
//!
//! An event is told where it happens: its messages are put into the outboxes of the clients that asked for it, which
//! takes no system call and waits for nobody. What was put there before an answer is sent goes out before that answer, and
//! a client that does not read what it asked for is dropped by its outbox.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ferrovirt_guest::{self as guest, DiskFailure, Driver, What};
use ferrovirt_host as devices;
use ferrovirt_model::Uuid;
use ferrovirt_network as network;
use ferrovirt_wire::events::{
    DomainControlError, DomainDeviceAdded, DomainDeviceRemovalFailed, DomainDeviceRemoved, DomainIoError,
    DomainIoErrorReason, DomainLifecycle, DomainMetadataChange, DomainReboot, Event, NetworkLifecycle,
    NodeDeviceLifecycle, NodeDeviceUpdate,
};
use ferrovirt_wire::{DomainRef, NetworkRef, NodeDeviceRef, XdrError};

use crate::connection::Peer;

/// Most registrations of one client: each takes memory, and readers may register, too.
const MOST: usize = 16_384;

/// What a registration is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// QEMU's guests.
    Domain,
    /// Containers.
    Container,
    /// Networks.
    Network,
    /// Devices of the host.
    NodeDevice,
}

impl Topic {
    /// The guests of a driver.
    pub const fn of_guests(driver: Driver) -> Topic {
        match driver {
            Driver::Lxc => Topic::Container,
            _ => Topic::Domain,
        }
    }

    /// How many events clients know; they are numbered from 0.
    const fn events(self) -> i32 {
        match self {
            Topic::Domain | Topic::Container => 28,
            Topic::Network | Topic::NodeDevice => 2,
        }
    }
}

/// Why a registration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no event with this number.
    Unknown,
    /// This client has asked for the same already.
    Twice,
    /// This client has asked for too much.
    TooMany,
}

/// All registrations of all clients.
#[derive(Debug, Default)]
pub struct Bulletin {
    domains: Mutex<Board>,
    containers: Mutex<Board>,
    networks: Mutex<Board>,
    devices: Mutex<Board>,
}

/// The registrations of one topic. Their numbers are unique in the daemon's life, as libvirt's are.
#[derive(Debug, Default)]
struct Board {
    next: i32,
    /// By the address of the connection's peer, which lives as long as its entry.
    clients: HashMap<usize, Client>,
}

/// Which object a registration is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A guest or a network.
    Uuid(Uuid),
    /// A device of the host.
    Name(String),
}

/// An event of one object, or of all.
type Wish = (i32, Option<About>);

#[derive(Debug)]
struct Client {
    peer: Arc<Peer>,
    wishes: BTreeMap<Wish, i32>,
    callbacks: HashMap<i32, Wish>,
}

fn key(peer: &Arc<Peer>) -> usize {
    Arc::as_ptr(peer).addr()
}

impl Board {
    fn register(&mut self, peer: &Arc<Peer>, wish: Wish) -> Result<i32, Refusal> {
        let client = self.clients.entry(key(peer)).or_insert_with(|| Client {
            peer: Arc::clone(peer),
            wishes: BTreeMap::new(),
            callbacks: HashMap::new(),
        });
        if client.wishes.contains_key(&wish) {
            return Err(Refusal::Twice);
        }
        if client.wishes.len() >= MOST {
            return Err(Refusal::TooMany);
        }
        let callback = self.next;
        self.next = self.next.checked_add(1).unwrap_or(0);
        client.wishes.insert(wish.clone(), callback);
        client.callbacks.insert(callback, wish);
        Ok(callback)
    }

    fn deregister(&mut self, peer: &Arc<Peer>, callback: i32) -> bool {
        let Some(client) = self.clients.get_mut(&key(peer)) else {
            return false;
        };
        let Some(wish) = client.callbacks.remove(&callback) else {
            return false;
        };
        client.wishes.remove(&wish);
        if client.wishes.is_empty() {
            self.clients.remove(&key(peer));
        }
        true
    }

    /// Puts the message for each registration into its client's outbox, in the order of registration.
    fn post(&self, event: i32, uuid: Uuid, message: impl Fn(i32) -> Result<Bytes, XdrError>) {
        self.post_about(event, &About::Uuid(uuid), message);
    }

    fn post_about(&self, event: i32, about: &About, message: impl Fn(i32) -> Result<Bytes, XdrError>) {
        for client in self.clients.values() {
            let wish = |about| client.wishes.get(&(event, about)).copied();
            let mut callbacks = [wish(None), wish(Some(about.clone()))];
            callbacks.sort_unstable();
            for callback in callbacks.into_iter().flatten() {
                match message(callback) {
                    Ok(message) => client.peer.post(message),
                    Err(error) => tracing::warn!("an event cannot be told: {error}"),
                }
            }
        }
    }
}

/// Two events say the same, one of them with the reason.
fn disk_failed(board: &Board, uuid: Uuid, dom: &impl Fn() -> DomainRef, failure: &DiskFailure) {
    let (path, alias, action) = (&failure.path, &failure.alias, failure.action as i32);
    board.post(4, uuid, |callback_id| {
        let told = DomainIoError {
            callback_id,
            dom: dom(),
            src_path: path.clone(),
            dev_alias: alias.clone(),
            action,
        };
        told.message()
    });
    board.post(6, uuid, |callback_id| {
        let told = DomainIoErrorReason {
            callback_id,
            dom: dom(),
            src_path: path.clone(),
            dev_alias: alias.clone(),
            action,
            reason: failure.reason.clone(),
        };
        told.message()
    });
}

impl Bulletin {
    /// Asks that a client be told of an event of one object, or of all; the registration's number.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn register(
        &self,
        topic: Topic,
        peer: &Arc<Peer>,
        event: i32,
        about: Option<About>,
    ) -> Result<i32, Refusal> {
        if !(0..topic.events()).contains(&event) {
            return Err(Refusal::Unknown);
        }
        self.board(topic).register(peer, (event, about))
    }

    /// Takes a registration of this client back; false if it has no such one.
    pub fn deregister(&self, topic: Topic, peer: &Arc<Peer>, callback: i32) -> bool {
        self.board(topic).deregister(peer, callback)
    }

    /// A client is gone, and all that it asked for.
    pub fn leave(&self, peer: &Arc<Peer>) {
        for topic in [Topic::Domain, Topic::Container, Topic::Network, Topic::NodeDevice] {
            self.board(topic).clients.remove(&key(peer));
        }
    }

    /// Tells what happened to a guest.
    pub fn guest(&self, driver: Driver, event: &guest::Event) {
        let board = self.board(Topic::of_guests(driver));
        if board.clients.is_empty() {
            return;
        }
        let dom = || DomainRef {
            name: event.name.clone(),
            uuid: event.uuid.0,
            id: event.id.unwrap_or(-1),
        };
        match &event.what {
            What::Lifecycle(station) => {
                let (number, detail) = station.numbers();
                board.post(0, event.uuid, |callback_id| {
                    let (dom, event) = (dom(), number);
                    let told = DomainLifecycle {
                        callback_id,
                        dom,
                        event,
                        detail,
                    };
                    told.message()
                });
            }
            What::Rebooted => board.post(1, event.uuid, |callback_id| {
                let dom = dom();
                DomainReboot { callback_id, dom }.message()
            }),
            What::ControlError => board.post(7, event.uuid, |callback_id| {
                let dom = dom();
                DomainControlError { callback_id, dom }.message()
            }),
            What::Described { kind, uri } => board.post(23, event.uuid, |callback_id| {
                let told = DomainMetadataChange {
                    callback_id,
                    dom: dom(),
                    kind: *kind,
                    nsuri: uri.clone(),
                };
                told.message()
            }),
            What::DiskFailed(failure) => disk_failed(&board, event.uuid, &dom, failure),
            What::DeviceAdded(alias) => board.post(19, event.uuid, |callback_id| {
                let (dom, dev_alias) = (dom(), alias.clone());
                DomainDeviceAdded {
                    callback_id,
                    dom,
                    dev_alias,
                }
                .message()
            }),
            What::DeviceRemoved(alias) => board.post(15, event.uuid, |callback_id| {
                let (dom, dev_alias) = (dom(), alias.clone());
                DomainDeviceRemoved {
                    callback_id,
                    dom,
                    dev_alias,
                }
                .message()
            }),
            What::DeviceRemovalFailed(alias) => board.post(22, event.uuid, |callback_id| {
                let (dom, dev_alias) = (dom(), alias.clone());
                DomainDeviceRemovalFailed {
                    callback_id,
                    dom,
                    dev_alias,
                }
                .message()
            }),
        }
    }

    /// Tells what happened to a network.
    pub fn network(&self, event: &network::Event) {
        self.board(Topic::Network).post(0, event.uuid, |callback_id| {
            let net = NetworkRef {
                name: event.name.clone(),
                uuid: event.uuid.0,
            };
            let told = NetworkLifecycle {
                callback_id,
                net,
                event: event.what as i32,
                detail: 0,
            };
            told.message()
        });
    }

    /// Tells what happened to a device of the host.
    pub fn device(&self, event: &devices::Event) {
        let about = About::Name(event.name.to_string());
        let dev = || NodeDeviceRef {
            name: event.name.to_string(),
        };
        let board = self.board(Topic::NodeDevice);
        let number = match event.change {
            devices::Change::Created => 0,
            devices::Change::Deleted => 1,
            devices::Change::Updated => {
                return board.post_about(1, &about, |callback_id| {
                    let dev = dev();
                    NodeDeviceUpdate { callback_id, dev }.message()
                });
            }
        };
        board.post_about(0, &about, |callback_id| {
            let told = NodeDeviceLifecycle {
                callback_id,
                dev: dev(),
                event: number,
                detail: 0,
            };
            told.message()
        });
    }

    fn board(&self, topic: Topic) -> MutexGuard<'_, Board> {
        let board = match topic {
            Topic::Domain => &self.domains,
            Topic::Container => &self.containers,
            Topic::Network => &self.networks,
            Topic::NodeDevice => &self.devices,
        };
        board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;
    use ferrovirt_guest::Lifecycle;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    const G: Uuid = Uuid([1; 16]);
    const H: Uuid = Uuid([2; 16]);

    /// A client, the daemon's end of whose socket is kept alive by what is returned third.
    fn client() -> (Arc<Peer>, UnixStream, Arc<Outbox>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let peer = Arc::new(Peer::new(0, 0, None, true));
        let (_, write) = ours.into_split();
        let outbox = Outbox::new(write, peer.life().clone(), Duration::from_millis(100));
        peer.reached_by(&outbox);
        (peer, theirs, outbox)
    }

    fn happens(bulletin: &Bulletin, uuid: Uuid, what: impl Into<What>) {
        bulletin.guest(
            Driver::Qemu,
            &guest::Event {
                name: "g".to_owned(),
                uuid,
                id: None,
                what: what.into(),
            },
        );
    }

    /// Procedures and numbers of registrations of the messages that came.
    async fn heard(socket: &mut UnixStream) -> Vec<(u32, u32)> {
        let mut bytes = Vec::new();
        let mut told = Vec::new();
        while let Ok(Ok(1..)) =
            tokio::time::timeout(Duration::from_millis(50), socket.read_buf(&mut bytes)).await
        {}
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let word = |i: usize| u32::from_be_bytes(rest[4 * i..4 * i + 4].try_into().unwrap());
            assert_eq!((word(4), word(6)), (2, 0), "type and status");
            told.push((word(3), word(7)));
            rest = &rest[word(0) as usize..];
        }
        told
    }

    #[tokio::test]
    async fn each_registration_gets_its_own_message_in_order() {
        let bulletin = Bulletin::default();
        let (one, mut hears, _outbox) = client();
        let (other, mut too, _other_outbox) = client();
        assert_eq!(
            bulletin.register(Topic::Domain, &one, 0, Some(About::Uuid(H))),
            Ok(0)
        );
        assert_eq!(bulletin.register(Topic::Domain, &one, 0, None), Ok(1));
        assert_eq!(bulletin.register(Topic::Domain, &one, 23, None), Ok(2));
        assert_eq!(
            bulletin.register(Topic::Domain, &other, 0, Some(About::Uuid(G))),
            Ok(3)
        );
        happens(&bulletin, G, Lifecycle::DefinedAdded);
        happens(&bulletin, H, Lifecycle::StartedBooted);
        happens(&bulletin, G, What::Described { kind: 1, uri: None });
        happens(&bulletin, H, What::Rebooted);
        assert_eq!(heard(&mut hears).await, [(318, 1), (318, 0), (318, 1), (379, 2)]);
        assert_eq!(heard(&mut too).await, [(318, 3)]);
        assert!(bulletin.deregister(Topic::Domain, &one, 1));
        bulletin.leave(&other);
        happens(&bulletin, G, Lifecycle::UndefinedRemoved);
        happens(&bulletin, H, Lifecycle::StoppedFailed);
        assert_eq!(heard(&mut hears).await, [(318, 0)]);
        assert_eq!(heard(&mut too).await, []);
    }

    #[tokio::test]
    async fn networks_and_the_lesser_events_have_their_own_messages() {
        let bulletin = Bulletin::default();
        let (one, mut hears, _outbox) = client();
        assert_eq!(bulletin.register(Topic::Network, &one, 0, None), Ok(0));
        assert_eq!(bulletin.register(Topic::Domain, &one, 1, None), Ok(0));
        assert_eq!(bulletin.register(Topic::Domain, &one, 7, None), Ok(1));
        happens(&bulletin, G, What::ControlError);
        bulletin.network(&network::Event {
            name: "n".to_owned(),
            uuid: H,
            what: network::What::Started,
        });
        happens(&bulletin, G, What::Rebooted);
        assert_eq!(heard(&mut hears).await, [(325, 1), (315, 0), (319, 0)]);
    }

    #[tokio::test]
    async fn devices_and_failures_of_disks_have_their_own_messages() {
        let bulletin = Bulletin::default();
        let (one, mut hears, _outbox) = client();
        for (callback, event) in [4, 6, 15, 19, 22].into_iter().enumerate() {
            assert_eq!(
                bulletin.register(Topic::Domain, &one, event, Some(About::Uuid(G))),
                Ok(callback as i32)
            );
        }
        let failure = DiskFailure {
            path: "/d".to_owned(),
            alias: "virtio-disk0".to_owned(),
            action: ferrovirt_guest::DiskAction::Stopped,
            reason: "enospc".to_owned(),
        };
        happens(&bulletin, H, What::DiskFailed(failure.clone()));
        happens(&bulletin, G, What::DiskFailed(failure));
        happens(&bulletin, G, What::DeviceAdded("net1".to_owned()));
        happens(&bulletin, G, What::DeviceRemoved("net1".to_owned()));
        happens(&bulletin, G, What::DeviceRemovalFailed("net2".to_owned()));
        let told = [(322, 0), (324, 1), (354, 3), (333, 2), (367, 4)];
        assert_eq!(heard(&mut hears).await, told);
    }

    #[tokio::test]
    async fn devices_of_the_host_go_by_their_names() {
        let bulletin = Bulletin::default();
        let (one, mut hears, _outbox) = client();
        let nic = Some(About::Name("pci_0000_01_00_0".to_owned()));
        assert_eq!(bulletin.register(Topic::NodeDevice, &one, 0, nic), Ok(0));
        assert_eq!(bulletin.register(Topic::NodeDevice, &one, 1, None), Ok(1));
        for (name, change) in [
            ("pci_0000_01_00_0", devices::Change::Created),
            ("pci_0000_02_00_0", devices::Change::Deleted),
            ("pci_0000_02_00_0", devices::Change::Updated),
        ] {
            let name = name.into();
            bulletin.device(&devices::Event { name, change });
        }
        assert_eq!(heard(&mut hears).await, [(376, 0), (377, 1)]);
    }

    #[tokio::test]
    async fn what_cannot_be_registered_is_refused() {
        let bulletin = Bulletin::default();
        let (one, _hears, _outbox) = client();
        let (other, _too, _other_outbox) = client();
        let ask = |peer, event, about| bulletin.register(Topic::Domain, peer, event, about);
        for event in [-1, 28, i32::MAX, i32::MIN] {
            assert_eq!(ask(&one, event, None), Err(Refusal::Unknown));
        }
        for event in 0..28 {
            assert_eq!(ask(&one, event, None), Ok(event));
            assert_eq!(ask(&one, event, None), Err(Refusal::Twice));
        }
        assert_eq!(ask(&other, 0, None), Ok(28));
        assert_eq!(bulletin.register(Topic::Network, &one, 1, None), Ok(0));
        assert_eq!(
            bulletin.register(Topic::Network, &one, 2, None),
            Err(Refusal::Unknown)
        );
        assert!(!bulletin.deregister(Topic::Domain, &one, 28), "another client's");
        assert!(!bulletin.deregister(Topic::Network, &other, 0));
        assert!(bulletin.deregister(Topic::Domain, &one, 3));
        assert!(!bulletin.deregister(Topic::Domain, &one, 3));
        assert_eq!(ask(&one, 3, None), Ok(29));
        for n in 0..MOST - 28 {
            let mut uuid = [0; 16];
            uuid[..8].copy_from_slice(&n.to_be_bytes());
            ask(&one, 0, Some(About::Uuid(Uuid(uuid)))).unwrap();
        }
        assert_eq!(
            ask(&one, 0, Some(About::Uuid(Uuid([9; 16])))),
            Err(Refusal::TooMany)
        );
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_dropped_and_disturbs_nobody() {
        let bulletin = Bulletin::default();
        let (deaf, _silent, _outbox) = client();
        let (other, mut hears, _other_outbox) = client();
        bulletin.register(Topic::Domain, &deaf, 0, None).unwrap();
        bulletin
            .register(Topic::Domain, &other, 0, Some(About::Uuid(H)))
            .unwrap();
        for _ in 0..20_000 {
            happens(&bulletin, G, Lifecycle::SuspendedPaused);
        }
        happens(&bulletin, H, Lifecycle::StartedBooted);
        assert_eq!(heard(&mut hears).await, [(318, 1)]);
        deaf.life().cancelled().await;
        assert!(!other.life().is_cancelled());
    }
}

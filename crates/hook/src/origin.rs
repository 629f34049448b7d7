//! Who asked for an operation, and which objects wait for it (R91).
//!
//! A hook may call the daemon. What it must not do is change the object whose operation waits for it: that would wait
//! for itself. So each request from inside a hook carries the objects that wait for the hook, and everything that the
//! request starts (other hooks, which may call back too) carries them on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::event::{Driver, HookEvent};
use crate::history::{AskedBy, OperationId};

/// An object (guest or network) that an operation is changing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Object {
    /// Its driver: names are unique within one.
    pub driver: Driver,
    /// Its name.
    pub name: String,
}

impl Object {
    /// The object of this driver with this name.
    pub fn new(driver: Driver, name: impl Into<String>) -> Object {
        Object {
            driver,
            name: name.into(),
        }
    }
}

/// `guest g1`, `network net1`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.driver {
            Driver::Daemon => f.write_str("the daemon"),
            Driver::Network => write!(f, "network {}", self.name),
            Driver::Qemu | Driver::Lxc | Driver::Libxl => write!(f, "guest {}", self.name),
        }
    }
}

/// A hook that runs, as an error names it: which script, called for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRef {
    /// The script.
    pub script: PathBuf,
    /// What it was called for.
    pub event: HookEvent,
}

/// `/etc/libvirt/hooks/qemu (qemu g1 prepare begin -)`.
impl fmt::Display for HookRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.script.display(), self.event)
    }
}

/// One object that waits; for which hook is known as soon as one runs for it.
#[derive(Debug, Clone)]
struct Waiting {
    object: Object,
    hook: Option<Arc<HookRef>>,
}

/// Who asked for an operation, and which objects' operations wait for it. Cheap to clone; the default is an ordinary
/// client, for whom nobody waits.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    chain: Option<Arc<[Waiting]>>,
    /// The named locks of the hooks that the request came through.
    locks: Option<Arc<[String]>>,
    asked_by: Option<Arc<AskedBy>>,
    operation: Option<OperationId>,
}

impl Origin {
    /// An ordinary client: nobody waits.
    pub fn client() -> Origin {
        Origin::default()
    }

    /// The hook that the operation on `object` waits for, if the request came (directly or through other hooks) from
    /// inside it: changing the object must then be refused.
    pub fn waiting_for(&self, object: &Object) -> Option<&HookRef> {
        self.links()
            .iter()
            .find(|link| link.object == *object)
            .and_then(|link| link.hook.as_deref())
    }

    /// The same, and an operation on `object` waits too: for a [`crate::Call`] that belongs to it.
    #[must_use]
    pub fn with(&self, object: Object) -> Origin {
        let added = Waiting { object, hook: None };
        Origin {
            chain: Some(self.links().iter().cloned().chain([added]).collect()),
            ..self.clone()
        }
    }

    /// All objects that wait, outermost first.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.links().iter().map(|link| &link.object)
    }

    /// The origin of requests from inside `hook`: whoever did not wait for a hook yet waits for this one.
    pub(crate) fn inside(&self, hook: &Arc<HookRef>, lock: Option<&str>) -> Origin {
        let bind = |link: &Waiting| Waiting {
            object: link.object.clone(),
            hook: Some(link.hook.clone().unwrap_or_else(|| hook.clone())),
        };
        let locks = self.locks.iter().flat_map(|locks| locks.iter().cloned());
        Origin {
            chain: Some(self.links().iter().map(bind).collect()),
            locks: Some(locks.chain(lock.map(str::to_owned)).collect()),
            asked_by: None,
            operation: None,
        }
    }

    /// Whether a hook that waits for this request has the named lock: whoever waited for it would wait for itself.
    pub(crate) fn holds(&self, lock: &str) -> bool {
        self.locks
            .as_deref()
            .is_some_and(|locks| locks.iter().any(|held| held == lock))
    }

    /// The same, asked for by this process.
    #[must_use]
    pub fn by(self, asked_by: AskedBy) -> Origin {
        Origin {
            asked_by: Some(Arc::new(asked_by)),
            ..self
        }
    }

    /// The same, as a part of this operation of the history: the hooks that it calls belong there.
    #[must_use]
    pub fn part_of(self, operation: Option<OperationId>) -> Origin {
        Origin { operation, ..self }
    }

    /// The operation of the history that it is a part of.
    pub fn operation(&self) -> Option<OperationId> {
        self.operation
    }

    /// Who asked, as far as that is known; nobody for what happens by itself.
    pub fn asked_by(&self) -> &AskedBy {
        static NOBODY: AskedBy = AskedBy {
            pid: None,
            uid: None,
            program: None,
            hook: None,
        };
        self.asked_by.as_deref().unwrap_or(&NOBODY)
    }

    fn links(&self) -> &[Waiting] {
        self.chain.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::GuestOperation;

    fn hook(guest: &str) -> Arc<HookRef> {
        let event = HookEvent::guest(Driver::Qemu, guest, GuestOperation::Prepare).unwrap();
        Arc::new(HookRef {
            script: "/h/qemu".into(),
            event,
        })
    }

    #[test]
    fn r91_objects_and_hooks_are_named_in_words() {
        assert_eq!(Object::new(Driver::Qemu, "g1").to_string(), "guest g1");
        assert_eq!(Object::new(Driver::Lxc, "c1").to_string(), "guest c1");
        assert_eq!(Object::new(Driver::Network, "n1").to_string(), "network n1");
        assert_eq!(Object::new(Driver::Daemon, "-").to_string(), "the daemon");
        assert_eq!(hook("g1").to_string(), "/h/qemu (qemu g1 prepare begin -)");
    }

    #[test]
    fn r93_who_asked_and_for_what_is_carried_along_but_not_into_hooks() {
        let asked_by = AskedBy {
            pid: Some(7),
            ..AskedBy::default()
        };
        let origin = Origin::client()
            .by(asked_by.clone())
            .part_of(Some(OperationId(3)));
        assert_eq!(
            (origin.asked_by(), origin.operation()),
            (&asked_by, Some(OperationId(3)))
        );
        // Whoever else waits, it is the same request.
        let origin = origin.with(Object::new(Driver::Qemu, "g1"));
        assert_eq!(
            (origin.asked_by(), origin.operation()),
            (&asked_by, Some(OperationId(3)))
        );
        assert_eq!(origin.clone().part_of(None).operation(), None);
        assert_eq!(origin.objects().count(), 1);
        // A request from inside the hook is another one.
        let inside = origin.inside(&hook("g1"), None);
        assert_eq!(
            (inside.asked_by(), inside.operation()),
            (&AskedBy::default(), None)
        );
    }

    #[test]
    fn r91_a_client_waits_for_nothing() {
        let g1 = Object::new(Driver::Qemu, "g1");
        assert_eq!(Origin::client().waiting_for(&g1), None);
        assert_eq!(Origin::client().objects().count(), 0);
        // Before a hook runs there is nothing to name yet.
        assert_eq!(Origin::client().with(g1.clone()).waiting_for(&g1), None);
    }

    #[test]
    fn r91_the_chain_through_hooks_that_call_back_is_kept() {
        let (g1, g2) = (Object::new(Driver::Qemu, "g1"), Object::new(Driver::Qemu, "g2"));
        let in_first = Origin::client()
            .with(g1.clone())
            .inside(&hook("g1"), Some("iptables"));
        assert_eq!(in_first.waiting_for(&g1), Some(&*hook("g1")));
        assert_eq!(in_first.waiting_for(&g2), None);
        // The hook of g1 starts g2, whose hook calls back: both wait, each for its own hook.
        let in_second = in_first.with(g2.clone()).inside(&hook("g2"), None);
        assert_eq!(in_second.waiting_for(&g1), Some(&*hook("g1")));
        assert_eq!(in_second.waiting_for(&g2), Some(&*hook("g2")));
        assert_eq!(in_second.objects().collect::<Vec<_>>(), [&g1, &g2]);
        assert!(in_second.holds("iptables") && !in_second.holds("other"));
        assert!(!Origin::client().holds("iptables"));
        // A network of the same name is another object.
        assert_eq!(in_second.waiting_for(&Object::new(Driver::Network, "g1")), None);
    }
}

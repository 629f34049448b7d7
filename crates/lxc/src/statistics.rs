//! Figures of a container: all of them from its control group and the host's ends of its cards.

use ferrovirt_guest::{BalloonStats, CpuStats, Figures, GuestStats, StatsAsk, traffic};
use ferrovirt_model::domain::Domain;

use crate::container::Container;

/// Processor time and memory in use.
#[must_use]
pub fn figures(guest: &Container) -> Figures {
    let scope = guest.scope();
    Figures {
        cpu_time: scope
            .and_then(|scope| scope.cpu_time())
            .map_or(0, |time| time.total),
        balloon: scope
            .and_then(|scope| scope.memory_usage())
            .map(|bytes| bytes / 1024),
    }
}

/// Groups of figures; what no container has is left out.
#[must_use]
pub fn stats(guest: Option<&Container>, doc: &Domain, ask: &StatsAsk) -> GuestStats {
    let scope = guest.and_then(Container::scope);
    let time = scope.filter(|_| ask.cpu).and_then(|scope| scope.cpu_time());
    GuestStats {
        cpu: time.map(|time| CpuStats {
            total: time.total,
            user: time.user,
            system: time.system,
        }),
        balloon: ask.balloon.then(|| balloon(guest)),
        interfaces: match (ask.interfaces, guest) {
            (true, Some(_)) => traffic::interfaces(doc),
            _ => Vec::new(),
        },
        ..GuestStats::default()
    }
}

/// A container has no balloon; what it has is told all the same.
fn balloon(guest: Option<&Container>) -> BalloonStats {
    let used = guest
        .and_then(Container::scope)
        .and_then(|scope| scope.memory_usage());
    BalloonStats {
        current: used.map(|bytes| bytes / 1024),
        ..BalloonStats::default()
    }
}

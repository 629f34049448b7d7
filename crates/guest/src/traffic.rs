//! Traffic of guests' network cards, as the host's ends of them count it.

use std::fs;

use ferrovirt_model::domain::Domain;

use crate::stats::{InterfaceStats, Traffic};

/// The network cards of a running guest, in the order of its document.
#[must_use]
pub fn interfaces(doc: &Domain) -> Vec<InterfaceStats> {
    let cards = &doc.devices.interfaces;
    let devices = if cards.is_empty() {
        String::new()
    } else {
        fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default()
    };
    cards
        .iter()
        .map(|card| {
            let name = card.target.as_ref().and_then(|target| target.dev.clone());
            let traffic = name.as_deref().and_then(|name| traffic(&devices, name));
            InterfaceStats {
                name,
                // What the host's end receives, the guest has sent.
                received: traffic.map(|(_, sent)| sent),
                sent: traffic.map(|(received, _)| received),
            }
        })
        .collect()
}

/// What a device has received and sent: its line in `/proc/net/dev`, eight numbers for each direction.
fn traffic(devices: &str, name: &str) -> Option<(Traffic, Traffic)> {
    let numbers = devices
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    let numbers: Vec<u64> = numbers
        .split_whitespace()
        .map_while(|number| number.parse().ok())
        .collect();
    let direction = |at: usize| match numbers.get(at..at + 4)? {
        &[bytes, packets, errors, drops] => Some(Traffic {
            bytes,
            packets,
            errors,
            drops,
        }),
        _ => None,
    };
    Some((direction(0)?, direction(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_devices_is_found_by_its_whole_name() {
        let devices = "Inter-|   Receive  | Transmit\n face |bytes\n vnet1:    9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n\
            vnet12:1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n";
        let of = |bytes, packets, errors, drops| Traffic {
            bytes,
            packets,
            errors,
            drops,
        };
        assert_eq!(traffic(devices, "vnet12"), Some((of(1, 2, 3, 4), of(5, 6, 7, 8))));
        assert_eq!(traffic(devices, "vnet"), None);
        assert_eq!(traffic("vnet0: 1 2", "vnet0"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[ -z\n]{0,200}") {
            let _ = traffic(&text, "a");
        }
    }
}

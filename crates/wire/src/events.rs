//! The table of events: what the server says unasked. A row says number, name, and what the message carries; the number
//! of the registration that it answers to (`callback_id`) always comes first.
//!
//! Events that nothing here can tell have no row: a client may register for them all the same.

use bytes::Bytes;

use crate::frame::{Header, MessageType, Status};
use crate::object::{DomainRef, NetworkRef, NodeDeviceRef};
use crate::program::{REMOTE, VERSION};
use crate::xdr::{Xdr, XdrError};

/// What libvirt's daemon writes in place of a serial. Clients do not look at it.
const SERIAL: u32 = 1;

/// An event's message.
pub trait Event: Xdr {
    /// Number of the message within the remote program.
    const NUMBER: i32;

    /// The whole message.
    ///
    /// # Errors
    /// When a text is over a limit of the protocol.
    fn message(&self) -> Result<Bytes, XdrError> {
        header(Self::NUMBER).message(self)
    }
}

/// The header of an event.
pub const fn header(number: i32) -> Header {
    Header {
        program: REMOTE,
        version: VERSION,
        procedure: number,
        kind: MessageType::Message as u32,
        serial: SERIAL,
        status: Status::Ok as u32,
    }
}

macro_rules! events {
    ($(
        $(#[$meta:meta])*
        $number:literal $name:ident $event:ident { $($field:ident: $kind:ty),* $(,)? };
    )*) => {
        $(
            crate::xdr_struct! {
                #[doc = concat!("The message ", stringify!($name), ".")]
                $event { callback_id: i32, $($field: $kind),* }
            }
            $(#[$meta])*
            impl Event for $event {
                const NUMBER: i32 = $number;
            }
        )*

        /// Decodes and encodes an event's payload; none for an event without a row.
        #[cfg(test)]
        pub(crate) fn again(number: i32, payload: &[u8]) -> Option<Result<Vec<u8>, XdrError>> {
            fn through<T: Event>(payload: &[u8]) -> Result<Vec<u8>, XdrError> {
                Ok(T::from_payload(payload)?.message()?[crate::frame::HEADER_SIZE..].to_vec())
            }
            match number {
                $($number => Some(through::<$event>(payload)),)*
                _ => None,
            }
        }
    };
}

events! {
    /// A network was defined, undefined, started or stopped.
    315 NETWORK_EVENT_LIFECYCLE NetworkLifecycle { net: NetworkRef, event: i32, detail: i32 };
    /// A guest's life went on.
    318 DOMAIN_EVENT_CALLBACK_LIFECYCLE DomainLifecycle { dom: DomainRef, event: i32, detail: i32 };
    /// A guest was reset.
    319 DOMAIN_EVENT_CALLBACK_REBOOT DomainReboot { dom: DomainRef };
    /// A disk of a guest failed; `action` is what the guest met: 0 nothing, 1 it was stopped, 2 it saw the error.
    322 DOMAIN_EVENT_CALLBACK_IO_ERROR DomainIoError { dom: DomainRef, src_path: String, dev_alias: String, action: i32 };
    /// The same with a reason: `enospc`, or nothing that is known.
    324 DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON DomainIoErrorReason {
        dom: DomainRef, src_path: String, dev_alias: String, action: i32, reason: String
    };
    /// The hypervisor of a guest cannot be talked with any more.
    325 DOMAIN_EVENT_CALLBACK_CONTROL_ERROR DomainControlError { dom: DomainRef };
    /// A guest has let a device go.
    333 DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED DomainDeviceRemoved { dom: DomainRef, dev_alias: String };
    /// A guest got a device.
    354 DOMAIN_EVENT_CALLBACK_DEVICE_ADDED DomainDeviceAdded { dom: DomainRef, dev_alias: String };
    /// A guest does not let a device go.
    367 DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED DomainDeviceRemovalFailed { dom: DomainRef, dev_alias: String };
    /// A device of the host came or went.
    376 NODE_DEVICE_EVENT_LIFECYCLE NodeDeviceLifecycle { dev: NodeDeviceRef, event: i32, detail: i32 };
    /// A device of the host is different.
    377 NODE_DEVICE_EVENT_UPDATE NodeDeviceUpdate { dev: NodeDeviceRef };
    /// What people or programs wrote about a guest has changed.
    379 DOMAIN_EVENT_CALLBACK_METADATA_CHANGE DomainMetadataChange { dom: DomainRef, kind: i32, nsuri: Option<String> };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dom(name: &str) -> DomainRef {
        DomainRef {
            name: name.to_owned(),
            uuid: [7; 16],
            id: -1,
        }
    }

    #[test]
    fn a_message_is_what_libvirts_daemon_sends() {
        let event = DomainLifecycle {
            callback_id: 120,
            dom: dom("demo"),
            event: 4,
            detail: 0,
        };
        let message = event.message().unwrap();
        let words = [68, 0x2000_8086, 1, 318, 2, 1, 0, 120, 4_u32];
        let begin: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(message[..36], begin);
        assert_eq!(message.len(), 68);
        let too_long = DomainMetadataChange {
            callback_id: 1,
            dom: dom("g"),
            kind: 2,
            nsuri: Some("x".repeat(5 << 20)),
        };
        assert!(too_long.message().is_err());
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_arrives(
            callback_id: i32, name in "\\PC{0,60}", uuid: [u8; 16], id: i32, kind: i32, uri: Option<String>,
        ) {
            let dom = DomainRef { name, uuid, id };
            let told = DomainMetadataChange { callback_id, dom, kind, nsuri: uri };
            let message = told.message().unwrap();
            let heard = DomainMetadataChange::from_payload(&message[crate::frame::HEADER_SIZE..]).unwrap();
            prop_assert_eq!(heard, told);
        }

        #[test]
        fn any_bytes_are_read_or_refused(number in 300..400, bytes: Vec<u8>) {
            if let Some(Ok(written)) = again(number, &bytes) {
                // What was understood is written in the one right way, and understood again.
                prop_assert_eq!(again(number, &written).unwrap().unwrap(), written);
            }
        }
    }
}

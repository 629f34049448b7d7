//! Any bytes as udev's message, as a file of its database and as the list of PCI names: understood or passed over.
#![no_main]

use ferrovirt_host::lookup_pci_ids;
use ferrovirt_host::udev::{Message, Record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(message) = Message::parse(bytes) {
        assert!(message.path.starts_with('/') && !message.path.contains("/../"));
    }
    let record = Record::parse(&String::from_utf8_lossy(bytes));
    assert!(record.links.is_sorted());
    let names = lookup_pci_ids(bytes, 0x8086, 0x10d3);
    assert!(names.product.is_none() || names.vendor.is_some());
});

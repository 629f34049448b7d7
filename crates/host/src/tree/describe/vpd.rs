//! Vital product data: what a device's maker wrote into it (PCI 3.0, appendix I). Resources follow one another: a large one has
//! a byte of type and two of length; the name is 0x82, fields nobody may write 0x90, those that may be written 0x91.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ferrovirt_model::node_device::{Vpd, VpdAccess, VpdFields, VpdIndexed};

const NAME: u8 = 0x82;
const READ_ONLY: u8 = 0x90;
const READ_WRITE: u8 = 0x91;
/// The small resource that ends it.
const END: u8 = 0x78;
/// There is not more room in a device.
const LIMIT: u64 = 32 << 10;

/// Whether there is something to read.
pub(in crate::tree) fn there(dir: &Path) -> bool {
    dir.join("vpd").exists() && read(dir).is_some()
}

/// What a device says; none if it says nothing, or not in the form that is required.
pub(super) fn read(dir: &Path) -> Option<Vpd> {
    let mut bytes = Vec::new();
    File::open(dir.join("vpd"))
        .ok()?
        .take(LIMIT)
        .read_to_end(&mut bytes)
        .ok()?;
    parse(&bytes)
}

fn parse(mut bytes: &[u8]) -> Option<Vpd> {
    let mut vpd = Vpd::default();
    let mut named = false;
    loop {
        let (&kind, rest) = bytes.split_first()?;
        if kind == END {
            return named.then_some(vpd);
        }
        let length = usize::from(u16::from_le_bytes(rest.get(..2)?.try_into().ok()?));
        let content = rest.get(2..2 + length)?;
        bytes = rest.get(2 + length..)?;
        match kind {
            NAME => {
                vpd.name = printable(content)?;
                named = true;
            }
            READ_ONLY => vpd.fields.push(fields(content, VpdAccess::Readonly)?),
            READ_WRITE => vpd.fields.push(fields(content, VpdAccess::Readwrite)?),
            _ => return None,
        }
    }
}

/// Fields of two letters, a length, and a value.
fn fields(mut bytes: &[u8], access: VpdAccess) -> Option<VpdFields> {
    let mut fields = VpdFields {
        access,
        change_level: None,
        manufacture_id: None,
        part_number: None,
        serial_number: None,
        asset_tag: None,
        vendor: Vec::new(),
        system: Vec::new(),
    };
    while let [first, second, length, rest @ ..] = bytes {
        let value = rest.get(..usize::from(*length))?;
        bytes = &rest[usize::from(*length)..];
        let index = || {
            char::from(*second)
                .is_ascii_alphanumeric()
                .then(|| char::from(*second).to_string())
        };
        match (first, second) {
            // The checksum and what is left over end them.
            (b'R', b'V' | b'W') => break,
            (b'E', b'C') => fields.change_level = printable(value),
            (b'M', b'N') => fields.manufacture_id = printable(value),
            (b'P', b'N') => fields.part_number = printable(value),
            (b'S', b'N') => fields.serial_number = printable(value),
            (b'Y', b'A') => fields.asset_tag = printable(value),
            (b'V', _) => fields.vendor.extend(indexed(index(), value)),
            (b'Y', _) => fields.system.extend(indexed(index(), value)),
            _ => {}
        }
    }
    Some(fields)
}

fn indexed(index: Option<String>, value: &[u8]) -> Option<VpdIndexed> {
    Some(VpdIndexed {
        index: index?,
        value: printable(value)?,
    })
}

/// A text of printable ASCII without the white space around it.
fn printable(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(['\0', ' ']);
    text.bytes()
        .all(|byte| (0x20..0x7f).contains(&byte))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resource(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend((content.len() as u16).to_le_bytes());
        bytes.extend(content);
        bytes
    }

    #[test]
    fn names_and_fields_are_read() {
        let mut bytes = resource(NAME, b"A card ");
        bytes.extend(resource(READ_ONLY, b"PN\x02P1EC\x01AV0\x03abcRV\x01x"));
        bytes.extend(resource(READ_WRITE, b"YA\x03tagY1\x01yRW\x00"));
        bytes.push(END);
        let vpd = parse(&bytes).unwrap();
        assert_eq!((vpd.name.as_str(), vpd.fields.len()), ("A card", 2));
        assert_eq!(vpd.fields[0].part_number.as_deref(), Some("P1"));
        assert_eq!(vpd.fields[0].vendor[0].index, "0");
        assert_eq!(vpd.fields[1].asset_tag.as_deref(), Some("tag"));
        assert_eq!(vpd.fields[1].system[0].value, "y");
        assert_eq!(parse(&bytes[..bytes.len() - 1]), None, "no end");
        assert_eq!(parse(&[END]), None, "no name");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, kinds in prop::collection::vec(0x80..0x92_u8, 0..4)) {
            let mut whole: Vec<u8> = kinds.iter().flat_map(|kind| resource(*kind, &bytes)).collect();
            whole.push(END);
            let _ = (parse(&bytes), parse(&whole));
        }
    }
}

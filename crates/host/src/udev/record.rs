//! A file of udev's database: a line each for properties (`E:KEY=value`) and links below `/dev` (`S:name`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What udev knows of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Its properties, beyond those that the kernel gives.
    pub properties: BTreeMap<String, String>,
    /// Links to its node, below `/dev`, in byte order.
    pub links: Vec<String>,
}

impl Record {
    /// Reads the file of a device; none where udev has written none.
    pub(crate) fn read(udev: &Path, id: &str) -> Option<Record> {
        let bytes = fs::read(udev.join("data").join(id)).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Understands the file's text. Lines of other kinds are not for us.
    pub fn parse(text: &str) -> Record {
        let mut record = Record::default();
        for line in text.lines() {
            if let Some(property) = line.strip_prefix("E:") {
                if let Some((key, value)) = property.split_once('=') {
                    record.properties.insert(key.to_owned(), value.to_owned());
                }
            } else if let Some(link) = line.strip_prefix("S:") {
                record.links.push(link.to_owned());
            }
        }
        record.links.sort_unstable();
        record
    }

    /// A property that is not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.properties
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn properties_and_links_are_told_apart() {
        let record = Record::parse(
            "S:disk/by-id/b\nS:disk/by-id/a\nI:12\nE:ID_BUS=usb\nE:X=a=b\nE:EMPTY=\nG:seat\nV:1\n",
        );
        assert_eq!(record.links, ["disk/by-id/a", "disk/by-id/b"]);
        assert_eq!(
            (record.get("ID_BUS"), record.get("X")),
            (Some("usb"), Some("a=b"))
        );
        assert_eq!((record.get("EMPTY"), record.get("I")), (None, None));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(E:|S:|\\PC{0,3}|=|\n){0,40}") {
            let record = Record::parse(&text);
            prop_assert!(record.links.is_sorted());
        }
    }
}

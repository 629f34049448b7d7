//! Names of PCI devices, from the list that distributions carry (`pci.ids`).
//!
//! The list has 40,000 lines and is never held: it is gone through once for the names that are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::sysfs::hex_of;

/// The numbers of a maker and of what it made.
type Ids = (u32, u32);

/// The names that go with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Who made it.
    pub vendor: Option<String>,
    /// What it is.
    pub product: Option<String>,
}

/// Names that were asked for once; there are as many as kinds of devices in the machine.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    known: Mutex<BTreeMap<Ids, Names>>,
}

impl Cache {
    /// The names of one device.
    pub(crate) fn names(&self, files: &[PathBuf], vendor: u32, product: u32) -> Names {
        let ids = (vendor, product);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = known().get(&ids) {
            return names.clone();
        }
        // Not under the lock: reading takes some milliseconds.
        let names = files
            .iter()
            .find_map(|file| of_file(file, ids))
            .unwrap_or_default();
        known().insert(ids, names.clone());
        names
    }
}

fn of_file(path: &Path, ids: Ids) -> Option<Names> {
    // The list has 1.5 MB; nobody's list has more than this.
    let file = File::open(path).ok()?.take(64 << 20);
    Some(lookup(BufReader::with_capacity(64 << 10, file), ids.0, ids.1))
}

/// Looks up the names of one device in a list. What cannot be read ends it; a line that is none of the list's kinds is passed over.
pub fn lookup(mut list: impl BufRead, vendor: u32, product: u32) -> Names {
    let mut names = Names::default();
    let mut in_vendor = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        match list.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return names,
            Ok(_) => {}
        }
        let depth = line.iter().take_while(|byte| **byte == b'\t').count();
        // Vendors stand left, devices one step in, subsystems two; classes and comments begin with other characters.
        match depth {
            0 if matches!(line.first(), Some(b'#' | b'\n' | b'\r')) => {}
            0 if in_vendor => return names,
            0 => {
                if let Some(name) = entry(&line, vendor) {
                    in_vendor = true;
                    names.vendor = Some(name);
                }
            }
            1 if in_vendor => {
                if let Some(name) = entry(&line[1..], product) {
                    names.product = Some(name);
                    return names;
                }
            }
            _ => {}
        }
    }
}

/// The name on a line with this number: four digits, two spaces, the name.
fn entry(line: &[u8], number: u32) -> Option<String> {
    let (digits, name) = (line.get(..4)?, line.get(4..)?);
    let digits = std::str::from_utf8(digits).ok()?;
    let matches = hex_of(digits) == Some(number) && name.first().is_some_and(u8::is_ascii_whitespace);
    matches
        .then(|| String::from_utf8_lossy(name).trim().to_owned())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str = "# comment
10de  NVIDIA Corporation
\t2204  GA102 [GeForce RTX 3090]
\t\t1458 403b  Gigabyte
8086  Intel Corporation
\t10d3  82574L Gigabit Network Connection

C 01  Mass storage controller
\t06  SATA controller
";

    fn names(vendor: u32, product: u32) -> (Option<String>, Option<String>) {
        let names = lookup(LIST.as_bytes(), vendor, product);
        (names.vendor, names.product)
    }

    #[test]
    fn names_are_found_below_their_maker_only() {
        let intel = Some("Intel Corporation".to_owned());
        let nic = Some("82574L Gigabit Network Connection".to_owned());
        assert_eq!(names(0x8086, 0x10d3), (intel.clone(), nic));
        assert_eq!(names(0x8086, 0x2204), (intel, None));
        assert_eq!(names(0x1234, 0x10d3), (None, None));
        assert_eq!(
            names(0x10de, 0x1458),
            (Some("NVIDIA Corporation".to_owned()), None)
        );
    }

    #[test]
    fn the_first_list_that_is_there_counts_and_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let files = [dir.path().join("none"), dir.path().join("pci.ids")];
        std::fs::write(&files[1], LIST).unwrap();
        let cache = Cache::default();
        let names = cache.names(&files, 0x8086, 0x10d3);
        assert!(names.product.is_some());
        std::fs::remove_file(&files[1]).unwrap();
        assert_eq!(cache.names(&files, 0x8086, 0x10d3), names);
        assert_eq!(cache.names(&files, 0x10de, 0x2204), Names::default());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, vendor in 0..0x10000_u32, product in 0..0x10000_u32) {
            let _ = lookup(&bytes[..], vendor, product);
        }

        #[test]
        fn what_was_written_is_found(
            list in prop::collection::btree_map(0..0x10000_u32, ("[A-Z][a-z ]{0,20}[a-z]",
                prop::collection::btree_map(0..0x10000_u32, "[A-Z][a-z ]{0,20}[a-z]", 0..5)), 1..8),
        ) {
            let mut text = String::new();
            for (vendor, (name, products)) in &list {
                text += &format!("{vendor:04x}  {name}\n");
                for (product, name) in products {
                    text += &format!("\t{product:04x}  {name}\n");
                }
            }
            for (vendor, (maker, products)) in &list {
                for (product, name) in products {
                    let names = lookup(text.as_bytes(), *vendor, *product);
                    prop_assert_eq!(names.vendor.as_deref(), Some(maker.as_str()));
                    prop_assert_eq!(names.product.as_deref(), Some(name.as_str()));
                }
            }
        }
    }
}

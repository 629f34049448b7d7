//! Small reads below sysfs: attributes, links, `uevent` files. What is not there, or is not what it should be, is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// An attribute without the white space around it. Bytes that are not UTF-8 are replaced: names are for people.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(
        text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
            .to_owned(),
    )
}

/// The same, if there is something in it.
pub(crate) fn word(path: &Path) -> Option<String> {
    text(path).filter(|text| !text.is_empty())
}

/// A decimal number.
pub(crate) fn number<T: FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// A hexadecimal number with or without `0x`.
pub(crate) fn hex(path: &Path) -> Option<u32> {
    hex_of(&text(path)?)
}

/// A hexadecimal number with or without `0x`.
pub(crate) fn hex_of(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// The last part of what a link points to: the name of a driver, of a group.
pub(crate) fn link_name(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

/// Names in a directory, in the kernel's order; none if it is not there.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// `KEY=value` lines.
pub(crate) fn variables(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Where a link of `dir` points to, without looking at the disk: `..` only ever leaves a directory of sysfs, in which no
/// directory on the way is a link.
pub(crate) fn target_of(dir: &Path, name: &str) -> Option<PathBuf> {
    let target = fs::read_link(dir.join(name)).ok()?;
    let mut whole = dir.to_owned();
    for part in target.components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            Component::Normal(part) => whole.push(part),
            Component::RootDir => whole = PathBuf::from("/"),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_followed_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("../../devices/./a/b", dir.path().join("x")).unwrap();
        let found = target_of(dir.path(), "x").unwrap();
        let base = dir.path().parent().unwrap().parent().unwrap();
        assert_eq!(found, base.join("devices/a/b"));
        assert_eq!(link_name(&dir.path().join("x")).as_deref(), Some("b"));
        assert_eq!(target_of(dir.path(), "y"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,40}", number: u32) {
            let _ = (hex_of(&text), variables(&text));
            prop_assert_eq!(hex_of(&format!("0x{number:04x}")), Some(number));
        }
    }
}

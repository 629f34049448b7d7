//! Sets of CPUs or NUMA nodes by number.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A set of CPUs or NUMA nodes; read as `0,1,4-7,^6`, written as ranges in ascending order (`0-1,4-5,7`). Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CpuSet(BTreeSet<u32>);

/// The highest number that a set can hold; the kernel has fewer.
const HIGHEST: u32 = 16383;

/// What was not a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Failed to parse bitmap '{0}'")]
pub struct MalformedCpuSet(pub String);

impl CpuSet {
    /// A set of these; `None` where there are none, or one is too high.
    pub fn new(numbers: impl IntoIterator<Item = u32>) -> Option<Self> {
        let set: BTreeSet<u32> = numbers.into_iter().collect();
        let fits = set.last().is_some_and(|last| *last <= HIGHEST);
        fits.then_some(Self(set))
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| plain && *number <= HIGHEST)
}

/// Adds (or takes out, after `^`) what one part between commas names.
fn apply(set: &mut BTreeSet<u32>, part: &str) -> Option<()> {
    if let Some(out) = part.strip_prefix('^') {
        set.remove(&number(out)?);
        return Some(());
    }
    let (first, last) = match part.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(part)?, number(part)?),
    };
    set.extend(first..=last);
    (first <= last).then_some(())
}

impl FromStr for CpuSet {
    type Err = MalformedCpuSet;

    /// Numbers and ranges separated by commas; `^` takes one out of those before it.
    fn from_str(text: &str) -> Result<Self, MalformedCpuSet> {
        let mut set = BTreeSet::new();
        let whole = text.split(',').try_for_each(|part| apply(&mut set, part.trim()));
        whole
            .and_then(|()| Self::new(set))
            .ok_or_else(|| MalformedCpuSet(text.to_owned()))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets_as_libvirt_writes_them() {
        for (text, written) in [
            ("0", "0"),
            ("1,0", "0-1"),
            ("0,1,2,5-7,^6", "0-2,5,7"),
            (" 3 , 1", "1,3"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), written);
        }
        for text in ["", "x", "3-1", "-1", "0-", "^0", "1,^1", "99999", "0,,1", "+1"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(numbers in prop::collection::btree_set(0u32..200, 1..40)) {
            let set = CpuSet::new(numbers.clone()).unwrap();
            prop_assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-0-9,^ x]{0,12}") {
            if let Ok(set) = text.parse::<CpuSet>() {
                prop_assert_eq!(set.to_string().parse::<CpuSet>(), Ok(set));
            }
        }
    }
}

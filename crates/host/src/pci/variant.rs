//! Which driver for guests suits a device best. Modules say of themselves what they are for (`modules.alias`); those made for one
//! kind of device know more of it than the general one: how to bring its state to another host, for example.

use std::fs;
use std::path::Path;

use crate::places::Places;
use crate::sysfs;

/// The driver that suits any device.
pub(super) const GENERAL: &str = "vfio-pci";

/// How the modules' list names devices for guests.
const PREFIX: &str = "vfio_pci:";

/// The module made for the device at this directory, if there is one that is not for all.
pub(super) fn best(places: &Places, dir: &Path) -> Option<String> {
    let alias = sysfs::word(&dir.join("modalias"))?;
    let release = sysfs::word(&places.proc.join("sys/kernel/osrelease"))?;
    if release.contains('/') {
        return None;
    }
    let list = fs::read_to_string(places.modules.join(release).join("modules.alias")).ok()?;
    in_list(&list, alias.strip_prefix("pci:")?).map(str::to_owned)
}

/// The module whose pattern fits with the fewest wildcards.
fn in_list<'a>(list: &'a str, device: &str) -> Option<&'a str> {
    let fitting = list.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let pattern = (words.next() == Some("alias"))
            .then(|| words.next())??
            .strip_prefix(PREFIX)?;
        let module = words.next()?;
        matches(pattern.as_bytes(), device.as_bytes()).then(|| (wildcards(pattern), module))
    });
    let best = fitting.min_by_key(|(wildcards, _)| *wildcards)?;
    Some(best.1).filter(|module| module.replace('_', "-") != GENERAL)
}

fn wildcards(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| *byte == b'*').count()
}

/// Whether a text fits a pattern with `*` for any text and `?` for any character, without trying all ways.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str = "# aliases
alias pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_core
alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
alias vfio_pci:v000015B3d*sv*sd*bc*sc*i* other_vfio_pci
alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci
";

    #[test]
    fn the_nearest_one_is_taken_and_the_general_one_needs_no_name() {
        let device = "v000015B3d0000101Esv00001D0Fsd0000EC20bc02sc00i00";
        assert_eq!(in_list(LIST, device), Some("mlx5_vfio_pci"));
        assert_eq!(in_list(LIST, "v00008086d000010D3sv0sd0bc02sc00i00"), None);
        assert_eq!(in_list("", device), None);
        assert_eq!(
            in_list(LIST, "v000015B3d00000001sv0sd0bc02sc00i00"),
            Some("other_vfio_pci")
        );
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic(list in "((alias|vfio_pci:|\\*|\\?|v|d|0| |\n)){0,60}", device in "[vd0-9]{0,20}") {
            let _ = in_list(&list, &device);
        }

        #[test]
        fn a_text_fits_itself_and_with_parts_starred(text in "[a-c]{1,12}", from in 0..12_usize, to in 0..12_usize) {
            prop_assert!(matches(text.as_bytes(), text.as_bytes()));
            let (from, to) = (from.min(to).min(text.len()), from.max(to).min(text.len()));
            let starred = format!("{}*{}", &text[..from], &text[to..]);
            prop_assert!(matches(starred.as_bytes(), text.as_bytes()));
            let longer = format!("{text}d");
            prop_assert!(!matches(text.as_bytes(), longer.as_bytes()));
        }
    }
}

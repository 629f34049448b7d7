//! The ids of a user namespace: checked before anything is made, so that the error names the ranges.

use crate::protocol::{Failure, IdMaps, IdRange};

use super::{Named, Step};

/// How many ranges the kernel takes.
const MOST: usize = 340;

/// Refuses what the kernel would refuse with nothing but `EINVAL`.
pub(super) fn check(maps: &IdMaps) -> Step<()> {
    check_one("uid", &maps.uids)?;
    check_one("gid", &maps.gids)
}

fn check_one(kind: &str, ranges: &[IdRange]) -> Step<()> {
    let refuse = |text: String| Err(Failure::new(format!("{kind} map of the container: {text}"), 0));
    if ranges.len() > MOST {
        return refuse(format!("{} ranges, but the kernel takes {MOST}", ranges.len()));
    }
    for range in ranges {
        let fits = |first: u32| first.checked_add(range.count).is_some();
        if range.count == 0 {
            return refuse(format!("the range that starts at {} is empty", range.start));
        }
        if !fits(range.start) || !fits(range.target) {
            return refuse(format!(
                "the range that starts at {} goes beyond the last id",
                range.start
            ));
        }
    }
    for (index, one) in ranges.iter().enumerate() {
        for other in &ranges[..index] {
            if overlap(one.start, other.start, one.count, other.count) {
                return refuse(format!(
                    "{} and {} overlap inside",
                    span(other.start, other.count),
                    span(one.start, one.count)
                ));
            }
            if overlap(one.target, other.target, one.count, other.count) {
                return refuse(format!(
                    "{} and {} overlap on the host",
                    span(other.target, other.count),
                    span(one.target, one.count)
                ));
            }
        }
    }
    match to_host(ranges, 0) {
        Some(_) => Ok(()),
        None => refuse("root (0) is not in it".to_owned()),
    }
}

fn overlap(first: u32, second: u32, first_count: u32, second_count: u32) -> bool {
    first < second.saturating_add(second_count) && second < first.saturating_add(first_count)
}

fn span(first: u32, count: u32) -> String {
    format!("{first}-{}", first.saturating_add(count.saturating_sub(1)))
}

/// The id on the host of one inside.
pub(super) fn to_host(ranges: &[IdRange], inside: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = inside.checked_sub(range.start)?;
        (offset < range.count).then(|| range.target.saturating_add(offset))
    })
}

/// The user and group on the host of the container's root.
pub(super) fn root(maps: Option<&IdMaps>) -> (u32, u32) {
    maps.map_or((0, 0), |maps| {
        let id = |ranges: &[IdRange]| to_host(ranges, 0).unwrap_or(0);
        (id(&maps.uids), id(&maps.gids))
    })
}

/// Gives a process that waits in a new user namespace its ids.
pub(super) fn write(maps: &IdMaps, pid: i32) -> Step<()> {
    for (kind, ranges) in [("uid", &maps.uids), ("gid", &maps.gids)] {
        let lines: String = ranges
            .iter()
            .map(|range| format!("{} {} {}\n", range.start, range.target, range.count))
            .collect();
        let path = format!("/proc/{pid}/{kind}_map");
        // One write: the kernel takes no second one.
        std::fs::write(path, lines).named(|| format!("cannot set the {kind} map of the container"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u32, target: u32, count: u32) -> IdRange {
        IdRange { start, target, count }
    }

    fn refusal(ranges: &[IdRange]) -> String {
        check_one("uid", ranges).unwrap_err().what
    }

    #[test]
    fn ranges_that_overlap_are_named() {
        let inside = [range(0, 100_000, 1000), range(999, 300_000, 10)];
        assert_eq!(
            refusal(&inside),
            "uid map of the container: 0-999 and 999-1008 overlap inside"
        );
        let outside = [range(0, 100_000, 1000), range(1000, 100_500, 10)];
        assert_eq!(
            refusal(&outside),
            "uid map of the container: 100000-100999 and 100500-100509 overlap on the host"
        );
        assert!(refusal(&[range(0, 1, 0)]).ends_with("is empty"));
        assert!(refusal(&[range(0, u32::MAX, 2)]).ends_with("beyond the last id"));
        assert!(refusal(&[range(1, 100_000, 5)]).contains("root (0)"));
        assert!(refusal(&[]).contains("root (0)"));
        check_one("uid", &[range(0, 100_000, 1000), range(1000, 200_000, 10)]).unwrap();
    }

    #[test]
    fn the_containers_root_is_somebody_on_the_host() {
        let maps = IdMaps {
            uids: vec![range(10, 5, 3), range(0, 100_000, 10)],
            gids: vec![range(0, 200_000, 10)],
        };
        assert_eq!(root(Some(&maps)), (100_000, 200_000));
        assert_eq!(root(None), (0, 0));
        assert_eq!(to_host(&maps.uids, 12), Some(7));
        assert_eq!(to_host(&maps.uids, 13), None);
    }

    proptest! {
        #[test]
        fn accepted_maps_are_one_to_one(
            ranges in proptest::collection::vec((0u32..50, 0u32..50, 0u32..20), 0..5),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(s, t, c)| range(s, t, c)).collect();
            if check_one("gid", &ranges).is_ok() {
                let mut hosts: Vec<_> = (0..100).filter_map(|id| to_host(&ranges, id)).collect();
                let count = hosts.len();
                hosts.sort_unstable();
                hosts.dedup();
                prop_assert_eq!(hosts.len(), count);
                prop_assert_eq!(count, ranges.iter().map(|r| r.count as usize).sum::<usize>());
            }
        }
    }
}

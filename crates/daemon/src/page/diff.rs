//! What a filter changed, line by line.

/// A line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) change: Change,
    pub(crate) text: String,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Kept,
    Removed,
    Added,
    /// Lines that are the same were left out here.
    LeftOut,
}

impl Change {
    /// The first column, as `diff -u` has it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Change::Kept => " ",
            Change::Removed => "-",
            Change::Added => "+",
            Change::LeftOut => "…",
        }
    }
}

/// How many cells the table may have; with more, what differs is shown as a whole.
const CELLS: usize = 1 << 22;
/// How many lines are kept around a change.
const AROUND: usize = 3;

/// Compares two texts; empty if they are the same.
pub(crate) fn compare(before: &str, after: &str) -> Vec<Line> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = before.iter().zip(&after).take_while(same).count();
    let tail = before[head..]
        .iter()
        .rev()
        .zip(after[head..].iter().rev())
        .take_while(same)
        .count();
    let (old, new) = (
        &before[head..before.len() - tail],
        &after[head..after.len() - tail],
    );
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    let mut lines = before[..head]
        .iter()
        .map(|text| (Change::Kept, *text))
        .collect::<Vec<_>>();
    lines.extend(middle(old, new));
    lines.extend(
        before[before.len() - tail..]
            .iter()
            .map(|text| (Change::Kept, *text)),
    );
    shorten(&lines)
}

/// The longest common subsequence, read off its table.
fn middle<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Change, &'a str)> {
    let whole = |change| move |text: &&'a str| (change, *text);
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > CELLS {
        let removed = old.iter().map(whole(Change::Removed));
        return removed.chain(new.iter().map(whole(Change::Added))).collect();
    }
    // How many lines the rests from here on have in common.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            lines.push((Change::Kept, old[i]));
            (i, j) = (i + 1, j + 1);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            lines.push((Change::Removed, old[i]));
            i += 1;
        } else {
            lines.push((Change::Added, new[j]));
            j += 1;
        }
    }
    lines.extend(old[i..].iter().map(whole(Change::Removed)));
    lines.extend(new[j..].iter().map(whole(Change::Added)));
    lines
}

/// Leaves out what is far from any change.
fn shorten(lines: &[(Change, &str)]) -> Vec<Line> {
    let changed: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].0 != Change::Kept)
        .collect();
    let mut near = vec![false; lines.len()];
    for at in changed {
        let end = (at + AROUND + 1).min(lines.len());
        near[at.saturating_sub(AROUND)..end].fill(true);
    }
    let mut short: Vec<Line> = Vec::new();
    for ((change, text), near) in lines.iter().zip(near) {
        if near {
            short.push(Line {
                change: *change,
                text: (*text).to_owned(),
            });
        } else if short.last().is_none_or(|last| last.change != Change::LeftOut) {
            short.push(Line {
                change: Change::LeftOut,
                text: String::new(),
            });
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(before: &str, after: &str) -> String {
        let lines = compare(before, after);
        lines
            .iter()
            .map(|line| format!("{}{}\n", line.change.sign(), line.text))
            .collect()
    }

    #[test]
    fn changes_are_shown_with_their_surroundings() {
        assert_eq!(shown("a\nb\n", "a\nb\n"), "");
        assert_eq!(shown("a\nb\nc\n", "a\nx\nc\n"), " a\n-b\n+x\n c\n");
        assert_eq!(
            shown("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\n5\n6\n7\n"),
            "…\n 4\n 5\n 6\n+7\n"
        );
        assert_eq!(shown("", "x\n"), "+x\n");
    }

    proptest! {
        #[test]
        fn both_texts_are_in_it(before in "[ab\n]{0,40}", after in "[ab\n]{0,40}") {
            let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
            let lines = middle(&old, &new);
            let side = |gone| lines.iter().filter(move |line| line.0 != gone).map(|line| line.1).collect::<Vec<_>>();
            prop_assert_eq!(side(Change::Added), old);
            prop_assert_eq!(side(Change::Removed), new);
        }
    }
}

//! "did you mean": what somebody who mistyped a word may have meant.

/// The end of a sentence about an unknown word: the one that was meant, or all there are.
pub(crate) fn instead(word: &str, known: &[&str]) -> String {
    match closest(word, known) {
        Some(meant) => format!("; did you mean '{meant}'?"),
        None => format!("; there are {}", known.join(", ")),
    }
}

/// The known word that differs least, if by no more than a third of its letters.
pub(crate) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // What is much longer than any word is no slip of the finger, and would cost time.
    if word.chars().count() > 40 {
        return None;
    }
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters are to be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_slip_costs_one() {
        for (word, meant, slips) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("timeuot", "timeout", 1),
            ("pyaload", "payload", 1),
            ("on_fialure", "on_failure", 1),
            ("warn_aftre", "warn_after", 1),
            ("abcd", "badc", 2),
            ("aab", "aba", 1),
            ("abc", "cba", 2),
        ] {
            assert_eq!(distance(word, meant), slips, "{word} {meant}");
        }
    }

    #[test]
    fn a_third_of_the_letters_may_be_wrong_of_a_word_of_any_usual_length() {
        assert_eq!(closest("prpar", &["prepare"]), Some("prepare"));
        assert_eq!(closest("prpa", &["prepare"]), None);
        let (longest, longer) = ("x".repeat(40), "x".repeat(41));
        assert_eq!(closest(&longest, &[&longest]), Some(longest.as_str()));
        assert_eq!(closest(&longer, &[&longest]), None);
    }

    #[test]
    fn slips_are_recognised() {
        let known = ["prepare", "release", "port-created", "user"];
        for (word, meant) in [
            ("prepar", "prepare"),
            ("rpepare", "prepare"),
            ("relaese", "release"),
            ("port_created", "port-created"),
            ("usr", "user"),
        ] {
            assert_eq!(closest(word, &known), Some(meant), "{word}");
        }
        assert_eq!(closest("stop", &known), None);
        assert_eq!(closest(&"x".repeat(1000), &known), None);
        assert_eq!(instead("usr", &known), "; did you mean 'user'?");
        assert_eq!(instead("x", &["a", "bb"]), "; did you mean 'a'?");
        assert_eq!(instead("xyz", &["a", "bb"]), "; there are a, bb");
    }
}

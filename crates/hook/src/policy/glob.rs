//! Patterns in rules: `*`, `?`, `[a-z]`, `[!x]`, and `\` before a character that is meant as it stands. Own, because a
//! crate for file trees brings more than twenty lines are worth; the time of a match grows with pattern times text, never
//! faster.

use std::fmt;

/// What a pattern is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    Is(char),
    /// `?`: any one.
    One,
    /// `*`: any number, none included.
    Many,
    /// `[a-z]`, `[!a-z]`: one of these, or none of them.
    Class {
        none_of: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Part::Is(wanted) => *wanted == c,
            Part::One | Part::Many => true,
            Part::Class { none_of, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *none_of
            }
        }
    }
}

/// A pattern for a name or a text: it has to fit as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
}

impl Glob {
    /// # Errors
    /// What is wrong with the pattern, as the end of a sentence that begins with it.
    pub(crate) fn new(text: &str) -> Result<Glob, &'static str> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Many,
                '?' => Part::One,
                '[' => {
                    let (part, rest) = class(chars.as_str())?;
                    chars = rest.chars();
                    part
                }
                '\\' => Part::Is(
                    chars
                        .next()
                        .ok_or("ends with a '\\' that stands before nothing")?,
                ),
                c => Part::Is(c),
            });
        }
        parts.dedup_by(|a, b| *a == Part::Many && *b == Part::Many);
        let text = text.to_owned();
        Ok(Glob { text, parts })
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        let (mut at, mut rest) = (0, text);
        // After the last `*`: where the pattern goes on, and the text from which to try again.
        let mut again: Option<(usize, &str)> = None;
        loop {
            match (self.parts.get(at), rest.chars().next()) {
                (Some(Part::Many), _) => {
                    at += 1;
                    again = Some((at, rest));
                    continue;
                }
                (Some(part), Some(c)) if part.takes(c) => {
                    at += 1;
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((from, tried)) = again else { return false };
            let Some(c) = tried.chars().next() else {
                return false;
            };
            (at, rest) = (from, &tried[c.len_utf8()..]);
            again = Some((at, rest));
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What stands between `[` and `]`, and what follows. A `]` right at the beginning is one of the characters.
fn class(text: &str) -> Result<(Part, &str), &'static str> {
    const OPEN: &str = "has a '[' without ']'";
    let (none_of, text) = match text.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    let mut chars = text.chars();
    loop {
        let from = match chars.next().ok_or(OPEN)? {
            ']' if !ranges.is_empty() => return Ok((Part::Class { none_of, ranges }, chars.as_str())),
            '\\' => chars.next().ok_or(OPEN)?,
            c => c,
        };
        let rest = chars.as_str();
        let to = match rest.strip_prefix('-') {
            // `[a-]`: the `-` is one of the characters.
            Some(after) if !after.starts_with(']') => {
                chars = after.chars();
                chars.next().ok_or(OPEN)?
            }
            _ => from,
        };
        if to < from {
            return Err("has a range whose end stands before its beginning");
        }
        ranges.push((from, to));
    }
}

/// A pattern for the path of a script. `*` and its like stop at `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathGlob {
    absolute: bool,
    steps: Vec<Glob>,
}

impl PathGlob {
    /// # Errors
    /// As of [`Glob::new`], for the first step of the path that is wrong.
    pub(crate) fn new(text: &str) -> Result<PathGlob, &'static str> {
        let (absolute, below) = match text.strip_prefix('/') {
            Some(below) => (true, below),
            None => (false, text),
        };
        let steps = below.split('/').map(Glob::new).collect::<Result<_, _>>()?;
        Ok(PathGlob { absolute, steps })
    }

    /// Whether the path fits; for a pattern without `/` at its beginning, the end of it that lies below the hooks
    /// directory.
    pub(crate) fn matches(&self, whole: &str, below: &str) -> bool {
        let path = if self.absolute {
            whole.strip_prefix('/').unwrap_or(whole)
        } else {
            below
        };
        path.split('/').count() == self.steps.len()
            && path
                .split('/')
                .zip(&self.steps)
                .all(|(name, step)| step.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_whole_texts() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("web-*", &["web-", "web-1"], &["web", "xweb-1", "WEB-1"]),
            ("*", &["", "a", "a/b", "ä"], &[]),
            ("a?c", &["abc", "aäc"], &["ac", "abbc"]),
            ("*a*b*", &["ab", "xaybz", "aab"], &["ba", ""]),
            ("[a-c]x[!0-9]", &["axz", "cxä"], &["dxz", "ax1"]),
            ("[]x]", &["]", "x"], &["[]x]"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[^a]", &["b"], &["a", ""]),
            (r"\*\?[\]]", &["*?]"], &["a?]"]),
            ("", &[""], &["a"]),
            ("**a", &["a", "bba"], &["b"]),
        ];
        for (pattern, yes, no) in rows {
            let glob = Glob::new(pattern).unwrap();
            for text in *yes {
                assert!(glob.matches(text), "{pattern} {text}");
            }
            for text in *no {
                assert!(!glob.matches(text), "{pattern} {text}");
            }
            assert_eq!(glob.to_string(), *pattern);
        }
    }

    #[test]
    fn broken_patterns_are_named() {
        for (pattern, reason) in [
            ("[a", "has a '[' without ']'"),
            ("[]", "has a '[' without ']'"),
            ("[a-", "has a '[' without ']'"),
            (r"[\", "has a '[' without ']'"),
            (r"a\", r"ends with a '\' that stands before nothing"),
            ("[z-a]", "has a range whose end stands before its beginning"),
        ] {
            assert_eq!(Glob::new(pattern), Err(reason), "{pattern}");
        }
    }

    #[test]
    fn patterns_of_paths_stop_at_slashes() {
        let fits = |pattern: &str| {
            PathGlob::new(pattern)
                .unwrap()
                .matches("/etc/libvirt/hooks/qemu.d/10-gpu", "qemu.d/10-gpu")
        };
        for pattern in [
            "/etc/libvirt/hooks/qemu.d/10-*",
            "qemu.d/10-*",
            "*/*",
            "/*/*/*/*/*",
        ] {
            assert!(fits(pattern), "{pattern}");
        }
        for pattern in ["10-*", "*", "/etc/*", "qemu", "etc/libvirt/hooks/qemu.d/10-gpu"] {
            assert!(!fits(pattern), "{pattern}");
        }
        assert!(PathGlob::new("qemu.d/[a/b]").is_err());
    }

    #[test]
    fn many_stars_cost_little() {
        let glob = Glob::new(&"*a".repeat(200)).unwrap();
        assert!(!glob.matches(&format!("{}b", "a".repeat(20_000))));
    }

    proptest! {
        #[test]
        fn every_text_fits_itself_when_quoted(text in "\\PC*") {
            let quoted: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(Glob::new(&quoted).unwrap().matches(&text));
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in "\\PC*|[-a-c*?\\[\\]!^/\\\\]*", text in "\\PC*|[a-c/]*") {
            if let Ok(glob) = Glob::new(&pattern) {
                let _ = glob.matches(&text);
            }
            if let Ok(glob) = PathGlob::new(&pattern) {
                let _ = glob.matches(&text, &text);
            }
        }
    }
}

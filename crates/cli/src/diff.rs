//! What a filter changed, line by line.

use std::io::Write;

use similar::{ChangeTag, TextDiff};

use crate::color::Colors;

/// How many unchanged lines stand around a change.
const CONTEXT: usize = 3;

/// Prints a unified diff; says so when there is no change.
pub(crate) fn print(out: &mut impl Write, before: &str, after: &str, colors: &Colors) -> std::io::Result<()> {
    let diff = TextDiff::from_lines(before, after);
    let groups = diff.grouped_ops(CONTEXT);
    if groups.is_empty() {
        return writeln!(out, "(nothing)");
    }
    for (number, group) in groups.iter().enumerate() {
        if number > 0 {
            writeln!(out, "...")?;
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            let line = match change.tag() {
                ChangeTag::Equal => format!(" {line}"),
                ChangeTag::Delete => colors.bad(&format!("-{line}")),
                ChangeTag::Insert => colors.good(&format!("+{line}")),
            };
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(before: &str, after: &str) -> String {
        let mut out = Vec::new();
        print(&mut out, before, after, &Colors::off()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn changed_lines_stand_in_their_surroundings() {
        assert_eq!(printed("a\nb\nc\n", "a\nx\nc\n"), " a\n-b\n+x\n c\n");
        assert_eq!(printed("a\n", "a\n"), "(nothing)\n");
        let long: String = (0..30).map(|n| format!("{n}\n")).collect();
        let changed = long.replace("\n2\n", "\ntwo\n").replace("\n27\n", "\nlast\n");
        assert!(printed(&long, &changed).contains("\n...\n"));
    }
}

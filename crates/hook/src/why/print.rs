//! The story as text: 100 columns, no colour, commands in one piece.

use std::fmt;

use super::words::{duration, time};
use super::{Cause, Story};

/// How wide the text is.
const WIDTH: usize = 100;
/// What stands between a command and what it is for.
const PURPOSE: &str = " # ";
/// Where the purposes of short commands stand below each other.
const COLUMN: usize = 44;

/// Words one after the other, as many in a line as fit; a word that is longer than the line stays whole.
struct Wrapped<'a> {
    text: &'a str,
    /// What stands before the first line, and before the others.
    first: &'a str,
    others: &'a str,
}

impl fmt::Display for Wrapped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.first.to_owned();
        let mut empty = true;
        for word in self.text.split(' ').filter(|word| !word.is_empty()) {
            let long = line.chars().count() + usize::from(!empty) + word.chars().count() > WIDTH;
            if long && !empty {
                writeln!(f, "{line}")?;
                self.others.clone_into(&mut line);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        writeln!(f, "{}", line.trim_end())
    }
}

fn wrapped<'a>(text: &'a str, first: &'a str, others: &'a str) -> Wrapped<'a> {
    Wrapped { text, first, others }
}

/// Ends without a newline, as `Display` does.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = wrapped(&self.headline, "", "").to_string();
        if let Some(first) = &self.first {
            text.push_str(&cause(first, &self.headline));
        }
        let lists = [
            ("Afterwards", &self.afterwards),
            ("Ignored", &self.ignored),
            ("Worth knowing", &self.remarks),
        ];
        for (title, items) in lists {
            if !items.is_empty() {
                text.push_str(&format!("\n{title}:\n"));
            }
            for item in items {
                text.push_str(&wrapped(item, "  - ", "    ").to_string());
            }
        }
        if !self.next.is_empty() {
            text.push_str("\nWhat to do next:\n");
        }
        for item in &self.next {
            text.push_str(&command(item));
        }
        f.write_str(text.trim_end())
    }
}

/// When it was and what it said; what the headline has said already is not said again.
fn cause(first: &Cause, headline: &str) -> String {
    let facts = [
        first.when.map(time),
        first.took.map(|took| format!("took {}", duration(took))),
        first.run.map(|run| format!("run {run}")),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let mut text = String::new();
    if !headline.ends_with(&first.what) {
        text.push_str(&wrapped(&first.what, "  ", "  ").to_string());
    }
    for line in first.words.lines().filter(|_| !headline.ends_with(&first.words)) {
        let whole = format!("  | {line}");
        if whole.chars().count() <= WIDTH {
            text.push_str(&format!("{whole}\n"));
        } else {
            text.push_str(&wrapped(line, "  | ", "  | ").to_string());
        }
    }
    match (facts.is_empty(), text.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("\nWhat happened:\n{text}"),
        (false, true) => format!("\n{}\n", facts.join(", ")),
        (false, false) => format!("\n{}:\n{text}", facts.join(", ")),
    }
}

/// A command in one line, that it can be copied; what it is for beside it, or below.
fn command(item: &str) -> String {
    let Some((command, purpose)) = item.rsplit_once(PURPOSE) else {
        return wrapped(item, "  ", "  ").to_string();
    };
    let beside = format!("  {command:<COLUMN$}  # {purpose}");
    if beside.chars().count() <= WIDTH {
        return format!("{beside}\n");
    }
    format!("  {command}\n{}", wrapped(purpose, "      # ", "      # "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_never_broken_and_lines_never_too_long() {
        let long = "x".repeat(120);
        let text = format!("{} {long} end", "word ".repeat(40));
        let printed = wrapped(&text, "  - ", "    ").to_string();
        assert!(printed.contains(&format!("\n    {long}\n    end\n")), "{printed}");
        let short = printed.lines().filter(|line| !line.contains(&long));
        assert!(
            short.into_iter().all(|line| line.chars().count() <= WIDTH),
            "{printed}"
        );
    }

    #[test]
    fn commands_stay_in_one_line() {
        assert_eq!(
            command("virsh start g # start it"),
            "  virsh start g                                 # start it\n"
        );
        let long = format!("chmod +x /{}", "x".repeat(100));
        assert_eq!(
            command(&format!("{long} # it must be executable")),
            format!("  {long}\n      # it must be executable\n")
        );
    }
}

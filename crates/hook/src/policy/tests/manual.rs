//! The manual page names everything that there is, and its examples are rules.

use super::rules;
use crate::event::{Audience, Driver, operations};
use crate::policy::condition;
use crate::policy::rule::Draft;
use crate::policy::treatment;

const MANUAL: &str = include_str!("../../../../../docs/hooks/rules.md");
const EXAMPLE: &str = include_str!("../../../../../packaging/hooks.d/rules.toml.example");

/// What stands in fences marked `toml`.
fn examples() -> Vec<&'static str> {
    MANUAL
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

/// One row of a table of the page, cut at its bars.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    MANUAL
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

#[test]
fn every_operation_stands_in_the_table_as_it_is() {
    for driver in Driver::ALL {
        for row in operations(driver) {
            let yes = |yes: bool| if yes { "yes" } else { "-" };
            let audience = match row.audience() {
                Audience::Scripts => "scripts, rules",
                Audience::Rules => "rules",
            };
            let name = format!("`{}`", row.operation());
            let line = rows()
                .find(|cells| {
                    cells.len() == 7 && cells[0] == name && cells[1].split(", ").any(|d| d == driver.as_str())
                })
                .unwrap_or_else(|| panic!("no row {name} for {driver}"));
            assert_eq!(line[2], row.sub_operation(), "{name} {driver}");
            assert_eq!(line[3], audience, "{name} {driver}");
            assert_eq!(line[4], yes(row.may_abort()), "{name} {driver}");
            assert_eq!(line[5], yes(row.is_filter()), "{name} {driver}");
            let raised = line[6] == "all" || line[6].split(", ").any(|d| d == driver.as_str());
            assert_eq!(raised, row.is_raised(driver), "{name} {driver}");
        }
    }
}

#[test]
fn every_key_is_explained_with_an_example() {
    let settings: Vec<&str> = treatment::keys::<Draft>().iter().map(|key| key.name).collect();
    let conditions: Vec<&str> = condition::KEYS.iter().map(|key| key.name).collect();
    for key in settings.into_iter().chain(conditions).chain(["name", "run"]) {
        assert!(
            rows().any(|cells| cells[0] == format!("`{key}`")),
            "no row for {key}"
        );
        let used = |text: &&str| text.lines().any(|line| line.starts_with(&format!("{key} = ")));
        assert!(examples().iter().any(used), "no example for {key}");
    }
}

#[test]
fn the_examples_are_rules() {
    assert!(examples().len() > 3);
    for example in examples().into_iter().chain([EXAMPLE]) {
        assert!(
            !rules(example).rules().is_empty() || example == EXAMPLE,
            "{example}"
        );
    }
    // Without its marks, the example file is rules too.
    let uncommented: String = EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(rules(&uncommented).rules().len() > 2, "{uncommented}");
}

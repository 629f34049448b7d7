//! All rules: what each code means, why it matters, and what to do. Output, `--explain` and the manual's page are
//! made from these tables.

mod files;
mod names;
mod operations;
mod python;
mod status;
mod system;
mod waiting;

use crate::check::finding::Level;

/// One kind of mistake.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its name for ever.
    pub(crate) code: &'static str,
    /// What it is, in a few words.
    pub(crate) title: &'static str,
    /// How bad it usually is.
    pub(crate) level: Level,
    /// What happens because of it.
    pub(crate) why: &'static str,
    /// What to do.
    pub(crate) fix: &'static str,
    /// How it looks.
    pub(crate) bad: &'static str,
    /// How it should look.
    pub(crate) good: &'static str,
}

/// All rules in the order of their codes.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        files::RULES,
        operations::RULES,
        status::RULES,
        waiting::RULES,
        names::RULES,
        system::RULES,
        python::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with a code.
pub(crate) fn rule(code: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.code.eq_ignore_ascii_case(code))
}

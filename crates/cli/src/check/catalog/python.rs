//! Rules FH7xx: Python only.

use crate::check::catalog::Rule;
use crate::check::finding::Level;

/// The rules, in the order of their codes.
pub(crate) const RULES: &[Rule] = &[Rule {
    code: "FH701",
    title: "Python 2",
    level: Level::Error,
    why: "This is Python 2, which distributions do not have any more. Python 3 stops with a syntax error.",
    fix: "write it for Python 3",
    bad: "print \"started\"",
    good: "print(\"started\", file=sys.stderr)",
}];

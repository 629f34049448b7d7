//! Rules: what the machine's owner says about hooks without writing one. `/etc/ferrovirt/hooks.d/*.toml`; the manual is
//! `docs/hooks/rules.md`.
//!
//! A rule without `run` says how the scripts are run that it applies to; a rule with `run` adds commands. With no rules
//! everything is as libvirt does it. All mistakes of all files are found in one look (`reader`), each with its place
//! (`finding`); a set of rules with a mistake is not followed at all.
//!
//! * `files`: from the directory to rules; `rule`: one; `condition`, `glob`: when it applies; `treatment`, `measure`: what it
//!   says; `check`: whether that goes together
//! * `moment`, `document`: what a condition can look at

mod check;
mod condition;
pub(crate) mod document;
mod files;
mod finding;
mod glob;
mod host_device;
mod measure;
mod moment;
mod reader;
mod rule;
mod suggest;
mod treatment;

use std::path::Path;

use crate::event::HookEvent;

pub use finding::{Finding, PolicyError, PolicyErrors};
pub use moment::Moment;
pub use rule::{Command, Rule};
pub use treatment::{OnFailure, Payload, Sandbox, Treatment};

/// All rules, in the order in which they have their say.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    warnings: Vec<Finding>,
}

/// A command that a rule adds to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The name of the rule.
    pub rule: String,
    /// What is called; the four arguments of the contract come after its own (R7).
    pub command: Command,
    /// How: what this rule says, and no other.
    pub treatment: Treatment,
}

impl Policy {
    /// No rules: everything as libvirt does it.
    pub fn empty() -> Policy {
        Policy::default()
    }

    /// Reads `*.toml` of a directory in byte order of the names, hidden files left out. No directory is no rules.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, with its place.
    pub fn load(directory: &Path) -> Result<Policy, PolicyErrors> {
        let (rules, warnings) = files::load(directory)?;
        Ok(Policy { rules, warnings })
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What can be and is probably not meant, as it was when the rules were read: programs that are not there, for example.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// Whether any rule may add a command to this event's call. Looks at no document: an event for rules alone that nobody
    /// wants need not be raised.
    pub fn wants(&self, event: &HookEvent) -> bool {
        self.rules
            .iter()
            .any(|rule| !rule.run.is_empty() && rule.when.names(event))
    }

    /// How a script is to be run now: of all rules that apply, the last that says something about a thing has its way.
    pub fn for_script(&self, moment: &Moment<'_>, script: &Path) -> Treatment {
        let mut treatment = Treatment::default();
        for rule in &self.rules {
            if rule.run.is_empty() && rule.when.holds(moment, Some(script)) {
                rule.settings.apply(&rule.name, moment.event(), &mut treatment);
            }
        }
        treatment
    }

    /// The commands that are to be called now, after the scripts, in the order of the rules.
    pub fn commands(&self, moment: &Moment<'_>) -> Vec<Added> {
        let mut all = Vec::new();
        for rule in &self.rules {
            if rule.run.is_empty() || !rule.when.holds(moment, None) {
                continue;
            }
            let mut treatment = Treatment::default();
            rule.settings.apply(&rule.name, moment.event(), &mut treatment);
            all.extend(rule.run.iter().map(|command| Added {
                rule: rule.name.clone(),
                command: command.clone(),
                treatment: treatment.clone(),
            }));
        }
        all
    }
}

#[cfg(test)]
mod tests;

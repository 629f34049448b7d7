//! Variables that nobody sets, and those that only a login has.

use std::collections::HashSet;

use crate::check::finding::{Findings, Remark};
use crate::check::place::on_hook_path;
use crate::check::shell::builtins;
use crate::check::shell::tree::{Block, Command, Kind, Operation, PieceKind, Test, Word};
use crate::check::shell::visit;
use crate::check::source::Span;

/// What the shell itself sets.
const SHELLS_OWN: &[&str] = &[
    "IFS",
    "OPTIND",
    "OPTARG",
    "OPTERR",
    "PWD",
    "OLDPWD",
    "PPID",
    "RANDOM",
    "SECONDS",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "LINENO",
    "HOSTNAME",
    "HOSTTYPE",
    "MACHTYPE",
    "OSTYPE",
    "UID",
    "EUID",
    "GROUPS",
    "FUNCNAME",
    "PIPESTATUS",
    "REPLY",
    "SHELL",
    "SHLVL",
    "SHELLOPTS",
    "DIRSTACK",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "MAPFILE",
    "COPROC",
    "SRANDOM",
    "TERM",
    "_",
];

/// What a hook's environment has, or may have.
const ENVIRONMENT: &[&str] = &[
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
];

/// What only a session of a person has.
const SESSION: &[&str] = &[
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SUDO_USER",
    "SUDO_UID",
    "LANG",
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "EDITOR",
    "XDG_SESSION_ID",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "INVOCATION_ID",
];

/// More unset variables than anybody forgets.
const MANY: usize = 4;

/// Commands that can set any variable.
const OPAQUE: &[&str] = &["source", ".", "eval", "getopts"];

/// Looks for both.
pub(crate) fn check(script: &Block, findings: &mut Findings<'_>) {
    let mut known = Known::default();
    if is_library(script) {
        return;
    }
    let commands = visit::commands(script);
    for command in &commands {
        if let Kind::Function { name, .. } = &command.kind {
            known.functions.insert(name.clone());
        }
    }
    for command in commands {
        known.take(command);
    }
    let words = visit::words(script);
    for word in &words {
        for (parameter, _) in word.parameters() {
            // A variable that has a default somewhere is one that somebody may set from outside.
            if [Operation::Default, Operation::Alternative].contains(&parameter.operation) {
                known.names.insert(parameter.name.clone());
            }
            if parameter.operation == Operation::Indirect {
                known.opaque = true;
            }
        }
        for piece in &word.pieces {
            if let PieceKind::Arithmetic(expression) = &piece.kind {
                known.names.extend(names_in(expression));
            }
        }
    }
    let mut unset: Vec<(&str, Span)> = Vec::new();
    for word in words {
        for (parameter, piece) in word.parameters() {
            let name = parameter.name.as_str();
            let variable = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let own = SHELLS_OWN.contains(&name) || ENVIRONMENT.contains(&name);
            let special = ["BASH", "FERROVIRT_", "COMP_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            let again = unset.iter().any(|(other, _)| *other == name);
            if variable && !own && !special && !again && !known.names.contains(name) {
                unset.push((name, piece.span));
            }
        }
    }
    let (session, unset): (Vec<_>, Vec<_>) = unset.into_iter().partition(|(name, _)| SESSION.contains(name));
    for (name, span) in session {
        findings.at(
            span,
            Remark::new("FH505", format!("`${name}` is empty in a hook")),
        );
    }
    // A script that leans on much that it does not define is read by another one with `.`.
    if known.opaque || known.foreign || unset.len() > MANY {
        return;
    }
    for (name, span) in unset {
        findings.at(span, Remark::new("FH504", format!("nothing sets `${name}`")));
    }
}

/// Whether a script only defines functions and variables: others read it with `.`, and set the rest.
fn is_library(script: &Block) -> bool {
    let defines = |command: &Command| match &command.kind {
        Kind::Function { .. } => true,
        Kind::Simple { words, .. } => words.is_empty(),
        _ => false,
    };
    let pipelines = || {
        script
            .items
            .iter()
            .flat_map(|item| &item.chain)
            .map(|(_, pipeline)| pipeline)
    };
    let functions = pipelines()
        .flat_map(|p| &p.commands)
        .any(|c| matches!(c.kind, Kind::Function { .. }));
    functions && pipelines().flat_map(|p| &p.commands).all(defines)
}

#[derive(Default)]
struct Known {
    names: HashSet<String>,
    opaque: bool,
    /// Whether it calls functions of another script.
    foreign: bool,
    functions: HashSet<String>,
}

impl Known {
    fn take(&mut self, command: &Command) {
        match &command.kind {
            Kind::For { variable, .. } => {
                self.names.insert(variable.clone());
            }
            Kind::Arithmetic(expression) => self.names.extend(names_in(expression)),
            Kind::ArithmeticFor { .. } => self.opaque = true,
            Kind::Test(test) => self.tested(test),
            Kind::Simple { assignments, words } => {
                self.names
                    .extend(assignments.iter().map(|assignment| assignment.name.clone()));
                self.simple(words);
            }
            _ => {}
        }
    }

    fn simple(&mut self, words: &[Word]) {
        let Some(name) = words.first().and_then(Word::literal) else {
            return;
        };
        let function = name.contains('_') && !name.contains(['/', '.', '$']);
        self.foreign |= function && !self.functions.contains(&name) && !on_hook_path(&name);
        let name = builtins::base(&name).to_owned();
        self.opaque |= OPAQUE.contains(&name.as_str());
        let arguments = || words.iter().skip(1);
        if builtins::DECLARING.contains(&name.as_str())
            || ["read", "mapfile", "readarray", "unset", "let"].contains(&name.as_str())
        {
            for word in arguments() {
                let variable = word.raw.split(['=', '[', '+']).next().unwrap_or("");
                self.names.insert(variable.to_owned());
            }
            self.opaque |= arguments()
                .any(|word| word.raw == "-n" || word.raw.contains("<(") || word.raw.contains("$("));
        }
        if name == "printf" && words.get(1).is_some_and(|word| word.raw == "-v") {
            self.names.extend(words.get(2).map(|word| word.raw.clone()));
        }
        // Programs that are told a variable's name to set it, such as `env NAME=…`.
        if name == "[" || name == "test" {
            for word in arguments() {
                self.named_alone(word);
            }
        }
    }

    /// `[ -n "$NAME" ]`: the script expects that it may be unset.
    fn named_alone(&mut self, word: &Word) {
        if let [piece] = word.pieces.as_slice()
            && let PieceKind::Parameter(parameter) = &piece.kind
        {
            let session = SESSION.contains(&parameter.name.as_str());
            if !session {
                self.names.insert(parameter.name.clone());
            }
        }
    }

    fn tested(&mut self, test: &Test) {
        match test {
            Test::And(a, b) | Test::Or(a, b) => {
                self.tested(a);
                self.tested(b);
            }
            Test::Not(inner) => self.tested(inner),
            Test::One(word) => self.named_alone(word),
            Test::Two { left, right, .. } if right.literal().as_deref() == Some("") => self.named_alone(left),
            Test::Two { .. } => {}
        }
    }
}

fn names_in(expression: &str) -> Vec<String> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .map(str::to_owned)
        .collect()
}

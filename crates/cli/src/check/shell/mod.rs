//! Shell scripts: read as trees, followed along every way through them.

mod balance;
mod builtins;
mod commands;
mod conditions;
mod flow;
mod globs;
mod lower;
mod output;
mod pipes;
mod programs;
mod sh_only;
mod state;
mod tests_in_brackets;
mod tree;
mod values;
mod variables;
mod visit;
mod waits;
mod words;

use std::collections::HashMap;

use crate::check::finding::{Findings, Remark};
use crate::check::operations::{self, Calls, Driver, EVENTS};
use crate::check::place::Setting;
use crate::check::shell::tree::{Block, Command, Kind, PieceKind, Test, Word};
use crate::check::source::Source;

/// Which shell reads a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// bash
    Bash,
    /// What POSIX has, and `local`
    Sh,
}

/// The longest script that is read, in bytes.
const LONGEST: usize = 512 * 1024;

/// All checks of a shell script.
pub(crate) fn check(source: &Source, dialect: Dialect, setting: Setting, findings: &mut Findings<'_>) {
    if source.text.len() > LONGEST || balance::is_too_deep(&source.text) {
        return;
    }
    let text = source.text.replace("\r\n", " \n");
    // A parser that gives up on one script must not cost the findings of all others.
    let read = std::panic::catch_unwind(|| lower::read(&text)).unwrap_or(None);
    let Some(script) = read else {
        if let Some((span, message)) = balance::mistake(&source.text) {
            findings.at(span, Remark::new("FH108", message));
        }
        return;
    };
    let setting = Setting {
        bash: dialect == Dialect::Bash,
        ..refine(setting, &script, source)
    };
    variables::check(&script, findings);
    programs::check(&script, findings);
    if dialect == Dialect::Sh {
        sh_only::check(&script, source, findings);
    }
    let mut functions: HashMap<&str, &Command> = HashMap::new();
    for command in visit::commands(&script) {
        if let Kind::Function { name, .. } = &command.kind {
            functions.insert(name, command);
        }
    }
    flow::Walker::run(&script, functions, &setting, findings);
}

/// What the script itself tells about whose hook it is.
fn refine(mut setting: Setting, script: &Block, source: &Source) -> Setting {
    let compared = compared(script);
    let words = visit::words(script);
    let commands = visit::commands(script);
    let has = |wanted: &[&str]| compared.iter().any(|text| wanted.contains(&text.as_str()));
    let shifted = commands
        .iter()
        .any(|command| command.name().as_deref() == Some("shift"));
    let second = shifted || words.iter().any(|word| mentions(word, &["2".to_owned()]));
    let guests = has(&["prepare", "started", "stopped", "release", "reconnect"]);
    if setting.driver.is_none() {
        let networks = ["port-created", "port-deleted", "plugged", "unplugged", "updated"];
        if has(&networks) && !has(&["prepare", "release", "reconnect", "attach", "migrate", "restore"]) {
            (setting.driver, setting.calls) = (Some(Driver::Network), Calls::of(&[Driver::Network]));
            setting.all = setting.calls;
        } else if has(&["reload", "SIGHUP"]) && !guests {
            (setting.driver, setting.calls) = (Some(Driver::Daemon), Calls::of(&[Driver::Daemon]));
            setting.all = setting.calls;
        }
    }
    // Somebody else's command line: `script start NAME`, or options.
    let verbs = [
        "start", "stop", "status", "up", "down", "bind", "unbind", "enable", "disable", "-h", "--help",
        "help",
    ];
    let first_is_verb = first_compared(script)
        .iter()
        .any(|text| verbs.contains(&text.as_str()));
    let operation = second
        && compared
            .iter()
            .any(|text| EVENTS.iter().any(|event| event.operation == text));
    let typo = second
        && compared
            .iter()
            .any(|text| text.len() > 5 && operations::typo(text, setting.all).is_some());
    let lower = source.text.to_lowercase();
    let told = lower.contains("libvirt") && lower.contains("hook") && second && compared.is_empty();
    setting.compares_operation = second && (guests || operation);
    setting.is_hook = setting.placed || ((guests || operation || typo || told) && !first_is_verb);
    setting.waits = commands
        .iter()
        .any(|command| command.name().as_deref() == Some("wait"));
    setting.reads_pipestatus = words
        .iter()
        .any(|word| word.parameters().any(|(p, _)| p.name == "PIPESTATUS"));
    setting.knows_cgroups = source.text.contains("cgroup.controllers")
        || source.text.contains("cgroup2")
        || words
            .iter()
            .filter(|w| w.raw.contains("/sys/fs/cgroup/"))
            .any(|w| is_tested(&commands, w));
    setting
}

/// Whether a word stands in a test for a file.
fn is_tested(commands: &[&Command], word: &Word) -> bool {
    commands.iter().any(|command| match &command.kind {
        Kind::Test(Test::One(tested)) => tested.span == word.span,
        Kind::Simple { words, .. } => {
            command.name().is_some_and(|name| name == "[" || name == "test")
                && words.iter().any(|w| w.span == word.span)
        }
        _ => false,
    })
}

/// What stands for the second argument: `2`, `*`, and the variables that are made of them.
fn second_argument(script: &Block) -> Vec<String> {
    let commands = visit::commands(script);
    let mut names: Vec<String> = ["2", "@", "*"].map(str::to_owned).into();
    if commands
        .iter()
        .any(|command| command.name().as_deref() == Some("shift"))
    {
        names.push("1".to_owned());
    }
    // Twice, for variables that are made of variables.
    for _ in 0..2 {
        for command in &commands {
            let Kind::Simple { assignments, words } = &command.kind else {
                continue;
            };
            let direct = assignments
                .iter()
                .flat_map(|a| a.values.iter().map(|value| (a.name.clone(), value.clone())));
            for (name, value) in direct.chain(words.iter().filter_map(builtins::split_assignment)) {
                if mentions(&value, &names) && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}

fn mentions(word: &Word, names: &[String]) -> bool {
    word.parameters()
        .any(|(parameter, _)| names.contains(&parameter.name))
}

/// The words that `case` patterns and tests compare the second argument with, taken apart at what is no letter.
fn compared(script: &Block) -> Vec<String> {
    let second = second_argument(script);
    let mut all = Vec::new();
    let mut take = |word: &Word| {
        let text: String = word
            .pieces
            .iter()
            .map(|piece| {
                if let PieceKind::Text(text) = &piece.kind {
                    text.as_str()
                } else {
                    " "
                }
            })
            .collect();
        all.extend(
            text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .map(str::to_owned),
        );
    };
    for command in visit::commands(script) {
        match &command.kind {
            Kind::Case { subject, arms } if mentions(subject, &second) => {
                arms.iter().flat_map(|arm| &arm.patterns).for_each(&mut take);
            }
            Kind::Test(test) => pairs(test, &mut |left, right| {
                if mentions(left, &second) {
                    take(right);
                } else if mentions(right, &second) {
                    take(left);
                }
            }),
            Kind::Simple { words, .. } => {
                let test = command.name().is_some_and(|name| name == "[" || name == "test");
                if test && words.iter().any(|word| mentions(word, &second)) {
                    words.iter().skip(1).for_each(&mut take);
                }
            }
            _ => {}
        }
    }
    all
}

/// What the first argument itself is compared with.
fn first_compared(script: &Block) -> Vec<String> {
    let is_first = |word: &Word| matches!(word.pieces.as_slice(), [piece] if matches!(&piece.kind, PieceKind::Parameter(p) if p.name == "1"));
    let mut all = Vec::new();
    for command in visit::commands(script) {
        match &command.kind {
            Kind::Case { subject, arms } if is_first(subject) => {
                all.extend(
                    arms.iter()
                        .flat_map(|arm| &arm.patterns)
                        .filter_map(Word::literal),
                );
            }
            Kind::Test(test) => pairs(test, &mut |left, right| {
                if is_first(left) {
                    all.extend(right.literal());
                }
            }),
            Kind::Simple { words, .. } if words.len() > 3 && is_first(&words[1]) => {
                all.extend(words[3].literal())
            }
            _ => {}
        }
    }
    all
}

fn pairs<'t>(test: &'t Test, take: &mut dyn FnMut(&'t Word, &'t Word)) {
    match test {
        Test::And(a, b) | Test::Or(a, b) => {
            pairs(a, take);
            pairs(b, take);
        }
        Test::Not(inner) => pairs(inner, take),
        Test::One(_) => {}
        Test::Two { left, right, .. } => take(left, right),
    }
}

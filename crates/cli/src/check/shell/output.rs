//! stdin and stdout of the hook: what must not be written, what can be read only once.

use crate::check::finding::{Level, Remark};
use crate::check::operations::Driver;
use crate::check::shell::builtins;
use crate::check::shell::flow::Walker;
use crate::check::shell::state::{State, Stream};
use crate::check::shell::tree::{Command, Word};
use crate::check::shell::values::Part;

/// Programs that print about the host, never a document.
const PRINTERS: &[&str] = &[
    "date", "ls", "lsmod", "lspci", "id", "printenv", "uname", "hostname", "uptime", "ps", "whoami",
];

/// Programs that read stdin to its end when they get no file.
const READERS: &[(&str, usize)] = &[
    ("cat", 0),
    ("grep", 1),
    ("sed", 1),
    ("awk", 1),
    ("gawk", 1),
    ("tr", 2),
    ("wc", 0),
    ("sort", 0),
    ("mapfile", 9),
    ("readarray", 9),
];

/// Programs that read stdin where `-` stands for a file.
const XML_READERS: &[&str] = &[
    "xmllint",
    "xmlstarlet",
    "xml",
    "xsltproc",
    "xq",
    "cat",
    "python3",
    "tee",
    "xpath",
];

/// Text on stdout where a document is expected.
pub(crate) fn noise(walker: &mut Walker<'_, '_, '_>, command: &Command, state: &State) {
    let filters = state.path.calls.filters();
    let sure = walker.setting.placed || walker.setting.compares_operation;
    if filters.is_empty()
        || state.out != Stream::Out
        || state.beside
        || state.doomed
        || !walker.setting.is_hook
        || !sure
    {
        return;
    }
    let Some(name) = command.name() else { return };
    let name = builtins::base(&name);
    let prints = match name {
        "echo" | "printf" => is_prose(command.words(), state),
        "cat" => false,
        _ => PRINTERS.contains(&name),
    };
    if !prints {
        return;
    }
    let only = state.path.calls.without(filters).is_empty();
    let remark = Remark::new(
        "FH306",
        format!(
            "for {} this text takes the place of the document",
            filters.names()
        ),
    );
    let level = if only { Level::Error } else { Level::Warning };
    walker.findings.at(command.span, remark.level(level));
}

/// A filter whose output goes to a log, because `exec` moved stdout there.
pub(crate) fn moved(walker: &mut Walker<'_, '_, '_>, command: &Command, state: &State) {
    let filters = state.path.calls.filters();
    let only = !filters.is_empty() && state.path.calls.without(filters).is_empty();
    let lost = state.moved && state.out == Stream::Elsewhere && command.redirects.is_empty();
    if only && lost && state.document && walker.setting.is_hook && reads_all(command.words()) {
        let message = format!(
            "`exec` moved stdout away, so {} gets nothing of this",
            filters.names()
        );
        walker.findings.at(command.span, Remark::new("FH310", message));
    }
}

/// Whether an `echo` prints words of people: letters that are written out, and no XML.
fn is_prose(words: &[Word], state: &State) -> bool {
    let mut letters = false;
    for word in words.iter().skip(1).filter(|word| !word.raw.starts_with('-')) {
        for part in state.value(word).0 {
            match part {
                Part::Text(text) if text.contains('<') => return false,
                Part::Text(text) => {
                    let text = text.replace("\\n", "").replace("%s", "");
                    letters |= text.chars().any(char::is_alphabetic);
                }
                Part::Argument(_) => letters = true,
                Part::Any { .. } => {}
            }
        }
    }
    letters
}

/// A second program that wants the document.
pub(crate) fn reading(walker: &mut Walker<'_, '_, '_>, command: &Command, state: &mut State) {
    if !state.document || walker.setting.driver == Some(Driver::Daemon) || !reads_all(command.words()) {
        return;
    }
    if state.read.is_some_and(|before| before != command.span)
        && walker.setting.is_hook
        && !state.path.calls.is_empty()
    {
        walker.findings.at(
            command.span,
            Remark::new("FH307", "stdin was read to its end before; this gets nothing"),
        );
    }
    state.read = Some(command.span);
}

fn reads_all(words: &[Word]) -> bool {
    let Some(name) = words.first().and_then(Word::literal) else {
        return false;
    };
    let name = builtins::base(&name);
    let arguments = &words[1..];
    if XML_READERS.contains(&name)
        && arguments
            .iter()
            .any(|word| word.raw == "-" || word.raw == "/dev/stdin")
    {
        return true;
    }
    let Some((_, own)) = READERS.iter().find(|(reader, _)| *reader == name) else {
        return false;
    };
    let option = |word: &&Word| word.raw.starts_with('-') && word.raw.len() > 1;
    let takes_file = |word: &Word| {
        ["-f", "-i", "-r", "-R", "-e", "-v", "-F", "-m", "-A", "-B", "-C"]
            .iter()
            .any(|o| word.raw.starts_with(o))
    };
    if name != "cat"
        && arguments.iter().any(takes_file)
        && !(name == "sed" && arguments.iter().all(|w| w.raw != "-i"))
    {
        return false;
    }
    arguments.iter().filter(|word| !option(word)).count() <= *own
}

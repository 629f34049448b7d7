//! The first line: who reads the script, and whether the kernel finds him.

use std::path::Path;

use crate::check::finding::{Findings, Level, Remark};
use crate::check::place::on_hook_path;
use crate::check::source::{Source, Span};

/// Who reads a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// bash
    Bash,
    /// a POSIX shell
    Sh,
    /// Python 3
    Python,
    /// anything else
    Other,
}

/// Where the script lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The daemon itself calls it.
    pub(crate) called: bool,
    /// In the hooks directory of this machine.
    pub(crate) installed: bool,
    /// Its place makes it a hook.
    pub(crate) placed: bool,
}

/// Interpreters that every distribution has at these places, if it has them.
const USUAL: &[&str] = &[
    "sh", "bash", "dash", "env", "python3", "perl", "ruby", "php", "node", "zsh", "ksh", "fish", "awk",
    "lua", "tclsh", "busybox", "ash", "python", "python2",
];

/// Looks at the first line and tells the language.
pub(crate) fn check(source: &Source, path: &Path, place: Place, findings: &mut Findings<'_>) -> Language {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let first = text.split('\n').next().unwrap_or("");
    let first_span = Span {
        start: 0,
        end: source.line(1).len(),
    };
    if source.text.starts_with('\u{feff}') {
        findings.at(
            first_span,
            Remark::new("FH105", "a byte order mark stands before `#!`"),
        );
    }
    let Some(interpreter) = first.strip_prefix("#!") else {
        missing(source, path, place, findings);
        return by_name(path);
    };
    if first.ends_with('\r') {
        let wanted = interpreter.trim();
        let message = format!("the kernel looks for `{wanted}` with a carriage return at its end");
        findings.at(
            Span {
                start: 0,
                end: first.trim_end().len(),
            },
            Remark::new("FH103", message),
        );
    }
    if interpreter.starts_with("/hint/") {
        return Language::Other;
    }
    let mut words = interpreter.split_whitespace();
    let program = words.next().unwrap_or("").to_owned();
    let mut name = base(&program).to_owned();
    let mut through_env = false;
    if name == "env" {
        let rest = words.find(|word| !word.starts_with('-') && !word.contains('='));
        name = rest.map(base).unwrap_or("").to_owned();
        through_env = rest.is_some_and(|word| !word.contains('/'));
    }
    interpreter_exists(&program, &name, through_env, place, first_span, findings);
    let language = language(&name);
    if language != Language::Python && !first.ends_with('\r') {
        carriage_returns(source, findings);
    }
    language
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn language(name: &str) -> Language {
    match name {
        "bash" | "ash" | "busybox" => Language::Bash,
        "sh" | "dash" => Language::Sh,
        _ if name.starts_with("python") => Language::Python,
        _ => Language::Other,
    }
}

fn by_name(path: &Path) -> Language {
    match path.extension().and_then(|end| end.to_str()) {
        Some("py") => Language::Python,
        Some("sh" | "bash") | None => Language::Bash,
        Some(_) => Language::Other,
    }
}

fn missing(source: &Source, path: &Path, place: Place, findings: &mut Findings<'_>) {
    let late = source
        .text
        .lines()
        .take(20)
        .position(|line| line.trim_start().starts_with("#!/"));
    let level = match (place.called, place.placed) {
        (true, _) => Level::Error,
        (false, true) => Level::Warning,
        (false, false) => Level::Note,
    };
    if let Some(rest) = source.line(1).strip_prefix("#/") {
        let remark = Remark::new("FH102", format!("the first line lacks its `!`: `#!/{rest}`"));
        findings.at(
            Span {
                start: 0,
                end: source.line(1).len(),
            },
            remark.level(level),
        );
    } else if let Some(line) = late {
        let start = source.line_start(line + 1);
        let span = Span {
            start,
            end: start + source.line(line + 1).len(),
        };
        let remark = Remark::new(
            "FH102",
            "`#!` only counts as the first two characters of the file",
        );
        findings.at(span, remark.level(level));
    } else if place.called || path.extension().is_some_and(|end| end == "sh") {
        let remark = Remark::new(
            "FH102",
            "the kernel does not know who reads this script: it does not begin with `#!`",
        );
        findings.at(
            Span {
                start: 0,
                end: source.line(1).len(),
            },
            remark.level(level),
        );
    }
}

fn interpreter_exists(
    program: &str,
    name: &str,
    through_env: bool,
    place: Place,
    span: Span,
    findings: &mut Findings<'_>,
) {
    let usual_place = ["/bin/", "/usr/bin/"]
        .iter()
        .any(|dir| program.strip_prefix(dir) == Some(base(program)));
    let usual = USUAL.contains(&name) && usual_place;
    if program.is_empty() || !program.starts_with('/') {
        let message = format!("`{program}` is no absolute path; the kernel does not search for it");
        findings.at(span, Remark::new("FH106", message));
    } else if !Path::new(program).exists() && (!usual || place.installed) {
        findings.at(
            span,
            Remark::new("FH106", format!("`{program}` does not exist here")),
        );
    } else if through_env && !on_hook_path(name) && (!usual || place.installed) {
        findings.at(
            span,
            Remark::new("FH106", format!("`env` does not find `{name}` on a hook's PATH")),
        );
    }
}

/// Lines that end in a carriage return: part of every last word.
fn carriage_returns(source: &Source, findings: &mut Findings<'_>) {
    let count = source
        .text
        .split('\n')
        .filter(|line| line.ends_with('\r'))
        .count();
    let Some(line) = source.text.split('\n').position(|line| line.ends_with('\r')) else {
        return;
    };
    let start = source.line_start(line + 1);
    let span = Span {
        start,
        end: start + source.line(line + 1).len(),
    };
    let message = format!("{count} lines end in a carriage return, which is part of their last word");
    findings.at(span, Remark::new("FH104", message));
}

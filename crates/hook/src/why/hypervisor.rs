//! What the hypervisor said, without times and what the daemon wrote into its log.

use super::words::tail;
use crate::history::Operation;

/// What stands before QEMU's words in the error of a start.
const CLOSED: &str = "QEMU unexpectedly closed the monitor (vm='";
/// Where the log of one run of the guest begins.
const BEGINS: &str = ": starting up ";
/// What the daemon adds when it is over.
const ENDS: &str = ": shutting down, reason=";

/// Lines that do not say why something failed.
const LESSER: &[&str] = &[
    "warning:",
    "info:",
    "char device redirected to",
    "terminating on signal",
];

/// What tells of the kernel's OOM killer.
const OOM: &[&str] = &[
    "killed by the kernel's OOM killer",
    "OOM killer",
    "oom-kill",
    "Out of memory: Killed process",
];
/// The same in any letters, but only of a process that crashed.
const OOM_OF_CRASH: &str = "out of memory";

/// QEMU's words in the text of a failed start, if it ended then.
pub(super) fn of_failure(failure: &str) -> Option<String> {
    let (_, rest) = failure.split_once(CLOSED)?;
    let (_, words) = rest.split_once("'): ")?;
    Some(words_of(words))
}

/// The words of a log about the last run in it.
pub(super) fn of_log(log: &str) -> String {
    let last = log
        .rfind(BEGINS)
        .map_or(log, |at| log[at..].split_once('\n').map_or("", |(_, rest)| rest));
    words_of(last)
}

/// The words about this operation: those in the history, or those that the caller read.
pub(super) fn about(operation: Option<&Operation>, log: Option<&str>) -> String {
    let own = operation.and_then(|operation| operation.hypervisor_log.as_deref());
    own.or(log).map(of_log).unwrap_or_default()
}

fn words_of(text: &str) -> String {
    let mut command = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        // The command line: all but its last line end with a backslash.
        let part = line.trim_end().ends_with('\\');
        let end_of_command = std::mem::replace(&mut command, part);
        if part || end_of_command || line.contains(ENDS) || line.contains(BEGINS) {
            continue;
        }
        kept.push(without_time(line));
    }
    tail(&kept.join("\n"))
}

/// A line without a date and time at its beginning: `2026-03-01T12:00:00.123456Z `, `2026-03-01 12:00:00.123+0000: `.
pub(super) fn without_time(line: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((date, rest)) = line.split_at_checked(10) else {
        return line;
    };
    let parts: Vec<&str> = date.split('-').collect();
    let is_date = parts.len() == 3 && parts.iter().all(|part| digits(part));
    let (true, Some(rest)) = (is_date, rest.strip_prefix(['T', ' '])) else {
        return line;
    };
    let is_time = |c: char| c.is_ascii_digit() || ":.+Z".contains(c);
    let rest = rest.trim_start_matches(is_time);
    rest.strip_prefix(' ').unwrap_or(rest)
}

/// The sentence that says most, without the program's name.
pub(super) fn essence(words: &str) -> String {
    let lines = || words.lines().filter(|line| *line != "…").map(without_program);
    let telling = lines().find(|line| !LESSER.iter().any(|lesser| line.contains(lesser)));
    telling.or_else(|| lines().next()).unwrap_or_default().to_owned()
}

/// `qemu-system-x86_64: -device foo: …` without the first word.
fn without_program(line: &str) -> &str {
    match line.split_once(": ") {
        Some((program, rest)) if program.contains("qemu") && !program.contains(' ') => rest,
        _ => line,
    }
}

/// Whether these words tell that the machine's memory was not enough. `crashed`: they are about a process that died, so
/// that less is enough.
pub(super) fn is_oom(words: &str, crashed: bool) -> bool {
    OOM.iter().any(|sign| words.contains(sign)) || (crashed && words.to_lowercase().contains(OOM_OF_CRASH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_qemu_is_taken_off() {
        for (line, rest) in [
            ("qemu-system-x86_64: no disk", "no disk"),
            ("error: no disk", "error: no disk"),
            ("the qemu of old: no disk", "the qemu of old: no disk"),
        ] {
            assert_eq!(essence(line), rest);
        }
    }

    const LOG: &str = "\
2026-02-28 09:00:00.000+0000: starting up ferrovirt version: 0.1.0, qemu version: 10.0.2
LC_ALL=C \\
/usr/bin/qemu-system-x86_64 \\
-S
qemu-system-x86_64: an old complaint
2026-02-28 09:00:01.000+0000: shutting down, reason=failed
2026-03-01 12:00:00.000+0000: starting up ferrovirt version: 0.1.0, qemu version: 10.0.2
LC_ALL=C \\
/usr/bin/qemu-system-x86_64 \\
-device foo
char device redirected to /dev/pts/1 (label charserial0)
2026-03-01T12:00:01.123456Z qemu-system-x86_64: -device foo: 'foo' is not a valid device model name
2026-03-01 12:00:01.200+0000: shutting down, reason=failed
";

    #[test]
    fn only_the_last_run_speaks_and_nobody_but_qemu() {
        assert_eq!(
            of_log(LOG),
            "char device redirected to /dev/pts/1 (label charserial0)\n\
             qemu-system-x86_64: -device foo: 'foo' is not a valid device model name"
        );
        assert_eq!(
            essence(&of_log(LOG)),
            "-device foo: 'foo' is not a valid device model name"
        );
    }

    #[test]
    fn times_are_taken_off_and_nothing_else() {
        let plain = "qemu: no";
        for time in [
            "2026-03-01T12:00:00.123456Z ",
            "2026-03-01 12:00:00.123+0000: ",
            "",
        ] {
            assert_eq!(without_time(&format!("{time}{plain}")), plain);
        }
        for line in ["", "2026-03-01", "2026-03-xx 12:00", "äöüäöüäöü 1"] {
            assert_eq!(without_time(line), line);
        }
    }

    #[test]
    fn a_log_of_the_start_alone_has_no_words() {
        assert_eq!(of_log("2026-03-01 12:00:00.000+0000: starting up ferrovirt"), "");
        assert_eq!(essence(""), "");
        assert_eq!(essence("qemu-kvm: warning: old"), "warning: old");
    }

    #[test]
    fn out_of_memory_is_believed_of_a_crash_only() {
        assert!(is_oom("was killed by the kernel's OOM killer", false));
        assert!(is_oom("qemu: Out Of Memory", true));
        assert!(!is_oom("vram is out of memory slots", false));
    }
}

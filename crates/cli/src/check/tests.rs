//! The manual's page is what the tables say, and no text makes the readers fail.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::check::finding::{Finding, Findings};
use crate::check::operations::Driver;
use crate::check::place::Setting;
use crate::check::shell::Dialect;
use crate::check::source::Source;
use crate::check::{STACK, catalog, python, report, shell};

/// All checks of a text, on a stack as large as the command's.
fn look(text: String) -> Vec<Finding> {
    let started = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let source = Source::new(text);
        let path = Path::new("hook");
        let setting = Setting::of(path, Some(Driver::Qemu));
        let mut findings = Findings::new(path, Some(&source));
        shell::check(&source, Dialect::Sh, setting.clone(), &mut findings);
        python::check(&source, setting, &mut findings);
        findings.into_sorted()
    });
    started.unwrap().join().unwrap()
}

/// Pieces that scripts are made of, in any order.
fn script() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "if ",
        "then\n",
        "fi\n",
        "else\n",
        "elif ",
        "case ",
        " in\n",
        "esac\n",
        ";; ",
        "*) ",
        "while ",
        "do\n",
        "done\n",
        "for x in ",
        "f() {",
        "}\n",
        "( ",
        ") ",
        "$(",
        "`",
        "\"",
        "'",
        "$1",
        "\"$2\"",
        "${3:-}",
        "${x%%y}",
        "$((1+",
        "))",
        "[ ",
        " ]",
        "[[ ",
        " ]]",
        " = ",
        "prepare",
        "release/end",
        "| tee x",
        "&& ",
        "|| ",
        "& ",
        ";",
        "\n",
        "exit 1\n",
        "echo hi",
        "virsh start ",
        "<<E\n",
        "\nE\n",
        "# c\n",
        "\\\n",
        "é",
        "\u{0}",
        "\r\n",
        "shift\n",
        "set -- ",
        "f ",
        "import sys\n",
        "sys.argv[2]",
        " == ",
        "print(",
        "def f(a):\n  ",
        "if x:\n  ",
        "\t",
        "{1..3}",
        "a=(",
        ">/tmp/x",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        look(String::from_utf8_lossy(&bytes).into_owned());
    }

    #[test]
    fn any_pieces_of_scripts_are_read(text in script()) {
        let source = Source::new(text.clone());
        for finding in look(text) {
            let place = finding.place.unwrap();
            prop_assert!(place.line <= source.text.split('\n').count().max(1));
            prop_assert!(place.column >= 1);
        }
    }
}

#[test]
fn nested_and_long_scripts_are_read_in_time() {
    let nested = |open: &str, middle: &str, close: &str, n: usize| {
        format!("{}{middle}{}", open.repeat(n), close.repeat(n))
    };
    let texts = [
        nested("(", "echo", ")", 48),
        nested("$(echo ", "x", ")", 5_000),
        nested("\"$(echo ", "x", ")\"", 30),
        nested("${a:-", "x", "}", 40),
        nested("if true; then\n", ":\n", "fi\n", 20_000),
        nested("{a,", "x", "}", 45),
        nested("[", "1", "]", 20_000),
        "[ \"$2\" = prepare ] && echo \"$1\"\n".repeat(3_000),
        (0..40)
            .map(|i| format!("f{i}() {{ f{n} $1; f{n} $2; }}\n", n = i + 1))
            .collect::<String>()
            + "f0 a b\n",
        "'".repeat(9_999),
        "a | ".repeat(3_000) + "b\n",
        "`".repeat(1_000),
    ];
    for text in texts {
        let start = Instant::now();
        let shown: String = text.chars().take(30).collect();
        look(text);
        assert!(start.elapsed() < Duration::from_secs(20), "{shown}");
    }
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/hooks/checks.md");
    let wanted = report::page();
    if std::env::var_os("FERROVIRT_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/hooks/checks.md is old: FERROVIRT_WRITE_DOCS=1 cargo test -p ferrovirt-cli"
    );
}

#[test]
fn codes_are_unique_and_in_order() {
    let codes: Vec<&str> = catalog::rules().map(|rule| rule.code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
}

//! `ferrovirt check`: scripts with mistakes show all of them and nothing else; scripts without stay silent.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn ferrovirt(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrovirt"))
        .args(["check", "--hooks-dir", "/nonexistent"])
        .args(arguments)
        .output()
        .unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = ferrovirt(&[&["--format", "json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn scripts(folder: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/check")
        .join(folder);
    let mut all: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

/// The driver that a file's name begins with.
fn driver(path: &Path) -> Option<&str> {
    let first = path.file_name()?.to_str()?.split('-').next()?;
    ["qemu", "lxc", "libxl", "network", "daemon"]
        .contains(&first)
        .then_some(first)
}

fn findings(arguments: &[&str]) -> Vec<(String, Option<u64>, String)> {
    let report = json(arguments);
    let one = |f: &Value| {
        (
            f["code"].as_str().unwrap().to_owned(),
            f["line"].as_u64(),
            f["level"].as_str().unwrap().to_owned(),
        )
    };
    report["findings"].as_array().unwrap().iter().map(one).collect()
}

/// The codes of a directory's files, sorted.
fn codes(dir: &Path) -> Vec<String> {
    let mut codes: Vec<String> = findings(&[dir.to_str().unwrap()])
        .into_iter()
        .map(|f| f.0)
        .collect();
    codes.sort();
    codes
}

#[test]
fn clean_scripts_stay_without_warnings() {
    let mut wrong = Vec::new();
    for path in scripts("clean") {
        let text = path.to_str().unwrap();
        let mut runs = vec![findings(&[text])];
        runs.extend(driver(&path).map(|driver| findings(&["--driver", driver, text])));
        for found in runs {
            wrong.extend(
                found
                    .into_iter()
                    .filter(|f| f.2 != "note")
                    .map(|f| (path.clone(), f)),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(scripts("clean").len() >= 25);
}

#[test]
fn bad_scripts_show_exactly_what_is_marked() {
    let mut wrong = Vec::new();
    for path in scripts("bad") {
        let text = path.to_str().unwrap();
        let found = match driver(&path) {
            Some(driver) => findings(&["--driver", driver, text]),
            None => findings(&[text]),
        };
        let mut found: Vec<(u64, String)> = found.into_iter().map(|f| (f.1.unwrap_or(0), f.0)).collect();
        let mut wanted = marked(&fs::read_to_string(&path).unwrap());
        found.sort();
        wanted.sort();
        if found != wanted {
            let only = |a: &[(u64, String)], b: &[(u64, String)]| -> Vec<String> {
                a.iter()
                    .filter(|x| !b.contains(x))
                    .map(|x| format!("{}:{}", x.0, x.1))
                    .collect()
            };
            wrong.push(format!(
                "{}: missing {:?}, too many {:?}",
                path.file_name().unwrap().to_string_lossy(),
                only(&wanted, &found),
                only(&found, &wanted)
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `#~ FH201 FH305` at the end of a line.
fn marked(text: &str) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let codes = text.split_once("#~").map_or("", |(_, codes)| codes);
        all.extend(codes.split_whitespace().map(|code| (line, code.to_owned())));
    }
    all
}

#[test]
fn every_code_has_a_bad_script_or_a_test_of_files() {
    const FILES: &[&str] = &[
        "FH101", "FH102", "FH103", "FH104", "FH105", "FH109", "FH110", "FH111", "FH112", "FH113", "FH114",
        "FH115",
    ];
    let mut shown: BTreeSet<String> = FILES.iter().map(|code| (*code).to_owned()).collect();
    for path in scripts("bad") {
        shown.extend(
            marked(&fs::read_to_string(path).unwrap())
                .into_iter()
                .map(|mark| mark.1),
        );
    }
    let output = ferrovirt(&["--list"]);
    let list = String::from_utf8(output.stdout).unwrap();
    let missing: Vec<&str> = list
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .filter(|code| !shown.contains(*code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Makes a file with a mode.
fn put(dir: &Path, name: &str, text: &str, mode: u32) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn r03_files_that_are_not_called_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = dir.path().join("hooks");
    put(&hooks, "qemu", "#!/bin/sh\nexit 0\n", 0o644);
    put(&hooks, "qemu.d/10-ok", "#!/bin/sh\nexit 0\n", 0o755);
    put(&hooks, "qemu.d/10-ok.bak", "#!/bin/sh\nexit 0\n", 0o755);
    put(&hooks, "qemu.d/20-off.rpmsave", "#!/bin/sh\nexit 0\n", 0o644);
    put(&hooks, "qemu.d/inner/start.sh", "#!/bin/sh\nexit 0\n", 0o755);
    put(&hooks, "lxc.sh", "#!/bin/sh\nexit 0\n", 0o755);
    put(&hooks, "README.md", "see the manual\n", 0o644);
    std::os::unix::fs::symlink("/nonexistent/x", hooks.join("network")).unwrap();
    assert_eq!(codes(&hooks), ["FH101", "FH112", "FH113", "FH114", "FH115"]);
}

#[test]
fn a_tree_with_a_dispatcher_is_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = dir.path().join("hooks");
    put(
        &hooks,
        "qemu",
        "#!/bin/sh\nexec run-parts --arg=\"$1\" \"$0.d/all\"\n",
        0o755,
    );
    put(&hooks, "qemu.d/all/10-x", "#!/bin/sh\nexit 0\n", 0o755);
    assert_eq!(codes(&hooks), Vec::<String>::new());
}

#[test]
fn first_lines_that_the_kernel_refuses_are_shown() {
    let cases: &[(&str, &[&str])] = &[
        ("exit 0\n", &["FH102"]),
        ("\n#!/bin/sh\nexit 0\n", &["FH102"]),
        ("#!/bin/sh\r\nexit 0\r\n", &["FH103"]),
        ("#!/bin/sh\nexit 0\r\n", &["FH104"]),
        ("\u{feff}#!/bin/sh\nexit 0\n", &["FH105"]),
        ("#!bash\nexit 0\n", &["FH106"]),
        ("#!/usr/bin/env no-such-shell\nexit 0\n", &["FH106"]),
        ("#!/bin/sh\nexit 0\n", &[]),
    ];
    for (text, wanted) in cases {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("hooks"), "qemu", text, 0o755);
        assert_eq!(codes(&dir.path().join("hooks")), *wanted, "{text:?}");
    }
}

#[test]
fn r94_files_that_others_can_write_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = dir.path().join("hooks");
    put(&hooks, "qemu", "#!/bin/sh\nexit 0\n", 0o777);
    put(&hooks, "qemu.d/10-x", "#!/bin/sh\nexit 0\n", 0o755);
    fs::set_permissions(hooks.join("qemu.d"), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(codes(&hooks), ["FH109", "FH111"]);
    let output = Command::new(env!("CARGO_BIN_EXE_ferrovirt"))
        .args(["check", "--hooks-dir"])
        .arg(&hooks)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // Who runs the tests as root owns the files as root.
    let by_root = fs::metadata(&hooks).is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
    assert_eq!(text.contains("FH110"), !by_root, "{text}");
}

#[test]
fn comments_silence_findings() {
    let dir = tempfile::tempdir().unwrap();
    let text = "#!/bin/sh\n# ferrovirt: ignore-file FH306\necho \"called $2\"\n\
                # ferrovirt: ignore FH503\necho x > /tmp/a\necho x > /tmp/b # ferrovirt: ignore FH503, FH201\n\
                echo x > /tmp/c\n[ \"$2\" = prepare ] || exit 0\n";
    put(dir.path(), "qemu", text, 0o755);
    let found = findings(&[dir.path().join("qemu").to_str().unwrap()]);
    let left: Vec<(&str, Option<u64>)> = found.iter().map(|f| (f.0.as_str(), f.1)).collect();
    assert_eq!(left, [("FH503", Some(7))]);
}

#[test]
fn the_exit_status_tells_how_bad_it_is() {
    let dir = tempfile::tempdir().unwrap();
    put(
        dir.path(),
        "note",
        "#!/bin/sh\nif [ \"$2\" = prepare ]; then sleep 20; fi\n",
        0o755,
    );
    put(
        dir.path(),
        "warning",
        "#!/bin/sh\n[ \"$2\" = start ] || exit 0\ntouch /tmp/x\n",
        0o755,
    );
    put(
        dir.path(),
        "error",
        "#!/bin/sh\nif [ \"$2\" = prepared ]; then mount \"$1\"; fi\n",
        0o755,
    );
    let status = |arguments: &[&str]| ferrovirt(arguments).status.code();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(status(&[&path("note")]), Some(0));
    assert_eq!(status(&["--level", "note", &path("note")]), Some(1));
    assert_eq!(status(&[&path("warning")]), Some(1));
    assert_eq!(status(&["--level", "error", &path("warning")]), Some(0));
    assert_eq!(status(&["--level", "error", &path("error")]), Some(1));
    assert_eq!(status(&[&path("nothing")]), Some(2));
    assert_eq!(status(&[]), Some(0));
    let shown = findings(&["--level", "error", &path("warning")]);
    assert!(shown.is_empty(), "{shown:?}");
    assert_eq!(status(&["--explain", "FH999"]), Some(2));
    assert_eq!(status(&["--explain", "fh306"]), Some(0));
}

#[test]
fn text_shows_the_place() {
    let dir = tempfile::tempdir().unwrap();
    put(
        dir.path(),
        "x",
        "#!/bin/sh\nif [ \"$2\" = perpare ]; then mount /srv; fi\nif [ \"$2\" = release ]; then :; fi\n",
        0o755,
    );
    let output = ferrovirt(&[dir.path().join("x").to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("x:2:13: error FH201: "), "{text}");
    assert!(
        text.contains("  2 | if [ \"$2\" = perpare ]; then mount /srv; fi\n"),
        "{text}"
    );
    assert!(
        text.contains("    |             ^^^^^^^\n  = fix: did you mean `prepare`?\n"),
        "{text}"
    );
}

#[test]
fn places_are_right_after_continued_lines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/continued.sh");
    let report = json(&["--driver", "qemu", path.to_str().unwrap()]);
    let found: Vec<(&str, u64, u64)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["code"].as_str().unwrap(),
                f["line"].as_u64().unwrap(),
                f["column"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("FH502", 6, 14)]);
}

#[test]
fn sarif_has_what_readers_need() {
    let bad = scripts("bad");
    let paths: Vec<&str> = bad.iter().map(|path| path.to_str().unwrap()).collect();
    let output = ferrovirt(&[&["--format", "sarif"], paths.as_slice()].concat());
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(
        rules
            .iter()
            .all(|rule| rule["help"]["text"].is_string() && rule["shortDescription"]["text"].is_string())
    );
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        assert!(
            place["artifactLocation"]["uri"]
                .as_str()
                .unwrap()
                .starts_with("file:///")
        );
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(place["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
}

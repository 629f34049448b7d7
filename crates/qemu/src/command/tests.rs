//! Command lines of our own documents against what the reference makes of them (`tests/documents/*.args`).

use std::path::{Path, PathBuf};

use ferrovirt_model::UnknownPolicy;
use ferrovirt_model::domain::Domain;

use super::{Given, build};
use crate::{define, live, testing};

/// Where the reference says a guest that is not running would have its things.
fn given(doc: &Domain) -> Given {
    let name: String = doc.name.chars().take(20).collect();
    Given {
        guest_dir: PathBuf::from(format!("/var/lib/libvirt/qemu/domain--1-{name}")),
        ..Given::default()
    }
}

fn ours(input: &str) -> Result<Vec<String>, String> {
    let mut doc = Domain::parse(input, UnknownPolicy::Refuse)
        .map_err(|e| e.to_string())?
        .value;
    let emulator = testing::emulator();
    define::complete(&mut doc, &emulator).map_err(|e| e.to_string())?;
    live::alias::assign(&mut doc);
    let dir = PathBuf::from("/run/libvirt/qemu/channel").join(live_name(&doc));
    live::socket::channels(&mut doc, &dir);
    for graphics in &mut doc.devices.graphics {
        if let Some(first) = graphics.listens.first_mut() {
            first.address.get_or_insert_with(|| "127.0.0.1".to_owned());
        }
    }
    let args = build(&doc, &emulator, &given(&doc)).map_err(|e| e.to_string())?;
    Ok(lines(&args))
}

fn live_name(doc: &Domain) -> String {
    format!("-1-{}", doc.name.chars().take(20).collect::<String>())
}

/// One line per option, without what the reference changes when it only shows a command line: it has no network
/// and no user's stack there.
fn lines(args: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for arg in args {
        match lines.last_mut() {
            Some(last) if last.starts_with('-') && !last.contains(' ') && !arg.starts_with('-') => {
                last.push(' ');
                last.push_str(arg);
            }
            _ => lines.push(arg.clone()),
        }
    }
    lines.retain(|line| !line.starts_with("-netdev"));
    lines.iter().map(|line| strip(line)).collect()
}

fn strip(line: &str) -> String {
    let start = line.find("\"host_mtu\":");
    let Some(start) = start else {
        return line.to_owned();
    };
    let end = line[start..].find(',').map_or(line.len(), |end| start + end + 1);
    format!("{}{}", &line[..start], &line[end..])
}

fn theirs(text: &str) -> Vec<String> {
    let words: Vec<String> = text
        .lines()
        .skip_while(|line| !line.starts_with("-name"))
        .filter(|line| !line.is_empty())
        .flat_map(|line| match line.split_once(' ') {
            Some((option, value)) => vec![option.to_owned(), unquoted(value)],
            None => vec![line.to_owned()],
        })
        .collect();
    lines(&words)
}

fn unquoted(value: &str) -> String {
    value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(value)
        .to_owned()
}

#[test]
fn command_lines_are_as_the_reference_writes_them() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "args") {
            continue;
        }
        count += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let theirs = theirs(&std::fs::read_to_string(&path).unwrap());
        let ours = match ours(&std::fs::read_to_string(path.with_extension("in")).unwrap()) {
            Ok(ours) => ours,
            Err(error) => vec![error],
        };
        if ours != theirs {
            wrong.push(format!(
                "{name}: {}",
                testing::first_difference(&ours.join("\n"), &theirs.join("\n"))
            ));
        }
    }
    wrong.sort();
    assert!(count > 12);
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

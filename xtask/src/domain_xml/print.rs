//! The page.

use std::fmt::Write as _;

use ferrovirt_xml::Described;

use super::refusals::Refusals;
use super::table::{By, Driver, Row, Table};

const HEAD: &str = "\
# What a domain document can hold

Written by `cargo xtask domain-xml`; do not edit. The elements, their attributes and what each is come from the declarations by which
documents are read (`crates/model/src/domain/`), so nothing is taken that is not in this list: what is not here is refused with
its name (`unknown_xml` in `ferrovirtd.toml(5)` says otherwise). Effects and tests come from `xtask/domain-xml.toml`; an
element without a row there, and a test that does not exist, fail `make lint`.

- **by** says where the effect shows: an *argument* of QEMU or its environment, its *monitor*, a *cgroup*, a *label* or owner, a
  *process* (threads, limits, other programs), a *file* or device of the host, the *network*, what a *container*'s first process
  sees, the *life* of the guest, the *document* alone (names, notes). *refused*: always, with its name. *nothing*: kept as it was written
  and without an effect, as with libvirt.
- **by whom** it is taken: the QEMU driver, the LXC driver. The last column of a list names drivers that refuse an attribute, in
  some of its values at least. Which values an attribute can have, and what fits together, is libvirt's own
  documentation; what does not fit is refused with libvirt's code.
";

/// The whole page.
pub fn page(elements: &[Described], table: &Table, claims: &[usize], refusals: &Refusals) -> String {
    let mut out = HEAD.to_owned();
    let mut order: Vec<usize> = Vec::new();
    for number in claims {
        if !order.contains(number) {
            order.push(*number);
        }
    }
    for number in order {
        let Some(row) = table.rows().get(number) else {
            continue;
        };
        let own: Vec<&Described> = { elements.iter().zip(claims) }
            .filter(|(_, claim)| **claim == number)
            .map(|(element, _)| element)
            .collect();
        section(&mut out, row, &own, refusals);
    }
    out
}

fn section(out: &mut String, row: &Row, own: &[&Described], refusals: &Refusals) {
    let Some(first) = own.first() else { return };
    let by: Vec<&str> = row.by.iter().map(|by| by.word()).collect();
    let _ = writeln!(
        out,
        "\n## {}\n\n{}\n",
        title(&first.path, own.len()),
        row.effect.trim()
    );
    let _ = writeln!(out, "- by: {}", by.join(", "));
    let _ = writeln!(out, "- by whom: {}", drivers(row, own, refusals));
    if !row.tests.is_empty() {
        let tests: Vec<String> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        let _ = writeln!(out, "- held by: {}", tests.join(", "));
    }
    out.push_str("\n| part | what it is | refused by |\n|---|---|---|\n");
    for element in own {
        lines(out, element, row, refusals);
    }
}

fn title(path: &str, number: usize) -> String {
    let name = if path.is_empty() { "domain" } else { path };
    match number {
        1 => format!("`{name}`"),
        _ => format!("`{name}` and more"),
    }
}

/// Who takes at least one of the elements.
fn drivers(row: &Row, own: &[&Described], refusals: &Refusals) -> String {
    if row.by.contains(&By::Refused) {
        return "nobody".to_owned();
    }
    let takes = |driver| {
        let mut all = own.iter();
        row.only.is_none_or(|only| only == driver) && all.any(|one| !refusals.of_element(driver, &one.path))
    };
    let words = [(Driver::Qemu, "QEMU"), (Driver::Lxc, "LXC")];
    let taken: Vec<&str> = { words.into_iter() }
        .filter(|(driver, _)| takes(*driver))
        .map(|(_, word)| word)
        .collect();
    taken.join(", ")
}

fn lines(out: &mut String, element: &Described, row: &Row, refusals: &Refusals) {
    let refused = |is: &dyn Fn(Driver) -> bool| {
        let all = [(Driver::Qemu, "QEMU"), (Driver::Lxc, "LXC")];
        let all = all.into_iter().filter(|(driver, _)| is(*driver));
        all.map(|(_, word)| word).collect::<Vec<_>>().join(", ")
    };
    let by = refused(&|driver| {
        row.only.is_some_and(|only| only != driver) || refusals.of_element(driver, &element.path)
    });
    let path = if element.path.is_empty() {
        "domain"
    } else {
        &element.path
    };
    let again = if element.repeats {
        " Holds the same again."
    } else {
        ""
    };
    let _ = writeln!(out, "| `{path}` | {}{again} | {by} |", cell(element.about));
    for (name, about) in &element.attributes {
        let by = refused(&|driver| refusals.of_attribute(driver, &element.path, name));
        let _ = writeln!(out, "| `{path}/@{name}` | {} | {by} |", cell(about));
    }
}

/// Text in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('>', "&gt;")
}

//! `xtask/domain-xml.toml`: what elements lead to, and which tests hold us to it.

use std::path::Path;

use ferrovirt_xml::Described;
use serde::Deserialize;

/// Where it is, from the workspace's directory.
const FILE: &str = "xtask/domain-xml.toml";

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    row: Vec<Row>,
}

/// Some elements that lead to one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Paths of elements; `{a,b}` stands for either, `*` for any one name. An empty one is the root.
    of: Vec<String>,
    /// What is below each of those, a blank between two.
    #[serde(default)]
    parts: String,
    /// Where the effect shows.
    pub by: Vec<By>,
    /// The effect.
    pub effect: String,
    /// Only these drivers take it, which their tables of refusals do not say.
    pub only: Option<Driver>,
    /// The tests: `module::name` in `tests/`, or `crate/…/file::name` in `crates/`.
    #[serde(default)]
    pub tests: Vec<String>,
}

/// Where an effect shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// QEMU's command line, or its environment.
    Argument,
    /// What QEMU is told while it runs.
    Monitor,
    /// A control group.
    Cgroup,
    /// Owner of a file, security label.
    Label,
    /// A process: its threads, its limits, another program.
    Process,
    /// A file or device of the host.
    File,
    /// A network, a network device of the host.
    Network,
    /// What a container's first process sees: mounts, namespaces, rights.
    Container,
    /// The life of the guest, what is done at its end.
    Life,
    /// The document alone: a name, what is asked for by clients.
    Document,
    /// Always refused, with its name.
    Refused,
    /// As with libvirt: kept in the document, without an effect.
    Nothing,
}

impl By {
    /// Its word on the page.
    pub const fn word(self) -> &'static str {
        match self {
            By::Argument => "argument",
            By::Monitor => "monitor",
            By::Cgroup => "cgroup",
            By::Label => "label",
            By::Process => "process",
            By::File => "file",
            By::Network => "network",
            By::Container => "container",
            By::Life => "life",
            By::Document => "document",
            By::Refused => "refused",
            By::Nothing => "nothing",
        }
    }

    /// Is there something that a test can see?
    const fn shows(self) -> bool {
        !matches!(self, By::Nothing)
    }
}

/// Who takes documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// Machines.
    Qemu,
    /// Containers.
    Lxc,
}

impl Table {
    /// Reads it.
    pub fn read(root: &Path) -> Result<Table, String> {
        let text = std::fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
        toml::from_str(&text).map_err(|error| format!("{FILE}: {error}"))
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.row
    }

    /// All tests that it names.
    pub fn tests(&self) -> impl Iterator<Item = &str> {
        self.row.iter().flat_map(|row| &row.tests).map(String::as_str)
    }

    /// For each element the row that it is in. An element without a row or with two, and what stands for no element, are findings.
    pub fn claims(&self, elements: &[Described], findings: &mut Vec<String>) -> Vec<usize> {
        let mut claims: Vec<Option<usize>> = vec![None; elements.len()];
        for (number, row) in self.row.iter().enumerate() {
            if row.tests.is_empty() && row.by.iter().any(|by| by.shows()) {
                findings.push(format!("{FILE}: {:?} names no test", row.of));
            }
            for pattern in row.patterns() {
                let mut any = false;
                for (element, claim) in elements.iter().zip(&mut claims) {
                    if !fits(&pattern, &element.path) {
                        continue;
                    }
                    any = true;
                    if claim.replace(number).is_some_and(|other| other != number) {
                        findings.push(format!("{FILE}: '{}' is in two rows", element.path));
                    }
                }
                if !any {
                    findings.push(format!("{FILE}: '{pattern}' is no element of the model"));
                }
            }
        }
        for (element, claim) in elements.iter().zip(&claims) {
            if claim.is_none() {
                findings.push(format!("{FILE}: no row for '{}'", element.path));
            }
        }
        claims.into_iter().map(Option::unwrap_or_default).collect()
    }
}

impl Row {
    fn patterns(&self) -> Vec<String> {
        let mut all = Vec::new();
        for of in &self.of {
            all.extend(alternatives(of));
            for part in self.parts.split_whitespace() {
                all.extend(alternatives(&format!("{of}/{part}")));
            }
        }
        all
    }
}

/// All texts that one with `{a,b}` stands for.
fn alternatives(text: &str) -> Vec<String> {
    let split = text.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    });
    let Some((before, inside, after)) = split else {
        return vec![text.to_owned()];
    };
    let each = inside
        .split(',')
        .flat_map(|one| alternatives(&format!("{before}{one}{after}")));
    each.collect()
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern
            .iter()
            .zip(&path)
            .all(|(want, name)| *want == "*" || want == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(path: &str) -> Described {
        Described {
            path: path.to_owned(),
            about: "",
            attributes: Vec::new(),
            text: false,
            repeats: false,
        }
    }

    #[test]
    fn every_element_is_in_one_row() {
        let text = "
            [[row]]
            of = ['devices/{sound,video}']
            parts = 'model *'
            by = ['nothing']
            effect = ''
            [[row]]
            of = ['devices/sound/codec', 'gone']
            by = ['argument']
            effect = ''
        ";
        let table: Table = toml::from_str(text).unwrap();
        let elements: Vec<_> = [
            "devices/sound",
            "devices/sound/codec",
            "devices/video",
            "devices/video/model",
            "new",
        ]
        .map(element)
        .to_vec();
        let mut findings = Vec::new();
        table.claims(&elements, &mut findings);
        let expected = [
            "'devices/sound/model' is no element of the model",
            "[\"devices/sound/codec\", \"gone\"] names no test",
            "'devices/sound/codec' is in two rows",
            "'gone' is no element of the model",
            "no row for 'new'",
        ];
        let expected = expected.map(|text| format!("{FILE}: {text}"));
        assert_eq!(findings, expected);
    }

    #[test]
    fn alternatives_within_alternatives() {
        assert_eq!(
            alternatives("a/{b,c}/{d,e}"),
            ["a/b/d", "a/b/e", "a/c/d", "a/c/e"]
        );
        assert_eq!(alternatives("a{"), ["a{"]);
    }
}

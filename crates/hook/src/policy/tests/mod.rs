//! Rules as their writers see them: files in, treatment or messages out.

mod applying;
mod manual;
mod mistakes;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::policy::{Policy, PolicyErrors};

/// A directory of rules.
struct Directory {
    dir: TempDir,
}

impl Directory {
    fn new(files: &[(&str, &str)]) -> Directory {
        let dir = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Directory { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn load(&self) -> Result<Policy, PolicyErrors> {
        Policy::load(self.path())
    }

    /// Without the directory in it, which has another name each time.
    fn plain(&self, text: impl ToString) -> String {
        text.to_string()
            .replace(&format!("{}/", self.path().display()), "")
    }
}

/// The rules of one file, `r.toml`.
fn rules(text: &str) -> Policy {
    Directory::new(&[("r.toml", text)])
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// The first lines of all errors of one file, `r.toml`.
fn errors(text: &str) -> Vec<String> {
    let directory = Directory::new(&[("r.toml", text)]);
    match directory.load() {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .iter()
            .map(|error| first_line(&directory.plain(error)))
            .collect(),
    }
}

/// The same of the warnings.
fn warnings(text: &str) -> Vec<String> {
    let directory = Directory::new(&[("r.toml", text)]);
    let policy = directory.load().unwrap_or_else(|errors| panic!("{errors}"));
    policy
        .warnings()
        .iter()
        .map(|warning| first_line(&directory.plain(warning)))
        .collect()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

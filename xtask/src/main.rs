//! The gates of this repository that neither rustc nor clippy knows: `cargo xtask arrows` (who may use
//! whom), `cargo xtask sizes` (how long things may get), `cargo xtask domain-xml --check` (the list of what documents can
//! hold; without `--check` it is written). Each prints what breaks it, one line a finding,
//! and ends with status 1 when there is one.

mod arrows;
mod domain_xml;
mod sizes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask arrows|sizes|domain-xml [--check]|all";

fn main() -> ExitCode {
    let root = root();
    let findings = match std::env::args().nth(1).as_deref() {
        Some("arrows") => arrows::check(&root),
        Some("sizes") => sizes::check(&root),
        Some("domain-xml") if std::env::args().nth(2).as_deref() == Some("--check") => {
            domain_xml::check(&root)
        }
        Some("domain-xml") => domain_xml::write(&root),
        Some("all") => arrows::check(&root).and_then(|mut first| {
            first.extend(sizes::check(&root)?);
            first.extend(domain_xml::check(&root)?);
            Ok(first)
        }),
        _ => Err(USAGE.to_owned()),
    };
    match findings {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            println!("{} finding(s)", findings.len());
            ExitCode::FAILURE
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

/// The workspace's directory: the one above this package.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

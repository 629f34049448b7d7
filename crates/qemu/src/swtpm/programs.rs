//! The programs of this host, and what they can do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferrovirt_model::domain::TpmVersion;
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::error::{Error, Result};

/// How long a program may take to say what it can do.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is there of swtpm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swtpm {
    /// The chip.
    pub program: PathBuf,
    /// What makes a new one's storage.
    pub setup: PathBuf,
    features: BTreeSet<String>,
    setup_features: BTreeSet<String>,
}

impl Swtpm {
    /// Programs with these features.
    #[must_use]
    pub fn new(program: PathBuf, setup: PathBuf, features: &[&str], setup_features: &[&str]) -> Self {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            program,
            setup,
            features: set(features),
            setup_features: set(setup_features),
        }
    }

    /// Whether a chip of this version can be made. Programs from before there was a choice have both and do not say so.
    #[must_use]
    pub fn plays(&self, version: TpmVersion) -> bool {
        let says = |name: &str| self.setup_features.contains(name);
        let word = match version {
            TpmVersion::V1_2 => "tpm-1.2",
            TpmVersion::V2_0 => "tpm-2.0",
        };
        says(word) || !(says("tpm-1.2") || says("tpm-2.0"))
    }

    /// Whether the chip itself can do this.
    #[must_use]
    pub fn can(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    /// Whether what makes its storage can.
    #[must_use]
    pub fn setup_can(&self, feature: &str) -> bool {
        self.setup_features.contains(feature)
    }
}

/// What a program was when it was asked: another one is asked again.
type Stamp = [(PathBuf, Option<SystemTime>); 2];

/// Finds the programs, and asks them once.
#[derive(Debug, Default)]
pub struct Finder {
    known: Mutex<Option<(Stamp, Arc<Swtpm>)>>,
}

impl Finder {
    /// What is there now; nothing when a program is missing, or does not say what it can do.
    pub async fn find(&self) -> Option<Arc<Swtpm>> {
        let find = ferrovirt_sys::program::find_in_path;
        // The third one is not used here, but without it libvirt takes the others for incomplete.
        let (program, setup, _) = (find("swtpm")?, find("swtpm_setup")?, find("swtpm_ioctl")?);
        let stamp = [stamp(&program), stamp(&setup)];
        let mut known = self.known.lock().await;
        if let Some((then, swtpm)) = known.as_ref().filter(|(then, _)| *then == stamp) {
            let _ = then;
            return Some(Arc::clone(swtpm));
        }
        let asked = async {
            Ok::<_, Error>((
                ask(&program, &["socket", "--print-capabilities"]).await?,
                ask(&setup, &["--print-capabilities"]).await?,
            ))
        };
        match asked.await {
            Ok((features, setup_features)) => {
                let swtpm = Arc::new(Swtpm {
                    program,
                    setup,
                    features,
                    setup_features,
                });
                *known = Some((stamp, Arc::clone(&swtpm)));
                Some(swtpm)
            }
            Err(error) => {
                tracing::warn!("there are no emulated TPMs: {error}");
                None
            }
        }
    }
}

fn stamp(path: &Path) -> (PathBuf, Option<SystemTime>) {
    let changed = std::fs::metadata(path).and_then(|meta| meta.modified());
    (path.to_owned(), changed.ok())
}

/// What a program says of itself.
#[derive(Debug, Deserialize)]
struct Says {
    #[serde(default)]
    features: BTreeSet<String>,
}

async fn ask(program: &Path, args: &[&str]) -> Result<BTreeSet<String>> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .envs([("LC_ALL", "C"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, output)
        .await
        .map_err(|_| Error::Failed(format!("'{}' does not answer", program.display())))?
        .map_err(Error::io("Cannot run", program))?;
    said(&output.stdout)
        .ok_or_else(|| Error::Failed(format!("'{}' does not say what it can do", program.display())))
}

/// Reads what a program printed.
fn said(output: &[u8]) -> Option<BTreeSet<String>> {
    let says: Says = serde_json::from_slice(output).ok()?;
    Some(says.features)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn features_are_what_the_program_prints() {
        let text = br#"{ "type": "swtpm_setup", "features": [ "tpm-2.0", "cmdarg-keyfile-fd" ], "version": "0.7.1" }"#;
        let features: Vec<_> = said(text).unwrap().into_iter().collect();
        assert_eq!(features, ["cmdarg-keyfile-fd", "tpm-2.0"]);
        assert_eq!(said(b"{}").unwrap().len(), 0);
    }

    #[test]
    fn versions_that_nobody_mentions_are_both_there() {
        let with = |features: &[&str]| Swtpm::new(PathBuf::new(), PathBuf::new(), &[], features);
        assert!(with(&[]).plays(TpmVersion::V1_2) && with(&[]).plays(TpmVersion::V2_0));
        let new = with(&["tpm-2.0"]);
        assert!(!new.plays(TpmVersion::V1_2) && new.plays(TpmVersion::V2_0));
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = said(&bytes);
        }
    }
}

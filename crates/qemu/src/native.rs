//! The command line that a document would have (`virsh domxml-to-native qemu-argv`), as text for a shell. Nothing is started,
//! looked for or made; ports are the first ones of their kind.

use std::path::Path;

use ferrovirt_guest::Backend;
use ferrovirt_model::domain::{Domain, HostdevKind};
use ferrovirt_sys::blocking;

use crate::backend::QemuBackend;
use crate::command::{self, Given};
use crate::config::QemuConfig;
use crate::error::Result;
use crate::live::{alias, socket, tpm};
use crate::places::Places;

/// The id of a guest that does not run.
const NO_ID: i32 = -1;
/// Where the first VNC display listens.
const FIRST_DISPLAY: i32 = 5900;
/// Where the first one for browsers does.
const FIRST_WEBSOCKET: i32 = 5700;

impl QemuBackend {
    /// Environment, program and arguments with which this document would be started, quoted for a shell.
    ///
    /// # Errors
    /// What a define and a start of it would be refused for.
    pub async fn native(
        &self,
        mut doc: Domain,
    ) -> std::result::Result<String, ferrovirt_guest::BackendError> {
        self.complete(&mut doc).await?;
        let emulator = self.emulator(&doc).await?;
        let is_pci = |kind: &HostdevKind| matches!(kind, HostdevKind::Pci(_));
        let has_pci = doc.devices.hostdevs.iter().any(|hostdev| is_pci(&hostdev.kind));
        if has_pci && !self.passthrough().is_possible() {
            return Err(crate::Error::from(ferrovirt_host::Error::NoPassthrough).into());
        }
        let words = blocking::here(|| words(&mut doc, self.config(), &emulator))?;
        Ok(words.join(" "))
    }
}

fn words(
    doc: &mut Domain,
    config: &QemuConfig,
    emulator: &crate::capabilities::Emulator,
) -> Result<Vec<String>> {
    let places = Places::of(config, NO_ID, &doc.name);
    alias::assign(doc);
    socket::channels(doc, &places.channel_dir);
    displays(doc, config, &places.guest_dir);
    // Held until the words are there: what cannot be opened cannot be started either.
    let opened = tpm::open(doc)?;
    let numbers = opened
        .iter()
        .map(|(name, fd)| (name.clone(), std::os::fd::AsRawFd::as_raw_fd(fd)));
    let given = Given {
        descriptors: numbers.collect(),
        guest_dir: places.guest_dir.clone(),
        huge: crate::live::memory::huge_mounts(config.hugetlbfs.as_deref()),
        nodes: crate::live::memory::host_nodes(),
        ..Given::default()
    };
    let args = command::build(doc, emulator, &given)?;
    let env = command::environment(doc, &places.guest_dir, config.privileged);
    let mut words: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    words.push(quoted(&emulator.path.display().to_string()));
    words.extend(args.iter().map(|arg| quoted(arg)));
    Ok(words)
}

fn displays(doc: &mut Domain, config: &QemuConfig, dir: &Path) {
    for graphics in &mut doc.devices.graphics {
        if let Some(first) = graphics.listens.first_mut() {
            first.address.get_or_insert_with(|| config.vnc_listen.clone());
        }
        if graphics.autoport == Some(true) {
            graphics.port = Some(FIRST_DISPLAY);
        }
        if graphics.websocket == Some(-1) {
            graphics.websocket = Some(FIRST_WEBSOCKET);
        }
    }
    socket::own_displays(doc, dir);
}

/// One word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_see_more_in_them() {
        for (word, wanted) in [
            ("guest=web1,debug-threads=on", "guest=web1,debug-threads=on"),
            ("", "''"),
            ("a b", "'a b'"),
            (r#"{"id":"x"}"#, r#"'{"id":"x"}'"#),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }
}

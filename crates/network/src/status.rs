//! The status file of a network that is up, or on its way up or down: libvirt's `<networkstatus>` with one element of
//! ours in it. It is written *before* each step that leaves something behind (R96): what there is to undo follows
//! from the document, how far it came from the phase, and a script that may still run from its keeper.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ferrovirt_hook::{BoxFuture, CallJournal};
use ferrovirt_model::network::Network;
use ferrovirt_sys::process::ProcessId;
use ferrovirt_xml::{Form, Rest, UnknownPolicy, Xml};

use crate::error::{Error, Result};
use crate::store;

/// How far the network is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Xml)]
pub(crate) enum Phase {
    /// A start is under way: undone by the next daemon.
    Starting,
    /// It is up: taken over by the next daemon. So is a network that libvirtd left, whose file has no phase.
    #[default]
    Active,
    /// An end is under way: finished by the next daemon.
    Ending,
}

/// `<ferrovirt>`: what libvirt's form has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub(crate) struct Progress {
    /// How far it is.
    #[xml(attr)]
    pub phase: Phase,
    /// The process that holds the last hook script of this way; absent when none was called.
    #[xml(attr)]
    pub keeper: Option<ProcessId>,
}

/// `<taint>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub(crate) struct Taint {
    /// libvirt's word for it.
    #[xml(attr)]
    pub flag: String,
}

/// libvirt's word for a network whose hook ran.
const HOOK_SCRIPT: &str = "hook-script";

/// `<networkstatus>`.
#[derive(Debug, Clone, PartialEq, Xml)]
pub(crate) struct Status {
    /// libvirt's book-keeping of traffic classes: the three that are always there.
    #[xml(child = "class_id", attr = "bitmap")]
    pub class_id: Option<String>,
    /// libvirt's sum of guaranteed bandwidth.
    #[xml(child = "floor", attr = "sum")]
    pub floor: Option<String>,
    /// What makes the network differ from its definition; a hook that ran is the only such thing.
    #[xml(name = "taint")]
    pub taints: Vec<Taint>,
    /// How far it is; absent in libvirtd's files.
    pub ferrovirt: Option<Progress>,
    /// The live document.
    pub network: Network,
    /// How libvirtd takes its rules away again; kept until the network ends.
    #[xml(raw)]
    pub firewall: Option<String>,
    /// What a newer libvirtd wrote.
    #[xml(rest)]
    pub rest: Rest,
}

impl Status {
    /// The status of a network that begins to start.
    pub(crate) fn new(network: Network) -> Status {
        Status {
            class_id: Some("0-2".to_owned()),
            floor: Some("0".to_owned()),
            taints: Vec::new(),
            ferrovirt: Some(Progress {
                phase: Phase::Starting,
                keeper: None,
            }),
            network,
            firewall: None,
            rest: Rest::default(),
        }
    }

    /// Reads a file's text; what is unknown is kept.
    ///
    /// # Errors
    /// `Document` for what is no status of a network that can be managed here.
    pub(crate) fn parse(text: &str) -> Result<Status> {
        let mut status: Status = ferrovirt_xml::from_str("networkstatus", text, UnknownPolicy::Keep)?.value;
        status.network.normalize()?;
        Ok(status)
    }

    /// The file's text.
    pub(crate) fn to_xml(&self) -> String {
        store::warning(&format!("net-edit {}", self.network.name))
            + &ferrovirt_xml::to_string("networkstatus", self, &Form::STATUS)
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        self.ferrovirt.clone().unwrap_or_default()
    }
}

/// The status file of one run of a network, and what stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    status: Arc<Mutex<Status>>,
    /// One write at a time, in the order of the changes.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl Journal {
    /// Nothing is written yet.
    pub(crate) fn new(path: PathBuf, status: Status) -> Journal {
        Journal {
            path,
            status: Arc::new(Mutex::new(status)),
            writing: Arc::default(),
        }
    }

    /// Writes the phase down; returns when it is safe.
    ///
    /// # Errors
    /// `File`.
    pub(crate) async fn phase(&self, phase: Phase) -> Result<()> {
        self.change(|status| status.ferrovirt.get_or_insert_default().phase = phase)
            .await
    }

    /// Changes what stands in the file, and writes it.
    ///
    /// # Errors
    /// `File`.
    pub(crate) async fn change(&self, edit: impl FnOnce(&mut Status)) -> Result<()> {
        let _turn = self.writing.lock().await;
        let text = {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            edit(&mut status);
            status.to_xml()
        };
        store::write(self.path.clone(), text, store::PRIVATE)
    }

    /// A hook of the network ran: said once a run, and kept with its next write.
    pub(crate) fn taint(&self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.taints.iter().any(|taint| taint.flag == HOOK_SCRIPT) {
            return;
        }
        status.taints.push(Taint {
            flag: HOOK_SCRIPT.to_owned(),
        });
        let uuid = status
            .network
            .uuid
            .map(|uuid| uuid.to_string())
            .unwrap_or_default();
        tracing::warn!(
            "Network name='{}' uuid={uuid} is tainted: {HOOK_SCRIPT}",
            status.network.name
        );
    }

    /// Is the file there?
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Removes the file: nothing is left of this run.
    ///
    /// # Errors
    /// `File`.
    pub(crate) async fn close(&self) -> Result<()> {
        let _turn = self.writing.lock().await;
        store::remove(self.path.clone())
    }
}

impl CallJournal for Journal {
    fn begin(&self, keeper: ProcessId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let written = self.change(|status| {
                status.ferrovirt.get_or_insert_default().keeper = Some(keeper);
            });
            if let Err(error) = written.await {
                tracing::error!(
                    "{error}: after a crash of the daemon the hook that runs now would not be found"
                );
            }
        })
    }

    /// The keeper stays in the file: it says that a script was called, and a keeper without a script is no harm.
    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl From<ferrovirt_sys::process::NoProcessId> for Error {
    fn from(error: ferrovirt_sys::process::NoProcessId) -> Error {
        Error::Internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let text = "<network><name>n1</name><uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>\
                    <bridge name='virbr7'/></network>";
        Network::parse(text, UnknownPolicy::Refuse)
            .expect("a network")
            .value
    }

    #[test]
    fn r96_phase_and_keeper_come_back() {
        let mut status = Status::new(network());
        status.ferrovirt = Some(Progress {
            phase: Phase::Ending,
            keeper: Some(ProcessId {
                pid: 12,
                start_time: 345,
            }),
        });
        let text = status.to_xml();
        assert!(
            text.contains("<ferrovirt phase='ending' keeper='12:345'/>"),
            "{text}"
        );
        assert_eq!(Status::parse(&text).expect("own text"), status);
    }

    #[test]
    fn libvirtds_file_is_that_of_a_network_that_is_up_and_keeps_its_rules() {
        let text = "<networkstatus>\n  <class_id bitmap='0-2'/>\n  <floor sum='0'/>\n  <network>\n    <name>n1</name>\n    \
                    <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>\n    <bridge name='virbr7' stp='on' delay='0'/>\n  \
                    </network>\n  <firewall name='fwRemoval' backend='nftables'>\n    <group/>\n  </firewall>\n\
                    </networkstatus>";
        let status = Status::parse(text).expect("libvirtd's text");
        assert_eq!(status.progress().phase, Phase::Active);
        assert!(
            status
                .to_xml()
                .contains("<firewall name='fwRemoval' backend='nftables'>\n    <group/>")
        );
    }

    #[tokio::test]
    async fn r96_the_keeper_is_on_disk_before_the_script() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("n1.xml");
        let journal = Journal::new(path.clone(), Status::new(network()));
        journal.phase(Phase::Starting).await.expect("written");
        let keeper = ProcessId {
            pid: 77,
            start_time: 1,
        };
        journal.begin(keeper).await;
        let text = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(
            Status::parse(&text).expect("own text").progress().keeper,
            Some(keeper)
        );
        journal.close().await.expect("removed");
        assert!(!path.exists());
    }
}

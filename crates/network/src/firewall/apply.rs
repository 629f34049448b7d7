//! Rules into the kernel: batches of text through `nft -f -`.
//!
//! A commit costs the kernel some 15 ms of waiting, whatever is in it, and commits follow each other. So batches
//! that come while one is under way are joined to one: forty networks that start at once cost a few commits. A
//! joined batch that fails is taken apart again, so that each network hears of its own failure only.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};

/// How long nft may take: it waits for nothing but the kernel.
const LIMIT: Duration = Duration::from_secs(30);

/// One batch on its way.
struct Request {
    text: String,
    reply: oneshot::Sender<std::result::Result<(), String>>,
}

/// The door to nft. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Firewall {
    requests: mpsc::UnboundedSender<Request>,
}

impl Firewall {
    /// Starts the task that feeds nft; it ends when the last clone is gone.
    pub(crate) fn new(nft: PathBuf) -> Firewall {
        let (requests, inbox) = mpsc::unbounded_channel();
        tokio::spawn(serve(nft, inbox));
        Firewall { requests }
    }

    /// Applies a batch; returns when the kernel has it.
    ///
    /// # Errors
    /// `Program` with nft's own words, or when there is no nft.
    pub(crate) async fn apply(&self, text: String) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::Internal("the packet filter's task is gone".to_owned());
        self.requests.send(Request { text, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(Error::Program)
    }
}

async fn serve(nft: PathBuf, mut inbox: mpsc::UnboundedReceiver<Request>) {
    while let Some(first) = inbox.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = inbox.try_recv() {
            waiting.push(next);
        }
        let joined: String = waiting.iter().map(|request| request.text.as_str()).collect();
        let outcome = run(&nft, &joined).await;
        if outcome.is_err() && waiting.len() > 1 {
            for request in waiting {
                let outcome = run(&nft, &request.text).await;
                let _ = request.reply.send(outcome);
            }
            continue;
        }
        for request in waiting {
            let _ = request.reply.send(outcome.clone());
        }
    }
}

/// Runs nft once. The error is its text, with the program's name.
async fn run(nft: &Path, text: &str) -> std::result::Result<(), String> {
    let name = nft.display();
    let program = ferrovirt_sys::program::find_in_path(&nft.to_string_lossy()).ok_or_else(|| {
        format!("Cannot find '{name}' in path: it makes the packet filter rules of networks")
    })?;
    let mut command = Command::new(program);
    command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // It returns when the new process has become the program.
    let mut child = ferrovirt_sys::blocking::here(|| command.spawn())
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    let mut stdin = child
        .stdin
        .take()
        .ok_or_else(|| format!("{name} has no standard input"))?;
    let feed = async {
        // A program that stops reading says why on its standard error.
        let _ = stdin.write_all(text.as_bytes()).await;
        drop(stdin);
    };
    let work = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = match tokio::time::timeout(LIMIT, work).await {
        Err(_) => return Err(format!("{name} did not end within {} s", LIMIT.as_secs())),
        Ok(output) => output.map_err(|error| format!("cannot run {name}: {error}"))?,
    };
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name} refused the packet filter rules ({}): {}",
        output.status,
        words.trim_end()
    ))
}

//! Live discovery (R4): whoever puts a script where hooks are called from is told at once what becomes of it, in the log.
//! Calls do not depend on this: they look for themselves.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask, Watches};

use crate::engine::Shared;
use crate::event::Driver;

/// Changes come in bursts (an editor, a package): what they come to is looked at when they are over.
const BURST: Duration = Duration::from_millis(200);

/// Room for the kernel's messages, bytes.
const BUFFER: usize = 4096;

/// What may change whether a file is a hook.
const CHANGES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::CLOSE_WRITE);

/// Watches until the engine is gone. Within a runtime.
pub(crate) fn begin(shared: &Arc<Shared>) {
    let inotify = match Inotify::init() {
        Ok(inotify) => inotify,
        Err(error) => {
            tracing::warn!(target: "virHookCheck", "hooks are not watched: {error}");
            return;
        }
    };
    let (shared, watches) = (Arc::downgrade(shared), inotify.watches());
    let Ok(mut events) = inotify.into_event_stream(vec![0; BUFFER]) else {
        return;
    };
    tokio::spawn(async move {
        let mut known = BTreeSet::new();
        let mut first = true;
        loop {
            let Some(shared) = shared.upgrade() else { return };
            let (mut watches, before) = (watches.clone(), std::mem::take(&mut known));
            let look = tokio::task::spawn_blocking(move || {
                watch(&shared, &mut watches);
                look(&shared, &before, first)
            });
            known = look.await.unwrap_or_default();
            first = false;
            if events.next().await.is_none() {
                return;
            }
            // Until it is quiet for a moment.
            while let Ok(Some(_)) = tokio::time::timeout(BURST, events.next()).await {}
        }
    });
}

/// Watches every directory that counts; one that is watched already stays so.
fn watch(shared: &Shared, watches: &mut Watches) {
    let hooks = &shared.config.hooks_dir;
    let beside = Driver::ALL.map(|driver| hooks.join(format!("{driver}.d")));
    let above = hooks.parent().map(ToOwned::to_owned);
    for directory in above.into_iter().chain([hooks.clone()]).chain(beside) {
        // What is not there yet is seen in the directory above when it comes.
        let _ = watches.add(&directory, CHANGES | WatchMask::ONLYDIR);
    }
}

/// Looks at all drivers' files, which says what is wrong with them, and says what is new.
fn look(shared: &Shared, before: &BTreeSet<PathBuf>, first: bool) -> BTreeSet<PathBuf> {
    let files = Driver::ALL
        .into_iter()
        .flat_map(|driver| shared.catalogue.look(driver));
    let now: BTreeSet<PathBuf> = files
        .filter(|file| file.skipped.is_none())
        .map(|file| file.path)
        .collect();
    if !first {
        for path in now.difference(before) {
            tracing::info!(target: "virHookCheck", "Hook script {} is called from now on", path.display());
        }
        for path in before.difference(&now) {
            tracing::info!(target: "virHookCheck", "Hook script {} is not called any more", path.display());
        }
    }
    now
}

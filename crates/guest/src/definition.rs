//! Changes of a guest's definition: on disk first, then published. The running guest is not touched.

use std::sync::Arc;

use ferrovirt_model::domain::Domain;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::event::{Lifecycle, What};
use crate::flags::{Leftovers, Metadata};
use crate::metadata;
use crate::plug::DeviceChange;
use crate::store;
use crate::tuning::Tuning;
use crate::walk::Walk;

/// What can be done to a definition.
pub(crate) enum Edit {
    Define(Box<Domain>),
    Undefine(Leftovers),
    Autostart(bool),
    Describe(Metadata),
    Rename(String),
    Tune(Tuning),
    Device(Box<DeviceChange>),
}

/// Does it; acknowledged means on disk.
pub(crate) async fn edit<B: Backend>(walk: &Walk<B>, edit: Edit) -> Result<()> {
    match edit {
        Edit::Define(doc) => define(walk, *doc).await,
        Edit::Undefine(leftovers) => undefine(walk, leftovers).await,
        Edit::Autostart(autostart) => set_autostart(walk, autostart).await,
        Edit::Describe(change) => {
            describe(walk, &change).await?;
            walk.desk.announce(What::described(&change));
            Ok(())
        }
        Edit::Rename(name) => rename(walk, &name).await,
        Edit::Tune(change) => keep(walk, with_tuning(walk, &change)?),
        Edit::Device(change) => replace(walk, with_change(walk, &change).await?),
    }
}

async fn define<B: Backend>(walk: &Walk<B>, doc: Domain) -> Result<()> {
    walk.shared.store.save(&doc)?;
    let known = walk.desk.look().persistent;
    walk.desk.change(|s| {
        s.updated = s.is_active();
        s.persistent = true;
        s.config = Some(Arc::new(doc));
    });
    walk.desk.tell(if known {
        Lifecycle::DefinedUpdated
    } else {
        Lifecycle::DefinedAdded
    });
    Ok(())
}

async fn undefine<B: Backend>(walk: &Walk<B>, leftovers: Leftovers) -> Result<()> {
    let seen = walk.desk.look();
    if !seen.persistent {
        return Err(Error::Invalid("cannot undefine transient domain".to_owned()));
    }
    if let Some(config) = &seen.config {
        walk.shared
            .backend
            .forget(config, leftovers, seen.is_active())
            .await?;
    }
    walk.shared.store.remove(&seen.name)?;
    walk.desk.change(|s| {
        s.persistent = false;
        s.autostart = false;
        s.updated = false;
        s.config = None;
    });
    walk.desk.tell_of(&seen, Lifecycle::UndefinedRemoved);
    Ok(())
}

async fn set_autostart<B: Backend>(walk: &Walk<B>, autostart: bool) -> Result<()> {
    let seen = walk.desk.look();
    if !seen.persistent {
        return Err(Error::Invalid(
            "cannot set autostart for transient domain".to_owned(),
        ));
    }
    walk.shared.store.set_autostart(&seen.name, autostart)?;
    walk.desk.change(|s| s.autostart = autostart);
    Ok(())
}

/// Changes title, description or metadata of the definition.
pub(crate) async fn describe<B: Backend>(walk: &Walk<B>, change: &Metadata) -> Result<()> {
    let mut doc = definition(walk)?;
    metadata::apply(&mut doc, change)?;
    keep(walk, doc)
}

/// The definition, to be changed.
fn definition<B: Backend>(walk: &Walk<B>) -> Result<Domain> {
    let seen = walk.desk.look();
    match seen.config.as_ref().filter(|_| seen.persistent) {
        Some(config) => Ok(Domain::clone(config)),
        None => Err(Error::Invalid(
            "transient domains do not have any persistent config".to_owned(),
        )),
    }
}

/// A changed definition: on disk, then shown.
pub(crate) fn keep<B: Backend>(walk: &Walk<B>, doc: Domain) -> Result<()> {
    walk.shared.store.save(&doc)?;
    walk.desk.change(|s| s.config = Some(Arc::new(doc)));
    Ok(())
}

/// The same of a change that counts as a new definition.
pub(crate) fn replace<B: Backend>(walk: &Walk<B>, doc: Domain) -> Result<()> {
    keep(walk, doc)?;
    walk.desk.tell(Lifecycle::DefinedUpdated);
    Ok(())
}

/// The definition with other limits and shares.
pub(crate) fn with_tuning<B: Backend>(walk: &Walk<B>, change: &Tuning) -> Result<Domain> {
    let mut doc = definition(walk)?;
    change.apply(&mut doc, false)?;
    Ok(doc)
}

/// The definition with another device, or without one, as the hypervisor completes it.
pub(crate) async fn with_change<B: Backend>(walk: &Walk<B>, change: &DeviceChange) -> Result<Domain> {
    let mut doc = definition(walk)?;
    change.apply(&mut doc, B::DEVICES)?;
    walk.backend().complete(&mut doc).await?;
    Ok(doc.to_config()?)
}

/// The new one first: a sudden death in between leaves two, of which the newer counts.
async fn move_files<B: Backend>(walk: &Walk<B>, doc: &Domain, old: &str, autostart: bool) -> Result<()> {
    let store = &walk.shared.store;
    store.save(doc)?;
    if autostart {
        store.set_autostart(&doc.name, true)?;
    }
    store.remove(old)
}

async fn rename<B: Backend>(walk: &Walk<B>, name: &str) -> Result<()> {
    let seen = walk.desk.look();
    let Some(config) = seen.config.as_ref().filter(|_| seen.persistent) else {
        return Err(Error::Invalid("cannot rename a transient domain".to_owned()));
    };
    store::check_name(name)?;
    if name == seen.name {
        return Err(Error::Invalid("Can't rename domain to itself".to_owned()));
    }
    let reservation = walk.shared.registry.reserve_name(name, seen.uuid)?;
    let mut doc = Domain::clone(config);
    name.clone_into(&mut doc.name);
    if let Err(error) = move_files(walk, &doc, &seen.name, seen.autostart).await {
        // The old name stays; a new file that cannot be removed is reported at the next start of the daemon.
        let _ = walk.shared.store.remove(name);
        return Err(error);
    }
    walk.desk.tell(Lifecycle::UndefinedRenamed);
    walk.shared.registry.renamed(&seen.name, reservation);
    walk.desk.change(|s| {
        name.clone_into(&mut s.name);
        s.config = Some(Arc::new(doc));
    });
    walk.desk.tell(Lifecycle::DefinedRenamed);
    Ok(())
}

//! `<iothreads>`, `<iothreadids>`, `<defaultiothread>`: threads of the hypervisor that serve disks.

use ferrovirt_xml::{Xml, XmlError};
use std::collections::BTreeSet;

/// More threads than anybody has processors for are a mistake.
const MOST: u32 = 4096;

/// `<poll>`: how long a thread looks for work before it sleeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct IoThreadPoll {
    /// At most so many nanoseconds.
    #[xml(attr)]
    pub max: Option<u64>,
    /// By what the time is multiplied when it was too short.
    #[xml(attr)]
    pub grow: Option<u32>,
    /// By what it is divided when it was too long.
    #[xml(attr)]
    pub shrink: Option<u32>,
}

/// `<iothread>`: one thread.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct IoThread {
    /// Its number, from 1.
    #[xml(attr)]
    pub id: u32,
    /// So many threads that it hands work to, at least.
    #[xml(attr = "thread_pool_min")]
    pub pool_min: Option<u32>,
    /// And at most.
    #[xml(attr = "thread_pool_max")]
    pub pool_max: Option<u32>,
    /// How long it looks for work.
    pub poll: Option<IoThreadPoll>,
}

/// `<iothreadids>`: the threads one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct IoThreadIds {
    /// The threads.
    #[xml(name = "iothread")]
    pub threads: Vec<IoThread>,
}

/// `<defaultiothread>`: the hypervisor's own thread.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct DefaultIoThread {
    /// So many threads that it hands work to, at least.
    #[xml(attr = "thread_pool_min")]
    pub pool_min: Option<u32>,
    /// And at most.
    #[xml(attr = "thread_pool_max")]
    pub pool_max: Option<u32>,
}

/// All of them, in order: those of `ids`, or as many as `count` says.
pub(super) fn all(count: Option<u32>, ids: Option<&IoThreadIds>) -> Vec<IoThread> {
    match ids {
        Some(ids) => ids.threads.clone(),
        None => (1..=count.unwrap_or(0))
            .map(|id| IoThread {
                id,
                ..IoThread::default()
            })
            .collect(),
    }
}

/// As many threads as the greater of both says; those without a number get the lowest that are free.
pub(super) fn normalize(count: &mut Option<u32>, ids: &mut Option<IoThreadIds>) -> Result<(), XmlError> {
    ids.take_if(|ids| ids.threads.is_empty());
    count.take_if(|count| *count == 0);
    if let Some(many) = count.filter(|count| *count > MOST) {
        return Err(XmlError::Unsupported(format!(
            "iothreads count {many} is above {MOST}"
        )));
    }
    let Some(ids) = ids else { return Ok(()) };
    let mut taken = BTreeSet::new();
    for thread in &mut ids.threads {
        thread.poll.take_if(|poll| *poll == IoThreadPoll::default());
        if thread.id == 0 {
            let text = "Invalid value for attribute 'id' in element 'iothread': '0'. Zero is not permitted";
            return Err(XmlError::Inconsistent(text.to_owned()));
        }
        if !taken.insert(thread.id) {
            return Err(XmlError::Inconsistent(format!(
                "duplicate iothread id '{}' found",
                thread.id
            )));
        }
        check_pool(thread.pool_min, thread.pool_max)?;
    }
    let wanted = count.unwrap_or(0) as usize;
    let free = (1..).filter(|id| !taken.contains(id));
    let more = free.take(wanted.saturating_sub(ids.threads.len()));
    ids.threads.extend(more.map(|id| IoThread {
        id,
        ..IoThread::default()
    }));
    *count = Some(ids.threads.len() as u32);
    Ok(())
}

/// A pool's least is not above its most.
pub(super) fn check_pool(min: Option<u32>, max: Option<u32>) -> Result<(), XmlError> {
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(XmlError::Unsupported(format!(
            "thread_pool_min must be smaller or equal to thread_pool_max: {min} is not, to {max}"
        ))),
        _ => Ok(()),
    }
}

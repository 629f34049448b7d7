//! Figures of guests as typed parameters (`virsh domstats`): which are asked for, and by what names they travel.
//!
//! Guests are asked all at once and past their owners (R90); what one of them cannot tell in time is left out of its
//! record. Groups that need hardware or settings that guests cannot have here (perf events, I/O threads, memory
//! bandwidth, KVM's own counters) are known and empty, as libvirtd's are for such guests.

use std::sync::Arc;
use std::time::Duration;

use ferrovirt_guest::{
    BalloonStats, BlockStats, CpuStats, DirtyRateStats, DirtyRateStatus, GuestHandle, GuestStats,
    InterfaceStats, Requests, Snapshot, StatsAsk, Traffic, VcpuStats,
};
use ferrovirt_model::Uuid;
use ferrovirt_model::domain::Domain;
use ferrovirt_wire::object::{DomainStatsRecord, STATS_LIMIT};
use ferrovirt_wire::procedures::{ConnectGetAllDomainStatsArgs, ConnectGetAllDomainStatsResults, LIST_LIMIT};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, List, TypedParam, TypedValue};

use super::domain::{list_flag, reference, wanted};
use super::{Session, only_flags, too_many};

const QEMU: ErrorDomain = ErrorDomain::Qemu;

/// Bits of the argument `stats`.
mod group {
    pub(super) const STATE: u32 = 1;
    pub(super) const CPU_TOTAL: u32 = 2;
    pub(super) const BALLOON: u32 = 4;
    pub(super) const VCPU: u32 = 8;
    pub(super) const INTERFACE: u32 = 16;
    pub(super) const BLOCK: u32 = 32;
    pub(super) const DIRTY_RATE: u32 = 512;
    pub(super) const VM: u32 = 1024;
    /// Also 64, perf; 128, I/O threads; 256, memory bandwidth.
    pub(super) const ALL: u32 = 2047;
}

/// Bits of the argument `flags`, beside the filters of lists.
mod stats_flag {
    pub(super) const NO_WAIT: u32 = 1 << 29;
    pub(super) const BACKING: u32 = 1 << 30;
    pub(super) const ENFORCE: u32 = 1 << 31;
    pub(super) const ALL: u32 = super::list_flag::BASIC | NO_WAIT | BACKING | ENFORCE;
}

/// How long a guest that does not answer holds up the others.
const PATIENCE: Duration = Duration::from_secs(2);

/// A processor that is plugged in.
const VCPU_RUNNING: i32 = 1;

pub(super) async fn all(
    session: &Session,
    args: ConnectGetAllDomainStatsArgs,
) -> Result<ConnectGetAllDomainStatsResults, ErrorReply> {
    only_flags(args.flags, stats_flag::ALL, QEMU, "qemuConnectGetAllDomainStats")?;
    let seen = chosen(session, &args)?;
    let has = |flag| args.flags & flag != 0;
    if has(stats_flag::ENFORCE) {
        for (_, guest) in &seen {
            enforce(guest, args.stats)?;
        }
    }
    let groups = if args.stats == 0 { group::ALL } else { args.stats };
    let wants = |group| groups & group != 0;
    let ask = StatsAsk {
        cpu: wants(group::CPU_TOTAL),
        balloon: wants(group::BALLOON),
        vcpus: wants(group::VCPU),
        interfaces: wants(group::INTERFACE),
        blocks: wants(group::BLOCK),
        backing: has(stats_flag::BACKING),
        dirty_rate: wants(group::DIRTY_RATE),
        patience: if has(stats_flag::NO_WAIT) {
            Duration::ZERO
        } else {
            PATIENCE
        },
    };
    let told = if ask.asks_nothing() {
        vec![GuestStats::default(); seen.len()]
    } else {
        GuestHandle::stats_of_all(&seen, &ask).await
    };
    let records = seen
        .iter()
        .zip(&told)
        .map(|((_, guest), told)| record(guest, groups, told))
        .collect::<Result<Vec<_>, _>>()?;
    let ret_stats = List::new(records).map_err(|_| too_many(QEMU, "domains", LIST_LIMIT))?;
    Ok(ConnectGetAllDomainStatsResults { ret_stats })
}

/// The guests that the client named, or all, and of them those that its filters let through. Named ones that are gone
/// are left out: a client asks with a list that may be old.
fn chosen(
    session: &Session,
    args: &ConnectGetAllDomainStatsArgs,
) -> Result<Vec<(GuestHandle, Arc<Snapshot>)>, ErrorReply> {
    let guests = session.guests()?;
    let handles = if args.doms.is_empty() {
        guests.handles()
    } else {
        let named = args.doms.iter();
        named.filter_map(|dom| guests.by_uuid(&Uuid(dom.uuid))).collect()
    };
    let seen = handles.into_iter().map(|handle| {
        let snapshot = handle.snapshot();
        (handle, snapshot)
    });
    Ok(seen
        .filter(|(_, guest)| wanted(guest, args.flags & list_flag::BASIC))
        .collect())
}

/// Refuses groups that this guest has not. What only a running QEMU can be asked for, one that is off has not.
fn enforce(guest: &Snapshot, groups: u32) -> Result<(), ErrorReply> {
    let supported = if guest.is_active() {
        group::ALL
    } else {
        group::ALL & !(group::DIRTY_RATE | group::VM)
    };
    match groups & !supported {
        0 => Ok(()),
        bits => {
            let text = format!("Stats types bits 0x{bits:x} are not supported by this daemon or QEMU");
            Err(ErrorReply::new(ErrorCode::ArgumentUnsupported, QEMU, text))
        }
    }
}

fn record(guest: &Snapshot, groups: u32, told: &GuestStats) -> Result<DomainStatsRecord, ErrorReply> {
    let mut params = Params::default();
    let wants = |group| groups & group != 0;
    let doc = guest.document(false);
    if wants(group::STATE) {
        params.add("state.state", guest.state.number());
        params.add("state.reason", guest.reason.number());
    }
    if let Some(told) = told.cpu {
        params.cpu(told);
    }
    if let Some(doc) = doc.filter(|_| wants(group::BALLOON)) {
        params.balloon(doc.memory.0, told.balloon.unwrap_or_default());
    }
    if let Some(doc) = doc.filter(|_| wants(group::VCPU)) {
        params.vcpus(doc, &told.vcpus);
    }
    if guest.is_active() && wants(group::INTERFACE) {
        params.interfaces(&told.interfaces);
    }
    if let Some(told) = &told.blocks {
        params.blocks(told);
    }
    if let Some(told) = &told.dirty_rate {
        params.dirty_rate(told);
    }
    let params = List::new(params.0).map_err(|_| too_many(QEMU, "figures of a domain", STATS_LIMIT))?;
    Ok(DomainStatsRecord {
        dom: reference(guest),
        params,
    })
}

/// Parameters in the order in which libvirt sends them.
#[derive(Default)]
struct Params(Vec<TypedParam>);

impl Params {
    fn add(&mut self, field: impl Into<String>, value: impl Into<TypedValue>) {
        self.0.push(TypedParam::new(field, value));
    }

    fn maybe(&mut self, field: impl Into<String>, value: Option<impl Into<TypedValue>>) {
        if let Some(value) = value {
            self.add(field, value);
        }
    }

    fn count(&mut self, field: &str, number: usize) {
        self.add(field, u32::try_from(number).unwrap_or(u32::MAX));
    }

    fn cpu(&mut self, told: CpuStats) {
        self.add("cpu.time", told.total);
        self.add("cpu.user", told.user);
        self.add("cpu.system", told.system);
        // Monitors of caches are set up in a document element that guests cannot have here.
        self.add("cpu.cache.monitor.count", 0_u32);
        // KVM polls for guests that halt; emulated ones it does not know.
        self.add("cpu.haltpoll.success.time", 0_u64);
        self.add("cpu.haltpoll.fail.time", 0_u64);
    }

    fn balloon(&mut self, maximum: u64, told: BalloonStats) {
        self.maybe("balloon.current", told.current);
        self.add("balloon.maximum", maximum);
        self.maybe("balloon.swap_in", told.swap_in);
        self.maybe("balloon.swap_out", told.swap_out);
        self.maybe("balloon.major_fault", told.major_fault);
        self.maybe("balloon.minor_fault", told.minor_fault);
        self.maybe("balloon.unused", told.unused);
        self.maybe("balloon.available", told.available);
        self.maybe("balloon.usable", told.usable);
        self.maybe("balloon.last-update", told.last_update);
        self.maybe("balloon.disk_caches", told.disk_caches);
        self.maybe("balloon.hugetlb_pgalloc", told.hugetlb_pgalloc);
        self.maybe("balloon.hugetlb_pgfail", told.hugetlb_pgfail);
        self.maybe("balloon.rss", told.rss);
    }

    fn vcpus(&mut self, doc: &Domain, told: &[VcpuStats]) {
        let count = doc.vcpu.count;
        self.add("vcpu.current", doc.vcpu.current.unwrap_or(count));
        self.add("vcpu.maximum", count);
        for vcpu in told {
            let name = |what: &str| format!("vcpu.{}.{what}", vcpu.number);
            self.add(name("state"), VCPU_RUNNING);
            self.maybe(name("time"), vcpu.time);
            self.maybe(name("wait"), vcpu.wait);
            self.maybe(name("delay"), vcpu.delay);
        }
    }

    fn interfaces(&mut self, told: &[InterfaceStats]) {
        self.count("net.count", told.len());
        for (number, card) in told.iter().enumerate() {
            // One without an end on the host is counted and has nothing to tell.
            let Some(device) = &card.name else { continue };
            self.add(format!("net.{number}.name"), device.as_str());
            self.traffic(&format!("net.{number}.rx"), card.received);
            self.traffic(&format!("net.{number}.tx"), card.sent);
        }
    }

    fn traffic(&mut self, prefix: &str, told: Option<Traffic>) {
        let Some(told) = told else { return };
        self.add(format!("{prefix}.bytes"), told.bytes);
        self.add(format!("{prefix}.pkts"), told.packets);
        self.add(format!("{prefix}.errs"), told.errors);
        self.add(format!("{prefix}.drop"), told.drops);
    }

    fn blocks(&mut self, told: &[BlockStats]) {
        self.count("block.count", told.len());
        for (number, image) in told.iter().enumerate() {
            let name = |what: &str| format!("block.{number}.{what}");
            self.add(name("name"), image.name.as_str());
            self.maybe(name("path"), image.path.as_deref());
            self.maybe(name("backingIndex"), image.index);
            if let Some(work) = image.work {
                self.requests(&name("rd"), work.reads);
                self.requests(&name("wr"), work.writes);
                self.add(name("fl.reqs"), work.flushes.count);
                self.add(name("fl.times"), work.flushes.time);
            }
            self.maybe(name("allocation"), image.allocation);
            self.maybe(name("capacity"), image.capacity);
            self.maybe(name("physical"), image.physical);
        }
    }

    fn requests(&mut self, prefix: &str, told: Requests) {
        self.add(format!("{prefix}.reqs"), told.count);
        self.add(format!("{prefix}.bytes"), told.bytes);
        self.add(format!("{prefix}.times"), told.time);
    }

    fn dirty_rate(&mut self, told: &DirtyRateStats) {
        let status = match told.status {
            DirtyRateStatus::Unstarted => 0_i32,
            DirtyRateStatus::Measuring => 1,
            DirtyRateStatus::Measured => 2,
        };
        self.add("dirtyrate.calc_status", status);
        self.add("dirtyrate.calc_start_time", told.start_time);
        let period = i32::try_from(told.period).unwrap_or(i32::MAX);
        self.add("dirtyrate.calc_period", period);
        self.add("dirtyrate.calc_mode", told.mode.as_str());
        self.maybe("dirtyrate.megabytes_per_second", told.mib_per_second);
        for (number, rate) in &told.vcpus {
            self.add(format!("dirtyrate.vcpu.{number}.megabytes_per_second"), *rate);
        }
    }
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;

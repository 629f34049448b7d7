//! Where the threads of guests run, and their I/O threads: maps of processors, a bit for each, the lowest of a byte first.

use std::time::Duration;

use ferrovirt_guest::{Affect, StatsAsk, ThreadChange, Tuning, emulator_place, io_thread_place, vcpu_place};
use ferrovirt_model::cpuset::CpuSet;
use ferrovirt_model::host;
use ferrovirt_sys::blocking;
use ferrovirt_wire::object::{IoThreadInfo, VcpuInfo};
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{DomainRef, ErrorCode, ErrorDomain, ErrorReply, List, Opaque, TypedParam, TypedValue};

use super::{Session, affect, only_flags};
use crate::errors;

type Answer<T> = Result<T, ErrorReply>;

const QEMU: ErrorDomain = ErrorDomain::Qemu;

/// What the older procedures without flags are for.
const LIVE: Affect = Affect {
    live: true,
    config: false,
};
/// How long the hypervisor may take to say which its threads are.
const PATIENCE: Duration = Duration::from_secs(5);
/// A virtual CPU that runs, as far as the host can tell.
const RUNNING: i32 = 1;

fn invalid(text: impl Into<String>) -> ErrorReply {
    ErrorReply::new(ErrorCode::InvalidArg, QEMU, text)
}

/// Bytes that fit; they were counted before.
fn opaque<const MAX: usize>(bytes: Vec<u8>) -> Answer<Opaque<MAX>> {
    Opaque::new(bytes).map_err(|error| ErrorReply::internal(QEMU, error.to_string()))
}

/// A map in `length` bytes; processors beyond them are not told.
fn map(processors: impl Iterator<Item = u32>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for number in processors {
        if let Some(byte) = bytes.get_mut(number as usize / 8) {
            *byte |= 1 << (number % 8);
        }
    }
    bytes
}

/// The processors of a map.
fn set(map: &[u8]) -> Answer<CpuSet> {
    let bits = (0_u32..).zip(map).flat_map(|(at, byte)| {
        let bits = 0..8;
        bits.filter(move |bit| byte & (1 << bit) != 0)
            .map(move |bit| at * 8 + bit)
    });
    CpuSet::new(bits).ok_or_else(|| invalid("Empty cpu list for pinning"))
}

/// The map of a place; of nowhere in particular: all that the host has.
fn place(place: Option<&CpuSet>, present: &[u32], length: usize) -> Vec<u8> {
    match place {
        Some(place) => map(place.iter().filter(|number| present.contains(number)), length),
        None => map(present.iter().copied(), length),
    }
}

/// The host's processors: those that there can be, and those that are on.
fn processors() -> (Vec<u32>, Vec<u32>) {
    blocking::here(host::processors)
}

/// As many bytes as a client has room for, and no more than a map can need.
fn room(length: i32) -> usize {
    usize::try_from(length).unwrap_or(0).min(CPUMAP_BYTES)
}

/// The most bytes of one map.
const CPUMAP_BYTES: usize = 2048;

/// As many bytes as the host's processors need.
fn bytes_for(present: &[u32]) -> usize {
    let highest = present.iter().max().copied().unwrap_or(0);
    (highest as usize / 8 + 1).min(CPUMAP_BYTES)
}

pub(super) fn cpu_map(_: &Session, args: NodeGetCpuMapArgs) -> Answer<NodeGetCpuMapResults> {
    only_flags(args.flags, 0, ErrorDomain::Domain, "nodeGetCPUMap")?;
    let (present, online) = processors();
    let length = if args.need_map == 0 {
        0
    } else {
        bytes_for(&present)
    };
    let count = |list: &[u32]| u32::try_from(list.len()).unwrap_or(u32::MAX);
    let highest = present.iter().max().map_or(0, |highest| highest + 1);
    Ok(NodeGetCpuMapResults {
        online: if args.need_online == 0 { 0 } else { count(&online) },
        ret: i32::try_from(highest).unwrap_or(i32::MAX),
        cpumap: opaque(map(online.into_iter(), length))?,
    })
}

pub(super) async fn vcpus(session: &Session, args: DomainGetVcpusArgs) -> Answer<DomainGetVcpusResults> {
    let handle = session.guest(&args.dom)?;
    let seen = handle.snapshot();
    let document = seen.document(false).filter(|_| seen.is_active()).cloned();
    let Some(document) = document else {
        return Err(ErrorReply::new(
            ErrorCode::OperationInvalid,
            QEMU,
            "cannot retrieve vcpu information for inactive domain",
        ));
    };
    let ask = StatsAsk {
        vcpus: true,
        cpu: false,
        balloon: false,
        interfaces: false,
        blocks: false,
        backing: false,
        dirty_rate: false,
        patience: PATIENCE,
    };
    let told = handle.stats(&seen, &ask).await.vcpus;
    let most = usize::try_from(args.maxinfo).unwrap_or(0).min(LIST_LIMIT);
    let (present, _) = processors();
    let length = room(args.maplen);
    let mut maps = Vec::new();
    let mut info = Vec::new();
    for vcpu in told.into_iter().take(most) {
        maps.extend(place(vcpu_place(&document, vcpu.number), &present, length));
        info.push(VcpuInfo {
            number: vcpu.number,
            state: RUNNING,
            cpu_time: vcpu.time.unwrap_or(0),
            cpu: vcpu
                .processor
                .and_then(|number| i32::try_from(number).ok())
                .unwrap_or(-1),
        });
    }
    Ok(DomainGetVcpusResults {
        info: List::new(info).map_err(|error| ErrorReply::internal(QEMU, error.to_string()))?,
        cpumaps: opaque(maps)?,
    })
}

async fn change(session: &Session, dom: &DomainRef, change: ThreadChange, affect: Affect) -> Answer<()> {
    let handle = session.guest(dom)?;
    handle
        .tune(Tuning::Threads(Box::new(change)), affect, session.origin())
        .await
        .map_err(errors::guest)
}

pub(super) async fn pin_vcpu(session: &Session, args: DomainPinVcpuArgs) -> Answer<DomainPinVcpuResults> {
    let wanted = ThreadChange::PinVcpu(args.vcpu, set(&args.cpumap)?);
    change(session, &args.dom, wanted, LIVE).await?;
    Ok(DomainPinVcpuResults {})
}

pub(super) async fn pin_vcpu_flags(
    session: &Session,
    args: DomainPinVcpuFlagsArgs,
) -> Answer<DomainPinVcpuFlagsResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainPinVcpuFlags")?;
    let wanted = ThreadChange::PinVcpu(args.vcpu, set(&args.cpumap)?);
    change(session, &args.dom, wanted, affect).await?;
    Ok(DomainPinVcpuFlagsResults {})
}

pub(super) fn vcpu_pins(
    session: &Session,
    args: DomainGetVcpuPinInfoArgs,
) -> Answer<DomainGetVcpuPinInfoResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainGetVcpuPinInfo")?;
    let seen = session.guest(&args.dom)?.snapshot();
    let (_, document) = affect::asked(&seen, affect, "virDomainGetVcpuPinInfo")?;
    let count = u32::try_from(args.ncpumaps).unwrap_or(0).min(document.vcpu.count);
    let (present, _) = processors();
    let length = room(args.maplen);
    let maps = (0..count).flat_map(|vcpu| place(vcpu_place(&document, vcpu), &present, length));
    Ok(DomainGetVcpuPinInfoResults {
        cpumaps: opaque(maps.collect())?,
        num: i32::try_from(count).unwrap_or(i32::MAX),
    })
}

pub(super) async fn pin_emulator(
    session: &Session,
    args: DomainPinEmulatorArgs,
) -> Answer<DomainPinEmulatorResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainPinEmulator")?;
    change(
        session,
        &args.dom,
        ThreadChange::PinEmulator(set(&args.cpumap)?),
        affect,
    )
    .await?;
    Ok(DomainPinEmulatorResults {})
}

pub(super) fn emulator_pin(
    session: &Session,
    args: DomainGetEmulatorPinInfoArgs,
) -> Answer<DomainGetEmulatorPinInfoResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainGetEmulatorPinInfo")?;
    let seen = session.guest(&args.dom)?.snapshot();
    let (_, document) = affect::asked(&seen, affect, "virDomainGetEmulatorPinInfo")?;
    let (present, _) = processors();
    Ok(DomainGetEmulatorPinInfoResults {
        cpumaps: opaque(place(emulator_place(&document), &present, room(args.maplen)))?,
        ret: 1,
    })
}

pub(super) fn io_threads(
    session: &Session,
    args: DomainGetIothreadInfoArgs,
) -> Answer<DomainGetIothreadInfoResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainGetIOThreadInfo")?;
    let seen = session.guest(&args.dom)?.snapshot();
    let (_, document) = affect::asked(&seen, affect, "virDomainGetIOThreadInfo")?;
    let (present, _) = processors();
    let info = document.io_threads().into_iter().map(|thread| {
        let place = place(
            io_thread_place(&document, thread.id),
            &present,
            bytes_for(&present),
        );
        Ok(IoThreadInfo {
            iothread_id: thread.id,
            cpumap: opaque(place)?,
        })
    });
    let info = info.collect::<Answer<Vec<_>>>()?;
    Ok(DomainGetIothreadInfoResults {
        ret: u32::try_from(info.len()).unwrap_or(u32::MAX),
        info: List::new(info).map_err(|error| ErrorReply::internal(QEMU, error.to_string()))?,
    })
}

pub(super) async fn pin_io_thread(
    session: &Session,
    args: DomainPinIothreadArgs,
) -> Answer<DomainPinIothreadResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainPinIOThread")?;
    let wanted = ThreadChange::PinIoThread(args.iothreads_id, set(&args.cpumap)?);
    change(session, &args.dom, wanted, affect).await?;
    Ok(DomainPinIothreadResults {})
}

pub(super) async fn add_io_thread(
    session: &Session,
    args: DomainAddIothreadArgs,
) -> Answer<DomainAddIothreadResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainAddIOThread")?;
    change(
        session,
        &args.dom,
        ThreadChange::AddIoThread(args.iothread_id),
        affect,
    )
    .await?;
    Ok(DomainAddIothreadResults {})
}

pub(super) async fn remove_io_thread(
    session: &Session,
    args: DomainDelIothreadArgs,
) -> Answer<DomainDelIothreadResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainDelIOThread")?;
    change(
        session,
        &args.dom,
        ThreadChange::RemoveIoThread(args.iothread_id),
        affect,
    )
    .await?;
    Ok(DomainDelIothreadResults {})
}

pub(super) async fn set_io_thread(
    session: &Session,
    args: DomainSetIothreadParamsArgs,
) -> Answer<DomainSetIothreadParamsResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainSetIOThreadParams")?;
    let wanted = parameters(args.iothread_id, &args.params)?;
    change(session, &args.dom, wanted, affect).await?;
    Ok(DomainSetIothreadParamsResults {})
}

/// How an I/O thread shall work, of named values.
fn parameters(thread: u32, params: &[TypedParam]) -> Answer<ThreadChange> {
    let (mut max, mut grow, mut shrink, mut pool) = (None, None, None, (None, None));
    let known = [
        ("poll_max_ns", TypedValue::ULong(0)),
        ("poll_grow", TypedValue::UInt(0)),
        ("poll_shrink", TypedValue::UInt(0)),
        ("thread_pool_min", TypedValue::Int(0)),
        ("thread_pool_max", TypedValue::Int(0)),
    ];
    let known: Vec<(&str, &TypedValue)> = known.iter().map(|(name, value)| (*name, value)).collect();
    super::tune::check(params, &known)?;
    for param in params {
        match (param.field.as_str(), &param.value) {
            ("poll_max_ns", TypedValue::ULong(value)) => {
                if i64::try_from(*value).is_err() {
                    return Err(invalid(format!(
                        "poll-max-ns (0x{value:x}) must be less than or equal to 0x{:x}",
                        i64::MAX
                    )));
                }
                max = Some(*value);
            }
            ("poll_grow", TypedValue::UInt(value)) => grow = Some(*value),
            ("poll_shrink", TypedValue::UInt(value)) => shrink = Some(*value),
            ("thread_pool_min", TypedValue::Int(value)) => pool.0 = Some(*value),
            ("thread_pool_max", TypedValue::Int(value)) => pool.1 = Some(*value),
            _ => {}
        }
    }
    Ok(ThreadChange::SetIoThread {
        id: thread,
        max,
        grow,
        shrink,
        pool,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn maps_have_a_bit_for_each_processor() {
        assert_eq!(map([0, 3, 9, 700].into_iter(), 2), [0b1001, 0b10]);
        assert_eq!(set(&[0b1001, 0b10]).unwrap().to_string(), "0,3,9");
        assert!(set(&[0, 0]).is_err() && set(&[]).is_err());
        let of: CpuSet = "1,5".parse().unwrap();
        assert_eq!(place(Some(&of), &[0, 1, 2], 1), [0b10]);
        assert_eq!(place(None, &[0, 1, 2], 1), [0b111]);
        assert_eq!((bytes_for(&[]), bytes_for(&[7]), bytes_for(&[8])), (1, 1, 2));
    }

    proptest! {
        #[test]
        fn a_map_comes_back_as_it_was(bytes in proptest::collection::vec(any::<u8>(), 1..64)) {
            match set(&bytes) {
                Ok(set) => prop_assert_eq!(map(set.iter(), bytes.len()), bytes),
                Err(_) => prop_assert!(bytes.iter().all(|byte| *byte == 0)),
            }
        }
    }
}

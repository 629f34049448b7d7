//! Limits and shares of guests, their memory and their processors, as lists of named values.

use ferrovirt_guest::{Affect, Tuned, Tuning};
use ferrovirt_model::Kib;
use ferrovirt_model::domain::{
    BlkioDevice, BlkioTune, CPU_PERIODS, CPU_QUOTAS, CpuTune, Domain, MemTune, UNLIMITED,
};
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{DomainRef, ErrorCode, ErrorDomain, ErrorReply, List, TypedParam, TypedValue};

use super::{Session, affect};
use crate::errors;

type Answer<T> = Result<T, ErrorReply>;
type Params = List<TypedParam, 16>;

const QEMU: ErrorDomain = ErrorDomain::Qemu;

/// The client takes parameters that are texts.
const STRINGS: u32 = 4;
/// The most that there can be, not what there is.
const MAXIMUM: u32 = 4;
/// What the guest's agent says.
const GUEST: u32 = 8;

/// How many parameters the scheduler has, as GET_SCHEDULER_TYPE says.
const SCHEDULER_PARAMETERS: i32 = 9;

/// What the older procedures without flags are for.
const LIVE: Affect = Affect {
    live: true,
    config: false,
};

fn invalid(text: impl Into<String>) -> ErrorReply {
    ErrorReply::new(ErrorCode::InvalidArg, QEMU, text)
}

/// So many parameters as the client has room for; with none it asks how many there are.
fn list(mut all: Vec<TypedParam>, room: i32) -> Answer<(Params, i32)> {
    let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
    let room = usize::try_from(room).unwrap_or(0);
    all.truncate(room);
    let told = if room == 0 {
        count
    } else {
        i32::try_from(all.len()).unwrap_or(count)
    };
    let params = List::new(all).map_err(|error| ErrorReply::internal(QEMU, error.to_string()))?;
    Ok((params, told))
}

/// What a guest is held to, as the flags ask; and whether the running one was meant.
async fn tuned(session: &Session, dom: &DomainRef, affect: Affect, function: &str) -> Answer<(bool, Tuned)> {
    let handle = session.guest(dom)?;
    let seen = handle.snapshot();
    let (live, document) = affect::asked(&seen, affect, function)?;
    match live {
        true => Ok((true, handle.tuned(&seen).await.map_err(errors::guest)?)),
        false => Ok((false, Tuned::of(&document))),
    }
}

async fn change(session: &Session, dom: &DomainRef, change: Tuning, affect: Affect) -> Answer<()> {
    let handle = session.guest(dom)?;
    handle
        .tune(change, affect, session.origin())
        .await
        .map_err(errors::guest)
}

/// A parameter that is none, or has another type; each may be said once.
pub(super) fn check(params: &[TypedParam], known: &[(&str, &TypedValue)]) -> Answer<()> {
    const TYPES: [&str; 8] = [
        "unknown", "int", "uint", "llong", "ullong", "double", "boolean", "string",
    ];
    let word = |value: &TypedValue| {
        usize::try_from(value.kind())
            .ok()
            .and_then(|kind| TYPES.get(kind))
    };
    for (at, param) in params.iter().enumerate() {
        let name = &param.field;
        let Some((_, expected)) = known.iter().find(|(known, _)| known == name) else {
            let text = format!("parameter '{name}' not supported");
            return Err(ErrorReply::new(ErrorCode::ArgumentUnsupported, QEMU, text));
        };
        if expected.kind() != param.value.kind() {
            let (is, should) = (word(&param.value), word(expected));
            let text = format!(
                "invalid type '{}' for parameter '{name}', expected '{}'",
                is.unwrap_or(&TYPES[0]),
                should.unwrap_or(&TYPES[0])
            );
            return Err(invalid(text));
        }
        if params[..at].iter().any(|other| other.field == *name) {
            return Err(invalid(format!("parameter '{name}' occurs multiple times")));
        }
    }
    Ok(())
}

pub(super) async fn memory_parameters(
    session: &Session,
    args: DomainGetMemoryParametersArgs,
) -> Answer<DomainGetMemoryParametersResults> {
    let affect = affect::of(args.flags, STRINGS, "qemuDomainGetMemoryParameters")?;
    let (_, tuned) = tuned(session, &args.dom, affect, "virDomainGetMemoryParameters").await?;
    let limit = |limit: Option<Kib>| limit.unwrap_or(UNLIMITED).min(UNLIMITED).0;
    let memory = tuned.memory;
    let all = vec![
        TypedParam::new("hard_limit", limit(memory.hard_limit)),
        TypedParam::new("soft_limit", limit(memory.soft_limit)),
        TypedParam::new("swap_hard_limit", limit(memory.swap_hard_limit)),
    ];
    let (params, nparams) = list(all, args.nparams)?;
    Ok(DomainGetMemoryParametersResults { params, nparams })
}

fn memory_change(params: &[TypedParam]) -> Answer<MemTune> {
    let amount = &TypedValue::ULong(0);
    check(
        params,
        &[
            ("hard_limit", amount),
            ("soft_limit", amount),
            ("swap_hard_limit", amount),
        ],
    )?;
    let mut tune = MemTune::default();
    for param in params {
        let TypedValue::ULong(kib) = param.value else {
            continue;
        };
        let limit = Some(Kib(kib.min(UNLIMITED.0)));
        match param.field.as_str() {
            "hard_limit" => tune.hard_limit = limit,
            "soft_limit" => tune.soft_limit = limit,
            _ => tune.swap_hard_limit = limit,
        }
    }
    Ok(tune)
}

pub(super) async fn set_memory_parameters(
    session: &Session,
    args: DomainSetMemoryParametersArgs,
) -> Answer<DomainSetMemoryParametersResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainSetMemoryParameters")?;
    let tune = memory_change(&args.params)?;
    change(session, &args.dom, Tuning::Memory(tune), affect).await?;
    Ok(DomainSetMemoryParametersResults {})
}

/// A value of a device in `<blkiotune>`: its parameter, how it is read and how it is set.
struct DeviceValue {
    name: &'static str,
    get: fn(&BlkioDevice) -> Option<u64>,
    set: fn(&mut BlkioDevice, u64) -> Option<()>,
}

fn word(slot: &mut Option<u32>, value: u64) -> Option<()> {
    *slot = Some(u32::try_from(value).ok()?);
    Some(())
}

fn long(slot: &mut Option<u64>, value: u64) -> Option<()> {
    *slot = Some(value);
    Some(())
}

const DEVICE_VALUES: [DeviceValue; 5] = [
    DeviceValue {
        name: "device_weight",
        get: |device| device.weight.map(u64::from),
        set: |device, value| word(&mut device.weight, value),
    },
    DeviceValue {
        name: "device_read_iops_sec",
        get: |device| device.read_iops_sec.map(u64::from),
        set: |device, value| word(&mut device.read_iops_sec, value),
    },
    DeviceValue {
        name: "device_write_iops_sec",
        get: |device| device.write_iops_sec.map(u64::from),
        set: |device, value| word(&mut device.write_iops_sec, value),
    },
    DeviceValue {
        name: "device_read_bytes_sec",
        get: |device| device.read_bytes_sec,
        set: |device, value| long(&mut device.read_bytes_sec, value),
    },
    DeviceValue {
        name: "device_write_bytes_sec",
        get: |device| device.write_bytes_sec,
        set: |device, value| long(&mut device.write_bytes_sec, value),
    },
];

pub(super) async fn blkio_parameters(
    session: &Session,
    args: DomainGetBlkioParametersArgs,
) -> Answer<DomainGetBlkioParametersResults> {
    let affect = affect::of(args.flags, STRINGS, "qemuDomainGetBlkioParameters")?;
    let (_, tuned) = tuned(session, &args.dom, affect, "virDomainGetBlkioParameters").await?;
    let mut all = vec![TypedParam::new("weight", tuned.blkio.weight.unwrap_or(0))];
    if args.flags & STRINGS != 0 {
        for value in &DEVICE_VALUES {
            let devices = tuned.blkio.devices.iter();
            let said = devices.filter_map(|device| Some(format!("{},{}", device.path, (value.get)(device)?)));
            all.push(TypedParam::new(value.name, said.collect::<Vec<_>>().join(",")));
        }
    }
    let (params, nparams) = list(all, args.nparams)?;
    Ok(DomainGetBlkioParametersResults { params, nparams })
}

/// `PATH,VALUE,PATH,VALUE` into the devices of a change.
fn devices(tune: &mut BlkioTune, value: &DeviceValue, text: &str) -> Answer<()> {
    let refuse = || invalid(format!("unable to parse blkio device '{}' '{text}'", value.name));
    let words: Vec<&str> = text.split(',').collect();
    for pair in words.chunks(2).filter(|_| !text.is_empty()) {
        let [path, number] = pair else {
            return Err(refuse());
        };
        if path.is_empty() {
            return Err(refuse());
        }
        let at = tune.devices.iter().position(|device| device.path == *path);
        let at = at.unwrap_or_else(|| {
            tune.devices.push(BlkioDevice::new(path));
            tune.devices.len() - 1
        });
        let number = number.parse().map_err(|_| refuse())?;
        (value.set)(&mut tune.devices[at], number).ok_or_else(refuse)?;
    }
    Ok(())
}

fn blkio_change(params: &[TypedParam]) -> Answer<BlkioTune> {
    let (weight, text) = (&TypedValue::UInt(0), &TypedValue::Text(String::new()));
    let mut known = vec![("weight", weight)];
    known.extend(DEVICE_VALUES.iter().map(|value| (value.name, text)));
    check(params, &known)?;
    let mut tune = BlkioTune::default();
    for param in params {
        match (
            &param.value,
            DEVICE_VALUES.iter().find(|value| value.name == param.field),
        ) {
            (TypedValue::Text(text), Some(value)) => devices(&mut tune, value, text)?,
            (TypedValue::UInt(weight), _) => tune.weight = Some(*weight),
            _ => {}
        }
    }
    Ok(tune)
}

pub(super) async fn set_blkio_parameters(
    session: &Session,
    args: DomainSetBlkioParametersArgs,
) -> Answer<DomainSetBlkioParametersResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainSetBlkioParameters")?;
    let tune = blkio_change(&args.params)?;
    change(session, &args.dom, Tuning::Blkio(tune), affect).await?;
    Ok(DomainSetBlkioParametersResults {})
}

/// A place in `<cputune>`, of either kind of number.
enum Slot<'a> {
    Unsigned(&'a mut Option<u64>),
    Signed(&'a mut Option<i64>),
}

/// The scheduler's parameters in libvirt's order.
fn slots(tune: &mut CpuTune) -> [(&'static str, Slot<'_>); 9] {
    [
        ("cpu_shares", Slot::Unsigned(&mut tune.shares)),
        ("vcpu_period", Slot::Unsigned(&mut tune.period)),
        ("vcpu_quota", Slot::Signed(&mut tune.quota)),
        ("emulator_period", Slot::Unsigned(&mut tune.emulator_period)),
        ("emulator_quota", Slot::Signed(&mut tune.emulator_quota)),
        ("global_period", Slot::Unsigned(&mut tune.global_period)),
        ("global_quota", Slot::Signed(&mut tune.global_quota)),
        ("iothread_period", Slot::Unsigned(&mut tune.iothread_period)),
        ("iothread_quota", Slot::Signed(&mut tune.iothread_quota)),
    ]
}

pub(super) fn scheduler_type(
    session: &Session,
    args: DomainGetSchedulerTypeArgs,
) -> Answer<DomainGetSchedulerTypeResults> {
    session.guest(&args.dom)?;
    Ok(DomainGetSchedulerTypeResults {
        kind: "posix".to_owned(),
        nparams: SCHEDULER_PARAMETERS,
    })
}

async fn scheduler_params(session: &Session, dom: &DomainRef, affect: Affect, room: i32) -> Answer<Params> {
    let function = "virDomainGetSchedulerParametersFlags";
    let (_, mut tuned) = tuned(session, dom, affect, function).await?;
    let param = |(name, slot): (&'static str, Slot<'_>)| match slot {
        Slot::Unsigned(value) => TypedParam::new(name, value.unwrap_or(0)),
        Slot::Signed(value) => TypedParam::new(name, value.unwrap_or(0)),
    };
    let all = slots(&mut tuned.cpu).into_iter().map(param).collect();
    Ok(list(all, room)?.0)
}

pub(super) async fn scheduler(
    session: &Session,
    args: DomainGetSchedulerParametersArgs,
) -> Answer<DomainGetSchedulerParametersResults> {
    let params = scheduler_params(session, &args.dom, Affect::default(), args.nparams).await?;
    Ok(DomainGetSchedulerParametersResults { params })
}

pub(super) async fn scheduler_flags(
    session: &Session,
    args: DomainGetSchedulerParametersFlagsArgs,
) -> Answer<DomainGetSchedulerParametersFlagsResults> {
    let affect = affect::of(args.flags, STRINGS, "qemuDomainGetSchedulerParametersFlags")?;
    let params = scheduler_params(session, &args.dom, affect, args.nparams).await?;
    Ok(DomainGetSchedulerParametersFlagsResults { params })
}

fn scheduler_change(params: &[TypedParam]) -> Answer<CpuTune> {
    let mut tune = CpuTune::default();
    let (unsigned, signed) = (TypedValue::ULong(0), TypedValue::Long(0));
    let known = slots(&mut tune).map(|(name, slot)| match slot {
        Slot::Unsigned(_) => (name, &unsigned),
        Slot::Signed(_) => (name, &signed),
    });
    check(params, &known)?;
    let range = |name: &str, first: String, last: String| {
        invalid(format!("value of '{name}' is out of range [{first}, {last}]"))
    };
    for param in params {
        let name = param.field.as_str();
        let slot = slots(&mut tune).into_iter().find(|(known, _)| *known == name);
        match (slot, &param.value) {
            (Some((_, Slot::Unsigned(slot))), TypedValue::ULong(value)) => {
                if name != "cpu_shares" && *value != 0 && !CPU_PERIODS.contains(value) {
                    let (first, last) = (CPU_PERIODS.start(), CPU_PERIODS.end());
                    return Err(range(name, first.to_string(), last.to_string()));
                }
                *slot = Some(*value);
            }
            (Some((_, Slot::Signed(slot))), TypedValue::Long(value)) => {
                if *value > 0 && !CPU_QUOTAS.contains(value) {
                    let (first, last) = (CPU_QUOTAS.start(), CPU_QUOTAS.end());
                    return Err(range(name, first.to_string(), last.to_string()));
                }
                *slot = Some(*value);
            }
            _ => {}
        }
    }
    Ok(tune)
}

pub(super) async fn set_scheduler(
    session: &Session,
    args: DomainSetSchedulerParametersArgs,
) -> Answer<DomainSetSchedulerParametersResults> {
    let tune = scheduler_change(&args.params)?;
    change(session, &args.dom, Tuning::Cpu(Box::new(tune)), Affect::default()).await?;
    Ok(DomainSetSchedulerParametersResults {})
}

pub(super) async fn set_scheduler_flags(
    session: &Session,
    args: DomainSetSchedulerParametersFlagsArgs,
) -> Answer<DomainSetSchedulerParametersFlagsResults> {
    let affect = affect::of(args.flags, 0, "qemuDomainSetSchedulerParametersFlags")?;
    let tune = scheduler_change(&args.params)?;
    change(session, &args.dom, Tuning::Cpu(Box::new(tune)), affect).await?;
    Ok(DomainSetSchedulerParametersFlagsResults {})
}

pub(super) fn max_memory(
    session: &Session,
    args: DomainGetMaxMemoryArgs,
) -> Answer<DomainGetMaxMemoryResults> {
    let seen = session.guest(&args.dom)?.snapshot();
    let (_, document) = affect::asked(&seen, Affect::default(), "virDomainGetMaxMemory")?;
    Ok(DomainGetMaxMemoryResults {
        memory: document.memory.0,
    })
}

pub(super) async fn set_max_memory(
    session: &Session,
    args: DomainSetMaxMemoryArgs,
) -> Answer<DomainSetMaxMemoryResults> {
    let wanted = Tuning::MaximumMemory(Kib(args.memory));
    change(session, &args.dom, wanted, Affect::default()).await?;
    Ok(DomainSetMaxMemoryResults {})
}

pub(super) async fn set_memory(
    session: &Session,
    args: DomainSetMemoryArgs,
) -> Answer<DomainSetMemoryResults> {
    change(session, &args.dom, Tuning::CurrentMemory(Kib(args.memory)), LIVE).await?;
    Ok(DomainSetMemoryResults {})
}

pub(super) async fn set_memory_flags(
    session: &Session,
    args: DomainSetMemoryFlagsArgs,
) -> Answer<DomainSetMemoryFlagsResults> {
    let affect = affect::of(args.flags, MAXIMUM, "qemuDomainSetMemoryFlags")?;
    let amount = Kib(args.memory);
    let wanted = match args.flags & MAXIMUM {
        0 => Tuning::CurrentMemory(amount),
        _ => Tuning::MaximumMemory(amount),
    };
    change(session, &args.dom, wanted, affect).await?;
    Ok(DomainSetMemoryFlagsResults {})
}

fn no_agent() -> ErrorReply {
    ErrorReply::new(ErrorCode::ArgumentUnsupported, QEMU, errors::NO_AGENT)
}

/// How many processors a document gives.
fn count(document: &Domain, maximum: bool) -> i32 {
    let most = document.vcpu.count;
    let count = if maximum {
        most
    } else {
        document.vcpu.current.unwrap_or(most)
    };
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn max_vcpus(session: &Session, args: DomainGetMaxVcpusArgs) -> Answer<DomainGetMaxVcpusResults> {
    let seen = session.guest(&args.dom)?.snapshot();
    let (_, document) = affect::asked(&seen, Affect::default(), "virDomainGetMaxVcpus")?;
    Ok(DomainGetMaxVcpusResults {
        num: count(&document, true),
    })
}

pub(super) fn vcpus_flags(
    session: &Session,
    args: DomainGetVcpusFlagsArgs,
) -> Answer<DomainGetVcpusFlagsResults> {
    let affect = affect::of(args.flags, MAXIMUM | GUEST, "qemuDomainGetVcpusFlags")?;
    let seen = session.guest(&args.dom)?.snapshot();
    let (_, document) = affect::asked(&seen, affect, "virDomainGetVcpusFlags")?;
    if args.flags & GUEST != 0 {
        return Err(no_agent());
    }
    Ok(DomainGetVcpusFlagsResults {
        num: count(&document, args.flags & MAXIMUM != 0),
    })
}

pub(super) async fn set_vcpus(session: &Session, args: DomainSetVcpusArgs) -> Answer<DomainSetVcpusResults> {
    change(session, &args.dom, Tuning::Vcpus(args.nvcpus), LIVE).await?;
    Ok(DomainSetVcpusResults {})
}

pub(super) async fn set_vcpus_flags(
    session: &Session,
    args: DomainSetVcpusFlagsArgs,
) -> Answer<DomainSetVcpusFlagsResults> {
    let affect = affect::of(args.flags, MAXIMUM | GUEST, "qemuDomainSetVcpusFlags")?;
    if args.flags & GUEST != 0 {
        return Err(no_agent());
    }
    let wanted = match args.flags & MAXIMUM {
        0 => Tuning::Vcpus(args.nvcpus),
        _ => Tuning::MaximumVcpus(args.nvcpus),
    };
    change(session, &args.dom, wanted, affect).await?;
    Ok(DomainSetVcpusFlagsResults {})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(answer: Answer<T>) -> (i32, String) {
        let error = answer.unwrap_err();
        (error.code, error.text().to_owned())
    }

    #[test]
    fn parameters_that_are_none_or_of_another_type_are_refused_in_libvirts_words() {
        let twice = || TypedParam::new("hard_limit", 5_u64);
        for (params, code, text) in [
            (
                vec![TypedParam::new("min_guarantee", 5_u64)],
                74,
                "argument unsupported: parameter 'min_guarantee' not supported",
            ),
            (
                vec![TypedParam::new("soft_limit", 5_i32)],
                8,
                "invalid argument: invalid type 'int' for parameter 'soft_limit', expected 'ullong'",
            ),
            (
                vec![twice(), twice()],
                8,
                "invalid argument: parameter 'hard_limit' occurs multiple times",
            ),
        ] {
            assert_eq!(said(memory_change(&params)), (code, text.to_owned()));
        }
        let change = memory_change(&[TypedParam::new("hard_limit", u64::MAX)]).unwrap();
        assert_eq!(change.hard_limit, Some(UNLIMITED));
    }

    #[test]
    fn devices_are_pairs_in_one_text() {
        let params = [
            TypedParam::new("weight", 300_u32),
            TypedParam::new("device_weight", "/dev/a,500,/dev/b,0"),
            TypedParam::new("device_read_bytes_sec", "/dev/b,7"),
            TypedParam::new("device_write_iops_sec", ""),
        ];
        let change = blkio_change(&params).unwrap();
        assert_eq!((change.weight, change.devices.len()), (Some(300), 2));
        assert_eq!(
            (change.devices[1].weight, change.devices[1].read_bytes_sec),
            (Some(0), Some(7))
        );
        for bad in ["nonsense", "/dev/a,b", ",5", "/dev/a,1,", "/dev/a,4294967296"] {
            let text = format!("invalid argument: unable to parse blkio device 'device_weight' '{bad}'");
            let refused = blkio_change(&[TypedParam::new("device_weight", bad)]);
            assert_eq!(said(refused), (8, text));
        }
    }

    #[test]
    fn periods_and_quotas_have_ranges() {
        let refused =
            |name: &str, value: TypedValue| said(scheduler_change(&[TypedParam::new(name, value)])).1;
        let text = "invalid argument: value of 'vcpu_period' is out of range [1000, 1000000]";
        assert_eq!(refused("vcpu_period", 5_u64.into()), text);
        let text = "invalid argument: value of 'global_quota' is out of range [1000, 17592186044415]";
        assert_eq!(refused("global_quota", 5_i64.into()), text);
        let params = [
            TypedParam::new("cpu_shares", 1_u64),
            TypedParam::new("vcpu_period", 0_u64),
            TypedParam::new("vcpu_quota", -1_i64),
        ];
        let tune = scheduler_change(&params).unwrap();
        assert_eq!(
            (tune.shares, tune.period, tune.quota),
            (Some(1), Some(0), Some(-1))
        );
    }

    #[test]
    fn who_asks_for_none_hears_how_many_there_are() {
        let all = || vec![TypedParam::new("a", 1_u32), TypedParam::new("b", 2_u32)];
        let (params, count) = list(all(), 0).unwrap();
        assert_eq!((params.len(), count), (0, 2));
        let (params, count) = list(all(), 1).unwrap();
        assert_eq!((params.len(), count), (1, 1));
        let (params, count) = list(all(), 16).unwrap();
        assert_eq!((params.len(), count), (2, 2));
        assert_eq!(list(all(), -5).unwrap().1, 2);
    }
}

//! Names, types and order of the parameters, as libvirtd was seen to send them, and what is refused.

use super::*;
use ferrovirt_guest::BlockWork;
use ferrovirt_guest::{Phase, Reason, RunningReason, ShutoffReason, State};
use ferrovirt_xml::UnknownPolicy;

fn guest(active: bool) -> Snapshot {
    let text = "<domain type='qemu'><name>g1</name><memory>131072</memory><currentMemory>102400</currentMemory>\
        <vcpu current='2'>4</vcpu><os><type arch='x86_64'>hvm</type></os></domain>";
    let doc = Arc::new(Domain::parse(text, UnknownPolicy::Refuse).unwrap().value);
    let reason = if active {
        Reason::Running(RunningReason::Booted)
    } else {
        Reason::Shutoff(ShutoffReason::Unknown)
    };
    Snapshot {
        name: "g1".to_owned(),
        uuid: Uuid([7; 16]),
        id: active.then_some(3),
        state: if active { State::Running } else { State::Shutoff },
        reason,
        phase: Phase::Off,
        persistent: true,
        autostart: false,
        updated: false,
        live: active.then(|| Arc::clone(&doc)),
        config: Some(doc),
        pid: None,
        busy: None,
        taint: Vec::new(),
    }
}

/// `NAME TYPE VALUE` of each parameter.
fn lines(guest: &Snapshot, groups: u32, told: &GuestStats) -> Vec<String> {
    let line = |param: &TypedParam| {
        let value = match &param.value {
            TypedValue::Int(value) => format!("i32 {value}"),
            TypedValue::UInt(value) => format!("u32 {value}"),
            TypedValue::Long(value) => format!("i64 {value}"),
            TypedValue::ULong(value) => format!("u64 {value}"),
            TypedValue::Text(value) => format!("str {value}"),
            other => format!("{other:?}"),
        };
        format!("{} {value}", param.field)
    };
    let record = record(guest, groups, told).unwrap();
    record.params.iter().map(line).collect()
}

#[test]
fn a_guest_that_is_off_has_a_state_and_what_its_definition_says() {
    let told = GuestStats {
        balloon: Some(BalloonStats {
            current: Some(102_400),
            ..BalloonStats::default()
        }),
        blocks: Some(vec![
            BlockStats {
                name: "vda".to_owned(),
                path: Some("/a".to_owned()),
                allocation: Some(1),
                capacity: Some(2),
                physical: Some(3),
                ..BlockStats::default()
            },
            BlockStats {
                name: "hdc".to_owned(),
                ..BlockStats::default()
            },
        ]),
        ..GuestStats::default()
    };
    let expected = "state.state i32 5\nstate.reason i32 0\n\
        balloon.current u64 102400\nballoon.maximum u64 131072\n\
        vcpu.current u32 2\nvcpu.maximum u32 4\n\
        block.count u32 2\nblock.0.name str vda\nblock.0.path str /a\n\
        block.0.allocation u64 1\nblock.0.capacity u64 2\nblock.0.physical u64 3\nblock.1.name str hdc";
    assert_eq!(lines(&guest(false), group::ALL, &told).join("\n"), expected);
}

/// All that the tests' running guest has to tell.
fn told() -> GuestStats {
    let traffic = |bytes| Traffic {
        bytes,
        ..Traffic::default()
    };
    GuestStats {
        cpu: Some(CpuStats {
            total: 9,
            user: 5,
            system: 4,
        }),
        balloon: Some(BalloonStats {
            current: Some(7),
            unused: Some(3),
            last_update: Some(0),
            rss: Some(8),
            ..BalloonStats::default()
        }),
        vcpus: vec![VcpuStats {
            number: 1,
            time: Some(1),
            wait: Some(2),
            delay: Some(3),
            ..VcpuStats::default()
        }],
        interfaces: vec![
            InterfaceStats::default(),
            InterfaceStats {
                name: Some("vnet0".to_owned()),
                received: Some(traffic(1)),
                sent: Some(traffic(2)),
            },
        ],
        blocks: Some(vec![BlockStats {
            name: "vda".to_owned(),
            index: Some(4),
            work: Some(BlockWork::default()),
            ..BlockStats::default()
        }]),
        dirty_rate: Some(DirtyRateStats {
            status: DirtyRateStatus::Measured,
            period: 1,
            mode: "page-sampling".to_owned(),
            mib_per_second: Some(6),
            vcpus: vec![(0, 2)],
            ..DirtyRateStats::default()
        }),
    }
}

#[test]
fn a_running_guest_tells_all_in_libvirts_order() {
    let expected = "state.state i32 1\nstate.reason i32 1\n\
        cpu.time u64 9\ncpu.user u64 5\ncpu.system u64 4\ncpu.cache.monitor.count u32 0\n\
        cpu.haltpoll.success.time u64 0\ncpu.haltpoll.fail.time u64 0\n\
        balloon.current u64 7\nballoon.maximum u64 131072\nballoon.unused u64 3\nballoon.last-update u64 0\n\
        balloon.rss u64 8\n\
        vcpu.current u32 2\nvcpu.maximum u32 4\nvcpu.1.state i32 1\nvcpu.1.time u64 1\nvcpu.1.wait u64 2\n\
        vcpu.1.delay u64 3\n\
        net.count u32 2\nnet.1.name str vnet0\nnet.1.rx.bytes u64 1\nnet.1.rx.pkts u64 0\nnet.1.rx.errs u64 0\n\
        net.1.rx.drop u64 0\nnet.1.tx.bytes u64 2\nnet.1.tx.pkts u64 0\nnet.1.tx.errs u64 0\nnet.1.tx.drop u64 0\n\
        block.count u32 1\nblock.0.name str vda\nblock.0.backingIndex u32 4\n\
        block.0.rd.reqs u64 0\nblock.0.rd.bytes u64 0\nblock.0.rd.times u64 0\n\
        block.0.wr.reqs u64 0\nblock.0.wr.bytes u64 0\nblock.0.wr.times u64 0\n\
        block.0.fl.reqs u64 0\nblock.0.fl.times u64 0\n\
        dirtyrate.calc_status i32 2\ndirtyrate.calc_start_time i64 0\ndirtyrate.calc_period i32 1\n\
        dirtyrate.calc_mode str page-sampling\ndirtyrate.megabytes_per_second i64 6\n\
        dirtyrate.vcpu.0.megabytes_per_second i64 2";
    assert_eq!(lines(&guest(true), group::ALL, &told()).join("\n"), expected);
}

#[test]
fn r90_who_does_not_answer_still_has_a_record() {
    let told = GuestStats::default();
    let expected = "state.state i32 1\nstate.reason i32 1\nballoon.maximum u64 131072\n\
        vcpu.current u32 2\nvcpu.maximum u32 4\nnet.count u32 0";
    assert_eq!(lines(&guest(true), group::ALL, &told).join("\n"), expected);
}

#[test]
fn groups_without_figures_are_empty_records() {
    let nothing = GuestStats::default();
    for groups in [64, 128, 256, group::VM, 1 << 20] {
        assert_eq!(lines(&guest(true), groups, &nothing), Vec::<String>::new());
        assert_eq!(lines(&guest(false), groups, &nothing), Vec::<String>::new());
    }
}

#[test]
fn a_group_that_a_guest_has_not_is_refused_when_the_client_insists() {
    let refusal = |active, groups| {
        let error = enforce(&guest(active), groups).err()?;
        Some((error.code, error.domain, error.text().to_owned()))
    };
    let expected = |bits| {
        let text =
            format!("argument unsupported: Stats types bits {bits} are not supported by this daemon or QEMU");
        Some((74, 10, text))
    };
    assert_eq!(refusal(true, group::ALL), None);
    assert_eq!(refusal(true, 0), None);
    assert_eq!(refusal(false, group::ALL), expected("0x600"));
    assert_eq!(refusal(false, 511), None);
    assert_eq!(refusal(true, 1 | 1 << 20), expected("0x100000"));
}

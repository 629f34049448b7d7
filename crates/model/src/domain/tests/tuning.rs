//! `<memtune>`, `<blkiotune>` and `<cputune>`.

use super::*;
use proptest::prelude::*;

/// What is written of a tuning element.
fn written(inside: &str) -> String {
    let text = read(&minimal(inside)).to_xml(&Form::INACTIVE);
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("tune>"))
        .take_while(|line| !line.contains("<os>") && !line.contains("<vcpu"))
        .map(str::trim)
        .collect();
    lines.concat()
}

#[test]
fn limits_of_memory_have_units_and_may_be_none() {
    let text = "<memtune><swap_hard_limit>9007199254740991</swap_hard_limit><hard_limit>0</hard_limit>\
                <soft_limit unit='M'>3</soft_limit></memtune>";
    let expected =
        "<memtune><hard_limit unit='KiB'>0</hard_limit><soft_limit unit='KiB'>3072</soft_limit></memtune>";
    assert_eq!(written(text), expected);
    assert_eq!(written("<memtune/><blkiotune/><cputune/>"), "");
}

#[test]
fn devices_without_values_are_not_written_and_none_is_named_twice() {
    let text = "<blkiotune><weight>0</weight><device><path>/dev/a</path><weight>0</weight></device><device>\
                <path>/dev/b</path><write_bytes_sec>5</write_bytes_sec><read_iops_sec>7</read_iops_sec></device></blkiotune>";
    let expected = "<blkiotune><device><path>/dev/b</path><read_iops_sec>7</read_iops_sec>\
                    <write_bytes_sec>5</write_bytes_sec></device></blkiotune>";
    assert_eq!(written(text), expected);
    let twice =
        "<blkiotune><device><path>/dev/b</path></device><device><path>/dev/b</path></device></blkiotune>";
    assert_eq!(why_not(&minimal(twice)), "duplicate blkio device path '/dev/b'");
    assert!(
        why_not(&minimal(
            "<blkiotune><device><weight>500</weight></device></blkiotune>"
        ))
        .contains("path")
    );
}

#[test]
fn periods_and_quotas_are_what_the_kernel_takes() {
    let text = "<cputune><quota>-5</quota><shares>0</shares><period>1000</period><global_quota>0</global_quota></cputune>";
    let expected = "<cputune><shares>0</shares><period>1000</period><quota>-5</quota></cputune>";
    let after = read(&minimal(text)).to_xml(&Form::INACTIVE);
    assert!(
        after.replace("\n", "").replace("  ", "").contains(expected),
        "{after}"
    );
    for (element, value, range) in [
        ("period", 999, "[1000, 1000000]"),
        ("emulator_period", 1_000_001, "[1000, 1000000]"),
        ("quota", 999, "[1000, 17592186044415]"),
        ("iothread_quota", 1u64 << 44, "[1000, 17592186044415]"),
    ] {
        let text = format!("<cputune><{element}>{value}</{element}></cputune>");
        let expected = format!("Value of cputune '{element}' must be in range {range}");
        assert_eq!(why_not(&minimal(&text)), expected);
    }
    assert!(why_not(&minimal("<cputune><vcpusched vcpus='0'/></cputune>")).contains("cputune/vcpusched"));
}

proptest! {
    #[test]
    fn tuning_that_is_accepted_comes_back_as_it_was(
        limits in prop::array::uniform4(prop::option::of(0u64..1 << 53)),
        weights in prop::array::uniform3(0u32..2000),
        bytes in any::<u64>(),
        shares in prop::option::of(any::<u64>()),
        period in 0u64..2_000_000,
        quota in -5000i64..5000,
    ) {
        let domain = Domain {
            memtune: Some(MemTune {
                hard_limit: limits[0].map(Kib),
                soft_limit: limits[1].map(Kib),
                min_guarantee: limits[2].map(Kib),
                swap_hard_limit: limits[3].map(Kib),
                ..MemTune::default()
            }),
            blkiotune: Some(BlkioTune {
                weight: Some(weights[0]),
                devices: vec![BlkioDevice {
                    weight: Some(weights[1]),
                    write_iops_sec: Some(weights[2]),
                    read_bytes_sec: Some(bytes),
                    ..BlkioDevice::new("/dev/a")
                }],
                ..BlkioTune::default()
            }),
            cputune: Some(CpuTune {
                shares,
                period: Some(period),
                global_quota: Some(quota),
                ..CpuTune::default()
            }),
            ..read(&minimal(""))
        };
        let text = domain.to_xml(&Form::INACTIVE);
        if let Ok(parsed) = Domain::parse(&text, Refuse) {
            let once = parsed.value.to_xml(&Form::INACTIVE);
            prop_assert_eq!(read(&once), parsed.value);
        }
    }
}

//! What the machine is and what is told of it: all of it in one document, and what is said in more than one way.

use super::generated::{broken, check_accepted, shuffled};
use super::*;
use proptest::prelude::*;

/// Every element and attribute of these files.
const MACHINE: &str = include_str!("machine.xml");

#[test]
fn all_of_it_is_written_as_it_was_read() {
    assert_eq!(read(MACHINE).to_xml(&Form::STATUS), MACHINE);
    let stored = read(MACHINE).to_xml(&Form::STORED);
    assert_eq!(stored, MACHINE.replace(" id='7'", ""));
}

#[test]
fn the_unit_of_tseg_is_the_largest_that_fits() {
    for (given, written) in [
        ("<tseg>48</tseg>", "<tseg unit='MiB'>48</tseg>"),
        ("<tseg unit='bytes'>16777216</tseg>", "<tseg unit='MiB'>16</tseg>"),
        ("<tseg unit='MiB'>2048</tseg>", "<tseg unit='GiB'>2</tseg>"),
        ("<tseg>0</tseg>", "<tseg unit='B'>0</tseg>"),
        ("<tseg unit='KB'>1</tseg>", "<tseg unit='B'>1000</tseg>"),
    ] {
        let text = read(&minimal(&format!("<features><smm>{given}</smm></features>"))).to_xml(&Form::STORED);
        assert!(text.contains(written), "{given}: {text}");
    }
    let error = why_not(&minimal(
        "<features><smm><tseg unit='EiB'>99</tseg></smm></features>",
    ));
    assert!(error.contains("value too large"), "{error}");
}

#[test]
fn what_says_nothing_is_not_there() {
    for nothing in [
        "<features><tcg/></features>",
        "<pm><suspend-to-mem/></pm>",
        "<perf/>",
        "<cpu/>",
        "<vcpus/>",
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>",
        "<qemu:deprecation xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>",
    ] {
        let uuid = "<uuid>3f0c2a52-0d5e-4c0e-9a55-6c1e7d9b2f10</uuid>";
        let with = read(&minimal(&format!("{uuid}{nothing}"))).to_xml(&Form::STORED);
        assert_eq!(with, read(&minimal(uuid)).to_xml(&Form::STORED), "{nothing}");
    }
}

#[test]
fn the_space_around_the_source_of_a_store_is_no_path() {
    let nvram = "<nvram template='/v.fd' type='file' format='raw'>\n  \n  <source file='/g.fd'/>\n  </nvram>";
    let os = format!("<os><type>hvm</type><loader readonly='yes' type='pflash'>/c.fd</loader>{nvram}</os>");
    let text = minimal("").replace("<os><type>hvm</type></os>", &os);
    let first = read(&text);
    assert_eq!(
        first.os.nvram.as_ref().and_then(|nvram| nvram.path.as_deref()),
        None
    );
    let written = first.to_xml(&Form::STORED);
    assert_eq!(read(&written).to_xml(&Form::STORED), written);
}

#[test]
fn an_empty_generation_is_a_new_one() {
    let first = read(&minimal("<genid/>")).generation_id.and_then(|id| id.0);
    let second = read(&minimal("<genid/>")).generation_id.and_then(|id| id.0);
    assert!(first.is_some() && first != second);
}

#[test]
fn a_number_of_seconds_makes_any_clock_variable() {
    for (given, written) in [
        (
            "<clock offset='utc' adjustment='5'/>",
            "<clock offset='variable' adjustment='5' basis='utc'/>",
        ),
        (
            "<clock offset='localtime' adjustment='-5'/>",
            "<clock offset='variable' adjustment='-5' basis='localtime'/>",
        ),
        (
            "<clock offset='variable'/>",
            "<clock offset='variable' adjustment='0' basis='utc'/>",
        ),
        (
            "<clock offset='utc' adjustment='reset'/>",
            "<clock offset='utc' adjustment='reset'/>",
        ),
    ] {
        let text = read(&minimal(given)).to_xml(&Form::STORED);
        assert!(text.contains(written), "{given}: {text}");
    }
}

proptest! {
    #[test]
    fn moved_pieces_are_refused_or_understood(from in any::<usize>(), len in 0usize..12, to in any::<usize>()) {
        check_accepted(&shuffled(MACHINE, from, len, to))?;
    }

    #[test]
    fn broken_pieces_are_refused_or_understood(at in any::<usize>(), drop in 0usize..60, insert in "[<>/'= a-z0-9&;:-]{0,10}") {
        check_accepted(&broken(MACHINE, at, drop, &insert))?;
    }
}

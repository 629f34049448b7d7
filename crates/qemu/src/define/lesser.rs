//! Watchdogs, balloon, random numbers, panic devices.

use ferrovirt_model::domain::{Domain, MemBalloon, Panic, RngBackend, Watchdog};

use super::machine::Chipset;
use crate::error::{Error, Result};

/// Settles the devices of few words.
pub(super) fn settle(doc: &mut Domain, chipset: Chipset) -> Result<()> {
    let devices = &mut doc.devices;
    watchdogs(&mut devices.watchdogs, chipset)?;
    let balloon = devices.memballoon.get_or_insert_with(|| MemBalloon {
        model: "virtio".to_owned(),
        ..MemBalloon::default()
    });
    if balloon.model != "none" {
        virtio("memballoon", &balloon.model)?;
    }
    for rng in &mut devices.rngs {
        virtio("rng", &rng.model)?;
        if let RngBackend::Random(path) = &mut rng.backend
            && path.as_deref().unwrap_or("").is_empty()
        {
            *path = Some("/dev/random".to_owned());
        }
        if rng.rate.as_ref().is_some_and(|rate| rate.bytes == 0) {
            return Err(Error::Xml("invalid RNG rate bytes value".to_owned()));
        }
    }
    let mut isa = 0;
    for panic in &mut devices.panics {
        settle_panic(panic)?;
        isa += usize::from(panic.model.as_deref() == Some("isa"));
    }
    if isa > 1 {
        return Err(Error::unsupported(
            "only one panic device of model 'isa' is supported",
        ));
    }
    Ok(())
}

fn virtio(element: &str, model: &str) -> Result<()> {
    match model {
        "virtio" | "virtio-transitional" | "virtio-non-transitional" => Ok(()),
        other => Err(Error::unsupported(format!(
            "{element} model '{other}' is not supported"
        ))),
    }
}

fn watchdogs(watchdogs: &mut Vec<Watchdog>, chipset: Chipset) -> Result<()> {
    for watchdog in watchdogs.iter() {
        match (watchdog.model.as_str(), chipset) {
            ("i6300esb", _) | ("ib700", Chipset::I440fx) | ("itco", Chipset::Q35) => {}
            (model @ ("ib700" | "itco"), _) => {
                return Err(Error::unsupported(format!(
                    "{model} model of watchdog cannot be used with this machine type"
                )));
            }
            (other, _) => {
                return Err(Error::unsupported(format!(
                    "watchdog model '{other}' is not supported"
                )));
            }
        }
    }
    // The chipset of q35 has one; it does what the others do.
    if chipset == Chipset::Q35 && !watchdogs.iter().any(|watchdog| watchdog.model == "itco") {
        let action = watchdogs
            .first()
            .map(|watchdog| watchdog.action)
            .unwrap_or_default();
        watchdogs.push(Watchdog {
            model: "itco".to_owned(),
            action,
            ..Watchdog::default()
        });
    }
    if watchdogs
        .iter()
        .any(|watchdog| watchdog.action != watchdogs[0].action)
    {
        return Err(Error::unsupported("all watchdogs must have the same action"));
    }
    Ok(())
}

fn settle_panic(panic: &mut Panic) -> Result<()> {
    match panic.model.get_or_insert_with(|| "isa".to_owned()).as_str() {
        "isa" | "pvpanic" => Ok(()),
        other => Err(Error::unsupported(format!(
            "panic model '{other}' is not supported"
        ))),
    }
}

//! Card readers and their controller, and USB devices that come from elsewhere.

use ferrovirt_model::domain::{
    Address, CcidAddress, CharType, ControllerType, Domain, RedirFilter, Smartcard, SmartcardMode,
};

use super::controllers;
use crate::capabilities::Emulator;
use crate::error::{Error, Result};

/// Where certificates are when nothing is said.
pub(crate) const DATABASE: &str = "/etc/pki/nssdb";

/// Settles `<smartcard>`, `<redirdev>` and `<redirfilter>`.
pub(super) fn settle(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    for card in &doc.devices.smartcards {
        check(card, emulator)?;
    }
    place(doc)?;
    if !doc.devices.redirdevs.is_empty() && !emulator.has("usb-redir") {
        return Err(Error::unsupported(
            "USB redirection is not supported by this version of QEMU",
        ));
    }
    match &doc.devices.redirfilter {
        Some(RedirFilter { rules, .. }) if rules.is_empty() => {
            Err(Error::unsupported("<redirfilter> without a <usbdev>"))
        }
        _ => Ok(()),
    }
}

fn check(card: &Smartcard, emulator: &Emulator) -> Result<()> {
    let mode = card.mode;
    let parts = [
        ("type", card.backend.0.is_some(), SmartcardMode::Passthrough),
        (
            "certificate",
            !card.certificates.is_empty(),
            SmartcardMode::HostCertificates,
        ),
        (
            "database",
            card.database.is_some(),
            SmartcardMode::HostCertificates,
        ),
    ];
    if let Some((name, ..)) = parts.iter().find(|(_, there, of)| *there && *of != mode) {
        return Err(Error::unsupported(format!(
            "'{name}' does not fit a smartcard of mode '{mode}'"
        )));
    }
    let device = match mode {
        SmartcardMode::Host | SmartcardMode::HostCertificates => "ccid-card-emulated",
        SmartcardMode::Passthrough => "ccid-card-passthru",
    };
    if !emulator.has(device) {
        return Err(Error::unsupported(format!(
            "this QEMU binary lacks smartcard {mode} mode support"
        )));
    }
    match mode {
        SmartcardMode::HostCertificates if card.certificates.len() != 3 => Err(Error::Xml(
            "host-certificates mode needs exactly three certificates".to_owned(),
        )),
        SmartcardMode::HostCertificates if card.certificates.iter().any(|name| name.contains(',')) => Err(
            Error::unsupported("invalid certificate name: there is a ',' in it"),
        ),
        SmartcardMode::HostCertificates
            if card
                .database
                .as_deref()
                .is_some_and(|path| !path.starts_with('/')) =>
        {
            let path = card.database.as_deref().unwrap_or_default();
            Err(Error::Xml(format!("expecting absolute path: {path}")))
        }
        SmartcardMode::Passthrough if card.backend.0.is_none() => Err(Error::Xml(
            "passthrough mode requires a character device type attribute".to_owned(),
        )),
        SmartcardMode::Passthrough
            if card
                .backend
                .0
                .as_ref()
                .is_some_and(|backend| backend.kind == CharType::SpiceVmc) =>
        {
            Err(Error::unsupported(
                "chardev 'spicevmc' not supported without spice graphics",
            ))
        }
        _ => Ok(()),
    }
}

/// Slots of readers, and a controller for each.
fn place(doc: &mut Domain) -> Result<()> {
    for card in &mut doc.devices.smartcards {
        let address = match card.info.address {
            None => CcidAddress::default(),
            Some(Address::Ccid(address)) => address,
            Some(_) => return Err(Error::unsupported("a smartcard needs an address of type 'ccid'")),
        };
        if address != CcidAddress::default() {
            return Err(Error::unsupported(
                "this QEMU binary lacks multiple smartcard support",
            ));
        }
        card.info.address = Some(Address::Ccid(address));
    }
    if doc.devices.smartcards.len() > 1 {
        return Err(Error::unsupported(
            "this QEMU binary lacks multiple smartcard support",
        ));
    }
    Ok(())
}

/// Controllers for the readers, behind all others.
pub(super) fn controllers(doc: &mut Domain, emulator: &Emulator) -> Result<()> {
    let controllers_wanted: Vec<u32> = { doc.devices.smartcards.iter() }
        .filter_map(|card| match card.info.address {
            Some(Address::Ccid(address)) => Some(address.controller),
            _ => None,
        })
        .collect();
    if let Some(highest) = controllers_wanted.into_iter().max() {
        for index in 0..=highest {
            controllers::ensure(doc, ControllerType::Ccid, index, None);
        }
    }
    let all = &doc.devices.controllers;
    let any = all
        .iter()
        .any(|controller| controller.kind == ControllerType::Ccid);
    if any && !emulator.has("usb-ccid") {
        return Err(Error::unsupported(
            "ccid controllers are not supported with this QEMU binary",
        ));
    }
    if any && all.iter().any(controllers::no_usb) {
        return Err(Error::unsupported(
            "USB is disabled for this domain, but a smartcard needs a controller of type 'ccid' on it",
        ));
    }
    Ok(())
}

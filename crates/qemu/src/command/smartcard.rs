//! Card readers, and USB devices that come from elsewhere.

use ferrovirt_model::domain::{Address, ControllerType, REDIR_ANY, RedirFilter, Smartcard, SmartcardMode};

use super::json::Object;
use super::place::{alias, controller_alias, place};
use super::{Arguments, Context, chardev};
use crate::define::DATABASE;
use crate::error::Result;

/// Card readers.
pub(super) fn cards(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    for card in &context.doc.devices.smartcards {
        let object = match (card.mode, &card.backend.0) {
            (SmartcardMode::Passthrough, Some(backend)) => {
                let chardev = chardev::backend(context, backend, &card.info, args)?;
                Object::driver("ccid-card-passthru").text("chardev", &chardev)
            }
            (SmartcardMode::HostCertificates, _) => certificates(card),
            (SmartcardMode::Host | SmartcardMode::Passthrough, _) => {
                Object::driver("ccid-card-emulated").text("backend", "nss-emulated")
            }
        };
        let controller = match card.info.address {
            Some(Address::Ccid(address)) => address.controller,
            _ => 0,
        };
        let bus = controller_alias(context.doc, ControllerType::Ccid, controller);
        let object = object
            .text("id", alias(&card.info))
            .text("bus", &format!("{bus}.0"));
        args.device(object);
    }
    Ok(())
}

fn certificates(card: &Smartcard) -> Object {
    let start = Object::driver("ccid-card-emulated").text("backend", "certificates");
    let named = (1..).zip(&card.certificates);
    let object = named.fold(start, |object, (number, name)| {
        object.text(&format!("cert{number}"), name)
    });
    object.text("db", card.database.as_deref().unwrap_or(DATABASE))
}

/// USB devices that come from elsewhere.
pub(super) fn redirected(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let filter = context.doc.devices.redirfilter.as_ref().map(rules);
    for redirdev in &context.doc.devices.redirdevs {
        let chardev = chardev::backend(context, &redirdev.backend, &redirdev.info, args)?;
        let object = Object::driver("usb-redir")
            .text("chardev", &chardev)
            .text("id", alias(&redirdev.info))
            .maybe_text("filter", filter.as_deref())
            .maybe_number("bootindex", redirdev.info.boot);
        args.device(object.append(&place(context.doc, &redirdev.info)));
    }
    Ok(())
}

/// `class:vendor:product:version:allow`, joined by `|`.
fn rules(filter: &RedirFilter) -> String {
    let number = |value: Option<u32>, digits: usize| match value {
        None | Some(REDIR_ANY) => "-1".to_owned(),
        Some(value) => format!("0x{value:0digits$X}"),
    };
    let rules = filter.rules.iter().map(|rule| {
        format!(
            "{}:{}:{}:{}:{}",
            number(rule.class, 2),
            number(rule.vendor, 4),
            number(rule.product, 4),
            number(rule.version, 4),
            u8::from(rule.allow)
        )
    });
    rules.collect::<Vec<_>>().join("|")
}

//! Any text as a domain: it is refused, or what is written of it is accepted again and written the same.
#![no_main]

use ferrovirt_model::domain::Domain;
use ferrovirt_model::{Form, UnknownPolicy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for policy in [UnknownPolicy::Refuse, UnknownPolicy::Keep, UnknownPolicy::Salvage] {
        let Ok(parsed) = Domain::parse(text, policy) else { continue };
        let written = parsed.value.to_xml(&Form::STATUS);
        let again = Domain::parse(&written, policy).expect("what was written is accepted").value;
        // A kept twin of something that is dropped takes its place: only what is understood whole is compared.
        if parsed.kept.is_empty() {
            assert_eq!(again.to_xml(&Form::STATUS), written);
        }
        let config = parsed.value.to_config().expect("what was accepted has a definition");
        let _ = config.to_xml(&Form::INACTIVE);
    }
});

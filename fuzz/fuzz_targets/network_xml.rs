//! Any text as a network: it is refused, or what is written of it is accepted again and written the same.
#![no_main]

use ferrovirt_model::network::Network;
use ferrovirt_model::{Form, UnknownPolicy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for policy in [UnknownPolicy::Refuse, UnknownPolicy::Keep, UnknownPolicy::Salvage] {
        let Ok(parsed) = Network::parse(text, policy) else { continue };
        let written = parsed.value.to_xml(&Form::STATUS);
        let again = Network::parse(&written, policy).expect("what was written is accepted").value;
        if parsed.kept.is_empty() {
            assert_eq!(again.to_xml(&Form::STATUS), written);
        }
    }
});

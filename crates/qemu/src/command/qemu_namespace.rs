//! What the document gives QEMU past us: arguments, other values of devices' properties, what becomes of old habits.

use ferrovirt_model::domain::{Domain, QemuProperty, QemuPropertyType};
use serde_json::Value;

use super::json::Object;
use super::{Arguments, Context};

/// `-compat`.
pub(super) fn compatibility(context: &Context<'_>, args: &mut Arguments) {
    let behavior = context
        .doc
        .qemu_deprecation
        .as_ref()
        .and_then(|given| given.behavior.as_deref());
    let hidden = Object::default().text("deprecated-output", "hide");
    let object = match behavior {
        Some("omit") => hidden,
        Some(input @ ("reject" | "crash")) => hidden.text("deprecated-input", input),
        _ => return,
    };
    args.add("-compat", object.finish());
}

/// Arguments as they are.
pub(super) fn arguments(context: &Context<'_>, args: &mut Arguments) {
    for arg in context.doc.qemu_commandline.iter().flat_map(|given| &given.args) {
        args.flag(&arg.value);
    }
}

/// A device with other values where the document says so.
pub(crate) fn overridden(doc: &Domain, device: String) -> String {
    let Some(given) = &doc.qemu_override else {
        return device;
    };
    let Ok(Value::Object(known)) = serde_json::from_str(&device) else {
        return device;
    };
    let alias = known.get("id").and_then(Value::as_str);
    let corrections = given
        .devices
        .iter()
        .filter(|correction| Some(correction.alias.as_str()) == alias);
    let properties: Vec<&QemuProperty> = corrections
        .filter_map(|correction| correction.frontend.as_ref())
        .flat_map(|frontend| &frontend.properties)
        .collect();
    if properties.is_empty() {
        return device;
    }
    // The order is QEMU's business no longer, but people compare.
    let mut members: Vec<(String, Value)> = order(&device, known);
    for property in properties {
        let at = members.iter().position(|(name, _)| *name == property.name);
        match (value(property), at) {
            (Some(value), Some(at)) => members[at].1 = value,
            (Some(value), None) => members.push((property.name.clone(), value)),
            (None, Some(at)) => drop(members.remove(at)),
            (None, None) => {}
        }
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The members as they stand in the text.
fn order(text: &str, known: serde_json::Map<String, Value>) -> Vec<(String, Value)> {
    let mut members: Vec<(String, Value)> = known.into_iter().collect();
    members.sort_by_key(|(name, _)| text.find(&format!("{}:", Value::from(name.as_str()))));
    members
}

/// `None` for what is to be left out. What is no number was refused when the document was read.
fn value(property: &QemuProperty) -> Option<Value> {
    let text = property.value.as_deref().unwrap_or_default();
    Some(match property.kind {
        QemuPropertyType::String => Value::from(text),
        QemuPropertyType::Signed => Value::from(text.parse::<i64>().unwrap_or_default()),
        QemuPropertyType::Unsigned => Value::from(text.parse::<u64>().unwrap_or_default()),
        QemuPropertyType::Bool => Value::from(text == "true"),
        QemuPropertyType::Remove => return None,
    })
}

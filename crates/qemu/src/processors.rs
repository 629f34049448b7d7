//! Virtual CPUs that can be taken away again: they are added once QEMU is up, in the order that the document says, before any
//! of them runs.

use std::collections::BTreeMap;

use ferrovirt_model::domain::Domain;

use crate::machine::WORK_DEADLINE;
use crate::qmp::commands::{AddCpu, CpuSlot, QueryHotpluggableCpus};
use crate::qmp::{Monitor, QmpError};

/// From the outside in: CPUs are numbered by them.
const LEVELS: [&str; 6] = [
    "node-id",
    "socket-id",
    "die-id",
    "cluster-id",
    "core-id",
    "thread-id",
];

/// Adds those that the document has. One that does not have any costs nothing.
///
/// # Errors
/// QEMU does not answer, or refuses one.
pub(crate) async fn add(monitor: &Monitor, doc: &Domain) -> Result<(), QmpError> {
    let wanted = wanted(doc);
    if wanted.is_empty() {
        return Ok(());
    }
    let slots = monitor.execute(&QueryHotpluggableCpus {}, WORK_DEADLINE).await?;
    let slots = numbered(slots);
    for id in wanted {
        // A number that QEMU has no slot for was refused with the topology.
        let Some(slot) = slots.get(id as usize) else {
            continue;
        };
        let command = AddCpu {
            driver: slot.kind.clone(),
            id: format!("vcpu{id}"),
            place: slot.props.clone(),
        };
        monitor.execute(&command, WORK_DEADLINE).await?;
    }
    Ok(())
}

/// Numbers of those to add, in the order in which that is done.
fn wanted(doc: &Domain) -> Vec<u32> {
    let mut added: Vec<_> = doc
        .vcpus
        .iter()
        .filter(|vcpu| vcpu.enabled && vcpu.hotpluggable == Some(true))
        .collect();
    added.sort_by_key(|vcpu| (vcpu.order, vcpu.id));
    added.into_iter().map(|vcpu| vcpu.id).collect()
}

/// QEMU lists them in an order of its own.
fn numbered(mut slots: Vec<CpuSlot>) -> Vec<CpuSlot> {
    let place = |props: &BTreeMap<String, i64>| LEVELS.map(|level| props.get(level).copied().unwrap_or(0));
    slots.sort_by_key(|slot| place(&slot.props));
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_model::UnknownPolicy;

    #[test]
    fn they_are_added_in_their_order() {
        let text = "<domain type='qemu'><name>g</name><memory>1024</memory><vcpu>4</vcpu><vcpus>\
            <vcpu id='0' enabled='yes' hotpluggable='no' order='1'/><vcpu id='1' enabled='yes' hotpluggable='yes' order='3'/>\
            <vcpu id='2' enabled='no'/><vcpu id='3' enabled='yes' hotpluggable='yes' order='2'/></vcpus>\
            <os><type>hvm</type></os></domain>";
        let doc = Domain::parse(text, UnknownPolicy::Refuse).unwrap().value;
        assert_eq!(wanted(&doc), [3, 1]);
        assert_eq!(doc.vcpu.current, Some(3));
    }

    #[test]
    fn slots_are_numbered_from_the_outside_in() {
        let slots: Vec<CpuSlot> = serde_json::from_str(
            r#"[{"props": {"core-id": 1, "thread-id": 0, "socket-id": 1}, "vcpus-count": 1, "type": "t"},
                {"props": {"core-id": 0, "thread-id": 0, "socket-id": 1}, "vcpus-count": 1, "type": "t"},
                {"props": {"core-id": 1, "thread-id": 0, "socket-id": 0}, "vcpus-count": 1, "type": "t"}]"#,
        )
        .unwrap();
        let places: Vec<_> = numbered(slots)
            .iter()
            .map(|slot| (slot.props["socket-id"], slot.props["core-id"]))
            .collect();
        assert_eq!(places, [(0, 1), (1, 0), (1, 1)]);
    }
}

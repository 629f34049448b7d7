//! Controllers: numbers, and the order of libvirt.

use super::inconsistent;
use crate::domain::{Controller, ControllerType};
use ferrovirt_xml::XmlError;

/// Numbers controllers that have none, and puts those of one kind in the order of their numbers.
pub(super) fn normalize(controllers: &mut Vec<Controller>) -> Result<(), XmlError> {
    let given = std::mem::take(controllers);
    for controller in given {
        let position = position_for(controllers, &controller);
        controllers.insert(position, controller);
    }
    for at in 0..controllers.len() {
        if controllers[at].index.is_none() {
            let kind = controllers[at].kind;
            let taken = |index| {
                controllers
                    .iter()
                    .any(|other| other.kind == kind && other.index == Some(index))
            };
            let free = || (0..).find(|index| !taken(*index));
            controllers[at].index = group(&controllers[..at], &controllers[at]).or_else(free);
        }
    }
    // USB controllers share a number with their companions.
    for (at, controller) in controllers.iter().enumerate() {
        let twin = |other: &Controller| other.kind == controller.kind && other.index == controller.index;
        if controller.kind != ControllerType::Usb && controllers[..at].iter().any(twin) {
            let (kind, index) = (controller.kind, controller.number());
            return Err(inconsistent(format!(
                "Multiple '{kind}' controllers with index '{index}'"
            )));
        }
    }
    Ok(())
}

/// The parts of the one USB 2 controller that shares its ports among four devices.
const USB2: [&str; 4] = ["ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3"];

/// The number of the controller that such a part belongs to: that of the USB controller before it, if that is one, too, and
/// lacks this part.
fn group(before: &[Controller], part: &Controller) -> Option<u32> {
    let is_part = |controller: &Controller| {
        controller.kind == ControllerType::Usb && { controller.model.as_deref() }
            .is_some_and(|model| USB2.contains(&model))
    };
    let usb = || before.iter().filter(|other| other.kind == ControllerType::Usb);
    let last = usb().next_back().filter(|last| is_part(last) && is_part(part))?;
    let has_it = usb().any(|other| other.index == last.index && other.model == part.model);
    last.index.filter(|_| !has_it)
}

/// Where libvirt puts a controller: after those of its kind with numbers up to its own (a companion after its master), else last.
fn position_for(controllers: &[Controller], new: &Controller) -> usize {
    let companion = |controller: &Controller| controller.info.master_startport.is_some();
    let same_kind = || {
        controllers
            .iter()
            .enumerate()
            .filter(|(_, other)| other.kind == new.kind)
    };
    let later = same_kind().find(|(_, other)| match (other.index, new.index) {
        (Some(other_index), Some(index)) => {
            other_index > index || (other_index == index && companion(other) && !companion(new))
        }
        _ => false,
    });
    let last = same_kind().next_back();
    later
        .map(|(at, _)| at)
        .or(last.map(|(at, _)| at + 1))
        .unwrap_or(controllers.len())
}

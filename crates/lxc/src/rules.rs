//! Which devices a container may use: the rules of its control group, from its document and in a running one's steps.

use ferrovirt_model::domain::{Device, Devices, Domain, Filesystem, Hostdev};
use ferrovirt_sys::cgroup::{Access, DeviceKind, DeviceRule, Scope, rule_of};

use crate::error::Result;
use crate::orders;
use crate::protocol::Source;

/// The devices that every container has: null, zero, full, random, urandom, tty, ptmx, and all pseudo terminals.
const USUAL: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
const PTYS: u32 = 136;

/// What the controller needs for an image.
const LOOP_CONTROL: (u32, u32) = (10, 237);
const LOOP: u32 = 7;

fn all_of(kind: DeviceKind, major: u32) -> DeviceRule {
    DeviceRule {
        kind,
        major: Some(major),
        minor: None,
        access: Access::ALL,
    }
}

fn usual() -> Vec<DeviceRule> {
    let one =
        |(major, minor): &(u32, u32)| DeviceRule::new(DeviceKind::Character, *major, *minor, Access::ALL);
    let mut rules: Vec<_> = USUAL.iter().map(one).collect();
    rules.push(all_of(DeviceKind::Character, PTYS));
    rules
}

/// The rules of a container that starts.
///
/// # Errors
/// A device is not there, or is none.
pub fn of(doc: &Domain) -> Result<Vec<DeviceRule>> {
    let Devices {
        hostdevs,
        filesystems,
        ..
    } = &doc.devices;
    let mut rules = usual();
    for hostdev in hostdevs {
        rules.extend(of_hostdev(hostdev)?);
    }
    for filesystem in filesystems {
        rules.extend(of_filesystem(filesystem)?);
    }
    Ok(rules)
}

/// The rules that one device needs.
///
/// # Errors
/// As [`of`].
pub fn of_device(device: &Device) -> Result<Vec<DeviceRule>> {
    match device {
        Device::Filesystem(filesystem) => of_filesystem(filesystem),
        Device::Hostdev(hostdev) => Ok(of_hostdev(hostdev)?.into_iter().collect()),
        Device::Disk(_) | Device::Interface(_) | Device::Other(_) => Ok(Vec::new()),
    }
}

fn of_hostdev(hostdev: &Hostdev) -> Result<Option<DeviceRule>> {
    match orders::node(&hostdev.kind) {
        Some(node) => Ok(Some(rule_of(&node.host, Access::ALL)?)),
        None => Ok(None),
    }
}

fn of_filesystem(filesystem: &Filesystem) -> Result<Vec<DeviceRule>> {
    match orders::filesystem(filesystem)?.source {
        Source::Block { path, .. } => Ok(vec![rule_of(&path, Access::ALL)?]),
        Source::File { .. } => Ok(vec![
            DeviceRule::new(DeviceKind::Character, LOOP_CONTROL.0, LOOP_CONTROL.1, Access::ALL),
            all_of(DeviceKind::Block, LOOP),
        ]),
        Source::Mount(_) | Source::Bind(_) | Source::Ram { .. } => Ok(Vec::new()),
    }
}

/// The rules of a container that runs with these devices; without those whose node has gone from the host since.
fn of_running(devices: &Devices) -> Vec<DeviceRule> {
    let mut rules = usual();
    for device in devices.single() {
        match of_device(&device) {
            Ok(more) => rules.extend(more),
            Err(error) => tracing::debug!("{error}"),
        }
    }
    rules
}

/// Allows these, too.
///
/// # Errors
/// There is nothing that could, or the kernel refuses.
pub fn allow(scope: Option<&Scope>, devices: &Devices, rules: &[DeviceRule]) -> Result<()> {
    let (Some(scope), false) = (scope, rules.is_empty()) else {
        return Ok(());
    };
    let from = of_running(devices);
    let to = [&from[..], rules].concat();
    Ok(scope.change_devices(&from, &to)?)
}

/// Allows these no more, but for what the devices that stay need.
///
/// # Errors
/// As [`allow`].
pub fn forbid(scope: Option<&Scope>, staying: &Devices, rules: &[DeviceRule]) -> Result<()> {
    let (Some(scope), false) = (scope, rules.is_empty()) else {
        return Ok(());
    };
    let to = of_running(staying);
    let from = [&to[..], rules].concat();
    Ok(scope.change_devices(&from, &to)?)
}

/// Rules as a step has them: `c 1:3 rwm,b 7:* rwm`.
#[must_use]
pub fn written(rules: &[DeviceRule]) -> String {
    let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
    rules.join(",")
}

/// The rules of a step; what is no rule is passed over.
#[must_use]
pub fn read(text: &str) -> Vec<DeviceRule> {
    text.split(',').filter_map(read_one).collect()
}

fn read_one(text: &str) -> Option<DeviceRule> {
    let mut words = text.split(' ');
    let kind = match words.next()? {
        "a" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" => DeviceKind::Character,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let letters = words.next()?;
    Some(DeviceRule {
        kind,
        major: number(major)?,
        minor: number(minor)?,
        access: Access {
            read: letters.contains('r'),
            write: letters.contains('w'),
            mknod: letters.contains('m'),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_step_has_is_read_again() {
        let rules = usual();
        assert_eq!(read(&written(&rules)), rules);
        let some = DeviceRule {
            access: Access {
                write: false,
                ..Access::ALL
            },
            ..all_of(DeviceKind::Block, LOOP)
        };
        assert_eq!(written(&[some]), "b 7:* rm");
        assert_eq!(read("b 7:* rm,nonsense,c 1 rwm"), [some]);
        assert_eq!(read(""), []);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[abc0-9:*, rwm]{0,40}|.{0,40}") {
            let rules = read(&text);
            prop_assert_eq!(read(&written(&rules)), rules);
        }
    }
}

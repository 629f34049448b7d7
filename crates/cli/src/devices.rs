//! `ferrovirt devices`: the host's PCI devices, who has or wants each, and what keeps it from being given to a guest.

use std::io::Write;

use ferrovirt_wire::own::{DevicesAnswer, DevicesQuestion, HostDevice};

use crate::daemon::{Error, Where};
use crate::output;

/// What is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Show IOMMU groups with all that is in them, bridges too: a group can only be given away as a whole
    #[arg(long)]
    groups: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the daemon, which knows who has what.
pub(crate) fn list(at: &Where, options: &Options) -> Result<(), Error> {
    let answer = at.ask(&DevicesQuestion {})?;
    let mut out = std::io::stdout().lock();
    match (options.json, options.groups) {
        (true, _) => output::json(&mut out, &answer),
        (false, groups) => Ok(print(&mut out, &answer, groups)?),
    }
}

fn print(out: &mut impl Write, answer: &DevicesAnswer, groups: bool) -> std::io::Result<()> {
    if let Some(advice) = &answer.advice {
        writeln!(out, "{advice}\n")?;
    }
    let mut group = None;
    let shown = answer.devices.iter().filter(|device| groups || !device.bridge);
    for device in shown {
        if groups && group != Some(device.group) {
            group = Some(device.group);
            match device.group {
                Some(number) => writeln!(out, "group {number}")?,
                None => writeln!(out, "no group")?,
            }
        }
        let indent = if groups { "  " } else { "" };
        let name = if device.name.is_empty() {
            "unknown device"
        } else {
            &device.name
        };
        writeln!(out, "{indent}{}  {name} [{}]", device.address, device.ids)?;
        for line in details(device) {
            writeln!(out, "{indent}    {line}")?;
        }
    }
    Ok(())
}

/// What there is to say about a device, a line each.
fn details(device: &HostDevice) -> Vec<String> {
    let driver = device.driver.as_deref().unwrap_or("none");
    let detached = if device.detached {
        ", taken from the host"
    } else {
        ""
    };
    let mut lines = vec![format!("driver: {driver}{detached}")];
    lines.extend(device.guest.as_ref().map(|guest| format!("in use by: {guest}")));
    if !device.wanted_by.is_empty() {
        lines.push(format!("wanted by: {}", device.wanted_by.join(", ")));
    }
    // That there is no IOMMU was said once for all.
    match device.available {
        true => lines.push("can be given to a guest".to_owned()),
        false => lines.extend(
            device
                .obstacles
                .iter()
                .map(|obstacle| format!("cannot be given to a guest: {obstacle}")),
        ),
    }
    lines.extend(device.remarks.iter().map(|remark| format!("note: {remark}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_show_bridges_and_the_list_does_not() {
        let device = |address: &str, bridge: bool| HostDevice {
            address: address.to_owned(),
            group: Some(13),
            ids: "8086:10d3".to_owned(),
            driver: Some("e1000e".to_owned()),
            bridge,
            available: !bridge,
            obstacles: vec!["it is a bridge".to_owned(); usize::from(bridge)],
            ..HostDevice::default()
        };
        let mut nic = device("0000:01:00.0", false);
        nic.name = "Intel Corporation 82574L".to_owned();
        nic.wanted_by = vec!["g1".to_owned(), "g2".to_owned()];
        nic.remarks = vec!["it cannot be reset".to_owned()];
        let answer = DevicesAnswer {
            iommu: true,
            possible: true,
            advice: None,
            devices: vec![device("0000:00:10.0", true), nic],
        };
        let printed = |groups| {
            let mut out = Vec::new();
            print(&mut out, &answer, groups).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            printed(false),
            "0000:01:00.0  Intel Corporation 82574L [8086:10d3]\n    driver: e1000e\n    wanted by: g1, g2\n    \
             can be given to a guest\n    note: it cannot be reset\n"
        );
        let groups = printed(true);
        let begin = "group 13\n  0000:00:10.0  unknown device [8086:10d3]\n      driver: e1000e\n      \
                     cannot be given to a guest: it is a bridge\n  0000:01:00.0";
        assert!(groups.starts_with(begin), "{groups}");
    }
}

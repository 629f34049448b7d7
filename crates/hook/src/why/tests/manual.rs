//! The examples of docs/hooks/why.md are what is said, to the letter.

use super::*;
use crate::history::SkipRow;

const MANUAL: &str = include_str!("../../../../../docs/hooks/why.md");

fn refused(how: How, failure: &str) -> Story {
    let mut row = broken(run(12, "prepare"), how, failure);
    if let Some(How::TimedOut { after }) = row.how {
        row.took = Some(after);
    }
    story(&guest("shut off (failed)", vec![refused_start(row)]))
}

fn of_start(failure: &str, step: &str) -> Story {
    let start = with_step(operation("start"), step, 40, Some(failure));
    let start = with_step(start, "labels", 100, None);
    let start = with_runs(
        start,
        vec![run(1, "prepare"), run(95, "stopped"), run(160, "release")],
    );
    story(&guest("shut off (failed)", vec![failed(start, failure)]))
}

fn port() -> Story {
    let mut row = at_script(run(12, "port-created"), "network");
    (row.driver, row.object) = (Driver::Network, "default".to_owned());
    let start = refused_start(exits(row, 1, "no address left for 52:54:00:12:34:56\n"));
    story(&guest("shut off (failed)", vec![start]))
}

fn not_executed() -> Story {
    let how = How::NotStarted {
        errno: 8,
        reason: Some("it is a script without a first line like #!/bin/sh".to_owned()),
    };
    let row = run(12, "prepare");
    let failure = r13(
        &row,
        126,
        "libvirt:  error : cannot execute binary /etc/libvirt/hooks/qemu: Exec format error\n",
    );
    refused(how, &failure)
}

fn reconnect() -> Story {
    let mut reconnect = refused_start(exits(run(12, "reconnect"), 1, "the bridge br7 is gone\n"));
    for row in &mut reconnect.runs {
        row.began += Duration::from_secs(60);
    }
    reconnect.row.kind = "reconnect".to_owned();
    reconnect.row.reason = Some("daemon".to_owned());
    story(&guest(
        "shut off (daemon)",
        vec![operation("start"), later(reconnect, 60)],
    ))
}

fn out_of_memory() -> Story {
    let mut end = failed(
        with_reason(later(operation("end"), 60), "crashed"),
        "QEMU was killed by the kernel's OOM killer",
    );
    end.runs = vec![run(60_020, "stopped"), run(60_040, "release")];
    story(&guest("shut off (crashed)", vec![operation("start"), end]))
}

fn ignored() -> Story {
    let mut row = exits(run(12, "started"), 3, "monitoring does not answer\n");
    (row.ignored, row.rule) = (true, Some("lenient".to_owned()));
    story(&guest("running", vec![with_runs(operation("start"), vec![row])]))
}

fn waits(lock: Option<&str>) -> Story {
    let mut row = run(12, "prepare");
    (row.how, row.took) = (None, None);
    let mut start = with_runs(operation("start"), vec![row]);
    start.row.ended = None;
    let mut facts = guest("shut off", vec![start]);
    facts.running = vec![RunningNow {
        late: lock.is_none(),
        limit_left: lock.is_none().then_some(17.7),
        waits_for: lock.map(str::to_owned),
        ..hook_now(12, "prepare")
    }];
    story(&facts)
}

fn daemon_died() -> Story {
    let mut row = run(12, "prepare");
    (row.how, row.took) = (Some(How::Lost), None);
    let mut start = with_runs(operation("start"), vec![row]);
    (start.row.lost, start.row.ended) = (true, None);
    let undo = with_reason(later(operation("reconnect"), 30), "failed");
    let undo = with_runs(undo, vec![run(30_100, "stopped"), run(30_200, "release")]);
    story(&guest("shut off (failed)", vec![start, undo]))
}

fn destroyed() -> Story {
    let destroy = with_reason(later(by_virsh(operation("destroy")), 60), "destroyed");
    let destroy = with_runs(destroy, vec![run(60_020, "stopped"), run(60_040, "release")]);
    story(&guest("shut off (destroyed)", vec![operation("start"), destroy]))
}

fn skipped() -> Story {
    let failure = "cannot get interface MTU on 'br7': No such device";
    let start = with_step(operation("start"), "resources", 40, Some(failure));
    let mut facts = guest("shut off (failed)", vec![failed(start, failure)]);
    facts.skips = vec![SkipRow {
        driver: Driver::Qemu,
        path: format!("{HOOKS}/qemu.d/10-bridge").into(),
        reason: "its mode 0644 has no execute bit".to_owned(),
        at: at(0),
    }];
    story(&facts)
}

fn of_device(failure: &str, step: &str, neighbour: Option<&str>) -> Story {
    story(&without_card(failure, step, card(Some("amdgpu"), neighbour)))
}

fn waits_for_driver() -> Story {
    let mut start = operation("start");
    start.row.ended = None;
    let mut facts = guest("paused (starting up)", vec![start]);
    let mut wanted = card(Some("amdgpu"), None);
    wanted.doing = Some(Underway {
        what: "unbind".to_owned(),
        seconds: 12.0,
        holders: vec!["Xorg (process 812, /dev/dri/card0)".to_owned()],
    });
    facts.devices = vec![wanted];
    story(&facts)
}

fn no_iommu() -> Story {
    let failure = "host doesn't support passthrough of host PCI devices";
    let mut facts = without_card(failure, "resources", card(Some("amdgpu"), None));
    let remedy = "there is no IOMMU at work: write amd_iommu=on on the kernel's command line, and turn AMD-Vi or IOMMU on in \
                  the machine's firmware";
    facts.host_remedy = Some(remedy.to_owned());
    story(&facts)
}

fn examples() -> Vec<(&'static str, Story)> {
    let limit = "internal error: /etc/libvirt/hooks/qemu (qemu g prepare begin -) took longer than its limit of 30s and was \
                 ended";
    vec![
        ("A network's hook refuses the guest's port", port()),
        ("A hook cannot be executed", not_executed()),
        (
            "A hook takes too long",
            refused(How::TimedOut { after: ms(30_000) }, limit),
        ),
        ("A hook that runs now", waits(None)),
        ("A hook that waits for a lock", waits(Some("storage"))),
        ("A script that was not run", skipped()),
        (
            "A disk is missing",
            of_start(
                "Cannot access storage file '/var/lib/libvirt/images/g.qcow2': No such file or directory",
                "resources",
            ),
        ),
        (
            "QEMU refuses a device",
            of_start(
                "internal error: QEMU unexpectedly closed the monitor (vm='g'): 2026-03-01T12:00:00.066Z \
                 qemu-system-x86_64: -device foo: 'foo' is not a valid device model name",
                "launch",
            ),
        ),
        (
            "Another device of the group stays with the host",
            of_device(
                "internal error: QEMU unexpectedly closed the monitor (vm='g'): 2026-03-01T12:00:00.066Z \
                 qemu-system-x86_64: -device {\"driver\":\"vfio-pci\",\"host\":\"0000:03:00.0\"}: vfio 0000:03:00.0: group 15 is \
                 not viable\nPlease ensure all devices within the iommu_group are bound to their vfio bus driver.",
                "launch",
                Some("snd_hda_intel"),
            ),
        ),
        (
            "Another guest has the device",
            of_device(
                "PCI device 0000:03:00.0 is in use by driver QEMU, domain g2",
                "resources",
                None,
            ),
        ),
        (
            "A driver does not let go of a device",
            of_device(
                "Unable to unbind PCI device 0000:03:00.0: the kernel has not answered for 60 s; in use by Xorg (process \
                 812, /dev/dri/card0)",
                "resources",
                None,
            ),
        ),
        ("A start that waits for a driver", waits_for_driver()),
        ("A machine without an IOMMU", no_iommu()),
        ("A failure that a rule ignores", ignored()),
        ("A hook ended a guest when the daemon came back", reconnect()),
        ("The machine ran out of memory", out_of_memory()),
        ("Somebody destroyed the guest", destroyed()),
        ("The daemon died", daemon_died()),
        (
            "Nothing failed",
            story(&guest("running", vec![operation("start")])),
        ),
        ("No such guest", story(&Facts::new(Driver::Qemu, "g"))),
    ]
}

#[test]
fn the_manuals_examples_are_what_is_said() {
    let missing: Vec<String> = examples()
        .into_iter()
        .map(|(title, told)| format!("### {title}\n\n```text\n{told}\n```\n"))
        .filter(|example| !MANUAL.contains(example))
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/hooks/why.md:\n{}",
        missing.join("\n")
    );
}

//! Limits, shares and devices: changed while a guest runs and in its definition, undone when it fails or when the daemon
//! dies in the middle.

use ferrovirt_hook::Origin;
use ferrovirt_model::domain::{CpuTune, Device};

use super::*;
use crate::{Affect, BackendEvent, DeviceChange, Tuning, What};

const LIVE: Affect = Affect {
    live: true,
    config: false,
};
const CONFIG: Affect = Affect {
    live: false,
    config: true,
};
const BOTH: Affect = Affect {
    live: true,
    config: true,
};

fn shares(shares: u64) -> Tuning {
    Tuning::Cpu(Box::new(CpuTune {
        shares: Some(shares),
        ..CpuTune::default()
    }))
}

fn device(xml: &str) -> Device {
    let mut device = Device::parse(xml, UnknownPolicy::Refuse).unwrap().value;
    device.normalize().unwrap();
    device
}

const CARD: &str =
    "<interface type='network'><mac address='52:54:00:00:00:77'/><source network='net9'/></interface>";
const DISK: &str = "<disk><source file='/b'/><target dev='vdb'/></disk>";

impl Daemon {
    fn tune(&self, change: Tuning, affect: Affect) -> Result<(), Error> {
        self.run(self.guest("g1").tune(change, affect, Origin::client()))
    }

    fn change(&self, change: DeviceChange, affect: Affect) -> Result<(), Error> {
        self.run(self.guest("g1").change_device(change, affect, Origin::client()))
    }

    fn attach(&self, xml: &str, affect: Affect) -> Result<(), Error> {
        self.change(DeviceChange::Attach(device(xml)), affect)
    }

    fn detach(&self, xml: &str, affect: Affect) -> Result<(), Error> {
        self.change(DeviceChange::Detach(device(xml)), affect)
    }

    /// Aliases in the live document.
    fn aliases(&self) -> Vec<String> {
        let seen = self.guest("g1").snapshot();
        let doc = seen.live.clone().unwrap();
        let infos = doc.devices.infos().into_iter();
        infos.filter_map(|info| info.alias.clone()).collect()
    }
}

/// A running guest with a card on net1, in a trace that begins now.
fn running() -> (World, Daemon) {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    daemon.start("g1").unwrap();
    world.trace.take();
    (world, daemon)
}

fn stored(world: &World) -> Domain {
    let text = std::fs::read_to_string(world.path("etc").join("g1.xml")).unwrap();
    parse(&text[text.find("<domain").unwrap()..])
}

fn of(doc: &Domain) -> Option<u64> {
    doc.cputune.as_ref().and_then(|tune| tune.shares)
}

#[test]
fn limits_change_where_they_are_asked_for() {
    let (world, daemon) = running();
    daemon.tune(shares(5), LIVE).unwrap();
    assert_eq!(world.trace.take(), lines(&["backend tune", "shares 0 to 5"]));
    assert_eq!(
        of(&world.status("g1").unwrap().doc),
        Some(5),
        "on disk before the answer"
    );
    assert_eq!(of(&stored(&world)), None);
    daemon.tune(shares(6), CONFIG).unwrap();
    assert_eq!(world.trace.take(), [""; 0]);
    assert_eq!(of(&stored(&world)), Some(6));
    daemon.tune(shares(7), BOTH).unwrap();
    daemon.tune(shares(8), Affect::default()).unwrap();
    assert_eq!(
        (of(&world.status("g1").unwrap().doc), of(&stored(&world))),
        (Some(8), Some(7))
    );
    let handle = daemon.guest("g1");
    let tuned = daemon.run(handle.tuned(&handle.snapshot())).unwrap();
    assert_eq!(tuned.cpu.shares, Some(8));
    daemon.destroy("g1").unwrap();
    let refused = daemon.tune(shares(9), LIVE).unwrap_err();
    assert_eq!(refused.to_string(), "domain is not running");
    daemon.tune(shares(9), Affect::default()).unwrap();
    assert_eq!(of(&stored(&world)), Some(9));
    let tuned = daemon.run(handle.tuned(&handle.snapshot())).unwrap();
    assert_eq!(tuned.cpu.shares, Some(9), "of the definition");
}

#[test]
fn limits_that_are_refused_change_nothing() {
    let (world, daemon) = running();
    daemon.backend.fail("tune", "the kernel says no");
    let refused = daemon.tune(shares(5), BOTH).unwrap_err();
    assert_eq!(refused.to_string(), "the kernel says no");
    assert_eq!(
        world.trace.take(),
        lines(&["backend tune", "backend tune"]),
        "and back"
    );
    assert_eq!(
        (of(&world.status("g1").unwrap().doc), of(&stored(&world))),
        (None, None)
    );
    let refused = daemon.tune(Tuning::Vcpus(9), BOTH).unwrap_err();
    assert!(matches!(refused, Error::Argument(_)), "{refused}");
    daemon.destroy("g1").unwrap();
}

#[test]
fn r74_an_attached_card_calls_the_ports_hooks_and_is_told_of() {
    let (world, daemon) = running();
    let mut events = daemon.guests.events();
    daemon.attach(CARD, LIVE).unwrap();
    let attached = lines(&[
        "backend fit",
        "network net9 port-created begin -",
        "backend attach net1",
    ]);
    assert_eq!(world.trace.take(), attached);
    assert_eq!(daemon.aliases(), ["net0", "net1"]);
    assert_eq!(
        events.try_recv().unwrap().what,
        What::DeviceAdded("net1".to_owned())
    );
    let status = world.status("g1").unwrap();
    assert_eq!((status.doc.devices.interfaces.len(), status.ports.len()), (2, 2));
    let card = &status.doc.devices.interfaces[1];
    assert_eq!(card.target_dev(), Some("vnet42"));
    let source = card.source.clone().unwrap();
    assert_eq!(
        (source.portid, source.bridge.as_deref()),
        (Some(status.ports[1].uuid), Some("br-net9"))
    );
    assert!(
        status.steps.iter().all(|step| step.kind != "plug"),
        "{:?}",
        status.steps
    );
    assert_eq!(stored(&world).devices.interfaces.len(), 1);

    daemon.detach(CARD, LIVE).unwrap();
    let detached = lines(&[
        "backend detach net1",
        "backend withdraw net1",
        "network net9 port-deleted begin -",
    ]);
    assert_eq!(world.trace.take(), detached);
    assert_eq!(
        events.try_recv().unwrap().what,
        What::DeviceRemoved("net1".to_owned())
    );
    assert_eq!(daemon.aliases(), ["net0"]);
    assert_eq!(world.ports().len(), 1);
    let refused = daemon.detach(CARD, LIVE).unwrap_err();
    assert!(matches!(refused, Error::NoDevice(_)), "{refused}");
    let end = chain(&[&lines(&["backend kill"]), &falling(&["net1"], TAP, "destroyed")]);
    daemon.destroy("g1").unwrap();
    assert_eq!(world.trace.take(), end);
}

#[test]
fn r74_a_port_hook_that_fails_fails_the_attachment_only() {
    let (world, daemon) = running();
    world.hooks.on("network", "port-created", "exit 3");
    let refused = daemon.attach(CARD, BOTH).unwrap_err();
    assert!(refused.to_string().contains("exit status 3"), "{refused}");
    let tried = lines(&["backend fit", "network net9 port-created begin -"]);
    assert_eq!(world.trace.take(), tried);
    let status = world.status("g1").unwrap();
    assert_eq!((status.doc.devices.interfaces.len(), status.ports.len()), (1, 1));
    assert!(status.steps.iter().all(|step| step.kind != "plug"));
    assert_eq!(stored(&world).devices.interfaces.len(), 1);
    assert_eq!(daemon.guest("g1").snapshot().state, State::Running);
    // What fails after the hook takes the port away again.
    world.hooks.off("network", "port-created");
    daemon.backend.fail("attach net1", "no slot");
    let refused = daemon.attach(CARD, LIVE).unwrap_err();
    assert_eq!(refused.to_string(), "no slot");
    let tried = lines(&[
        "backend fit",
        "network net9 port-created begin -",
        "backend attach net1",
        "backend withdraw net1",
        "network net9 port-deleted begin -",
    ]);
    assert_eq!(world.trace.take(), tried);
    assert_eq!((world.ports().len(), daemon.aliases()), (1, lines(&["net0"])));
    daemon.destroy("g1").unwrap();
}

#[test]
fn devices_change_where_they_are_asked_for() {
    let (world, daemon) = running();
    daemon.attach(DISK, BOTH).unwrap();
    assert_eq!(stored(&world).devices.disks.len(), 1);
    assert_eq!(daemon.aliases(), ["virtio-disk0", "net0"]);
    let refused = daemon.attach(DISK, CONFIG).unwrap_err();
    assert_eq!(refused.to_string(), "target vdb already exists");
    daemon.detach(DISK, CONFIG).unwrap();
    assert_eq!(stored(&world).devices.disks.len(), 0);
    daemon
        .change(
            DeviceChange::DetachAlias("virtio-disk0".to_owned()),
            Affect::default(),
        )
        .unwrap();
    assert_eq!(daemon.aliases(), ["net0"]);
    let refused = daemon
        .change(DeviceChange::DetachAlias("x".to_owned()), LIVE)
        .unwrap_err();
    assert_eq!(refused.to_string(), "no device found with alias x");
    let sound = || device("<sound model='ich6'/>");
    for (change, affect, text) in [
        (
            DeviceChange::Attach(sound()),
            LIVE,
            "live attach of device 'sound' is not supported",
        ),
        (
            DeviceChange::Attach(sound()),
            CONFIG,
            "persistent attach of device 'sound' is not supported",
        ),
        (
            DeviceChange::Detach(sound()),
            LIVE,
            "live detach of device 'sound' is not supported",
        ),
        (
            DeviceChange::Update(sound()),
            LIVE,
            "live update of device 'sound' is not supported",
        ),
    ] {
        assert_eq!(daemon.change(change, affect).unwrap_err().to_string(), text);
    }
    let card = "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='net1'/><link state='down'/></interface>";
    daemon.change(DeviceChange::Update(device(card)), BOTH).unwrap();
    assert!(stored(&world).devices.interfaces[0].link.is_some());
    let live = daemon.guest("g1").snapshot().live.clone().unwrap();
    assert!(live.devices.interfaces[0].link.is_some());
    assert_eq!(daemon.aliases(), ["net0"]);
    daemon.destroy("g1").unwrap();
    daemon.attach(DISK, Affect::default()).unwrap();
    assert_eq!(stored(&world).devices.disks.len(), 1);
    let refused = daemon.attach(DISK, LIVE).unwrap_err();
    assert_eq!(refused.to_string(), "domain is not running");
}

#[test]
fn a_guest_that_takes_its_time_lets_go_later() {
    let (world, daemon) = running();
    daemon.backend.cling();
    daemon.attach(CARD, LIVE).unwrap();
    daemon.detach(CARD, LIVE).unwrap();
    assert_eq!(daemon.aliases(), ["net0", "net1"], "still there");
    assert_eq!(world.ports().len(), 2);
    daemon
        .backend
        .happen("g1", BackendEvent::DeviceGone("net1".to_owned()));
    daemon.run(world.trace.wait("network net9 port-deleted"));
    daemon.until("g1", |seen| {
        seen.live
            .as_ref()
            .is_some_and(|doc| doc.devices.interfaces.len() == 1)
    });
    // One that nobody knows changes nothing.
    daemon
        .backend
        .happen("g1", BackendEvent::DeviceGone("net7".to_owned()));
    daemon.destroy("g1").unwrap();
}

#[test]
fn a_device_that_goes_while_a_job_runs_is_taken_out_after_it() {
    let (world, daemon) = running();
    daemon.attach(CARD, LIVE).unwrap();
    let gate = daemon.backend.hold("suspend");
    let handle = daemon.guest("g1");
    let suspended = daemon.spawn(async move { handle.suspend(Origin::client()).await });
    daemon.run(world.trace.wait("backend suspend"));
    daemon
        .backend
        .happen("g1", BackendEvent::DeviceGone("net1".to_owned()));
    gate.add_permits(1);
    daemon.run(suspended).unwrap().unwrap();
    daemon.run(world.trace.wait("network net9 port-deleted"));
    daemon.until("g1", |seen| {
        seen.live
            .as_ref()
            .is_some_and(|doc| doc.devices.interfaces.len() == 1)
    });
    daemon.destroy("g1").unwrap();
}

#[test]
fn r95_a_destroy_ends_an_attachment() {
    let (world, daemon) = running();
    world.hooks.on("network", "port-created", "sleep 60");
    let handle = daemon.guest("g1");
    let attached = daemon.spawn(async move {
        let change = DeviceChange::Attach(device(CARD));
        handle.change_device(change, LIVE, Origin::client()).await
    });
    daemon.run(world.trace.wait("network net9 port-created"));
    daemon.destroy("g1").unwrap();
    let refused = daemon.run(attached).unwrap().unwrap_err();
    assert!(refused.to_string().contains("destroy"), "{refused}");
    assert_eq!(world.ports(), []);
    assert!(world.status("g1").is_none());
}

#[test]
fn r96_an_attachment_that_death_cut_short_is_undone() {
    for (held, known) in [
        ("attach net1", true),
        ("attach net1", false),
        ("port hook", false),
    ] {
        let (world, daemon) = running();
        match held {
            "port hook" => world.hooks.on(
                "network",
                "port-created",
                "[ -e $D/twice ] || { touch $D/twice; sleep 60; }",
            ),
            step => drop(daemon.backend.hold(step)),
        }
        let handle = daemon.guest("g1");
        let waited = daemon.spawn(async move {
            let change = DeviceChange::Attach(device(CARD));
            handle.change_device(change, LIVE, Origin::client()).await
        });
        let begun = if held == "port hook" {
            "network net9 port-created"
        } else {
            "backend attach"
        };
        daemon.run(world.trace.wait(begun));
        let status = world.status("g1").unwrap();
        assert_eq!((status.ports.len(), status.doc.devices.interfaces.len()), (2, 1));
        assert!(
            status.steps.iter().any(|step| step.kind == "plug"),
            "written down before"
        );
        daemon.die();
        drop(waited);
        world.trace.take();
        let daemon = world.boot();
        if !known {
            daemon.backend.miss("net1");
        }
        daemon.run(daemon.guests.reconnect());
        daemon.run(world.trace.wait("qemu g1 reconnect"));
        daemon.until("g1", |seen| seen.busy.is_none());
        let mut expected = lines(&[
            "backend adopt",
            "network net1 port-created begin -",
            "network net9 port-created begin -",
        ]);
        if known {
            expected.push("backend detach net1".to_owned());
        }
        expected.extend(lines(&[
            "backend withdraw net1",
            "network net9 port-deleted begin -",
            "qemu g1 reconnect begin -",
        ]));
        assert_eq!(world.trace.take(), expected, "{held} {known}");
        daemon.run(daemon.guest("g1").suspend(Origin::client())).unwrap();
        let status = world.status("g1").unwrap();
        assert_eq!((status.ports.len(), status.doc.devices.interfaces.len()), (1, 1));
        assert!(status.steps.iter().all(|step| step.kind != "plug"));
        daemon.destroy("g1").unwrap();
    }
}

#[test]
fn r96_what_is_attached_is_known_to_the_next_daemon_and_what_has_gone_is_not() {
    let (world, daemon) = running();
    daemon.attach(CARD, LIVE).unwrap();
    daemon.attach(DISK, LIVE).unwrap();
    daemon.die();
    let daemon = world.reboot();
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    assert_eq!(daemon.aliases(), ["virtio-disk0", "net0", "net1"]);
    daemon.die();
    world.trace.take();
    // The guest lets go of two while no daemon is there.
    let daemon = world.boot();
    daemon.backend.miss("net1");
    daemon.backend.miss("virtio-disk0");
    let mut events = daemon.guests.events();
    daemon.run(daemon.guests.reconnect());
    daemon.run(world.trace.wait("qemu g1 reconnect"));
    assert_eq!(daemon.aliases(), ["net0"]);
    assert_eq!(world.ports().len(), 1);
    for alias in ["virtio-disk0", "net1"] {
        assert_eq!(
            events.try_recv().unwrap().what,
            What::DeviceRemoved(alias.to_owned())
        );
    }
    daemon.until("g1", |seen| seen.busy.is_none());
    daemon.destroy("g1").unwrap();
}

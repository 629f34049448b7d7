//! Devices between drivers, on a made-up machine.

use std::time::Duration;

use super::*;
use crate::taken::{Guest, Taken, Use};
use crate::testing::{Machine, Pci};

const NIC: &str = "0000:01:00.0";

fn at(text: &str) -> PciAddress {
    text.parse().unwrap()
}

fn guest(name: &str) -> Guest {
    Guest {
        driver: "QEMU".to_owned(),
        name: name.to_owned(),
    }
}

fn managed(address: &str) -> Wanted {
    Wanted {
        address: at(address),
        managed: true,
        driver: Driver::Vfio,
    }
}

fn unmanaged(address: &str) -> Wanted {
    Wanted {
        managed: false,
        ..managed(address)
    }
}

fn with_nic() -> (Machine, Passthrough) {
    let machine = Machine::new();
    machine.pci(&Pci::default());
    let passthrough = Passthrough::new(machine.places(), Taken::open(None));
    (machine, passthrough)
}

fn bound(machine: &Machine, address: &str) -> String {
    let (driver, written) = machine.bound(address);
    format!("{} {written}", driver.unwrap_or_else(|| "-".to_owned()))
}

#[tokio::test]
async fn detached_and_back() {
    let (machine, pass) = with_nic();
    for _ in 0..2 {
        pass.detach(at(NIC), Driver::Vfio).await.unwrap();
        assert_eq!(bound(&machine, NIC), "vfio-pci vfio-pci");
        assert!(pass.taken().is_detached(at(NIC)));
    }
    for _ in 0..2 {
        pass.reattach(at(NIC)).await.unwrap();
        assert_eq!(bound(&machine, NIC), "e1000e (null)");
        assert!(pass.taken().devices().is_empty());
    }
}

#[tokio::test]
async fn a_guest_gets_its_device_and_the_host_gets_it_back() {
    let (machine, pass) = with_nic();
    let g1 = guest("g1");
    pass.prepare(&g1, &[managed(NIC)]).await.unwrap();
    assert_eq!(bound(&machine, NIC), "vfio-pci vfio-pci");
    let text = "PCI device 0000:01:00.0 is in use by driver QEMU, domain g1";
    for refused in [
        pass.prepare(&guest("g2"), &[managed(NIC)]).await,
        pass.detach(at(NIC), Driver::Vfio).await,
        pass.reattach(at(NIC)).await,
    ] {
        assert_eq!(refused.unwrap_err().to_string(), text);
    }
    let reset = pass.reset(at(NIC)).await.unwrap_err().to_string();
    assert_eq!(reset, "Not resetting active device 0000:01:00.0");
    pass.release(&g1).await.unwrap();
    assert_eq!(bound(&machine, NIC), "e1000e (null)");
    assert!(pass.taken().devices().is_empty());
}

#[tokio::test]
async fn what_somebody_else_has_bound_stays_bound() {
    let (machine, pass) = with_nic();
    let g1 = guest("g1");
    let refused = pass.prepare(&g1, &[unmanaged(NIC)]).await.unwrap_err();
    let text = "Unmanaged PCI device 0000:01:00.0 must be manually detached from the host";
    assert_eq!(refused.to_string(), text);
    // Detached by the daemon before, then managed or not.
    for wanted in [unmanaged(NIC), managed(NIC)] {
        pass.detach(at(NIC), Driver::Vfio).await.unwrap();
        pass.prepare(&g1, std::slice::from_ref(&wanted)).await.unwrap();
        pass.release(&g1).await.unwrap();
        assert_eq!(bound(&machine, NIC), "vfio-pci vfio-pci", "{wanted:?}");
        assert!(pass.taken().is_detached(at(NIC)));
        pass.reattach(at(NIC)).await.unwrap();
    }
    // By somebody who writes to sysfs, unknown to the daemon.
    bind::give(pass.places(), at(NIC), "vfio-pci").unwrap();
    pass.prepare(&g1, &[managed(NIC)]).await.unwrap();
    pass.release(&g1).await.unwrap();
    assert_eq!(bound(&machine, NIC), "vfio-pci vfio-pci");
    assert!(pass.taken().devices().is_empty(), "nobody has detached it");
    // Who had brought it there takes it back; from then on it is a device like any other.
    bind::give_back(pass.places(), at(NIC)).unwrap();
    let named = Wanted {
        driver: Driver::Named("e1000e".to_owned()),
        ..managed(NIC)
    };
    for wanted in [named, managed(NIC)] {
        pass.prepare(&g1, &[wanted]).await.unwrap();
        pass.release(&g1).await.unwrap();
        assert_eq!(bound(&machine, NIC), "e1000e (null)");
    }
}

#[tokio::test]
async fn one_that_cannot_be_had_undoes_the_others() {
    let (machine, pass) = with_nic();
    let other = machine.pci(&Pci {
        address: "0000:02:00.0",
        driver: Some("nvme"),
        group: Some(14),
        ..Pci::default()
    });
    machine.file(&format!("{other}/no_driver_binds"), "");
    let refused = pass
        .prepare(&guest("g1"), &[managed(NIC), managed("0000:02:00.0")])
        .await;
    let text = "PCI device 0000:02:00.0 is not bound to driver vfio-pci";
    assert_eq!(refused.unwrap_err().to_string(), text);
    assert_eq!(bound(&machine, NIC), "e1000e (null)");
    assert_eq!(machine.bound("0000:02:00.0").1, "(null)");
    assert!(pass.taken().devices().is_empty());
}

#[tokio::test]
async fn refusals_come_before_anything_is_touched() {
    let (machine, pass) = with_nic();
    machine.pci(&Pci {
        address: "0000:00:10.0",
        driver: Some("pcieport"),
        group: Some(13),
        header: 1,
        ..Pci::default()
    });
    machine.pci(&Pci {
        address: "0000:03:00.0",
        ..Pci::default()
    });
    let g1 = guest("g1");
    let said = |refused: Result<(), Error>| refused.unwrap_err().to_string();
    let gone = "Device 0000:55:00.0 not found: could not access /sys/bus/pci/devices/0000:55:00.0/config: No such file or directory";
    assert_eq!(
        said(pass.prepare(&g1, &[managed(NIC), managed("0000:55:00.0")]).await),
        gone
    );
    let bridge = "Non-endpoint PCI devices cannot be assigned to guests";
    assert_eq!(said(pass.prepare(&g1, &[managed("0000:00:10.0")]).await), bridge);
    pass.prepare(&guest("g2"), &[managed("0000:03:00.0")])
        .await
        .unwrap();
    let group = "PCI device 0000:03:00.0 is in use by driver QEMU, domain g2";
    assert_eq!(said(pass.prepare(&g1, &[managed(NIC)]).await), group);
    assert_eq!(bound(&machine, NIC), "e1000e (null)");
    let kvm = Driver::of_word(Some("kvm")).unwrap_err().to_string();
    assert_eq!(
        kvm,
        "'legacy KVM' device assignment is no longer supported on this system"
    );
    let nothing = pass.detach(at(NIC), Driver::Named("nothing".to_owned())).await;
    assert_eq!(said(nothing), "Failed to load PCI driver module nothing: ");
    for wrong in ["", "-r", "../x"] {
        let refused = said(pass.detach(at(NIC), Driver::Named(wrong.to_owned())).await);
        assert!(refused.ends_with("this is no name of a module"), "{refused}");
    }
    std::fs::remove_file(machine.root().join("dev/vfio/vfio")).unwrap();
    let vfio = "VFIO device assignment is currently not supported on this system";
    assert_eq!(said(pass.detach(at(NIC), Driver::Vfio).await), vfio);
    let passthrough = "host doesn't support passthrough of host PCI devices";
    assert_eq!(said(pass.prepare(&g1, &[managed(NIC)]).await), passthrough);
}

#[tokio::test]
async fn a_driver_that_does_not_let_go_holds_only_its_own_call() {
    let (machine, pass) = with_nic();
    let dir = machine.pci(&Pci {
        address: "0000:03:00.0",
        driver: Some("nvidia"),
        group: Some(15),
        ..Pci::default()
    });
    let hangs = machine.file(&format!("{dir}/hangs"), "");
    let pass = pass.with_patience(Duration::from_millis(50));
    let refused = pass.detach(at("0000:03:00.0"), Driver::Vfio).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("Unable to unbind PCI device 0000:03:00.0"),
        "{refused}"
    );
    let busy = pass.reattach(at("0000:03:00.0")).await.unwrap_err();
    assert_eq!(busy.to_string(), "PCI device 0000:03:00.0 is busy: unbind");
    let patient = pass.clone().with_patience(Duration::from_secs(60));
    patient.detach(at(NIC), Driver::Vfio).await.unwrap();
    // What was begun is finished once the driver lets go.
    std::fs::remove_file(hangs).unwrap();
    while let Err(error) = patient.reattach(at("0000:03:00.0")).await {
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bound(&machine, "0000:03:00.0"), "nvidia (null)");
}

#[tokio::test]
async fn a_guest_that_gave_up_gets_nothing_and_the_host_gets_its_device_back() {
    let (machine, pass) = with_nic();
    let hangs = format!("{}/hangs", "sys/devices/pci0000:00/0000:01:00.0");
    let g1 = guest("g1");
    let impatient = pass.clone().with_patience(Duration::from_millis(50));
    // It waited for too long; it was destroyed while it waited; it was destroyed, and its release came at once.
    for way in 0..3 {
        let hang = machine.file(&hangs, "");
        let on_its_way = || async {
            while pass.taken().guest_of(at(NIC)).is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let wanted = [managed(NIC)];
        match way {
            0 => {
                let late = impatient.prepare(&g1, &wanted).await.unwrap_err();
                assert!(late.to_string().contains("has not answered"), "{late}");
            }
            _ => {
                tokio::select! {
                    outcome = pass.prepare(&g1, &wanted) => panic!("{outcome:?}"),
                    () = on_its_way() => {}
                }
            }
        }
        let doing = pass.taken().doing(at(NIC)).unwrap();
        assert_eq!((doing.what, doing.guest), ("unbind", Some(g1.clone())));
        if way == 2 {
            pass.release(&g1).await.unwrap();
        }
        std::fs::remove_file(hang).unwrap();
        while pass.taken().doing(at(NIC)).is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(bound(&machine, NIC), "e1000e (null)", "{way}");
        assert!(pass.taken().devices().is_empty(), "{way}");
    }
    pass.prepare(&g1, &[managed(NIC)]).await.unwrap();
    assert_eq!(bound(&machine, NIC), "vfio-pci vfio-pci");
}

#[tokio::test]
async fn a_killed_daemons_successor_gives_back_what_was_bound() {
    let (machine, _) = with_nic();
    for (address, group) in [("0000:02:00.0", 14), ("0000:04:00.0", 16), ("0000:05:00.0", 17)] {
        machine.pci(&Pci {
            address,
            driver: Some("own"),
            group: Some(group),
            ..Pci::default()
        });
    }
    let path = machine.root().join("taken.json");
    let open = || Passthrough::new(machine.places(), Taken::open(Some(path.clone())));
    let first = open();
    first.prepare(&guest("gone"), &[managed(NIC)]).await.unwrap();
    first
        .prepare(&guest("lives"), &[managed("0000:02:00.0")])
        .await
        .unwrap();
    first.detach(at("0000:04:00.0"), Driver::Vfio).await.unwrap();
    first.detach(at("0000:05:00.0"), Driver::Vfio).await.unwrap();
    // Somebody gave that back by sysfs while there was no daemon.
    bind::give_back(first.places(), at("0000:05:00.0")).unwrap();
    let second = open();
    second.recover(|guest| guest.name == "lives").await;
    assert_eq!(
        bound(&machine, NIC),
        "own_driver".replace("own_driver", "e1000e (null)")
    );
    assert_eq!(bound(&machine, "0000:02:00.0"), "vfio-pci vfio-pci");
    let left: Vec<(String, Use)> = second
        .taken()
        .devices()
        .into_iter()
        .map(|device| (device.address.to_string(), device.usage))
        .collect();
    assert_eq!(
        left,
        [
            ("0000:02:00.0".to_owned(), Use::Guest(guest("lives"))),
            ("0000:04:00.0".to_owned(), Use::Detached)
        ]
    );
}

#[tokio::test]
async fn resets_are_done_or_refused_for_a_reason() {
    let (machine, pass) = with_nic();
    let said = |refused: Result<(), Error>| refused.unwrap_err().to_string();
    assert_eq!(
        said(pass.reset(at(NIC)).await),
        "Unable to reset PCI device 0000:01:00.0: no FLR, PM reset or bus reset available"
    );
    let file = machine.file("sys/devices/pci0000:00/0000:01:00.0/reset", "-");
    pass.reset(at(NIC)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
    machine.pci(&Pci {
        address: "0000:01:00.1",
        ..Pci::default()
    });
    let neighbour = "Unable to reset PCI device 0000:01:00.0: internal error: Active 0000:01:00.1 devices on bus with 0000:01:00.0, not doing bus reset";
    assert_eq!(said(pass.reset(at(NIC)).await), neighbour);
    pass.detach(at("0000:01:00.1"), Driver::Vfio).await.unwrap();
    pass.reset(at(NIC)).await.unwrap();
    machine.pci(&Pci {
        address: "0000:00:10.0",
        header: 1,
        ..Pci::default()
    });
    assert_eq!(
        said(pass.reset(at("0000:00:10.0")).await),
        "Invalid attempt to reset PCI device 0000:00:10.0. Only PCI endpoint devices can be reset"
    );
}

#[tokio::test]
async fn the_groups_node_is_there_or_is_named() {
    let (machine, pass) = with_nic();
    let missing = pass.group_node(at(NIC)).unwrap_err().to_string();
    assert_eq!(
        missing,
        "Path '/dev/vfio/13' is not accessible: No such file or directory"
    );
    machine.file("dev/vfio/13", "");
    assert_eq!(pass.group_node(at(NIC)).unwrap().to_str(), Some("/dev/vfio/13"));
}

//! What is the matter with a device of the host: each error that there is, with what to do about it.

use super::*;

const EDIT: &str = "virsh edit g # change it";
const START: &str = "virsh start g # start it";

/// What is said of a start that failed of this.
fn told(failure: &str, card: HostDevice) -> Story {
    story(&without_card(failure, "resources", card))
}

/// The end of the headline, the word for programs, and the first thing to do.
#[track_caller]
fn says(failure: &str, trouble: Trouble, brief: &str, first: &str) {
    let story = told(failure, card(Some("amdgpu"), None));
    assert_eq!(story.headline, format!("Guest g did not start: {brief}"));
    assert_eq!(story.device, Some(trouble));
    assert_eq!(story.next.first().map(String::as_str), Some(first), "{story}");
    assert!(
        story.next.ends_with(&[EDIT.to_owned(), START.to_owned()]),
        "{story}"
    );
    assert_eq!(words(&story), failure);
}

/// What QEMU says of it, as the daemon passes it on.
fn by_qemu(words: &str) -> String {
    format!(
        "internal error: QEMU unexpectedly closed the monitor (vm='g'): 2026-03-01T12:00:00.066Z qemu-system-x86_64: -device \
         {{\"driver\":\"vfio-pci\",\"host\":\"0000:03:00.0\"}}: {words}"
    )
}

#[test]
fn a_group_that_is_not_viable_names_the_neighbour_and_its_driver() {
    let failure = by_qemu(
        "vfio 0000:03:00.0: group 15 is not viable\n\
         Please ensure all devices within the iommu_group are bound to their vfio bus driver.",
    );
    let story = told(&failure, card(Some("vfio-pci"), Some("snd_hda_intel")));
    assert_eq!(
        story.headline,
        "Guest g did not start: group 15 of PCI device 0000:03:00.0 is not given up as a whole: 0000:03:00.1 has the host's \
         driver snd_hda_intel"
    );
    assert_eq!(story.device, Some(Trouble::GroupNotViable));
    assert_eq!(
        story.next,
        [
            "virsh nodedev-detach pci_0000_03_00_1 # take it from snd_hda_intel, which loses it",
            "ferrovirt devices --groups # all that is in group 15",
            "Or give all of the group to the guest, each with a <hostdev managed='yes'> of its own.",
            EDIT,
            START
        ]
    );
    // Somebody has taken it away since.
    let story = told(&failure, card(Some("vfio-pci"), None));
    assert!(
        story
            .headline
            .ends_with("another device of the group has a driver of the host"),
        "{story}"
    );
    // What QEMU said is only in its log.
    let mut facts = without_card(
        "internal error: QEMU unexpectedly closed the monitor (vm='g'): ",
        "launch",
        card(None, Some("snd_hda_intel")),
    );
    facts.operations[0].hypervisor_log =
        Some("qemu-system-x86_64: vfio 0000:03:00.0: group 15 is not viable\n".to_owned());
    assert_eq!(super::story(&facts).device, Some(Trouble::GroupNotViable));
}

#[test]
fn who_has_the_device_is_named() {
    let first = "virsh shutdown 'g 2' # it has the device until it is off";
    says(
        "PCI device 0000:03:00.0 is in use by driver QEMU, domain g 2",
        Trouble::InUse,
        "PCI device 0000:03:00.0 is in use by guest g 2",
        first,
    );
    says(
        "PCI device 0000:03:00.1 is in use by driver QEMU, domain g 2",
        Trouble::InUse,
        "PCI device 0000:03:00.1, of the same group as 0000:03:00.0, is in use by guest g 2",
        first,
    );
    says(
        "USB device 001:002 is in use by driver QEMU, domain g 2",
        Trouble::InUse,
        "USB device 001:002 is in use by guest g 2",
        first,
    );
}

#[test]
fn a_driver_that_does_not_let_go_is_told_with_who_has_the_device_open() {
    let failure = "Unable to unbind PCI device 0000:03:00.0: the kernel has not answered for 60 s; in use by Xorg (process 812, \
                   /dev/dri/card0), a b (process 9, /dev/snd/x)";
    says(
        failure,
        Trouble::DriverHangs,
        "driver amdgpu does not let go of PCI device 0000:03:00.0, which is open in Xorg (process 812, /dev/dri/card0), a b \
         (process 9, /dev/snd/x); it was waited for 60 s",
        "kill 812 # Xorg, which has /dev/dri/card0 open",
    );
    let story = told(failure, card(Some("amdgpu"), None));
    assert_eq!(
        story.next[1..4],
        [
            "kill 9 # a b, which has /dev/snd/x open",
            "systemctl stop display-manager # if a desktop runs on it",
            "journalctl -k -g 0000:03:00.0 # what its driver says",
        ]
    );
    // It still has not let go, and by now somebody has it open.
    let mut card = card(Some("nvidia"), None);
    card.doing = Some(Underway {
        what: "unbind".to_owned(),
        seconds: 75.2,
        holders: vec!["cuda (process 7, /dev/nvidia0)".to_owned()],
    });
    let bare = "Unable to unbind PCI device 0000:03:00.0: the kernel has not answered for 60 s";
    let story = told(bare, card.clone());
    assert!(
        story.headline.contains("driver nvidia does not let go"),
        "{story}"
    );
    assert!(
        story.headline.contains("cuda (process 7, /dev/nvidia0)"),
        "{story}"
    );
    assert!(
        story.remarks[0].starts_with("driver nvidia still has 0000:03:00.0, after 75 s"),
        "{story}"
    );
    let story = told("PCI device 0000:03:00.0 is busy: unbind", card);
    assert_eq!(
        story.headline,
        "Guest g did not start: something is still being done to PCI device 0000:03:00.0: unbind"
    );
    assert_eq!(story.next[0], "kill 7 # cuda, which has /dev/nvidia0 open");
}

#[test]
fn a_start_that_waits_for_a_driver_says_so() {
    let mut start = operation("start");
    start.row.ended = None;
    let mut facts = guest("paused (starting up)", vec![start]);
    let mut wanted = card(Some("nvidia"), None);
    wanted.doing = Some(Underway {
        what: "unbind".to_owned(),
        seconds: 12.5,
        holders: vec!["Xorg (process 812, /dev/dri/card0)".to_owned()],
    });
    facts.devices = vec![wanted];
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g is being started and waits: driver nvidia has been asked for 12 s to let go of PCI device 0000:03:00.0"
    );
    assert_eq!(
        (told.answer, told.device),
        (Verdict::Running, Some(Trouble::DriverHangs))
    );
    assert_eq!(told.next[0], "kill 812 # Xorg, which has /dev/dri/card0 open");
    assert_eq!(told.next.last().unwrap(), "virsh destroy g # give it up");
    facts.devices[0].driver = None;
    assert!(story(&facts).headline.contains("in its hands for 12 s (unbind)"));
}

#[test]
fn a_rom_that_is_missing_is_named() {
    for (words, wrong) in [
        ("failed to find romfile \"/x y.rom\"", "is missing"),
        ("failed to load romfile \"/x y.rom\"", "cannot be read"),
        ("romfile \"/x y.rom\" is empty", "is empty"),
        (
            "romfile \"/x y.rom\" too large (size cannot exceed 2 GiB)",
            "is too large for a ROM",
        ),
        (
            "romfile \"/x y.rom\" (9 bytes) is too large for ROM size 4",
            "is too large for a ROM",
        ),
    ] {
        let story = told(&by_qemu(words), card(Some("vfio-pci"), None));
        assert_eq!(
            story.headline,
            format!("Guest g did not start: its ROM file /x y.rom {wrong}")
        );
        assert_eq!(story.device, Some(Trouble::Rom));
        assert_eq!(
            story.next[0],
            "ls -l '/x y.rom' # whether it is there, and for whom"
        );
    }
}

#[test]
fn a_limit_of_locked_memory_is_not_taken_for_a_machine_without_memory() {
    for words in [
        "vfio 0000:03:00.0: failed to setup container for group 15: memory listener initialization failed: Region pc.ram: \
         vfio_container_dma_map(0x55, 0x0, 0x80000000, 0x7f) = -12 (Cannot allocate memory)",
        "VFIO_MAP_DMA failed: Cannot allocate memory",
    ] {
        let story = told(&by_qemu(words), card(Some("vfio-pci"), None));
        assert_eq!(story.device, Some(Trouble::MemoryLock), "{story}");
        assert!(story.headline.contains("may not lock as much memory"), "{story}");
        assert!(story.next[0].contains("hard_limit"), "{story}");
        assert!(story.next.iter().all(|next| !next.contains("free -m")), "{story}");
    }
}

#[test]
fn a_daemon_that_may_not_raise_the_limit_is_told_of() {
    for failure in [
        "cannot start /usr/bin/qemu-system-x86_64: RLIMIT_MEMLOCK: Operation not permitted",
        "Unable to set the memory lock limit of 'QEMU': Operation not permitted",
    ] {
        let story = told(failure, card(Some("vfio-pci"), None));
        assert_eq!(story.device, Some(Trouble::MemoryLock), "{story}");
        assert!(
            story.headline.ends_with("needs: Operation not permitted"),
            "{story}"
        );
        assert!(story.next[0].contains("LimitMEMLOCK"), "{story}");
    }
}

#[test]
fn a_machine_that_cannot_give_devices_away_is_told_what_to_do() {
    let failure = "host doesn't support passthrough of host PCI devices";
    let mut facts = without_card(failure, "resources", card(Some("amdgpu"), None));
    facts.host_remedy = Some("there is no /dev/vfio/vfio: load the module vfio-pci".to_owned());
    let told = story(&facts);
    assert_eq!(
        told.headline,
        "Guest g did not start: this machine cannot give PCI devices to guests: there is no /dev/vfio/vfio: load the module \
         vfio-pci"
    );
    assert_eq!(told.device, Some(Trouble::NoVfio));
    assert_eq!(told.next[0], "modprobe vfio-pci # makes /dev/vfio/vfio");
    facts.host_remedy =
        Some("there is no IOMMU at work: write amd_iommu=on on the kernel's command line".to_owned());
    let told = story(&facts);
    assert!(
        told.headline
            .ends_with("write amd_iommu=on on the kernel's command line"),
        "{told}"
    );
    assert!(told.next[0].starts_with("ferrovirt devices"), "{told}");
    facts.host_remedy = None;
    assert!(story(&facts).headline.ends_with("now it can"));
}

#[test]
fn every_other_refusal_names_the_device_and_the_way_out() {
    says(
        "Device 0000:55:00.0 not found: could not access /sys/bus/pci/devices/0000:55:00.0/config: No such file or directory",
        Trouble::NotThere,
        "there is no PCI device 0000:55:00.0",
        "ferrovirt devices # where which device is",
    );
    says(
        "Did not find USB device dead:beef",
        Trouble::NotThere,
        "there is no USB device dead:beef",
        "lsusb # what is plugged in",
    );
    says(
        "Multiple USB devices for 46f4:1, use <address> to specify one",
        Trouble::Ambiguous,
        "there is more than one USB device 46f4:1",
        "lsusb # bus and device number of each: write <address bus='…' device='…'/>",
    );
    says(
        "Unmanaged PCI device 0000:03:00.0 must be manually detached from the host",
        Trouble::NotDetached,
        "PCI device 0000:03:00.0 has the host's driver amdgpu, and its <hostdev> is not managed",
        "virsh nodedev-detach pci_0000_03_00_0 # take it from its driver",
    );
    says(
        "Failed to load PCI driver module pciback: modprobe: FATAL: Module pciback not found",
        Trouble::Driver,
        "there is no driver pciback: modprobe: FATAL: Module pciback not found",
        "modinfo pciback # whether the kernel has it",
    );
    says(
        "pci backend driver type 'kvm' is not supported",
        Trouble::Driver,
        "driver type 'kvm' of a <hostdev> is not supported any more",
        "Write <driver name='vfio'/>, or leave it out.",
    );
    says(
        "PCI device 0000:03:00.0 is not bound to driver vfio-pci but to amdgpu",
        Trouble::Driver,
        "driver vfio-pci did not take PCI device 0000:03:00.0, but amdgpu did",
        "journalctl -k -g 0000:03:00.0 # what the kernel says",
    );
    says(
        "Path '/dev/vfio/15' is not accessible: No such file or directory",
        Trouble::Driver,
        "there is no /dev/vfio/15: the driver that PCI device 0000:03:00.0 was given to is none for guests",
        "Without <driver model='…'> a device gets the driver that is made for guests.",
    );
    says(
        "Non-endpoint PCI devices cannot be assigned to guests",
        Trouble::NotAssignable,
        "a guest cannot have a bridge",
        "ferrovirt devices --groups # what is a bridge, and what is behind it",
    );
    says(
        "PCI device 0000:03:00.0 is in no IOMMU group",
        Trouble::NotAssignable,
        "PCI device 0000:03:00.0 is in no IOMMU group: the IOMMU does not see it",
        "ferrovirt devices --groups # what else is in no group",
    );
    for text in [
        "-chardev serial,id=x,path=/dev/ttyUSB0: Could not open '/dev/ttyUSB0': No such file or directory",
        "failed to open /dev/ttyUSB0: Operation not permitted",
    ] {
        says(
            text,
            Trouble::Hidden,
            "QEMU may not open /dev/ttyUSB0: it has a /dev of its own, with what the document and cgroup_device_acl name",
            "ls -l /dev/ttyUSB0 # whether the host has it",
        );
    }
}

#[test]
fn a_script_that_could_not_detach_a_device_is_understood() {
    let printed = "error: Failed to detach device pci_0000_03_00_0\n\
                   error: Requested operation is not valid: PCI device 0000:03:00.0 is in use by driver QEMU, domain g2\n";
    let mut facts = guest(
        "shut off (failed)",
        vec![refused_start(exits(run(12, "prepare"), 1, printed))],
    );
    facts.devices = vec![card(Some("vfio-pci"), None)];
    let told = story(&facts);
    assert_eq!(told.remarks, ["PCI device 0000:03:00.0 is in use by guest g2"]);
    assert_eq!(told.device, None, "the script is what failed");
}

#[test]
fn json_has_a_word_for_it() {
    let told = told(
        "PCI device 0000:03:00.0 is in use by driver QEMU, domain g2",
        card(None, None),
    );
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["device"], "in_use");
    assert_eq!(
        json["next"][0],
        "virsh shutdown g2 # it has the device until it is off"
    );
    let json = serde_json::to_value(story(&guest("running", Vec::new()))).unwrap();
    assert!(json["device"].is_null());
}

proptest::proptest! {
    #[test]
    fn no_error_makes_it_panic(
        start in proptest::sample::select(vec!["vfio ", "PCI device ", "USB device ", "romfile \"", "Path '/dev/vfio/", "Device "]),
        rest in "[ -~é\n]{0,60}",
        end in proptest::sample::select(vec!["", " is in use by driver ", ", domain ", "\" is empty", ": the kernel has not answered for 6 s; in use by x"]),
    ) {
        let told = told(&format!("{start}{rest}{end}{rest}"), card(None, None));
        proptest::prop_assert!(!told.headline.is_empty());
    }
}

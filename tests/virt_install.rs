//! virt-install writes documents by what the daemon says of itself, and the daemon starts what it writes.

use std::process::Command;

use ferrovirt_tests::{Net, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::QemuImg, Tool::VirtInstall];
/// virt-install makes a pool of the directory that a disk is in, but for those below `/dev`.
const DISKS: &str = "/dev/shm/world";

/// One guest: words for virt-install, and what QEMU must have been told.
struct Wanted {
    words: &'static str,
    told: &'static [&'static str],
}

const fn wanted(words: &'static str, told: &'static [&'static str]) -> Wanted {
    Wanted { words, told }
}

/// A directory for disks, with an image for each use.
fn disks(w: &World) {
    w.sh(&format!(
        "mount -t tmpfs tmpfs /dev/shm && mkdir {DISKS} && cd {DISKS} && qemu-img create -q -f qcow2 system.qcow2 64M && \
         truncate -s 4M data.raw media.iso"
    ));
}

/// The document that virt-install writes for these words.
fn written(w: &World, name: &str, words: &str) -> String {
    let output = Command::new("timeout")
        .args([
            "100",
            "virt-install",
            "--connect",
            "qemu:///system",
            "--virt-type",
            "qemu",
        ])
        .args(["--import", "--memory", "64", "--check", "path_in_use=off"])
        .args(["--name", name, "--print-xml", "1"])
        .args(words.split_whitespace())
        .env("HOME", "/run/world")
        .current_dir(&w.dir)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "virt-install {words}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Defines and starts what virt-install writes, and gives QEMU's arguments.
fn started(w: &World, name: &str, words: &str) -> String {
    let path = w.file(&format!("{name}.xml"), &written(w, name, words));
    w.virsh_args(&["define", &path.display().to_string()]).ok();
    w.virsh(&format!("start {name}")).ok();
    let pid = w.qemu_pid(name).unwrap();
    w.sh(&format!("tr '\\0' '\\n' < /proc/{pid}/cmdline"))
}

fn gone(w: &World, name: &str) {
    w.virsh(&format!("destroy {name}")).ok();
    w.virsh(&format!("undefine {name} --nvram")).ok();
}

fn all_start(w: &World, all: &[Wanted]) {
    for (number, Wanted { words, told }) in all.iter().enumerate() {
        let name = format!("guest{number}");
        let arguments = started(w, &name, words);
        for part in *told {
            assert!(
                arguments.contains(part),
                "virt-install {words}: no {part} in {arguments}"
            );
        }
        gone(w, &name);
    }
}

/// Whether the daemon says that guests can have a TPM.
fn has_tpm(w: &World) -> bool {
    let shown = w.virsh("domcapabilities --virttype qemu --machine q35");
    shown.ok().contains("<value>emulator</value>")
}

/// Hosts without an IOMMU have nothing to give away.
fn host_device(w: &World) -> Option<String> {
    let listed = w.virsh("nodedev-list --cap pci").ok().to_owned();
    let iommu = w.succeeds("ls /sys/kernel/iommu_groups/* && test -e /dev/vfio/vfio");
    let found = listed
        .lines()
        .last()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    found.filter(|_| iommu).map(str::to_owned)
}

#[test]
fn systems_of_many_kinds_boot_from_a_disk_with_uefi() {
    in_world(NEEDS, |w| {
        disks(w);
        w.daemon_start();
        w.net_up(&Net::new("default", 77));
        let tpm = if has_tpm(w) { "--tpm emulator" } else { "" };
        for (system, told) in [
            ("win10", "hv-relaxed=on"),
            ("win11", "hv-spinlocks=0x1fff"),
            ("win2k22", "hv-vapic=on"),
            ("linux2022", "\"virtio-rng-pci\""),
            ("debian11", "virtio-net-pci"),
            ("fedora37", "virtio-vga"),
            ("freebsd13.1", "virtio-blk-pci"),
            ("generic", "ich9-usb-uhci3"),
        ] {
            let words = format!(
                "--osinfo {system} --disk {DISKS}/system.qcow2 --network network=default --boot uefi {tpm}"
            );
            let name = system.replace('.', "-");
            let arguments = started(w, &name, &words);
            assert!(arguments.contains(told), "{system}: no {told} in {arguments}");
            assert!(
                arguments.contains("pflash1=libvirt-pflash1-"),
                "{system}: {arguments}"
            );
            assert!(
                arguments.contains(&format!("{DISKS}/system.qcow2")),
                "{system}: {arguments}"
            );
            assert_eq!(
                tpm.is_empty(),
                !arguments.contains("tpm-"),
                "{system}: {arguments}"
            );
            assert!(w.virsh(&format!("domifaddr {name} --source lease")).code == 0);
            gone(w, &name);
        }
        if tpm.is_empty() {
            println!("note: without --tpm: this host has no swtpm, or the daemon no TPM");
        }
    });
}

#[test]
fn disks_cards_and_controllers() {
    in_world(NEEDS, |w| {
        disks(w);
        w.sh("ip link add br7 type bridge && ip link set br7 up");
        w.daemon_start();
        w.net_up(&Net::new("default", 77));
        all_start(w, DISKS_AND_CARDS);
        w.sh("ip link delete br7");
    });
}

const DISKS_AND_CARDS: &[Wanted] = &[
    wanted(
        "--osinfo linux2022 --network none --disk /dev/shm/world/system.qcow2,bus=virtio,driver.queues=2,driver.iothread=1,\
         driver.packed=on,iotune.read_bytes_sec=1000000,discard=unmap,driver.detect_zeroes=unmap,boot_order=2 --iothreads 2 \
         --disk device=cdrom,bus=sata --disk /dev/shm/world/data.raw,format=raw,readonly=yes,shareable=yes,bus=usb,removable=yes",
        &[
            "\"num-queues\":2",
            "\"iothread\":\"iothread1\"",
            "\"packed\":true",
            "\"detect-zeroes\":\"unmap\"",
            "\"bootindex\":2",
            "ide-cd",
            "\"removable\":true",
        ],
    ),
    wanted(
        "--osinfo win10 --network none --disk /dev/shm/world/system.qcow2,bus=scsi,serial=abc,cache=writeback,io=threads \
         --cdrom /dev/shm/world/media.iso --controller type=scsi,model=virtio-scsi,driver.iothread=1 --iothreads 1",
        &[
            "scsi-hd",
            "\"serial\":\"abc\"",
            "virtio-scsi-pci",
            "\"iothread\":\"iothread1\"",
            "media.iso",
        ],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network bridge=br7,driver.queues=4,mtu.size=1400,boot.order=1,rom.bar=off,\
         target.dev=foo0 --network network=default,model=e1000e,link.state=down --network user,model=rtl8139",
        &[
            "\"mq\":true",
            "\"host_mtu\":1400",
            "\"rombar\":0",
            "e1000e",
            "rtl8139",
        ],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --controller usb3 --controller type=sata \
         --controller type=pci,index=1,model=pcie-root-port",
        &["qemu-xhci", "pcie-root-port"],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --controller usb2",
        &["ich9-usb-ehci1", "\"masterbus\":\"usb.0\""],
    ),
];

#[test]
fn what_is_seen_heard_and_typed_on() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        all_start(w, SEEN_AND_HEARD);
        // What this QEMU has no code for is not told of, and refused by name.
        let shown = w.virsh("domcapabilities --virttype qemu").ok().to_owned();
        if !shown.contains("<value>spice</value>") {
            let words = "--osinfo linux2022 --disk none --network none --graphics spice";
            let path = w.file("spice.xml", &written(w, "spice", words));
            let answer = w.virsh_args(&["define", &path.display().to_string()]);
            answer.fails_with(&["unsupported configuration", "graphics"]);
        }
    });
}

const SEEN_AND_HEARD: &[Wanted] = &[
    wanted(
        "--osinfo linux2022 --disk none --network none --graphics none",
        &["\"isa-serial\"", "-display\nnone"],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --graphics vnc,listen=127.0.0.1,port=5999,password=foo,keymap=de \
         --video virtio --input tablet,bus=usb --input keyboard,bus=virtio --input mouse,bus=ps2",
        &[
            "127.0.0.1:99,password=on",
            "-k\nde",
            "virtio-vga",
            "usb-tablet",
            "virtio-keyboard-pci",
        ],
    ),
    wanted(
        "--osinfo win11 --disk none --network none --graphics vnc,listen=socket --video bochs --sound ich9 --sound model=usb",
        &["vnc=unix:/", "bochs-display", "ich9-intel-hda", "usb-audio"],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --sound default --audio id=1,type=none --video vga",
        &["\"driver\":\"none\"", "\"VGA\""],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --channel unix,target.type=virtio,target.name=org.foo.1,source.mode=bind \
         --channel qemu-vdagent,source.clipboard.copypaste=on,source.mouse.mode=client --console pty,target.type=virtio \
         --serial tcp,host=127.0.0.1:2222,mode=bind,protocol=telnet --parallel pty",
        &[
            "org.foo.1",
            "clipboard=on",
            "telnet=on",
            "isa-parallel",
            "virtconsole",
        ],
    ),
];

#[test]
fn processors_memory_features_and_the_lesser_devices() {
    in_world(NEEDS, |w| {
        // Shared memory stays there when its guest has gone.
        w.sh("mount -t tmpfs tmpfs /dev/shm");
        w.daemon_start();
        all_start(w, MACHINE);
        if let Some(device) = host_device(w) {
            let words = format!("--osinfo linux2022 --disk none --network none --hostdev {device}");
            let document = written(w, "given", &words);
            assert!(
                document.contains("<hostdev mode=\"subsystem\" type=\"pci\""),
                "{document}"
            );
        } else {
            // virt-install finds the device, and the daemon says why it cannot be given away.
            let listed = w.virsh("nodedev-list --cap pci").ok().to_owned();
            let Some(device) = listed.lines().rev().find(|name| !name.is_empty()) else {
                println!("note: no PCI devices here");
                return;
            };
            let words = format!("--osinfo linux2022 --disk none --network none --hostdev {device}");
            let path = w.file("given.xml", &written(w, "given", &words));
            w.virsh_args(&["define", &path.display().to_string()]).ok();
            w.virsh("start given")
                .fails_with(&["passthrough of host PCI devices"]);
        }
    });
}

const MACHINE: &[Wanted] = &[
    wanted(
        "--osinfo linux2022 --disk none --network none --cpu host-model --vcpus 4,maxvcpus=8,sockets=2,cores=2,threads=2",
        &["-cpu\nmax", "4,maxcpus=8,sockets=2", "cores=2,threads=2"],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --cpu Nehalem,+x2apic,-svm,topology.sockets=1,topology.cores=2 --vcpus 2 \
         --features acpi=on,pae=off,hyperv_relaxed=on,hyperv_spinlocks=on,hyperv_spinlocks_retries=8191,vmport=off,smm=on,pmu=off",
        &[
            "Nehalem,",
            "x2apic=on",
            "hv-spinlocks=0x1fff",
            "vmport=off",
            "smm=on",
            "pmu=off",
        ],
    ),
    wanted(
        "--osinfo win10 --disk none --network none --features kvm.hidden.state=on,vmcoreinfo.state=on,hyperv.reset.state=on \
         --clock offset=localtime,hpet_present=no,pit_tickpolicy=delay,hypervclock_present=yes --pm suspend_to_mem=on",
        &[
            "kvm=off",
            "vmcoreinfo",
            "hv-reset",
            "base=localtime",
            "disable_s3",
        ],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --memorybacking source.type=memfd,access.mode=shared,allocation.mode=immediate",
        &["memory-backend-memfd", "\"share\":true", "\"prealloc\":true"],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --memballoon virtio,autodeflate=on,stats.period=10,freePageReporting=on \
         --watchdog i6300esb,action=poweroff --rng builtin --panic default --smartcard passthrough,type=unix,source.mode=bind,\
         source.path=/run/world/card",
        &[
            "\"deflate-on-oom\":true",
            "i6300esb",
            "-watchdog-action\npoweroff",
            "rng-builtin",
            "pvpanic",
            "ccid-card-passthru",
        ],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --memballoon none --iommu model=intel,driver.intremap=on,driver.aw_bits=48 \
         --features ioapic.driver=qemu --filesystem source=/run/world,target=x,accessmode=mapped,readonly=yes \
         --shmem name=world0,model.type=ivshmem-plain,size=1,size.unit=M --watchdog itco,action=reset",
        &["intel-iommu", "virtio-9p-pci", "ivshmem-plain"],
    ),
    wanted(
        "--osinfo linux2022 --disk none --network none --sysinfo system.serial=abc,bios.vendor=foo --qemu-commandline=-no-user-config \
         --qemu-commandline=env=FOO=bar --boot menu=on,useserial=on,bios.rebootTimeout=5,hd,cdrom,network",
        &[
            "serial=abc",
            "vendor=foo",
            "menu=on",
            "reboot-timeout=5",
            "graphics=off",
        ],
    ),
];

#[test]
fn what_guests_can_have_is_told_for_each_machine_type() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let of = |words: &str| w.virsh(&format!("domcapabilities {words}")).ok().to_owned();
        let (pc, q35) = (
            of("--virttype qemu --machine pc"),
            of("--virttype qemu --machine q35 --arch x86_64"),
        );
        assert!(
            pc.contains("<machine>pc-i440fx-") && q35.contains("<machine>pc-q35-"),
            "{pc}{q35}"
        );
        assert!(
            pc.contains("<value>ide</value>") && !q35.contains("<value>ide</value>"),
            "{q35}"
        );
        for part in [
            "<domain>qemu</domain>",
            "<mode name='host-passthrough' supported='no'/>",
            "<value>efi</value>",
            "<value>sata</value>",
            "<model usable='yes' vendor='unknown' canonical='qemu64-v1'>qemu64</model>",
        ] {
            assert!(q35.contains(part), "no {part} in {q35}");
        }
        for (words, error) in [
            (
                "--machine nonsense",
                "the machine 'nonsense' is not supported by emulator '/usr/bin/qemu-system-x86_64'",
            ),
            (
                "--arch nonsense",
                "invalid argument: unknown architecture: nonsense",
            ),
            (
                "--arch aarch64",
                "unable to find any emulator to serve 'aarch64' architecture",
            ),
            ("--virttype xen", "does not support virt type 'xen'"),
            ("--virttype nonsense", "unknown virttype: nonsense"),
            ("--emulatorbin /no/such/qemu", "Cannot check QEMU binary"),
        ] {
            w.virsh(&format!("domcapabilities {words}")).fails_with(&[error]);
        }
        let answer = w.virsh_at("lxc:///system", &["domcapabilities"]);
        answer.fails_with(&["not supported by the connection driver: virConnectGetDomainCapabilities"]);
        w.virsh("vol-info /dev/null")
            .fails_with(&["no storage vol with matching path '/dev/null'"]);
        w.virsh("pool-info none")
            .fails_with(&["no storage pool with matching name 'none'"]);
    });
}

//! A made-up machine with an IOMMU and PCI devices that can be given away: files in place of `/sys` and `/dev`, in this world only,
//! and a thread that does what the kernel does when a driver is told to let go. QEMU's part is left out: the machine's
//! emulator passes over devices of VFIO.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::world::{World, write};

/// Makes a directory one that more can be made in: all that is in it stays what it is.
const OPEN: &str = r#"
open() {
    new=/run/world/open.$(echo "$1" | tr / .)
    mkdir "$new"
    mount -t tmpfs -o mode=755 tmpfs "$new"
    for old in "$1"/*; do
        at=$new/${old##*/}
        case " $2 " in *" ${old##*/} "*) continue ;; esac
        if [ -L "$old" ]; then cp -P "$old" "$at"
        elif [ -d "$old" ]; then mkdir "$at"; mount --rbind "$old" "$at"
        elif [ -e "$old" ]; then : > "$at"; mount --bind "$old" "$at"; fi
    done
    mount --rbind "$new" "$1"
}
set -e
open /sys/bus 'pci platform'
open /sys/kernel iommu_groups
open /sys/class vtconsole
open /sys/devices ''
open /dev vfio
mkdir -p /sys/bus/pci/devices /sys/bus/pci/drivers /sys/bus/platform/drivers /sys/kernel/iommu_groups /sys/class/vtconsole /dev/vfio
: > /dev/vfio/vfio
mkfifo /sys/bus/pci/drivers_probe
"#;

/// QEMU without the devices that only a real machine has.
const EMULATOR: &str = r#"#!/bin/sh
left=$#
while [ "$left" -gt 0 ]; do
    case $1$2 in
    -device*'"driver":"vfio-pci"'*) shift 2; left=$((left - 2)); continue ;;
    esac
    set -- "$@" "$1"
    shift
    left=$((left - 1))
done
exec qemu-system-x86_64 "$@"
"#;

/// The PCI devices of the machine.
const DEVICES: &str = "/sys/bus/pci/devices";
/// Their drivers.
const DRIVERS: &str = "/sys/bus/pci/drivers";

/// Where the kernel is asked to find a driver for a device.
const PROBE: &str = "/sys/bus/pci/drivers_probe";
/// How soon a driver that has come is listened to.
const SHORTLY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// A PCI device to be made.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// Where it is, `0000:03:00.0`.
    pub address: &'static str,
    /// Class, subclass and interface, `0x030000`.
    pub class: &'static str,
    /// Vendor and product.
    pub ids: (&'static str, &'static str),
    /// The host's driver.
    pub driver: &'static str,
    /// Its IOMMU group.
    pub group: u32,
}

/// A graphics card and its sound.
pub const GPU: [Card; 2] = [
    Card {
        address: "0000:03:00.0",
        class: "0x030000",
        ids: ("0x10de", "0x2684"),
        driver: "nouveau",
        group: 15,
    },
    Card {
        address: "0000:03:00.1",
        class: "0x040300",
        ids: ("0x10de", "0x22ba"),
        driver: "snd_hda_intel",
        group: 15,
    },
];

impl World {
    /// This machine has an IOMMU and these PCI devices, and no others. Before the daemon starts.
    pub fn make_machine(&self, cards: &[Card]) {
        self.sh(OPEN);
        self.script("qemu", EMULATOR);
        std::thread::spawn(be_the_kernel);
        driver("vfio-pci");
        for card in cards {
            self.make_card(card);
        }
    }

    fn make_card(&self, card: &Card) {
        let dir = format!("/sys/devices/pci0000:03/{}", card.address);
        let file = |name: &str, text: &str| write(&Path::new(&dir).join(name), text, 0o644);
        file("vendor", &format!("{}\n", card.ids.0));
        file("device", &format!("{}\n", card.ids.1));
        file("class", &format!("{}\n", card.class));
        file(
            "uevent",
            &format!(
                "PCI_CLASS={}\nPCI_SLOT_NAME={}\n",
                card.class.trim_start_matches("0x").trim_start_matches('0'),
                card.address
            ),
        );
        file("driver_override", "(null)\n");
        file("own_driver", card.driver);
        file("reset", "");
        fs::write(format!("{dir}/config"), [0; 256]).expect("a file of the machine");
        link("/sys/bus/pci", &format!("{dir}/subsystem"));
        link(&dir, &format!("{DEVICES}/{}", card.address));
        driver(card.driver);
        link(&format!("{DRIVERS}/{}", card.driver), &format!("{dir}/driver"));
        let group = format!("/sys/kernel/iommu_groups/{}", card.group);
        fs::create_dir_all(format!("{group}/devices")).expect("a directory of the machine");
        link(&group, &format!("{dir}/iommu_group"));
        link(&dir, &format!("{group}/devices/{}", card.address));
        write(Path::new(&format!("/dev/vfio/{}", card.group)), "", 0o644);
    }

    /// The driver that a device has.
    pub fn driver_of(&self, address: &str) -> String {
        let driver = fs::read_link(format!("{DEVICES}/{address}/driver")).unwrap_or_default();
        let name = driver.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// From now on nobody gets this driver to let go.
    pub fn driver_hangs(&self, name: &str) {
        let unbind = PathBuf::from(format!("{DRIVERS}/{name}/unbind"));
        served().retain(|pipe| pipe.path != unbind);
        // Nobody reads from a new one.
        fs::remove_file(&unbind).expect("the driver is there");
        make_pipe(&unbind);
    }

    /// What waited for this driver is done, once.
    pub fn driver_lets_go(&self, name: &str) {
        let path = PathBuf::from(format!("{DRIVERS}/{name}/unbind"));
        served().push(Pipe { path, once: true });
    }
}

/// A device that the guest gets from the machine, as XML.
pub fn hostdev(card: &Card, managed: bool) -> String {
    let parts: Vec<&str> = card.address.split([':', '.']).collect();
    let managed = if managed { "yes" } else { "no" };
    format!(
        "<hostdev mode='subsystem' type='pci' managed='{managed}'><source><address domain='0x{}' bus='0x{}' slot='0x{}' \
         function='0x{}'/></source></hostdev>",
        parts[0], parts[1], parts[2], parts[3]
    )
}

fn link(to: &str, at: &str) {
    // As in sysfs: up to the root, then down.
    let depth = at.split('/').count() - 2;
    fs::create_dir_all(Path::new(at).parent().unwrap_or(Path::new("/"))).expect("a directory of the machine");
    symlink(
        format!("{}{}", "../".repeat(depth), to.trim_start_matches('/')),
        at,
    )
    .expect("a link of the machine");
}

/// A driver with a file that can be told to let go of a device.
fn driver(name: &str) {
    let path = PathBuf::from(format!("{DRIVERS}/{name}/unbind"));
    if path.exists() {
        return;
    }
    fs::create_dir_all(format!("{DRIVERS}/{name}")).expect("a directory of the machine");
    make_pipe(&path);
    served().push(Pipe { path, once: false });
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "mkfifo {}",
        path.display()
    );
}

/// A driver's file that is listened to; once only, if it has hung before.
struct Pipe {
    path: PathBuf,
    once: bool,
}

/// The files that are listened to.
fn served() -> MutexGuard<'static, Vec<Pipe>> {
    static SERVED: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel does: whoever tells a driver to let go and asks for another one finds it there when his last write has returned.
/// So nobody can begin with one device, as nobody listens to any driver, before all is done that was asked for others.
fn be_the_kernel() {
    loop {
        let told = listen();
        for address in &told {
            let dir = Path::new(DEVICES).join(address);
            let _ = fs::remove_file(dir.join("driver"));
            bind(&dir);
        }
        let mut left: usize = told.iter().map(String::len).sum();
        while left > 0 {
            let asked = fs::read(PROBE).unwrap_or_default();
            left = left.saturating_sub(asked.len());
        }
    }
}

/// Waits until drivers are told to let go, and of what.
fn listen() -> Vec<String> {
    let mut open: HashMap<PathBuf, File> = HashMap::new();
    loop {
        for pipe in served().iter() {
            if !open.contains_key(&pipe.path) {
                let file = File::options()
                    .read(true)
                    .custom_flags(O_NONBLOCK)
                    .open(&pipe.path);
                open.extend(file.ok().map(|file| (pipe.path.clone(), file)));
            }
        }
        let mut waiting: Vec<PollFd<'_>> = { open.values() }
            .map(|file| PollFd::new(file, PollFlags::IN))
            .collect();
        if matches!(rustix::event::poll(&mut waiting, Some(&SHORTLY)), Ok(0) | Err(_)) {
            continue;
        }
        let told: Vec<(PathBuf, String)> = { open.into_iter() }
            .map(|(path, file)| (path, read_all(file)))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        served().retain(|pipe| !(pipe.once && told.iter().any(|(path, _)| *path == pipe.path)));
        return told.into_iter().map(|(_, text)| text).collect();
    }
}

/// What comes until nobody has the other end open; nothing where nobody has.
fn read_all(mut file: File) -> String {
    let mut text = Vec::new();
    let mut part = [0; 64];
    loop {
        match file.read(&mut part) {
            Ok(0) => return String::from_utf8_lossy(&text).trim().to_owned(),
            Ok(n) => text.extend_from_slice(&part[..n]),
            // Somebody has opened it and has not said anything yet, or not closed it.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("a file of the machine: {error}"),
        }
    }
}

fn bind(dir: &Path) {
    let text = fs::read_to_string(dir.join("driver_override")).unwrap_or_default();
    let wanted = match text.lines().next().unwrap_or_default() {
        "" | "(null)" => {
            // It was written over what stood there.
            let _ = fs::write(dir.join("driver_override"), "(null)\n");
            fs::read_to_string(dir.join("own_driver")).unwrap_or_default()
        }
        name => name.to_owned(),
    };
    let _ = symlink(Path::new(DRIVERS).join(wanted), dir.join("driver"));
}

//! `<devices>`: one list per kind, in the order in which libvirt writes the kinds; within a kind the order is the document's.

use super::{
    Audio, Backend, Channel, Console, Controller, Crypto, DeviceInfo, Disk, Filesystem, Graphics, Hostdev,
    Hub, Input, Interface, Iommu, Lease, MemBalloon, MemoryDevice, Panic, Parallel, Pstore, RedirFilter,
    Redirdev, Rng, RngBackend, Serial, Shmem, Smartcard, Sound, Tpm, Video, Vsock, Watchdog,
};
use ferrovirt_xml::{Rest, Xml};

/// All devices of a guest.
#[derive(Debug, Clone, PartialEq, Default, Xml)]
pub struct Devices {
    /// Path of the hypervisor's program.
    pub emulator: Option<String>,
    /// Disks.
    #[xml(name = "disk")]
    pub disks: Vec<Disk>,
    /// Controllers.
    #[xml(name = "controller")]
    pub controllers: Vec<Controller>,
    /// What a lock manager keeps for it.
    #[xml(name = "lease")]
    pub leases: Vec<Lease>,
    /// What a container finds at its paths.
    #[xml(name = "filesystem")]
    pub filesystems: Vec<Filesystem>,
    /// Network cards.
    #[xml(name = "interface")]
    pub interfaces: Vec<Interface>,
    /// Card readers.
    #[xml(name = "smartcard")]
    pub smartcards: Vec<Smartcard>,
    /// Serial ports.
    #[xml(name = "serial")]
    pub serials: Vec<Serial>,
    /// Parallel ports.
    #[xml(name = "parallel")]
    pub parallels: Vec<Parallel>,
    /// Consoles.
    #[xml(name = "console")]
    pub consoles: Vec<Console>,
    /// Channels.
    #[xml(name = "channel")]
    pub channels: Vec<Channel>,
    /// Input devices.
    #[xml(name = "input")]
    pub inputs: Vec<Input>,
    /// Security chips.
    #[xml(name = "tpm")]
    pub tpms: Vec<Tpm>,
    /// Servers that show the screen.
    #[xml(name = "graphics")]
    pub graphics: Vec<Graphics>,
    /// Sound cards.
    #[xml(name = "sound")]
    pub sounds: Vec<Sound>,
    /// Where sound goes.
    #[xml(name = "audio")]
    pub audios: Vec<Audio>,
    /// Graphics cards.
    #[xml(name = "video")]
    pub videos: Vec<Video>,
    /// What a container may use of the host.
    #[xml(name = "hostdev")]
    pub hostdevs: Vec<Hostdev>,
    /// Places for USB devices that come from elsewhere.
    #[xml(name = "redirdev")]
    pub redirdevs: Vec<Redirdev>,
    /// Which of them may come.
    #[xml(name = "redirfilter")]
    pub redirfilter: Option<RedirFilter>,
    /// Hubs.
    #[xml(name = "hub")]
    pub hubs: Vec<Hub>,
    /// Watchdogs.
    #[xml(name = "watchdog")]
    pub watchdogs: Vec<Watchdog>,
    /// The balloon; `model='none'` says that there is none.
    pub memballoon: Option<MemBalloon>,
    /// Random number generators.
    #[xml(name = "rng")]
    pub rngs: Vec<Rng>,
    /// Panic devices.
    #[xml(name = "panic")]
    pub panics: Vec<Panic>,
    /// Memory that is shared.
    #[xml(name = "shmem")]
    pub shmems: Vec<Shmem>,
    /// Memory modules.
    #[xml(name = "memory")]
    pub memories: Vec<MemoryDevice>,
    /// IOMMUs.
    #[xml(name = "iommu")]
    pub iommus: Vec<Iommu>,
    /// Sockets between host and guest.
    #[xml(name = "vsock")]
    pub vsocks: Vec<Vsock>,
    /// Devices that encrypt.
    #[xml(name = "crypto")]
    pub cryptos: Vec<Crypto>,
    /// Where its kernel keeps its last words.
    #[xml(name = "pstore")]
    pub pstores: Vec<Pstore>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

impl Devices {
    /// What all devices have in common, in the order of the document.
    pub fn infos(&self) -> Vec<&DeviceInfo> {
        let mut list = Vec::new();
        list.extend(self.disks.iter().map(|device| &device.info));
        list.extend(self.controllers.iter().map(|device| &device.info));
        list.extend(self.filesystems.iter().map(|device| &device.info));
        list.extend(self.interfaces.iter().map(|device| &device.info));
        list.extend(self.smartcards.iter().map(|device| &device.info));
        list.extend(self.serials.iter().map(|device| &device.info));
        list.extend(self.parallels.iter().map(|device| &device.info));
        list.extend(self.own_consoles().map(|device| &device.info));
        list.extend(self.channels.iter().map(|device| &device.info));
        list.extend(self.inputs.iter().map(|device| &device.info));
        list.extend(self.tpms.iter().map(|device| &device.info));
        list.extend(self.sounds.iter().map(|device| &device.info));
        list.extend(self.videos.iter().map(|device| &device.info));
        list.extend(self.hostdevs.iter().map(|device| &device.info));
        list.extend(self.redirdevs.iter().map(|device| &device.info));
        list.extend(self.hubs.iter().map(|device| &device.info));
        list.extend(self.watchdogs.iter().map(|device| &device.info));
        list.extend(self.memballoon.iter().map(|device| &device.info));
        list.extend(self.rngs.iter().map(|device| &device.info));
        list.extend(self.panics.iter().map(|device| &device.info));
        list.extend(self.shmems.iter().map(|device| &device.info));
        list.extend(self.memories.iter().map(|device| &device.info));
        list.extend(self.iommus.iter().map(|device| &device.info));
        list.extend(self.vsocks.iter().map(|device| &device.info));
        list.extend(self.cryptos.iter().map(|device| &device.info));
        list.extend(self.pstores.iter().map(|device| &device.info));
        list
    }

    /// The same, to be changed.
    pub fn infos_mut(&mut self) -> Vec<&mut DeviceInfo> {
        let mirrored = usize::from(self.console_mirrors());
        let mut list = Vec::new();
        list.extend(self.disks.iter_mut().map(|device| &mut device.info));
        list.extend(self.controllers.iter_mut().map(|device| &mut device.info));
        list.extend(self.filesystems.iter_mut().map(|device| &mut device.info));
        list.extend(self.interfaces.iter_mut().map(|device| &mut device.info));
        list.extend(self.smartcards.iter_mut().map(|device| &mut device.info));
        list.extend(self.serials.iter_mut().map(|device| &mut device.info));
        list.extend(self.parallels.iter_mut().map(|device| &mut device.info));
        list.extend(
            self.consoles
                .iter_mut()
                .skip(mirrored)
                .map(|device| &mut device.info),
        );
        list.extend(self.channels.iter_mut().map(|device| &mut device.info));
        list.extend(self.inputs.iter_mut().map(|device| &mut device.info));
        list.extend(self.tpms.iter_mut().map(|device| &mut device.info));
        list.extend(self.sounds.iter_mut().map(|device| &mut device.info));
        list.extend(self.videos.iter_mut().map(|device| &mut device.info));
        list.extend(self.hostdevs.iter_mut().map(|device| &mut device.info));
        list.extend(self.redirdevs.iter_mut().map(|device| &mut device.info));
        list.extend(self.hubs.iter_mut().map(|device| &mut device.info));
        list.extend(self.watchdogs.iter_mut().map(|device| &mut device.info));
        list.extend(self.memballoon.iter_mut().map(|device| &mut device.info));
        list.extend(self.rngs.iter_mut().map(|device| &mut device.info));
        list.extend(self.panics.iter_mut().map(|device| &mut device.info));
        list.extend(self.shmems.iter_mut().map(|device| &mut device.info));
        list.extend(self.memories.iter_mut().map(|device| &mut device.info));
        list.extend(self.iommus.iter_mut().map(|device| &mut device.info));
        list.extend(self.vsocks.iter_mut().map(|device| &mut device.info));
        list.extend(self.cryptos.iter_mut().map(|device| &mut device.info));
        list.extend(self.pstores.iter_mut().map(|device| &mut device.info));
        list
    }

    /// The host's side of all character devices.
    pub fn backends_mut(&mut self) -> Vec<&mut Backend> {
        let mut list = Vec::new();
        list.extend(self.serials.iter_mut().map(|device| &mut device.backend));
        list.extend(self.parallels.iter_mut().map(|device| &mut device.backend));
        list.extend(self.consoles.iter_mut().map(|device| &mut device.backend));
        list.extend(self.channels.iter_mut().map(|device| &mut device.backend));
        list.extend(self.redirdevs.iter_mut().map(|device| &mut device.backend));
        list.extend(
            self.smartcards
                .iter_mut()
                .filter_map(|card| card.backend.0.as_mut()),
        );
        list.extend(self.rngs.iter_mut().filter_map(|rng| match &mut rng.backend {
            RngBackend::Egd(backend) => Some(&mut **backend),
            RngBackend::Random(_) | RngBackend::Builtin => None,
        }));
        list
    }

    /// Is the first console another name of the first serial port?
    pub fn console_mirrors(&self) -> bool {
        let kind = self
            .consoles
            .first()
            .and_then(|console| console.target.as_ref())
            .and_then(|t| t.kind.as_deref());
        kind == Some("serial") && !self.serials.is_empty()
    }

    /// Consoles that are devices of their own.
    pub fn own_consoles(&self) -> impl Iterator<Item = &Console> {
        self.consoles.iter().skip(usize::from(self.console_mirrors()))
    }

    /// Copies the first serial port's host side, alias and address to the first console. To be called after each
    /// change of that port in a machine whose first console is another name of it.
    pub fn mirror_console(&mut self) {
        if let (Some(serial), Some(console)) = (self.serials.first(), self.consoles.first_mut()) {
            console.backend = serial.backend.clone();
            console.info = serial.info.clone();
        }
    }
}

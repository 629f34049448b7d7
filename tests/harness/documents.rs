//! The documents that tests define: guests and networks, small and complete.

use std::fmt::Write as _;

use crate::tools::guest_dir;
use crate::world::World;

/// A guest to define. Without [`Guest::linux`] it has nothing to boot, which costs least.
#[derive(Clone, Debug)]
pub struct Guest {
    name: String,
    command_line: Option<String>,
    events: String,
    devices: String,
    uuid: Option<String>,
    terminal: bool,
}

impl Guest {
    /// A guest that sits in its firmware.
    pub fn new(name: &str) -> Self {
        let empty = String::new;
        Guest {
            name: name.to_owned(),
            command_line: None,
            events: empty(),
            devices: empty(),
            uuid: None,
            terminal: false,
        }
    }

    /// Its serial port is a terminal for `virsh console`, not a file.
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Boots the small Linux (`tests/guest/init`), with these words for it.
    #[must_use]
    pub fn linux(mut self, words: &str) -> Self {
        self.command_line = Some(format!("console=ttyS0 quiet guest.name={} {words}", self.name));
        self
    }

    /// A network card on a virtual network.
    #[must_use]
    pub fn on_network(mut self, network: &str, mac: &str) -> Self {
        let _ = write!(
            self.devices,
            "\n    <interface type='network'><mac address='{mac}'/><source network='{network}'/>\
             <model type='virtio'/></interface>"
        );
        self
    }

    /// More devices, as XML.
    #[must_use]
    pub fn device(mut self, xml: &str) -> Self {
        let _ = write!(self.devices, "\n    {xml}");
        self
    }

    /// `<on_poweroff>` and its like, as XML.
    #[must_use]
    pub fn events(mut self, xml: &str) -> Self {
        self.events = xml.to_owned();
        self
    }

    /// A uuid of its own.
    #[must_use]
    pub fn uuid(mut self, uuid: &str) -> Self {
        self.uuid = Some(uuid.to_owned());
        self
    }

    /// The document.
    pub fn xml(&self) -> String {
        let name = &self.name;
        let uuid = self
            .uuid
            .as_ref()
            .map(|uuid| format!("\n  <uuid>{uuid}</uuid>"))
            .unwrap_or_default();
        let boot = self.command_line.as_ref().map_or_else(String::new, |line| {
            let dir = guest_dir();
            let dir = dir.display();
            format!("<kernel>{dir}/vmlinuz</kernel><initrd>{dir}/initrd.gz</initrd><cmdline>{line}</cmdline>")
        });
        let serial = match self.terminal {
            true => "<serial type='pty'/>".to_owned(),
            false => format!("<serial type='file'><source path='/run/world/{name}.serial'/></serial>"),
        };
        let memory = if self.command_line.is_some() { 96 } else { 32 };
        format!(
            "<domain type='qemu'>
  <name>{name}</name>{uuid}
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>{boot}</os>
  <features><acpi/></features>
  {events}
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    {serial}{devices}
  </devices>
</domain>
",
            events = self.events,
            devices = self.devices,
        )
    }
}

/// A virtual network to define: bridge `virbrN`, addresses 192.168.N.0/24 with DHCP.
#[derive(Clone, Debug)]
pub struct Net {
    name: String,
    number: u8,
    mode: &'static str,
    hosts: String,
}

impl Net {
    /// A NAT network.
    pub fn new(name: &str, number: u8) -> Self {
        Net {
            name: name.to_owned(),
            number,
            mode: "nat",
            hosts: String::new(),
        }
    }

    /// `route`, `open` or `none` (isolated).
    #[must_use]
    pub fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    /// A fixed address for a guest.
    #[must_use]
    pub fn host(mut self, mac: &str, address: &str) -> Self {
        let _ = write!(self.hosts, "<host mac='{mac}' ip='{address}'/>");
        self
    }

    /// The bridge's name.
    pub fn bridge(&self) -> String {
        format!("virbr{}", self.number)
    }

    /// The document.
    pub fn xml(&self) -> String {
        let Net {
            name,
            number,
            mode,
            hosts,
        } = self;
        let forward = if *mode == "none" {
            String::new()
        } else {
            format!("\n  <forward mode='{mode}'/>")
        };
        format!(
            "<network>
  <name>{name}</name>{forward}
  <bridge name='virbr{number}'/>
  <ip address='192.168.{number}.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.{number}.10' end='192.168.{number}.99'/>{hosts}</dhcp>
  </ip>
</network>
"
        )
    }
}

impl World {
    /// Defines a guest.
    pub fn define(&self, guest: &Guest) {
        let path = self.file(&format!("{}.xml", guest.name), &guest.xml());
        self.virsh_args(&["define", &path.display().to_string()]).ok();
    }

    /// Defines and starts a network.
    pub fn net_up(&self, net: &Net) {
        self.net_define(net);
        self.virsh(&format!("net-start {}", net.name)).ok();
    }

    /// Defines a network.
    pub fn net_define(&self, net: &Net) {
        let path = self.file(&format!("{}.net.xml", net.name), &net.xml());
        self.virsh_args(&["net-define", &path.display().to_string()]).ok();
    }
}

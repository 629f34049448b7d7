//! Containers: their documents, their roots, and what they leave on the machine.

use std::fmt::Write as _;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::find;
use crate::virsh::{Background, Output};
use crate::world::World;

/// The connection for containers.
pub const LXC: &str = "lxc:///system";
/// The host's user for root of a container with users of its own.
pub const SHIFT: u32 = 100_000;

/// A container to define, with a root of its own that has busybox, and one console.
#[derive(Clone, Debug)]
pub struct Container {
    name: String,
    init: String,
    elements: String,
    devices: String,
    own_users: bool,
}

impl Container {
    /// A container whose init waits, and ends when it is asked to.
    pub fn new(name: &str) -> Self {
        let container = Container {
            name: name.to_owned(),
            init: String::new(),
            elements: String::new(),
            devices: String::new(),
            own_users: false,
        };
        container.script("trap 'exit 0' TERM; echo ready > /ready; while :; do sleep 0.1; done")
    }

    /// What its init does, for the shell.
    #[must_use]
    pub fn script(mut self, text: &str) -> Self {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.init = format!("<init>/bin/sh</init><initarg>-c</initarg><initarg>{text}</initarg>");
        self
    }

    /// Another init.
    #[must_use]
    pub fn init(mut self, path: &str) -> Self {
        self.init = format!("<init>{path}</init>");
        self
    }

    /// More elements before the devices, as XML.
    #[must_use]
    pub fn element(mut self, xml: &str) -> Self {
        let _ = write!(self.elements, "\n  {xml}");
        self
    }

    /// More devices, as XML.
    #[must_use]
    pub fn device(mut self, xml: &str) -> Self {
        let _ = write!(self.devices, "\n    {xml}");
        self
    }

    /// A network card on a virtual network.
    #[must_use]
    pub fn on_network(self, network: &str, mac: &str) -> Self {
        self.device(&format!(
            "<interface type='network'><mac address='{mac}'/><source network='{network}'/></interface>"
        ))
    }

    /// A user namespace: its root is [`SHIFT`] on the host.
    #[must_use]
    pub fn own_users(mut self) -> Self {
        self.own_users = true;
        self.element(&format!(
            "<idmap><uid start='0' target='{SHIFT}' count='65536'/><gid start='0' target='{SHIFT}' count='65536'/></idmap>"
        ))
    }

    /// The document.
    pub fn xml(&self) -> String {
        let Container {
            name,
            init,
            elements,
            devices,
            ..
        } = self;
        // A name has the same uuid each time, so that it can be defined again.
        let number = name.bytes().fold(0u64, |sum, byte| sum << 8 | u64::from(byte)) & 0xffff_ffff_ffff;
        format!(
            "<domain type='lxc'>
  <name>{name}</name>
  <uuid>33333333-3333-4333-8333-{number:012x}</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type>exe</type>{init}</os>{elements}
  <devices>
    <filesystem type='mount'><source dir='/run/world/{name}.root'/><target dir='/'/></filesystem>
    <console type='pty'/>{devices}
  </devices>
</domain>
"
        )
    }
}

impl World {
    /// Makes the root of a container if it has none yet, and the document; its path.
    pub fn container(&self, container: &Container) -> PathBuf {
        let root = self.root_of(&container.name);
        if !root.exists() {
            make_root(&root);
        }
        if container.own_users {
            give(&root);
        }
        self.file(&format!("{}.xml", container.name), &container.xml())
    }

    /// Defines a container; makes its root if it has none yet.
    pub fn define_container(&self, container: &Container) {
        let path = self.container(container);
        self.lxc_args(&["define", &path.display().to_string()]).ok();
    }

    /// Starts a container whose init says that it is ready, and waits until it does.
    pub fn start_container(&self, name: &str) {
        let ready = self.root_of(name).join("ready");
        let _ = std::fs::remove_file(&ready);
        self.lxc(&format!("start {name}")).ok();
        self.wait_text(ready, "ready", 30);
    }

    /// Where the root of a container lies on the host.
    pub fn root_of(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.root"))
    }

    /// `virsh -c lxc:///system LINE`, split at blanks.
    pub fn lxc(&self, line: &str) -> Output {
        self.lxc_args(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// `virsh -c lxc:///system ARGS`.
    pub fn lxc_args(&self, args: &[&str]) -> Output {
        self.virsh_at(LXC, args)
    }

    /// The same on the side.
    pub fn lxc_background(&self, line: &str) -> Background {
        self.virsh_background_at(LXC, line)
    }

    /// The process that holds a container.
    pub fn controller_pid(&self, name: &str) -> Option<u32> {
        let pid = self.read(format!("/run/libvirt/lxc/{name}.pid"));
        pid.trim().parse().ok()
    }

    /// The first process of a container, as the world sees it: a child of a child of the controller, which is
    /// number 1 or 2 inside.
    pub fn init_pid(&self, name: &str) -> Option<u32> {
        let controller = self.controller_pid(name)?;
        let guard = self.children(controller);
        let inits = guard.into_iter().flat_map(|guard| self.children(guard));
        inits.into_iter().find(|pid| {
            let environment = self.read(format!("/proc/{pid}/environ"));
            environment.contains("container=lxc-libvirt")
        })
    }

    /// The processes that this one has started.
    fn children(&self, pid: u32) -> Vec<u32> {
        let text = self.read(format!("/proc/{pid}/task/{pid}/children"));
        text.split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    }

    /// What the kernel's file of a container's scope says; nothing where this machine has no such controller.
    pub fn group_of(&self, name: &str, file: &str) -> Option<String> {
        let pattern = format!("/sys/fs/cgroup/*/machine.slice/machine-lxc*{name}.scope/{file}");
        let unified = format!("/sys/fs/cgroup/machine.slice/machine-lxc*{name}.scope/{file}");
        let text = self.sh(&format!("cat {pattern} {unified} 2>/dev/null || true"));
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    }

    /// What containers have left: processes, control groups, network devices, files. Nothing, when none runs.
    pub fn left_of_containers(&self) -> Vec<String> {
        let processes = self.processes().into_iter();
        let mut left: Vec<String> = processes
            .filter(|(pid, line)| {
                (line.contains("ferrovirt-lxc") && !self.waits_for_orders(*pid))
                    || self
                        .read(format!("/proc/{pid}/environ"))
                        .contains("container=lxc-libvirt")
            })
            .map(|(pid, line)| format!("process {pid}: {line}"))
            .collect();
        let groups = self.sh("find /sys/fs/cgroup -type d -name 'machine-lxc*' 2> /dev/null || true");
        left.extend(groups.lines().map(str::to_owned));
        left.extend(self.links_of_containers());
        let files = std::fs::read_dir("/run/libvirt/lxc").into_iter().flatten();
        left.extend(files.flatten().filter_map(|entry| {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            // That the machine's containers have been started is known until it is booted again.
            let is_mark = entry.file_name().to_string_lossy().ends_with("-autostarted");
            (!is_dir && !is_mark).then(|| entry.path().display().to_string())
        }));
        left
    }

    /// The one that will hold the next container is the daemon's child; those that hold one are not.
    fn waits_for_orders(&self, pid: u32) -> bool {
        let status = self.read(format!("/proc/{pid}/status"));
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        parent.is_some_and(|parent| self.read(format!("/proc/{}/comm", parent.trim())) == "ferrovirtd\n")
    }

    /// Pairs of network devices that are there for containers.
    pub fn links_of_containers(&self) -> Vec<String> {
        let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten();
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("vnet") || name.starts_with("veth"))
            .collect()
    }
}

/// Makes a root directory with busybox in it, the host's own, which is linked statically.
///
/// # Panics
/// When it cannot be written, or there is no busybox.
pub fn make_root(root: &Path) {
    for dir in ["bin", "sbin", "etc", "tmp", "var"] {
        std::fs::create_dir_all(root.join(dir)).expect("a world's directories can be made");
    }
    let busybox = find("busybox").expect("the test asked for busybox");
    std::fs::copy(busybox, root.join("bin/busybox")).expect("a program can be copied");
    let list = Command::new("busybox")
        .arg("--list")
        .output()
        .expect("busybox runs");
    for applet in String::from_utf8_lossy(&list.stdout).lines() {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet)).expect("a link can be made");
        }
    }
    symlink("../bin/busybox", root.join("sbin/init")).expect("a link can be made");
}

/// Everything below goes to the container's root.
fn give(path: &Path) {
    lchown(path, Some(SHIFT), Some(SHIFT)).expect("root can give files away");
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            give(&entry.path());
        }
    }
}

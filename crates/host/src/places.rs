//! Where the machine is looked at.

use std::path::{Path, PathBuf};

/// Directories of the kernel and of udev, files of the distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `/sys`
    pub sys: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
    /// `/run/udev`
    pub udev: PathBuf,
    /// Names of PCI devices, the first that is there.
    pub pci_ids: Vec<PathBuf>,
    /// `/lib/modules`, with a directory for each kernel.
    pub modules: PathBuf,
    /// The program that loads a module.
    pub modprobe: PathBuf,
}

impl Places {
    /// The machine that we run on.
    pub fn real() -> Places {
        Self::below(Path::new("/"))
    }

    /// A machine whose files are below a directory.
    pub fn below(root: &Path) -> Places {
        let ids = [
            "usr/share/misc/pci.ids",
            "usr/share/hwdata/pci.ids",
            "usr/share/pci.ids",
        ];
        Places {
            sys: root.join("sys"),
            proc: root.join("proc"),
            dev: root.join("dev"),
            udev: root.join("run/udev"),
            pci_ids: ids.iter().map(|file| root.join(file)).collect(),
            modules: root.join("lib/modules"),
            modprobe: PathBuf::from("modprobe"),
        }
    }

    /// Whether udev looks after the devices.
    pub fn has_udev(&self) -> bool {
        self.udev.join("control").exists()
    }
}

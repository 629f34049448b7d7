//! A guest's share of block devices, what it may do on each of them, and what it has done.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::Scope;
use super::error::{CgroupError, Result};
use super::part::{Part, get, set};

/// Shares, by the schedulers that know them: the old one, BFQ, and the kernel's own in version 2.
const WEIGHTS: [&str; 4] = ["blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"];
/// The same on single devices; in version 2 they are in the same file.
const DEVICE_WEIGHTS: [&str; 4] = [
    "blkio.weight_device",
    "blkio.bfq.weight_device",
    "io.bfq.weight",
    "io.weight",
];

/// What can be limited on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// Bytes read per second.
    ReadBytes,
    /// Bytes written per second.
    WriteBytes,
    /// Reads per second.
    ReadRequests,
    /// Writes per second.
    WriteRequests,
}

impl Throttle {
    /// All of them.
    pub const ALL: [Throttle; 4] = [
        Throttle::ReadBytes,
        Throttle::WriteBytes,
        Throttle::ReadRequests,
        Throttle::WriteRequests,
    ];

    /// File of version 1, and key in the one file of version 2.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Throttle::ReadBytes => ("blkio.throttle.read_bps_device", "rbps"),
            Throttle::WriteBytes => ("blkio.throttle.write_bps_device", "wbps"),
            Throttle::ReadRequests => ("blkio.throttle.read_iops_device", "riops"),
            Throttle::WriteRequests => ("blkio.throttle.write_iops_device", "wiops"),
        }
    }
}

/// The one file of version 2 for all limits of a device.
const IO_MAX: &str = "io.max";

/// What a guest has done on block devices, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockWork {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// A block device of the host, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockDevice {
    major: u32,
    minor: u32,
}

impl BlockDevice {
    /// The device of a node.
    ///
    /// # Errors
    /// It is not there, or is no block device.
    pub fn of(path: &Path) -> Result<BlockDevice> {
        let meta = fs::metadata(path).map_err(|source| CgroupError::Device {
            path: path.to_owned(),
            source,
        })?;
        if !meta.file_type().is_block_device() {
            return Err(CgroupError::NotBlock(path.to_owned()));
        }
        Ok(BlockDevice {
            major: libc::major(meta.rdev()),
            minor: libc::minor(meta.rdev()),
        })
    }
}

impl std::fmt::Display for BlockDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

fn missing() -> CgroupError {
    CgroupError::NoController("blkio")
}

impl Scope {
    /// The guest's share of block devices beside others.
    ///
    /// # Errors
    /// `NoController` where no scheduler knows shares.
    pub fn io_weight(&self) -> Result<u32> {
        let (_, file) = self.one_of(Part::Whole, &WEIGHTS).ok_or_else(missing)?;
        let text = get(&file)?;
        // BFQ says `100`, or with weights of devices and in version 2 `default 100` and lines of devices.
        let value = text.lines().find_map(|line| {
            let line = line.strip_prefix("default ").unwrap_or(line);
            line.trim().parse().ok()
        });
        value.ok_or_else(missing)
    }

    /// Sets the share.
    ///
    /// # Errors
    /// `NoController`, and the kernel's refusal.
    pub fn set_io_weight(&self, weight: u32) -> Result<()> {
        let (_, file) = self.one_of(Part::Whole, &WEIGHTS).ok_or_else(missing)?;
        set(&file, &weight.to_string())
    }

    /// Sets the share on one device; zero takes it back.
    ///
    /// # Errors
    /// `NoController` where no scheduler knows shares of devices, and the kernel's refusal, for example for a device that
    /// another scheduler serves.
    pub fn set_device_weight(&self, device: BlockDevice, weight: u32) -> Result<()> {
        let (at, file) = self
            .one_of(Part::Whole, &DEVICE_WEIGHTS)
            .ok_or(CgroupError::NoController("blkio (weight of devices)"))?;
        let value = match (weight, at) {
            (0, 2..) => "default".to_owned(),
            (weight, _) => weight.to_string(),
        };
        set(&file, &format!("{device} {value}"))
    }

    /// Sets what may be done on one device in a second; zero is no limit.
    ///
    /// # Errors
    /// `NoController`, and the kernel's refusal.
    pub fn set_throttle(&self, device: BlockDevice, throttle: Throttle, value: u64) -> Result<()> {
        let (name, key) = throttle.names();
        match self.one_of(Part::Whole, &[name, IO_MAX]).ok_or_else(missing)? {
            (0, file) => set(&file, &format!("{device} {value}")),
            (_, file) if value == 0 => set(&file, &format!("{device} {key}=max")),
            (_, file) => set(&file, &format!("{device} {key}={value}")),
        }
    }

    /// What the guest has done on block devices; `None` where nobody counts it.
    pub fn block_work(&self) -> Option<BlockWork> {
        if let Some(file) = self.file(Part::Whole, "io.stat") {
            return Some(work_2(&get(&file).ok()?));
        }
        let sum = |name: &str, kind: &str| {
            let names = [format!("{name}_recursive"), name.to_owned()];
            let file = names.iter().find_map(|name| self.file(Part::Whole, name))?;
            Some(sum_1(&get(&file).ok()?, kind))
        };
        let (bytes, requests) = ("blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced");
        Some(BlockWork {
            read_bytes: sum(bytes, "Read")?,
            write_bytes: sum(bytes, "Write")?,
            reads: sum(requests, "Read")?,
            writes: sum(requests, "Write")?,
        })
    }
}

/// `254:0 Read 4096`, a line for each device and kind.
fn sum_1(text: &str, kind: &str) -> u64 {
    let value = |line: &str| {
        let mut words = line.split(' ').skip(1);
        (words.next()? == kind).then(|| words.next()?.parse::<u64>().ok())?
    };
    text.lines().filter_map(value).fold(0, u64::saturating_add)
}

/// `254:0 rbytes=4096 wbytes=0 rios=1 wios=0 …`, a line for each device.
fn work_2(text: &str) -> BlockWork {
    let mut work = BlockWork::default();
    for (key, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        let sum = match key {
            "rbytes" => &mut work.read_bytes,
            "wbytes" => &mut work.write_bytes,
            "rios" => &mut work.reads,
            "wios" => &mut work.writes,
            _ => continue,
        };
        *sum = sum.saturating_add(value.parse().unwrap_or(0));
    }
    work
}

#[cfg(test)]
mod tests {
    use super::super::tree_tests::Tree;
    use super::*;

    const DISK: BlockDevice = BlockDevice {
        major: 254,
        minor: 16,
    };

    #[test]
    fn weights_are_where_the_scheduler_has_them() {
        for (tree, file) in [
            (Tree::version_1("blkio"), "blkio.weight"),
            (Tree::version_1("blkio"), "blkio.bfq.weight"),
            (Tree::version_2(), "io.weight"),
        ] {
            let scope = tree.scope();
            assert!(matches!(
                scope.io_weight(),
                Err(CgroupError::NoController("blkio"))
            ));
            assert!(scope.set_io_weight(300).is_err());
            tree.put(file, "default 100\n254:0 700\n");
            assert_eq!(scope.io_weight().unwrap(), 100);
            scope.set_io_weight(300).unwrap();
            assert_eq!(tree.get(file), "300");
            assert_eq!(scope.io_weight().unwrap(), 300);
        }
    }

    #[test]
    fn limits_of_devices_are_files_or_keys() {
        let tree = Tree::version_1("blkio");
        let scope = tree.scope();
        assert!(scope.set_throttle(DISK, Throttle::ReadBytes, 1).is_err());
        assert!(scope.set_device_weight(DISK, 1).is_err());
        for throttle in Throttle::ALL {
            let file = throttle.names().0;
            tree.put(file, "");
            scope.set_throttle(DISK, throttle, 500).unwrap();
            assert_eq!(tree.get(file), "254:16 500");
        }
        tree.put("blkio.bfq.weight_device", "");
        scope.set_device_weight(DISK, 0).unwrap();
        assert_eq!(tree.get("blkio.bfq.weight_device"), "254:16 0");

        let tree = Tree::version_2();
        let scope = tree.scope();
        tree.put("io.max", "");
        tree.put("io.weight", "");
        scope.set_throttle(DISK, Throttle::WriteRequests, 500).unwrap();
        assert_eq!(tree.get("io.max"), "254:16 wiops=500");
        scope.set_throttle(DISK, Throttle::ReadBytes, 0).unwrap();
        assert_eq!(tree.get("io.max"), "254:16 rbps=max");
        scope.set_device_weight(DISK, 0).unwrap();
        assert_eq!(tree.get("io.weight"), "254:16 default");
    }

    #[test]
    fn work_is_added_up() {
        let tree = Tree::version_1("blkio");
        assert_eq!(tree.scope().block_work(), None);
        let bytes = "254:0 Read 10\n254:0 Write 3\n7:1 Read 5\n254:0 Total 13\nTotal 18\n";
        tree.put("blkio.throttle.io_service_bytes_recursive", bytes);
        tree.put(
            "blkio.throttle.io_serviced",
            "254:0 Read 2\n254:0 Write 1\nTotal 3\n",
        );
        let work = BlockWork {
            read_bytes: 15,
            write_bytes: 3,
            reads: 2,
            writes: 1,
        };
        assert_eq!(tree.scope().block_work(), Some(work));
        let tree = Tree::version_2();
        tree.put(
            "io.stat",
            "254:0 rbytes=10 wbytes=3 rios=1 wios=1 dbytes=0 dios=0\n7:1 rbytes=5 rios=1\n",
        );
        assert_eq!(tree.scope().block_work(), Some(work));
    }

    #[test]
    fn what_is_no_block_device_is_named() {
        let refused = |path: &str| BlockDevice::of(Path::new(path)).unwrap_err().to_string();
        assert_eq!(
            refused("/dev/nosuch"),
            "Path '/dev/nosuch' is not accessible: No such file or directory"
        );
        assert_eq!(refused("/dev/null"), "Path '/dev/null' must be a block device");
    }
}

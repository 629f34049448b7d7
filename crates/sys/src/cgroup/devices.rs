//! Which devices the processes of a scope may use. Version 1 has lists, version 2 asks a program ([`super::device_program`]).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::bpf;
use super::device_program::assemble;
use super::error::{CgroupError, Result};
use super::part::set;
use super::{INNER, Scope, hierarchy};

/// Kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Any.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Character,
}

/// What may be done with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Access {
    /// Read from it.
    pub read: bool,
    /// Write to it.
    pub write: bool,
    /// Make a node for it.
    pub mknod: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Access = Access {
        read: true,
        write: true,
        mknod: true,
    };

    /// The kernel's bits.
    pub(super) fn bits(self) -> u8 {
        u8::from(self.mknod) | u8::from(self.read) << 1 | u8::from(self.write) << 2
    }
}

/// What is allowed; whatever no rule allows is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceRule {
    /// Kind of device.
    pub kind: DeviceKind,
    /// Its major number; `None` is any.
    pub major: Option<u32>,
    /// Its minor number; `None` is any.
    pub minor: Option<u32>,
    /// What may be done with it.
    pub access: Access,
}

impl DeviceRule {
    /// Rule for one device.
    pub fn new(kind: DeviceKind, major: u32, minor: u32, access: Access) -> DeviceRule {
        DeviceRule {
            kind,
            major: Some(major),
            minor: Some(minor),
            access,
        }
    }
}

/// As version 1 writes it: `c 1:3 rwm`.
impl std::fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Character => 'c',
        };
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        let letters = [
            (self.access.read, "r"),
            (self.access.write, "w"),
            (self.access.mknod, "m"),
        ];
        letters
            .iter()
            .filter(|(allowed, _)| *allowed)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

impl Scope {
    /// Forbids all devices but these.
    ///
    /// # Errors
    /// `NoController` where nothing can forbid devices; the kernel's refusal.
    pub fn set_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        if let Some(deny) = self.device_list(DENY) {
            set(&deny, "a")?;
            return self.list(ALLOW, rules);
        }
        self.replace_program(rules)
    }

    /// From one set of rules to another, without a moment in which less is allowed than by both.
    ///
    /// # Errors
    /// As [`Scope::set_devices`].
    pub fn change_devices(&self, from: &[DeviceRule], to: &[DeviceRule]) -> Result<()> {
        if self.device_list(DENY).is_none() {
            return self.replace_program(to);
        }
        self.list(DENY, from.iter().filter(|rule| !to.contains(rule)))?;
        // A rule that is taken away takes along what narrower ones allowed.
        self.list(ALLOW, to)
    }

    /// The kernel takes one rule with each write.
    fn list<'a>(&self, file: &str, rules: impl IntoIterator<Item = &'a DeviceRule>) -> Result<()> {
        let path = self
            .device_list(file)
            .ok_or(CgroupError::NoController("devices"))?;
        let open = fs::OpenOptions::new().write(true).truncate(true).open(&path);
        let mut list = open.map_err(CgroupError::write(&path))?;
        for rule in rules {
            let written = list.write_all(format!("{rule}\n").as_bytes());
            written.map_err(CgroupError::write(&path))?;
        }
        Ok(())
    }

    /// A list of version 1, of the innermost group: one that has groups below it cannot forbid all devices.
    fn device_list(&self, file: &str) -> Option<PathBuf> {
        let files = self.paths.iter().map(|path| path.join(INNER).join(file));
        files.into_iter().find(|file| file.exists())
    }

    fn replace_program(&self, rules: &[DeviceRule]) -> Result<()> {
        let group = self.paths.iter().find(|path| hierarchy::is_v2_group(path));
        let group = group.ok_or(CgroupError::NoController("devices"))?;
        let failed = |action, source| CgroupError::Program {
            action,
            group: group.clone(),
            source,
        };
        let directory = File::open(group).map_err(|source| failed("open", source))?;
        // All programs of a group must say yes: the new one comes first, then the old ones go.
        let old = bpf::attached(&directory).map_err(|source| failed("find", source))?;
        let program = bpf::load(&assemble(rules)).map_err(|source| failed("load", source))?;
        bpf::attach(&directory, &program).map_err(|source| failed("attach", source))?;
        for program in old {
            bpf::detach(&directory, &program).map_err(|source| failed("detach", source))?;
        }
        Ok(())
    }
}

/// The device of a node, as a rule for it.
///
/// # Errors
/// It is not there, or is no device.
pub fn rule_of(path: &Path, access: Access) -> Result<DeviceRule> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let failed = |source| CgroupError::Device {
        path: path.to_owned(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    let kind = match meta.file_type() {
        kind if kind.is_block_device() => DeviceKind::Block,
        kind if kind.is_char_device() => DeviceKind::Character,
        _ => return Err(failed(std::io::Error::from_raw_os_error(libc::ENODEV))),
    };
    let number = meta.rdev();
    Ok(DeviceRule::new(
        kind,
        libc::major(number),
        libc::minor(number),
        access,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tree_tests::Tree;
    use super::*;

    #[test]
    fn rules_are_written_as_version_1_reads_them() {
        let null = rule_of(Path::new("/dev/null"), Access::ALL).unwrap();
        assert_eq!(null, DeviceRule::new(DeviceKind::Character, 1, 3, Access::ALL));
        assert_eq!(null.to_string(), "c 1:3 rwm");
        let ptys = DeviceRule {
            kind: DeviceKind::Character,
            major: Some(136),
            minor: None,
            access: Access {
                read: true,
                ..Access::default()
            },
        };
        assert_eq!(ptys.to_string(), "c 136:* r");
        assert!(rule_of(Path::new("/"), Access::ALL).is_err());
        assert!(rule_of(Path::new("/no/such"), Access::ALL).is_err());
    }

    #[test]
    fn version_1_is_told_line_by_line() {
        let tree = Tree::version_1("devices");
        let inner = |file: &str| format!("{INNER}/{file}");
        let null = DeviceRule::new(DeviceKind::Character, 1, 3, Access::ALL);
        let refused = tree.scope().set_devices(&[null]).unwrap_err();
        assert_eq!(refused.to_string(), "cgroup devices controller is not mounted");
        tree.put(&inner(ALLOW), "");
        tree.put(&inner(DENY), "");
        tree.scope().set_devices(&[null]).unwrap();
        assert_eq!(
            (tree.get(&inner(DENY)), tree.get(&inner(ALLOW))),
            ("a".into(), "c 1:3 rwm\n".into())
        );
        let zero = DeviceRule::new(DeviceKind::Character, 1, 5, Access::ALL);
        tree.scope().change_devices(&[null], &[zero]).unwrap();
        assert_eq!(
            (tree.get(&inner(DENY)), tree.get(&inner(ALLOW))),
            ("c 1:3 rwm\n".into(), "c 1:5 rwm\n".into())
        );
    }
}

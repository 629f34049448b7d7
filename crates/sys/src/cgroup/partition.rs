//! Where among the groups of the machine a guest has its own: `<resource><partition>`, as systemd names it.

use std::path::{Path, PathBuf};

use super::name::escape;

/// A partition, `/machine/production` for example, whose directory is `machine.slice/machine-production.slice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    path: String,
    directory: PathBuf,
}

impl Default for Partition {
    /// `/machine`, where virtual machines are looked for.
    fn default() -> Self {
        Partition {
            path: "/machine".to_owned(),
            directory: PathBuf::from("machine.slice"),
        }
    }
}

impl Partition {
    /// The partition of this path.
    ///
    /// # Errors
    /// A path that is not absolute, or leads elsewhere.
    pub fn new(path: &str) -> Result<Partition, String> {
        let Some(below) = path.strip_prefix('/') else {
            return Err(format!("Resource partition '{path}' must start with '/'"));
        };
        let mut directory = PathBuf::new();
        let mut slice = String::new();
        for part in below.split('/') {
            let part = part.strip_suffix(".slice").unwrap_or(part);
            if part.is_empty() || part == "." || part == ".." {
                return Err(format!("Resource partition '{path}' has an empty part"));
            }
            if !slice.is_empty() {
                slice.push('-');
            }
            slice += &escape(part);
            directory.push(format!("{slice}.slice"));
        }
        Ok(Partition {
            path: path.to_owned(),
            directory,
        })
    }

    /// The path as it stands in documents.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its directories below a mount point, from the outermost on.
    pub(super) fn directories(&self) -> Vec<&Path> {
        let mut all: Vec<&Path> = self.directory.ancestors().collect();
        all.pop();
        all.reverse();
        all
    }

    /// Its directory below a mount point.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn partitions_are_slices_within_slices() {
        let of = |path: &str| Partition::new(path).map(|p| p.directory().display().to_string());
        assert_eq!(of("/machine").as_deref(), Ok("machine.slice"));
        assert_eq!(Partition::new("/machine"), Ok(Partition::default()));
        assert_eq!(
            of("/machine/production/a-b").as_deref(),
            Ok(r"machine.slice/machine-production.slice/machine-production-a\x2db.slice")
        );
        assert_eq!(of("/x.slice").as_deref(), Ok("x.slice"));
        assert_eq!(
            of("machine").unwrap_err(),
            "Resource partition 'machine' must start with '/'"
        );
        for wrong in ["/", "//", "/a//b", "/a/..", "/a/", "/.slice"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        let nested = Partition::new("/a/b").unwrap();
        assert_eq!(
            nested.directories(),
            [Path::new("a.slice"), Path::new("a.slice/a-b.slice")]
        );
        assert_eq!(nested.path(), "/a/b");
    }

    proptest! {
        #[test]
        fn no_partition_leads_out(path in "[/a-z.\\-\\\\\n ]{0,30}") {
            if let Ok(partition) = Partition::new(&path) {
                for part in partition.directory().components() {
                    let std::path::Component::Normal(name) = part else { panic!("{part:?}") };
                    prop_assert!(name.to_string_lossy().ends_with(".slice"));
                }
            }
        }
    }
}

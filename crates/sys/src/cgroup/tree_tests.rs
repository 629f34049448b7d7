//! Trees of plain files in place of the kernel's, for tests of what this machine does not have.

use std::fs;
use std::path::PathBuf;

use super::{Scope, create_in, hierarchy::Hierarchy};

/// One hierarchy with the scope `s.scope`.
pub(super) struct Tree {
    root: tempfile::TempDir,
    controllers: Vec<String>,
}

impl Tree {
    pub(super) fn version_1(controller: &str) -> Tree {
        Tree {
            root: tempfile::tempdir().expect("a test tree"),
            controllers: vec![controller.to_owned()],
        }
    }

    pub(super) fn version_2() -> Tree {
        Tree {
            root: tempfile::tempdir().expect("a test tree"),
            controllers: Vec::new(),
        }
    }

    pub(super) fn hierarchy(&self) -> Hierarchy {
        Hierarchy {
            mount: self.root.path().to_owned(),
            controllers: self.controllers.clone(),
            own: PathBuf::new(),
        }
    }

    pub(super) fn scope(&self) -> Scope {
        create_in(&[self.hierarchy()], &super::Partition::default(), "s.scope")
            .expect("a test tree")
            .expect("a test tree")
    }

    /// A file below the scope.
    pub(super) fn at(&self, file: &str) -> PathBuf {
        self.root.path().join("machine.slice/s.scope").join(file)
    }

    pub(super) fn put(&self, file: &str, text: &str) {
        let path = self.at(file);
        fs::create_dir_all(path.parent().expect("a test tree")).expect("a test tree");
        fs::write(path, text).expect("a test tree");
    }

    /// What was written last into a file: plain files keep what is behind a shorter text, the kernel's do not.
    pub(super) fn get(&self, file: &str) -> String {
        fs::read_to_string(self.at(file)).expect("a test tree")
    }
}

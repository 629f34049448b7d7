//! Files and directories: what is looked at, and what is wrong with a file before anybody reads it.

use std::fs::{self, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::check::finding::{Finding, Findings, Level, Remark};
use crate::check::operations::{DRIVERS, Driver};
use crate::check::place::Setting;
use crate::check::python;
use crate::check::shebang::{self, Language};
use crate::check::shell::{self, Dialect};
use crate::check::source::Source;

/// Longer files are no scripts.
const LONGEST: u64 = 4 * 1024 * 1024;
/// How deep directories are followed.
const DEEPEST: usize = 8;
/// Names that only tools leave behind.
const LEFTOVERS: &[&str] = &[
    "~",
    ".bak",
    ".old",
    ".orig",
    ".rej",
    ".swp",
    ".swo",
    ".tmp",
    ".save",
    ".disabled",
    ".dpkg-old",
    ".dpkg-new",
    ".dpkg-dist",
    ".dpkg-tmp",
    ".dpkg-bak",
    ".ucf-old",
    ".ucf-new",
    ".ucf-dist",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".pacnew",
    ".pacsave",
    ".example",
    ".sample",
];

/// Looks at files, and collects what cannot be read.
pub(crate) struct Looker {
    /// Whose hooks they are, if somebody said so.
    pub(crate) driver: Option<Driver>,
    /// The directory that the daemon uses.
    pub(crate) hooks_dir: PathBuf,
    /// What was found.
    pub(crate) found: Vec<Finding>,
    /// What could not be read, one line each.
    pub(crate) unreadable: Vec<String>,
    /// How many files were looked at.
    pub(crate) files: usize,
}

impl Looker {
    /// Looks at what somebody named.
    pub(crate) fn named(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => self.directory(path, 0),
            Ok(data) => self.script(path, &data, true),
            Err(_) if fs::symlink_metadata(path).is_ok() => self.dangling(path),
            Err(error) => self.unreadable.push(format!("{}: {error}", path.display())),
        }
    }

    fn dangling(&mut self, path: &Path) {
        let target = fs::read_link(path).unwrap_or_default();
        let message = format!("the link leads to `{}`, which does not exist", target.display());
        self.whole(path, Remark::new("FH114", message));
    }

    fn whole(&mut self, path: &Path, remark: Remark) {
        let mut findings = Findings::new(path, None);
        findings.file(remark);
        self.found.extend(findings.into_sorted());
    }

    fn directory(&mut self, dir: &Path, depth: usize) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push(format!("{}: {error}", dir.display())),
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        paths.sort();
        let hooks = is_hooks_directory(dir, &paths);
        let chain = driver_of_folder(dir).is_some();
        if (hooks || chain) && fs::metadata(dir).is_ok_and(|data| data.mode() & 0o002 != 0) {
            self.whole(
                dir,
                Remark::new("FH111", "everybody can put a hook into this directory"),
            );
        }
        for path in paths {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            match fs::metadata(&path) {
                Err(_) if hooks || chain => self.dangling(&path),
                Err(_) => {}
                Ok(data) if data.is_dir() => {
                    let link = fs::symlink_metadata(&path).is_ok_and(|data| data.file_type().is_symlink());
                    if chain && !self.has_dispatcher(dir) {
                        self.whole(
                            &path,
                            Remark::new(
                                "FH113",
                                format!("`{name}` is a directory; nothing in it is called"),
                            ),
                        );
                    }
                    if depth < DEEPEST && !link && name != ".git" {
                        self.directory(&path, depth + 1);
                    }
                }
                Ok(data) if data.is_file() => {
                    if hooks {
                        self.name_in_hooks(&path, &name, &data);
                    }
                    if chain && self.leftover(&path, &name, &data) {
                        continue;
                    }
                    self.script(&path, &data, false);
                }
                Ok(_) => {}
            }
        }
    }

    /// Whether the driver's main hook goes through the directories of its `.d` itself.
    fn has_dispatcher(&self, chain: &Path) -> bool {
        let Some(driver) = driver_of_folder(chain) else {
            return false;
        };
        let main = chain.with_file_name(driver.name());
        fs::read_to_string(main).is_ok_and(|text| text.contains(".d/") || text.contains(".d\""))
    }

    /// Names in the hooks directory that are almost a hook's.
    fn name_in_hooks(&mut self, path: &Path, name: &str, data: &Metadata) {
        if Driver::of_name(name).is_some() {
            return;
        }
        let script = ["sh", "bash", "py", "pl", "rb", "hook", "script"]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")));
        let stem = name.split('.').next().unwrap_or("").to_lowercase();
        let leftover = LEFTOVERS.iter().any(|end| name.ends_with(end));
        let known = DRIVERS.iter().find(|(_, known)| *known == stem);
        if let (Some((_, known)), true) = (known, script && !leftover && data.mode() & 0o111 != 0) {
            let remark = Remark::new(
                "FH115",
                format!("nobody calls `{name}`; the hook's name is `{known}`"),
            );
            self.whole(
                path,
                remark.fix(format!("rename it to `{known}`, or move it into `{known}.d/`")),
            );
        }
    }

    /// Files in a `.d` that look as if they were not meant to be there. Whether nothing else need be said.
    fn leftover(&mut self, path: &Path, name: &str, data: &Metadata) -> bool {
        let leftover =
            name.starts_with('.') || name.starts_with('#') || LEFTOVERS.iter().any(|end| name.ends_with(end));
        let runs = data.mode() & 0o111 != 0;
        if leftover && runs {
            self.whole(
                path,
                Remark::new(
                    "FH112",
                    format!("`{name}` is executable, so it is called as a hook"),
                ),
            );
        }
        leftover && !runs
    }

    /// One script. `named`: somebody asked for this very file.
    fn script(&mut self, path: &Path, data: &Metadata, named: bool) {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable.push(format!("{}: {error}", path.display())),
        };
        let setting = Setting::of(path, self.driver);
        let marked = bytes.starts_with(b"#!");
        let script_name = path
            .extension()
            .is_some_and(|end| end == "sh" || end == "py" || end == "bash");
        let runs = data.mode() & 0o111 != 0;
        let looks = marked || script_name || (callable(path) && runs);
        if !named && !looks {
            return;
        }
        self.files += 1;
        let binary = bytes.iter().take(4096).any(|byte| *byte == 0);
        let source = Source::new(String::from_utf8_lossy(&bytes).into_owned());
        let mut findings = Findings::new(path, if binary { None } else { Some(&source) });
        self.mode(path, data, marked, &mut findings);
        if binary {
            self.found.extend(findings.into_sorted());
            return;
        }
        let installed = self.is_installed(path);
        let called = callable(path);
        let language = shebang::check(
            &source,
            path,
            shebang::Place {
                called,
                installed,
                placed: setting.placed,
            },
            &mut findings,
        );
        match language {
            Language::Bash => shell::check(&source, Dialect::Bash, setting, &mut findings),
            Language::Sh => shell::check(&source, Dialect::Sh, setting, &mut findings),
            Language::Python => python::check(&source, setting, &mut findings),
            Language::Other => {}
        }
        self.found.extend(findings.into_sorted());
    }

    /// Whether a file lies where a daemon of this machine looks.
    fn is_installed(&self, path: &Path) -> bool {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.starts_with(&self.hooks_dir)
    }

    fn mode(&self, path: &Path, data: &Metadata, marked: bool, findings: &mut Findings<'_>) {
        let mode = data.permissions().mode();
        if mode & 0o111 == 0 && callable(path) {
            let folder = path
                .parent()
                .and_then(Path::file_name)
                .is_some_and(|name| name == "hooks");
            let level = if folder || chain(path) {
                Level::Error
            } else {
                Level::Note
            };
            findings.file(
                Remark::new("FH101", "nobody may execute the file, so it is never called").level(level),
            );
        } else if mode & 0o111 == 0 && marked && self.is_installed(path) {
            findings.file(Remark::new("FH101", "nobody may execute the file").level(Level::Note));
        }
        let checked = callable(path) || self.is_installed(path);
        if checked && (mode & 0o002 != 0 || (mode & 0o020 != 0 && self.is_installed(path))) {
            findings.file(Remark::new(
                "FH109",
                format!(
                    "others than the owner can change the file (mode {:04o})",
                    mode & 0o7777
                ),
            ));
        }
        if self.is_installed(path) && data.uid() != 0 {
            findings.file(Remark::new(
                "FH110",
                format!(
                    "the file belongs to user {}, who can change what root runs",
                    data.uid()
                ),
            ));
        }
    }
}

/// Whether the daemon calls a file with this path by itself.
fn callable(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Driver::of_name(&name).is_some() || chain(path)
}

/// Whether a file lies directly in a `.d`.
fn chain(path: &Path) -> bool {
    path.parent()
        .is_some_and(|parent| driver_of_folder(parent).is_some())
}

fn driver_of_folder(dir: &Path) -> Option<Driver> {
    let name = dir.file_name()?.to_string_lossy().into_owned();
    Driver::of_name(name.strip_suffix(".d")?)
}

fn is_hooks_directory(dir: &Path, entries: &[PathBuf]) -> bool {
    let named = dir.file_name().is_some_and(|name| name == "hooks");
    named
        && (dir
            .parent()
            .and_then(Path::file_name)
            .is_some_and(|name| name == "libvirt"))
        || entries.iter().any(|path| {
            driver_of_folder(path).is_some()
                || (named
                    && path
                        .file_name()
                        .is_some_and(|n| Driver::of_name(&n.to_string_lossy()).is_some()))
        })
        || named && !entries.is_empty()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

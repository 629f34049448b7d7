//! What a path tells about a script: whose hook it is, and for which calls.

use std::path::Path;

use crate::check::operations::{Calls, Driver, EVENTS};

/// What is known about a script before it is read, and what reading adds.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Whose hook it is, if that is certain.
    pub(crate) driver: Option<Driver>,
    /// The calls it can get.
    pub(crate) calls: Calls,
    /// The calls that any hook of the driver can get.
    pub(crate) all: Calls,
    /// Whether its place alone makes it a hook.
    pub(crate) placed: bool,
    /// Whether it gets the hook's arguments.
    pub(crate) is_hook: bool,
    /// Whether bash reads it.
    pub(crate) bash: bool,
    /// Whether it looks at the operation.
    pub(crate) compares_operation: bool,
    /// Whether it waits for its children.
    pub(crate) waits: bool,
    /// Whether it reads `PIPESTATUS`.
    pub(crate) reads_pipestatus: bool,
    /// Whether it asks which cgroups there are.
    pub(crate) knows_cgroups: bool,
}

impl Setting {
    /// Whether an operation is the daemon's alone, in a script of which only that is certain that it is for guests
    /// or networks. One script may serve both of these, but not the daemon.
    pub(crate) fn is_daemons_only(&self, operation: &str) -> bool {
        let mut owners = EVENTS
            .iter()
            .filter(|event| event.operation == operation)
            .peekable();
        self.driver.is_none() && owners.peek().is_some() && owners.all(|event| event.driver == Driver::Daemon)
    }

    /// What the path tells. A driver that was asked for wins.
    pub(crate) fn of(path: &Path, asked: Option<Driver>) -> Setting {
        let names: Vec<String> = path
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let (placed, guessed) = whose(&names);
        let driver = asked.or(guessed);
        let mut calls = match driver {
            Some(driver) => Calls::of(&[driver]),
            None => Calls::of(&[Driver::Qemu, Driver::Lxc]),
        };
        let all = calls;
        let step = names.windows(2).find_map(|pair| {
            EVENTS
                .iter()
                .find(|event| event.operation == pair[0] && event.sub == pair[1])
        });
        if let Some(step) = step {
            let only = Calls::which(|event| event.operation == step.operation && event.sub == step.sub);
            calls = calls.and(only);
        }
        Setting {
            driver,
            calls,
            all,
            placed: placed || asked.is_some() || step.is_some(),
            is_hook: false,
            bash: false,
            compares_operation: false,
            waits: false,
            reads_pipestatus: false,
            knows_cgroups: false,
        }
    }
}

/// Whether the place makes it a hook, and whose.
fn whose(names: &[String]) -> (bool, Option<Driver>) {
    let Some((file, folders)) = names.split_last() else {
        return (false, None);
    };
    let folder_of = |name: &String| name.strip_suffix(".d").and_then(Driver::of_name);
    if let Some(driver) = folders.iter().rev().find_map(folder_of) {
        return (true, Some(driver));
    }
    if let Some(driver) = Driver::of_name(file) {
        return (true, Some(driver));
    }
    let words: Vec<String> = file
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::to_owned)
        .collect();
    let hook = words.iter().any(|word| word == "hook" || word == "hooks");
    let sure = |driver: &Driver| hook || !matches!(driver, Driver::Network | Driver::Daemon);
    (
        false,
        words.iter().find_map(|word| Driver::of_name(word)).filter(sure),
    )
}

/// Whether a program is where a hook's PATH leads.
pub(crate) fn on_hook_path(program: &str) -> bool {
    const PATH: &[&str] = &[
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    !program.contains('/') && PATH.iter().any(|dir| Path::new(dir).join(program).exists())
}

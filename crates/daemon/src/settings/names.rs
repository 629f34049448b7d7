//! Users and groups by name, as the settings have them: `"qemu"`, `"107"`, or `"+107"` for a number
//! that must not be taken for a name.

use std::path::Path;
use std::process::{Command, Stdio};

/// Which of the two lists is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `/etc/passwd`
    User,
    /// `/etc/group`
    Group,
}

impl Kind {
    /// The word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Group => "group",
        }
    }

    fn file(self) -> &'static Path {
        Path::new(match self {
            Kind::User => "/etc/passwd",
            Kind::Group => "/etc/group",
        })
    }

    fn database(self) -> &'static str {
        match self {
            Kind::User => "passwd",
            Kind::Group => "group",
        }
    }
}

/// The number of a user or group, none if there is no such name. Names that are in no local file
/// are looked for with `getent`, which knows about directory services.
pub fn id_of(kind: Kind, name: &str) -> Option<u32> {
    if let Some(number) = name.strip_prefix('+') {
        return number.parse().ok();
    }
    local(kind, name)
        .or_else(|| ask_getent(kind, name))
        .or_else(|| name.parse().ok())
}

/// The number of a user or group of this machine's own files.
pub fn local(kind: Kind, name: &str) -> Option<u32> {
    find(&std::fs::read_to_string(kind.file()).ok()?, name)
}

/// The third field of the line whose first field is `name`.
fn find(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

fn ask_getent(kind: Kind, name: &str) -> Option<u32> {
    if name.is_empty() || name.starts_with('-') {
        return None;
    }
    let out = Command::new("getent")
        .arg(kind.database())
        .arg(name)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    find(std::str::from_utf8(&out.stdout).ok()?, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(id_of(Kind::User, "root"), Some(0));
        assert_eq!(id_of(Kind::Group, "root"), Some(0));
        assert_eq!(id_of(Kind::Group, "+1234"), Some(1234));
        assert_eq!(id_of(Kind::User, "4321"), Some(4321));
        assert_eq!(id_of(Kind::User, "no-such-user-here"), None);
        assert_eq!(id_of(Kind::User, "+root"), None);
        assert_eq!(id_of(Kind::User, ""), None);
    }

    #[test]
    fn a_name_made_of_digits_goes_before_the_number() {
        assert_eq!(find("a:x:1:\n77:x:5:\n", "77"), Some(5));
        assert_eq!(find("a:x:1:\nbroken\n:::\n", "broken"), None);
    }
}

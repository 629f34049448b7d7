//! `<inituser>` and `<initgroup>`: looked up in the container's own files, without anything that would load its code.

use std::fs;

use rustix::process::{Gid, Uid};

use crate::protocol::Failure;

use super::{Named, Step};

/// Whom init runs as; root when nothing else is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// Finds the identity, with the container's root as root.
pub(super) fn find(user: Option<&str>, group: Option<&str>) -> Step<Identity> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    look_up(user, group, &read("/etc/passwd"), &read("/etc/group"))
}

fn look_up(user: Option<&str>, group: Option<&str>, passwd: &str, groups: &str) -> Step<Identity> {
    let mut identity = Identity::default();
    if let Some(user) = user {
        match entry(passwd, user) {
            Some(fields) => {
                let number = |index: usize| fields.get(index).and_then(|text| text.parse().ok());
                let (Some(uid), Some(gid)) = (number(2), number(3)) else {
                    return Err(Failure::new(
                        format!("the entry of user '{user}' in the container's /etc/passwd is broken"),
                        0,
                    ));
                };
                identity = Identity {
                    uid,
                    gid,
                    groups: memberships(groups, fields[0]),
                };
            }
            None => identity.uid = number("user", user)?,
        }
    }
    if let Some(group) = group {
        let known = entry(groups, group).and_then(|fields| fields.get(2)?.parse().ok());
        identity.gid = match known {
            Some(gid) => gid,
            None => number("group", group)?,
        };
    }
    Ok(identity)
}

/// The line with this name, or with this number in its third field.
fn entry<'a>(file: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let lines = || file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let by_number = name.strip_prefix('+');
    lines()
        .find(|fields| by_number.is_none() && fields[0] == name)
        .or_else(|| lines().find(|fields| fields.get(2) == Some(&by_number.unwrap_or(name))))
}

/// The groups that list this user.
fn memberships(groups: &str, user: &str) -> Vec<u32> {
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let gid = fields.next()?.parse().ok()?;
            fields
                .next()?
                .split(',')
                .any(|member| member == user)
                .then_some(gid)
        })
        .collect()
}

fn number(kind: &str, text: &str) -> Step<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits
        .parse()
        .map_err(|_| Failure::new(format!("there is no {kind} '{text}' in the container"), 0))
}

/// The process becomes this user; its supplementary groups are these and no others.
pub(super) fn become_somebody(identity: &Identity) -> Step<()> {
    let failed = || format!("cannot become user {} of the container", identity.uid);
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    rustix::thread::set_thread_groups(&groups).named(failed)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).named(failed)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).named(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nbroken:x:a:b\n12:x:5:6::/:\n";
    const GROUP: &str = "root:x:0:\ntty:x:5:web,other\naudio:x:29:web\nwebs:x:34:\n";

    fn found(user: Option<&str>, group: Option<&str>) -> Step<(u32, u32, Vec<u32>)> {
        look_up(user, group, PASSWD, GROUP).map(|one| (one.uid, one.gid, one.groups))
    }

    #[test]
    fn users_come_from_the_containers_files() {
        assert_eq!(found(None, None).unwrap(), (0, 0, vec![]));
        assert_eq!(found(Some("web"), None).unwrap(), (33, 34, vec![5, 29]));
        assert_eq!(found(Some("33"), Some("tty")).unwrap(), (33, 5, vec![5, 29]));
        assert_eq!(found(Some("12"), None).unwrap(), (5, 6, vec![]));
        assert_eq!(found(Some("+12"), Some("+77")).unwrap(), (12, 77, vec![]));
        assert_eq!(found(Some("1000"), Some("29")).unwrap(), (1000, 29, vec![]));
    }

    #[test]
    fn who_is_not_there_is_named() {
        assert_eq!(
            found(Some("nobody"), None).unwrap_err().what,
            "there is no user 'nobody' in the container"
        );
        assert_eq!(
            found(None, Some("nobody")).unwrap_err().what,
            "there is no group 'nobody' in the container"
        );
        assert!(found(Some("broken"), None).unwrap_err().what.contains("'broken'"));
        assert!(found(Some(""), None).is_err());
    }

    proptest! {
        #[test]
        fn any_files_are_read(passwd in "[a-z:0-9,\n]{0,80}", group in "[a-z:0-9,\n]{0,80}", name in "[+a-z0-9]{0,4}") {
            let _ = look_up(Some(&name), Some(&name), &passwd, &group);
        }
    }
}

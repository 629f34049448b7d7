//! What the container's root may do.

use crate::protocol::{Capabilities, Failure, Policy};

use super::Step;

/// The names that a document may use, in the kernel's order: place n is capability n.
const NAMES: [&str; 37] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
];

/// What the default policy takes away, as libvirt: what reaches the host's kernel or devices and no container needs.
const DROPPED: [&str; 5] = ["sys_module", "sys_time", "mknod", "audit_control", "mac_admin"];

/// The capabilities that are kept; bit n is capability n.
pub(super) fn kept(wish: &Capabilities) -> Step<u64> {
    let mut set = match wish.policy {
        Policy::Default => !bits(DROPPED)?,
        Policy::Allow => !0,
        Policy::Deny => 0,
    };
    set |= bits(wish.on.iter().map(String::as_str))?;
    set &= !bits(wish.off.iter().map(String::as_str))?;
    Ok(set)
}

/// Whether the container's root shall not read files by handle: that needs no path, so no mount namespace is in its way.
/// libvirt's default policy leaves the capability for it; here only a document that asks for it has both.
pub(super) fn forbids_handles(wish: &Capabilities) -> bool {
    wish.policy == Policy::Default && !wish.on.iter().any(|name| name == "dac_read_search")
}

fn bits<'a>(names: impl IntoIterator<Item = &'a str>) -> Step<u64> {
    names.into_iter().try_fold(0, |set, name| {
        match NAMES.iter().position(|known| *known == name) {
            Some(number) => Ok(set | 1 << number),
            None => Err(Failure::new(format!("unknown capability '{name}'"), 0)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(policy: Policy, on: &[&str], off: &[&str]) -> Capabilities {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Capabilities {
            policy,
            on: owned(on),
            off: owned(off),
        }
    }

    #[test]
    fn the_default_policy_is_libvirts() {
        // What init had in a container of libvirt 11.3, of 41 capabilities.
        let all = (1 << 41) - 1;
        assert_eq!(
            kept(&wish(Policy::Default, &[], &[])).unwrap() & all,
            0x0000_01fd_b5fe_ffff
        );
    }

    #[test]
    fn single_toggles_go_before_the_policy() {
        assert_eq!(
            kept(&wish(Policy::Deny, &["chown", "mknod"], &[])).unwrap(),
            1 | 1 << 27
        );
        assert_eq!(kept(&wish(Policy::Allow, &[], &["chown"])).unwrap(), !1);
        let time = kept(&wish(Policy::Default, &["sys_time"], &["kill"])).unwrap();
        assert_eq!((time >> 25 & 1, time >> 5 & 1), (1, 0));
        let error = kept(&wish(Policy::Default, &["fly"], &[])).unwrap_err();
        assert_eq!(error.to_string(), "unknown capability 'fly'");
    }

    #[test]
    fn handles_are_for_those_who_ask() {
        assert!(forbids_handles(&wish(Policy::Default, &[], &[])));
        assert!(!forbids_handles(&wish(
            Policy::Default,
            &["dac_read_search"],
            &[]
        )));
        assert!(!forbids_handles(&wish(Policy::Allow, &[], &[])));
    }
}

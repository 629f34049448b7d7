//! `qemu.conf`: as whom guests run, and what they may use.

use std::path::PathBuf;

use super::conf::{Conf, Reader, Warning};
use super::names::{self, Kind};
use crate::error::Error;

/// What `qemu.conf` says that has an effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// User of QEMU's processes.
    pub uid: u32,
    /// Group of QEMU's processes.
    pub gid: u32,
    /// Whether files of a guest get that owner while it runs.
    pub dynamic_ownership: bool,
    /// Where VNC listens unless the guest's document says so.
    pub vnc_listen: Option<String>,
    /// First and last port for VNC and the like.
    pub display_ports: (u16, u16),
    /// Most files that a QEMU process may open; none: as the daemon.
    pub max_files: Option<u64>,
    /// Size of a core dump in bytes; none: as the daemon.
    pub max_core: Option<u64>,
    /// Devices of the host that every guest may open; none: libvirt's list.
    pub device_acl: Option<Vec<PathBuf>>,
    /// Whether guests may open no others than those and their own.
    pub device_rules: bool,
    /// Whether guests see no others, in a `/dev` of their own; none: where that is possible.
    pub private_dev: Option<bool>,
    /// Where huge pages are mounted; none: wherever they are.
    pub hugetlbfs: Option<Vec<PathBuf>>,
    /// Firmware and the template of what it stores, in pairs; none: those that distributions have.
    pub nvram: Option<Vec<(PathBuf, PathBuf)>>,
    /// User of emulated TPMs.
    pub swtpm_uid: u32,
    /// Group of emulated TPMs.
    pub swtpm_gid: u32,
}

/// Ports that libvirt gives to displays.
const DISPLAY_PORTS: (u16, u16) = (5900, 65535);

/// Settings of libvirt's that do nothing here.
const WITHOUT_EFFECT: &[&str] = &[
    "allow_disk_format_probing",
    "auto_dump_bypass_cache",
    "auto_dump_path",
    "auto_save_bypass_cache",
    "auto_shutdown_poweroff",
    "auto_shutdown_restore",
    "auto_shutdown_try_save",
    "auto_shutdown_try_shutdown",
    "auto_shutdown_wait",
    "auto_start_bypass_cache",
    "auto_start_delay",
    "backup_tls_x509_cert_dir",
    "backup_tls_x509_secret_uuid",
    "backup_tls_x509_verify",
    "bridge_helper",
    "capability_filters",
    "chardev_tls",
    "chardev_tls_x509_cert_dir",
    "chardev_tls_x509_secret_uuid",
    "chardev_tls_x509_verify",
    "clear_emulator_capabilities",
    "dbus_daemon",
    "default_tls_x509_cert_dir",
    "default_tls_x509_secret_uuid",
    "default_tls_x509_verify",
    "deprecation_behavior",
    "dump_guest_core",
    "dump_image_format",
    "gluster_debug_level",
    "keepalive_count",
    "keepalive_interval",
    "lock_manager",
    "log_timestamp",
    "mac_filter",
    "max_processes",
    "max_queued",
    "max_threads_per_process",
    "memory_backing_dir",
    "migrate_tls_force",
    "migrate_tls_x509_cert_dir",
    "migrate_tls_x509_secret_uuid",
    "migrate_tls_x509_verify",
    "migration_address",
    "migration_host",
    "migration_port_max",
    "migration_port_min",
    "nbd_tls",
    "nbd_tls_x509_cert_dir",
    "nbd_tls_x509_secret_uuid",
    "nographics_allow_host_audio",
    "pr_helper",
    "qemu_rdp",
    "rdp_listen",
    "rdp_password",
    "rdp_tls_x509_cert_dir",
    "rdp_username",
    "relaxed_acs_check",
    "remember_owner",
    "remote_websocket_port_max",
    "remote_websocket_port_min",
    "save_image_format",
    "sched_core",
    "seccomp_sandbox",
    "security_default_confined",
    "security_driver",
    "security_require_confined",
    "set_process_name",
    "shared_filesystems",
    "slirp_helper",
    "snapshot_image_format",
    "spice_auto_unix_socket",
    "spice_listen",
    "spice_password",
    "spice_sasl",
    "spice_sasl_dir",
    "spice_tls",
    "spice_tls_x509_cert_dir",
    "storage_use_nbdkit",
    "virtiofsd_debug",
    "vnc_allow_host_audio",
    "vnc_auto_unix_socket",
    "vnc_password",
    "vnc_sasl",
    "vnc_sasl_dir",
    "vnc_tls",
    "vnc_tls_x509_cert_dir",
    "vnc_tls_x509_secret_uuid",
    "vnc_tls_x509_verify",
    "vxhs_tls",
    "vxhs_tls_x509_cert_dir",
    "vxhs_tls_x509_secret_uuid",
];

impl Qemu {
    /// Read the file. Without one, guests of the system run as the user that the distribution made
    /// for them, or as root where there is none; guests of an ordinary user always run as that user.
    ///
    /// # Errors
    /// A value of the wrong type or without a meaning, with its line.
    pub fn read(conf: &Conf, privileged: bool) -> Result<(Self, Vec<Warning>), Error> {
        let mut reader = conf.reader();
        let (user, group) = if privileged { defaults() } else { own_ids() };
        let uid = id(&mut reader, "user", Kind::User)?
            .filter(|_| privileged)
            .unwrap_or(user);
        let gid = id(&mut reader, "group", Kind::Group)?
            .filter(|_| privileged)
            .unwrap_or(group);
        let (tpm_user, tpm_group) = if privileged { tpm_defaults() } else { own_ids() };
        let swtpm_uid = id(&mut reader, "swtpm_user", Kind::User)?
            .filter(|_| privileged)
            .unwrap_or(tpm_user);
        let swtpm_gid = id(&mut reader, "swtpm_group", Kind::Group)?
            .filter(|_| privileged)
            .unwrap_or(tpm_group);
        let first = port(&mut reader, "remote_display_port_min")?.unwrap_or(DISPLAY_PORTS.0);
        let last = port(&mut reader, "remote_display_port_max")?.unwrap_or(DISPLAY_PORTS.1);
        if first > last {
            return Err(complaint(
                &mut reader,
                "remote_display_port_min",
                "is above remote_display_port_max",
            ));
        }
        stdio_handler(&mut reader)?;
        let it = Self {
            uid,
            gid,
            dynamic_ownership: reader.flag("dynamic_ownership")?.unwrap_or(privileged) && privileged,
            vnc_listen: reader.text("vnc_listen")?.map(str::to_owned),
            display_ports: (first, last),
            max_files: reader
                .integer("max_files", 0..=i64::MAX)?
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0),
            max_core: max_core(&mut reader)?,
            device_acl: device_acl(&mut reader)?,
            device_rules: has_device_rules(&mut reader)?,
            private_dev: private_dev(&mut reader)?,
            hugetlbfs: hugetlbfs(&mut reader)?,
            nvram: nvram(&mut reader)?,
            swtpm_uid,
            swtpm_gid,
        };
        Ok((it, reader.finish(WITHOUT_EFFECT)))
    }
}

fn complaint(reader: &mut Reader<'_>, name: &str, text: &str) -> Error {
    match reader.entry(name) {
        Some(entry) => reader.wrong(entry, format!("'{name}' {text}")).into(),
        None => Error::Driver {
            driver: "qemu",
            text: format!("'{name}' {text}"),
        },
    }
}

/// QEMU always writes to its log file itself; `logd` asks for a daemon between them.
fn stdio_handler(reader: &mut Reader<'_>) -> Result<(), Error> {
    match reader.text("stdio_handler")? {
        None | Some("file") => Ok(()),
        Some("logd") => {
            reader.warn(
                "stdio_handler",
                "stdio_handler 'logd' has no effect here: QEMU writes to its log file itself",
            );
            Ok(())
        }
        Some(_) => Err(complaint(reader, "stdio_handler", "must be file or logd")),
    }
}

fn id(reader: &mut Reader<'_>, name: &'static str, kind: Kind) -> Result<Option<u32>, Error> {
    let Some(text) = reader.text(name)? else {
        return Ok(None);
    };
    match names::id_of(kind, text) {
        Some(id) => Ok(Some(id)),
        None => {
            let place = reader
                .entry(name)
                .map_or_else(String::new, |entry| reader.place(entry));
            Err(Error::NoSuchName {
                place,
                kind: kind.as_str(),
                name: text.to_owned(),
            })
        }
    }
}

fn port(reader: &mut Reader<'_>, name: &str) -> Result<Option<u16>, Error> {
    let port = reader.integer(name, i64::from(DISPLAY_PORTS.0)..=i64::from(DISPLAY_PORTS.1))?;
    Ok(port.and_then(|n| u16::try_from(n).ok()))
}

/// A list of paths.
fn device_acl(reader: &mut Reader<'_>) -> Result<Option<Vec<PathBuf>>, Error> {
    let list = reader.list("cgroup_device_acl")?;
    Ok(list.map(|list| list.into_iter().map(PathBuf::from).collect()))
}

/// Of the controllers that may be used only the one for devices can be left out.
fn has_device_rules(reader: &mut Reader<'_>) -> Result<bool, Error> {
    let Some(list) = reader.list("cgroup_controllers")? else {
        return Ok(true);
    };
    let text = "cgroup_controllers has an effect on 'devices' only: the others are used where they are";
    reader.warn("cgroup_controllers", text);
    Ok(list.contains(&"devices"))
}

/// The one namespace that there is for QEMU, as in libvirt.
fn private_dev(reader: &mut Reader<'_>) -> Result<Option<bool>, Error> {
    let Some(list) = reader.list("namespaces")? else {
        return Ok(None);
    };
    match list.iter().find(|name| **name != "mount") {
        Some(other) => Err(complaint(
            reader,
            "namespaces",
            &format!("has no namespace '{other}'"),
        )),
        None => Ok(Some(!list.is_empty())),
    }
}

/// One path, or a list of them; an empty text is none at all.
fn hugetlbfs(reader: &mut Reader<'_>) -> Result<Option<Vec<PathBuf>>, Error> {
    let list = reader.list("hugetlbfs_mount")?;
    Ok(list.map(|list| {
        list.into_iter()
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect()
    }))
}

/// `CODE:VARS` each.
fn nvram(reader: &mut Reader<'_>) -> Result<Option<Vec<(PathBuf, PathBuf)>>, Error> {
    let Some(list) = reader.list("nvram")? else {
        return Ok(None);
    };
    let pair = |text: &str| {
        let (code, vars) = text.split_once(':')?;
        (!code.is_empty() && !vars.is_empty()).then(|| (PathBuf::from(code), PathBuf::from(vars)))
    };
    let pairs: Option<Vec<_>> = list.iter().map(|text| pair(text)).collect();
    match pairs {
        Some(pairs) => Ok(Some(pairs)),
        None => Err(complaint(
            reader,
            "nvram",
            "must be pairs of firmware and template, separated by ':'",
        )),
    }
}

/// A number of bytes or `"unlimited"`.
fn max_core(reader: &mut Reader<'_>) -> Result<Option<u64>, Error> {
    use super::conf::{Entry, Value};
    match reader.entry("max_core") {
        None => Ok(None),
        Some(Entry {
            value: Value::Text(text),
            ..
        }) if text == "unlimited" => Ok(Some(u64::MAX)),
        Some(Entry {
            value: Value::Integer(n),
            ..
        }) if *n >= 0 => Ok(u64::try_from(*n).ok()),
        Some(_) => Err(complaint(
            reader,
            "max_core",
            "must be a number of bytes or \"unlimited\"",
        )),
    }
}

/// The user and group that distributions make for guests.
fn defaults() -> (u32, u32) {
    for name in ["libvirt-qemu", "qemu"] {
        if let (Some(uid), Some(gid)) = (
            names::local(Kind::User, name),
            names::local(Kind::Group, name).or_else(|| names::local(Kind::Group, "kvm")),
        ) {
            return (uid, gid);
        }
    }
    (0, 0)
}

/// The user that distributions made for TPMs, or root.
fn tpm_defaults() -> (u32, u32) {
    let of = |kind| names::local(kind, "tss").unwrap_or(0);
    (of(Kind::User), of(Kind::Group))
}

fn own_ids() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str, privileged: bool) -> Result<(Qemu, Vec<Warning>), Error> {
        Qemu::read(
            &Conf::parse(Path::new("/etc/libvirt/qemu.conf"), text)?,
            privileged,
        )
    }

    #[test]
    fn user_and_group_by_name_and_number() {
        let (it, warnings) = read(
            "user = \"root\"\ngroup = \"+1234\"\ndynamic_ownership = 1\n",
            true,
        )
        .unwrap();
        assert_eq!((it.uid, it.gid, it.dynamic_ownership), (0, 1234, true));
        assert!(warnings.is_empty());
        let e = read("\nuser = \"no-such-user-here\"\n", true).unwrap_err();
        assert_eq!(
            e.to_string(),
            "/etc/libvirt/qemu.conf:2: there is no user 'no-such-user-here'"
        );
    }

    #[test]
    fn r16_guests_of_a_user_run_as_that_user() {
        let (it, _) = read("user = \"+4444\"\ndynamic_ownership = 1\n", false).unwrap();
        assert_eq!((it.uid, it.gid), own_ids());
        assert!(!it.dynamic_ownership);
    }

    #[test]
    fn the_one_namespace_can_be_left_out_and_no_other_one_named() {
        let asked = |text: &str| read(text, true).map(|(it, _)| it.private_dev);
        assert_eq!(asked("").unwrap(), None);
        assert_eq!(asked("namespaces = [ ]\n").unwrap(), Some(false));
        assert_eq!(asked("namespaces = [ \"mount\" ]\n").unwrap(), Some(true));
        assert_eq!(
            asked("namespaces = [ \"mount\", \"net\" ]\n")
                .unwrap_err()
                .to_string(),
            "configuration file syntax error: /etc/libvirt/qemu.conf:1: 'namespaces' has no namespace 'net'"
        );
    }

    #[test]
    fn limits_and_ports() {
        let text = "max_core = \"unlimited\"\nmax_files = 32768\nremote_display_port_min = 6000\nremote_display_port_max = 6010\n";
        let (it, _) = read(text, true).unwrap();
        assert_eq!(
            (it.max_core, it.max_files, it.display_ports),
            (Some(u64::MAX), Some(32768), (6000, 6010))
        );
        assert!(read("max_core = \"much\"\n", true).is_err());
        assert!(read("remote_display_port_min = 80\n", true).is_err());
        assert!(
            read(
                "remote_display_port_min = 6000\nremote_display_port_max = 5999\n",
                true
            )
            .is_err()
        );
    }

    #[test]
    fn what_has_no_effect_says_so() {
        let (_, warnings) = read(
            "stdio_handler = \"logd\"\ndbus_daemon = \"x\"\nusr = \"x\"\nstdio = 1\n",
            true,
        )
        .unwrap();
        assert_eq!(warnings.iter().map(|w| w.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(read("stdio_handler = \"pipe\"\n", true).is_err());
        assert!(read("stdio_handler = \"file\"\n", true).unwrap().1.is_empty());
    }

    #[test]
    fn r21_a_missing_value_is_an_error() {
        assert!(read("user = \n", true).is_err());
    }
}

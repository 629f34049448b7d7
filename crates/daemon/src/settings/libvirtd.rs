//! `libvirtd.conf`: sockets, who may use them, limits, and what is logged.

use std::path::PathBuf;

use super::conf::{Conf, Reader, Warning};
use super::names::{self, Kind};
use crate::error::Error;
use crate::log::syntax::{self, Filter, Level, Output};

/// What `libvirtd.conf` says that has an effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libvirtd {
    /// Directory of the sockets, if it is not the usual one.
    pub sock_dir: Option<PathBuf>,
    /// Group that the sockets belong to.
    pub sock_group: Option<u32>,
    /// Mode of the read-only socket.
    pub ro_mode: u32,
    /// Mode of the other one.
    pub rw_mode: u32,
    /// The least level that is logged.
    pub log_level: Option<Level>,
    /// Levels of single sources.
    pub log_filters: Vec<Filter>,
    /// Where lines go; none means the usual place.
    pub log_outputs: Vec<Output>,
    /// How many clients may be connected.
    pub max_clients: usize,
    /// How many requests of one client are worked on at a time.
    pub max_client_requests: usize,
    /// Seconds without a sign of life after which a client is asked for one; none: never.
    pub keepalive_interval: Option<u32>,
    /// How many times it is asked before the connection is closed.
    pub keepalive_count: u32,
    /// The host's UUID as the administrator wants it.
    pub host_uuid: Option<uuid::Uuid>,
}

/// Mode of the read-write socket when nothing is set: nobody but the owner, as in libvirt without a
/// way to ask.
const CLOSED: u32 = 0o700;
/// Mode of the read-only socket when nothing is set.
const OPEN: u32 = 0o777;

/// Settings of libvirt's that do nothing here. They are known, so that their warning does not look
/// like one about a slip of the pen.
const WITHOUT_EFFECT: &[&str] = &[
    "access_drivers",
    "admin_keepalive_count",
    "admin_keepalive_interval",
    "admin_keepalive_required",
    "admin_max_client_requests",
    "admin_max_clients",
    "admin_max_queued_clients",
    "admin_max_workers",
    "admin_min_workers",
    "audit_level",
    "audit_logging",
    "auth_tcp",
    "auth_tls",
    "ca_file",
    "cert_file",
    "crl_file",
    "host_uuid_source",
    "keepalive_required",
    "key_file",
    "listen_addr",
    "listen_tcp",
    "listen_tls",
    "max_anonymous_clients",
    "max_queued_clients",
    "max_workers",
    "mdns_adv",
    "mdns_name",
    "min_workers",
    "ovs_timeout",
    "prio_workers",
    "sasl_allowed_username_list",
    "tcp_min_ssf",
    "tcp_port",
    "tls_allowed_dn_list",
    "tls_no_sanity_certificate",
    "tls_no_verify_certificate",
    "tls_port",
    "tls_priority",
    "unix_sock_admin_perms",
];

impl Default for Libvirtd {
    fn default() -> Self {
        Self {
            sock_dir: None,
            sock_group: None,
            ro_mode: OPEN,
            rw_mode: CLOSED,
            log_level: None,
            log_filters: Vec::new(),
            log_outputs: Vec::new(),
            max_clients: 5000,
            max_client_requests: 5,
            keepalive_interval: Some(5),
            keepalive_count: 5,
            host_uuid: None,
        }
    }
}

impl Libvirtd {
    /// Read the file.
    ///
    /// # Errors
    /// A value of the wrong type or without a meaning, with its line.
    pub fn read(conf: &Conf) -> Result<(Self, Vec<Warning>), Error> {
        let mut reader = conf.reader();
        let mut it = Self::default();
        it.sockets(&mut reader)?;
        it.authentication(&mut reader)?;
        it.logging(&mut reader)?;
        it.limits(&mut reader)?;
        it.identity(&mut reader)?;
        Ok((it, reader.finish(WITHOUT_EFFECT)))
    }

    fn sockets(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        if let Some(dir) = reader.text("unix_sock_dir")? {
            if !dir.starts_with('/') {
                return Err(complaint(
                    reader,
                    "unix_sock_dir",
                    format!("'{dir}' is not an absolute path"),
                ));
            }
            self.sock_dir = Some(dir.into());
        }
        if let Some(name) = reader.text("unix_sock_group")? {
            let Some(id) = names::id_of(Kind::Group, name) else {
                return Err(complaint(
                    reader,
                    "unix_sock_group",
                    format!("there is no group '{name}'"),
                ));
            };
            self.sock_group = Some(id);
        }
        if let Some(mode) = mode(reader, "unix_sock_ro_perms")? {
            self.ro_mode = mode;
        }
        if let Some(mode) = mode(reader, "unix_sock_rw_perms")? {
            self.rw_mode = mode;
        }
        Ok(())
    }

    /// What cannot be asked must not be open: without polkit its sockets are the owner's alone.
    fn authentication(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for (name, mode) in [
            ("auth_unix_rw", &mut self.rw_mode),
            ("auth_unix_ro", &mut self.ro_mode),
        ] {
            match reader.text(name)? {
                None | Some("none") => {}
                Some("polkit") => {
                    *mode = CLOSED;
                    let text =
                        format!("{name}: polkit is not asked here, so the socket is for its owner alone");
                    reader.warn(name, text);
                }
                Some("sasl") => return Err(complaint(reader, name, "SASL is not supported here".to_owned())),
                Some(other) => return Err(complaint(reader, name, format!("unsupported auth '{other}'"))),
            }
        }
        Ok(())
    }

    fn logging(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        self.log_level = reader.integer("log_level", 0..=4)?.and_then(Level::from_number);
        if let Some(text) = reader.text("log_filters")? {
            self.log_filters = syntax::several(text).map_err(|e| log_complaint(reader, "log_filters", e))?;
        }
        if let Some(text) = reader.text("log_outputs")? {
            self.log_outputs = syntax::several(text).map_err(|e| log_complaint(reader, "log_outputs", e))?;
        }
        Ok(())
    }

    fn limits(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        if let Some(n) = reader.integer("max_clients", 1..=1_000_000)? {
            self.max_clients = usize::try_from(n).unwrap_or(usize::MAX);
        }
        if let Some(n) = reader.integer("max_client_requests", 1..=1_000_000)? {
            self.max_client_requests = usize::try_from(n).unwrap_or(usize::MAX);
        }
        if let Some(n) = reader.integer("keepalive_interval", -1..=i64::from(i32::MAX))? {
            self.keepalive_interval = u32::try_from(n).ok().filter(|n| *n > 0);
        }
        if let Some(n) = reader.integer("keepalive_count", 0..=i64::from(i32::MAX))? {
            self.keepalive_count = u32::try_from(n).unwrap_or(5);
        }
        Ok(())
    }

    fn identity(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        if let Some(text) = reader.text("host_uuid")? {
            let Ok(id) = uuid::Uuid::parse_str(text) else {
                return Err(complaint(reader, "host_uuid", format!("'{text}' is not a UUID")));
            };
            let bytes = id.as_bytes();
            if bytes.iter().all(|b| *b == bytes[0]) {
                return Err(complaint(
                    reader,
                    "host_uuid",
                    format!("'{text}' cannot be told from others"),
                ));
            }
            self.host_uuid = Some(id);
        }
        Ok(())
    }
}

/// An error at the line of this setting.
fn complaint(reader: &mut Reader<'_>, name: &str, text: String) -> Error {
    match reader.entry(name) {
        Some(entry) => reader.wrong(entry, text).into(),
        None => Error::Driver {
            driver: "daemon",
            text,
        },
    }
}

fn log_complaint(reader: &mut Reader<'_>, name: &str, source: syntax::LogSyntaxError) -> Error {
    let place = reader
        .entry(name)
        .map_or_else(String::new, |entry| reader.place(entry));
    Error::Log { place, source }
}

/// A file mode, in a text of octal digits.
fn mode(reader: &mut Reader<'_>, name: &str) -> Result<Option<u32>, Error> {
    let Some(text) = reader.text(name)? else {
        return Ok(None);
    };
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(Some(mode)),
        _ => Err(complaint(
            reader,
            name,
            format!("'{text}' is not a file mode in octal digits"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::syntax::Destination;
    use proptest::prelude::*;
    use std::path::Path;

    fn read(text: &str) -> Result<(Libvirtd, Vec<Warning>), Error> {
        let conf = Conf::parse(Path::new("/etc/libvirt/libvirtd.conf"), text)?;
        Libvirtd::read(&conf)
    }

    #[test]
    fn nothing_set() {
        let (it, warnings) = read("# all comments\n").unwrap();
        assert_eq!(it, Libvirtd::default());
        assert_eq!((it.rw_mode, it.ro_mode), (0o700, 0o777));
        assert!(warnings.is_empty());
    }

    #[test]
    fn sockets_log_and_limits() {
        let (it, warnings) = read(
            "unix_sock_group = \"root\"\nunix_sock_rw_perms = \"0770\"\nunix_sock_ro_perms = \"0755\"\n\
             unix_sock_dir = \"/run/x\"\nauth_unix_rw = \"none\"\nlog_level = 1\nlog_filters = \"1:qemu 4:event\"\n\
             log_outputs = \"3:file:/l 1:stderr\"\nmax_clients = 7\nkeepalive_interval = -1\n\
             host_uuid = \"0000000a-0000-4000-8000-00000000000a\"\n",
        )
        .unwrap();
        assert!(warnings.is_empty());
        assert_eq!((it.sock_group, it.rw_mode, it.ro_mode), (Some(0), 0o770, 0o755));
        assert_eq!(it.sock_dir.as_deref(), Some(Path::new("/run/x")));
        assert_eq!(
            (it.log_level, it.log_filters.len(), it.log_outputs.len()),
            (Some(Level::Debug), 2, 2)
        );
        assert_eq!(it.log_outputs[0].destination, Destination::File("/l".into()));
        assert_eq!((it.max_clients, it.keepalive_interval), (7, None));
        assert!(it.host_uuid.is_some());
    }

    #[test]
    fn mistakes_name_their_line() {
        for text in [
            "\nunix_sock_group = \"no-such-group-here\"\n",
            "\nunix_sock_rw_perms = \"0999\"\n",
            "\nunix_sock_rw_perms = \"07777\"\n",
            "\nunix_sock_dir = \"run\"\n",
            "\nauth_unix_rw = \"sasl\"\n",
            "\nauth_unix_ro = \"what\"\n",
            "\nlog_level = \"3\"\n",
            "\nlog_level = 9\n",
            "\nlog_filters = \"x\"\n",
            "\nlog_outputs = \"3:mail\"\n",
            "\nmax_clients = 0\n",
            "\nhost_uuid = \"11111111-1111-1111-1111-111111111111\"\n",
            "\nlog_level = \n",
        ] {
            let e = read(text).unwrap_err().to_string();
            assert!(e.contains("libvirtd.conf:2: "), "{text}: {e}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_closed() {
        let (it, warnings) = read("unix_sock_rw_perms = \"0777\"\nauth_unix_rw = \"polkit\"\n").unwrap();
        assert_eq!(it.rw_mode, 0o700);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].line, 2);
    }

    #[test]
    fn settings_without_effect_are_named() {
        let (_, warnings) = read("listen_tcp = 1\nlisten_tpc = 1\n").unwrap();
        let texts: Vec<_> = warnings.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "'listen_tcp' has no effect here",
                "'listen_tpc' is not a known setting"
            ]
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(name in "(unix_sock_dir|unix_sock_rw_perms|auth_unix_ro|log_level|log_filters|log_outputs|host_uuid|max_clients)",
                          value in "([0-9-]{1,5}|\"[^\"\n]{0,20}\"|\\[ \"a\" \\])") {
            let _ = read(&format!("{name} = {value}\n"));
        }
    }
}

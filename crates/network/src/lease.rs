//! DHCP leases: what dnsmasq's script (`ferrovirt-lease`) writes down, and what clients are told.
//!
//! The file is `BRIDGE.status`, a JSON list in the form in which libvirt's own script keeps it: existing hooks read
//! it, and dnsmasq, which keeps no file of its own, gets its leases back from it when it starts.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use ferrovirt_model::MacAddress;
use ferrovirt_model::network::Network;
use serde::{Deserialize, Serialize};

/// Family of the leased address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseKind {
    /// An IPv4 address (0 on the wire).
    Ipv4,
    /// An IPv6 address (1 on the wire).
    Ipv6,
}

/// One address that the network's DHCP server has given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The bridge.
    pub iface: String,
    /// When it ends, in seconds since 1970; 0 for never.
    pub expiry: i64,
    /// Family of `ip`.
    pub kind: LeaseKind,
    /// The client's hardware address, where known.
    pub mac: Option<String>,
    /// Identity association of an IPv6 client.
    pub iaid: Option<String>,
    /// The address.
    pub ip: String,
    /// Prefix length of the network's subnet, in bits.
    pub prefix: u32,
    /// The name that the client gave itself.
    pub hostname: Option<String>,
    /// Client id, or DUID with IPv6.
    pub clientid: Option<String>,
}

/// One lease as it stands in the file. The order of the fields is the file's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Identity association (IPv6).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iaid: Option<String>,
    /// The address.
    pub ip_address: String,
    /// The client's hardware address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac_address: Option<String>,
    /// The client's name; `*` when it gave none and was given none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hostname: Option<String>,
    /// Client id, or DUID with IPv6.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_id: Option<String>,
    /// The server's DUID (IPv6).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_duid: Option<String>,
    /// When it ends, in seconds since 1970; 0 for never.
    #[serde(default)]
    pub expiry_time: i64,
}

/// The file's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    /// In the order in which they were given or renewed.
    pub entries: Vec<Entry>,
}

impl Book {
    /// Reads the file; one that is not there or empty has no leases.
    ///
    /// # Errors
    /// What the kernel says, or `InvalidData` for what is no list of leases.
    pub fn read(path: &Path) -> io::Result<Book> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
            Err(error) => return Err(error),
        };
        Book::parse(&text)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// `InvalidData` for what is no list of leases.
    pub fn parse(text: &[u8]) -> io::Result<Book> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Book::default());
        }
        let entries = serde_json::from_slice(text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Book { entries })
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.entries).unwrap_or_else(|_| "[]".to_owned());
        text.push('\n');
        text
    }

    /// Gives `entry`'s address to its client, in the place of what was said of the address before.
    pub fn put(&mut self, entry: Entry) {
        self.remove(&entry.ip_address);
        self.entries.push(entry);
    }

    /// The address is free again.
    pub fn remove(&mut self, ip: &str) {
        self.entries.retain(|entry| entry.ip_address != ip);
    }

    /// The entry of an address.
    pub fn find(&self, ip: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.ip_address == ip)
    }

    /// What dnsmasq wants to read when it starts: IPv4 first, then the server's DUID and IPv6.
    pub fn to_dnsmasq(&self, now: i64) -> String {
        let mut ipv4 = String::new();
        let mut ipv6 = String::new();
        let mut server_duid = None;
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.expiry_time == 0 || entry.expiry_time > now)
        {
            let is_ipv6 = entry.ip_address.contains(':');
            let (text, id) = if is_ipv6 {
                (&mut ipv6, &entry.iaid)
            } else {
                (&mut ipv4, &entry.mac_address)
            };
            let Some(id) = id else { continue };
            text.push_str(&format!(
                "{} {id} {} {} {}\n",
                entry.expiry_time,
                entry.ip_address,
                entry.hostname.as_deref().unwrap_or("*"),
                entry.client_id.as_deref().unwrap_or("*")
            ));
            if is_ipv6 {
                server_duid = server_duid.or(entry.server_duid.as_deref());
            }
        }
        if let Some(duid) = server_duid {
            ipv4.push_str(&format!("duid {duid}\n"));
        }
        ipv4 + &ipv6
    }

    /// The leases that have not ended, of one hardware address or of all, as clients are told of them.
    pub fn leases(&self, network: &Network, mac: Option<MacAddress>, now: i64) -> Vec<Lease> {
        let iface = network.bridge_name().unwrap_or_default().to_owned();
        let valid = self
            .entries
            .iter()
            .filter(|entry| entry.expiry_time == 0 || entry.expiry_time > now);
        let wanted = valid.filter(|entry| {
            let of_entry = entry
                .mac_address
                .as_deref()
                .and_then(|mac| mac.parse::<MacAddress>().ok());
            mac.is_none() || of_entry == mac
        });
        wanted
            .map(|entry| entry.to_lease(network, iface.clone()))
            .collect()
    }
}

impl Entry {
    fn to_lease(&self, network: &Network, iface: String) -> Lease {
        let address = self.ip_address.parse::<IpAddr>().ok();
        let ipv6 = self.ip_address.contains(':');
        let subnets = || network.ips.iter().filter(|ip| ip.address.is_ipv6() == ipv6);
        let home = subnets().find(|ip| address.is_some_and(|address| ip.contains(address)));
        let prefix = home
            .or_else(|| subnets().find(|ip| ip.dhcp.is_some()))
            .map_or(0, |ip| ip.prefix_length());
        let known = |text: &Option<String>| text.clone().filter(|text| text != "*");
        Lease {
            iface,
            expiry: self.expiry_time,
            kind: if ipv6 { LeaseKind::Ipv6 } else { LeaseKind::Ipv4 },
            mac: self.mac_address.clone(),
            iaid: self.iaid.clone(),
            ip: self.ip_address.clone(),
            prefix: prefix.into(),
            hostname: known(&self.hostname),
            clientid: known(&self.client_id),
        }
    }
}

/// One call of dnsmasq's script, from its arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// dnsmasq starts and asks for its leases.
    Init,
    /// A lease is new, was renewed or got another name.
    Put(Entry),
    /// A lease has ended: its address.
    Delete(String),
}

impl Event {
    /// Reads arguments (without the program's name) and environment; `book` tells what a renewal leaves out.
    /// `None` for events that are not about leases (tftp, arp, …), which a newer dnsmasq may add to.
    ///
    /// # Errors
    /// A text that says what is missing.
    pub fn read(
        args: &[String],
        env: &HashMap<String, String>,
        book: &Book,
    ) -> Result<Option<Event>, String> {
        let action = args.first().ok_or("no action given")?.as_str();
        match action {
            "init" => Ok(Some(Event::Init)),
            "add" | "old" => {
                let id = args.get(1).ok_or("no client given")?;
                let ip = args.get(2).ok_or("no address given")?;
                Ok(Some(Event::Put(entry(id, ip, args.get(3), env, book.find(ip)))))
            }
            "del" => Ok(Some(Event::Delete(
                args.get(2).ok_or("no address given")?.clone(),
            ))),
            _ => Ok(None),
        }
    }
}

/// The lease of an `add` or `old` event. `id` is the client's hardware address, with IPv6 its DUID.
fn entry(
    id: &str,
    ip: &str,
    hostname: Option<&String>,
    env: &HashMap<String, String>,
    before: Option<&Entry>,
) -> Entry {
    let var = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    let ipv6 = ip.contains(':');
    let expiry = var("DNSMASQ_LEASE_EXPIRES").and_then(|text| text.parse().ok());
    Entry {
        iaid: var("DNSMASQ_IAID")
            .filter(|_| ipv6)
            .or_else(|| before.and_then(|entry| entry.iaid.clone())),
        ip_address: ip.to_owned(),
        mac_address: if ipv6 {
            var("DNSMASQ_MAC").or_else(|| before.and_then(|entry| entry.mac_address.clone()))
        } else {
            // A hardware type other than Ethernet stands before the address.
            Some(id.split_once('-').map_or(id, |(_, mac)| mac).to_owned())
        },
        hostname: hostname.cloned().or_else(|| var("DNSMASQ_OLD_HOSTNAME")),
        client_id: if ipv6 {
            Some(id.to_owned())
        } else {
            var("DNSMASQ_CLIENT_ID")
        },
        server_duid: var("DNSMASQ_SERVER_DUID").filter(|_| ipv6),
        expiry_time: expiry.or(before.map(|entry| entry.expiry_time)).unwrap_or(0),
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;

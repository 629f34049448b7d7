//! The packet filter rules of a network, as text for `nft -f -`.
//!
//! One table per network and protocol, with chains of its own: it is removed by one statement, and no table or chain
//! of anybody else is touched. Each batch begins by removing the table, so that what a crash left behind is no
//! special case. What packets a hook redirected with a DNAT rule of its own (in a table of its own, by iptables or
//! nft) arrives: `ct status dnat`.

use std::fmt::Write as _;
use std::net::IpAddr;

use ferrovirt_model::network::{ForwardMode, Nat, Network};

/// The longest table name that is made from a network's name; the kernel takes 255.
const MAX_NAME: usize = 200;

/// Which of nft's two families a table is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Ip,
    Ip6,
}

impl Family {
    fn as_str(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
        }
    }

    fn of(address: IpAddr) -> Family {
        if address.is_ipv4() {
            Family::Ip
        } else {
            Family::Ip6
        }
    }

    /// Destinations that never leave the network, whatever their address says.
    fn never_translated(self) -> &'static [&'static str] {
        match self {
            Family::Ip => &["224.0.0.0/24", "255.255.255.255"],
            Family::Ip6 => &["ff02::/16"],
        }
    }
}

/// Name of a network's tables: `ferrovirt_NAME`; what nft does not take in a name becomes `.` and its number.
pub(crate) fn table_name(network: &str) -> String {
    let mut name = "ferrovirt_".to_owned();
    for byte in network.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, ".{byte:02x}");
        }
    }
    if name.len() > MAX_NAME {
        // FNV-1a over the whole name keeps names apart whose beginnings are the same.
        let hash = network.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        name.truncate(MAX_NAME);
        let _ = write!(name, ".{hash:016x}");
    }
    name
}

/// Does a network of this kind have rules at all?
pub(crate) fn has_rules(network: &Network) -> bool {
    matches!(
        network.mode(),
        ForwardMode::None | ForwardMode::Nat | ForwardMode::Route
    )
}

/// The batch that takes all rules of the network away; no error where there are none.
pub(crate) fn removal(network: &str) -> String {
    let table = table_name(network);
    // A table that is not there cannot be deleted: naming it first makes it.
    format!("table ip {table}\ndelete table ip {table}\ntable ip6 {table}\ndelete table ip6 {table}\n")
}

/// The batch that puts the network's rules in the place of whatever it had.
pub(crate) fn batch(network: &Network, bridge: &str) -> String {
    let mut text = removal(&network.name);
    if !has_rules(network) {
        return text;
    }
    let has = |family| network.ips.iter().any(|ip| Family::of(ip.address) == family);
    table(&mut text, network, bridge, Family::Ip);
    // A bridge without IPv6 addresses does not speak IPv6 (see `bridge`); guests of it still may, with each other.
    if has(Family::Ip6) || network.ipv6 == Some(true) {
        table(&mut text, network, bridge, Family::Ip6);
    }
    text
}

/// What one family's table says of one network.
struct Rules<'a> {
    network: &'a Network,
    bridge: &'a str,
    family: Family,
    /// The network's subnets of this family, `ADDRESS/PREFIX`.
    subnets: Vec<String>,
}

fn table(text: &mut String, network: &Network, bridge: &str, family: Family) {
    let subnets = network.ips.iter().filter(|ip| Family::of(ip.address) == family);
    let subnets = subnets
        .map(|ip| format!("{}/{}", ip.network_address(), ip.prefix_length()))
        .collect();
    let rules = Rules {
        network,
        bridge,
        family,
        subnets,
    };
    let mut chains = vec![("forward", "filter hook forward priority filter", rules.forward())];
    if let Some(nat) = rules.nat() {
        chains.push((
            "postrouting",
            "nat hook postrouting priority srcnat",
            rules.postrouting(&nat),
        ));
    }
    let _ = writeln!(text, "table {} {} {{", family.as_str(), table_name(&network.name));
    for (chain, hook, lines) in chains {
        let _ = writeln!(text, "\tchain {chain} {{\n\t\ttype {hook}; policy accept;");
        for line in lines {
            let _ = writeln!(text, "\t\t{line}");
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
}

impl Rules<'_> {
    /// What may pass between the network and others. The first line that fits decides.
    fn forward(&self) -> Vec<String> {
        let (bridge, family) = (self.bridge, self.family.as_str());
        let out = self
            .device()
            .map(|dev| format!(" oifname \"{dev}\""))
            .unwrap_or_default();
        let from = self
            .device()
            .map(|dev| format!(" iifname \"{dev}\""))
            .unwrap_or_default();
        // Guests with each other.
        let mut lines = vec![format!("iifname \"{bridge}\" oifname \"{bridge}\" accept")];
        if self.network.mode() != ForwardMode::None {
            lines.push(format!("oifname \"{bridge}\" ct status dnat accept"));
            for subnet in &self.subnets {
                let answers = if self.nat().is_some() {
                    " ct state established,related"
                } else {
                    ""
                };
                lines.push(format!(
                    "oifname \"{bridge}\"{from} {family} daddr {subnet}{answers} accept"
                ));
                lines.push(format!(
                    "iifname \"{bridge}\"{out} {family} saddr {subnet} accept"
                ));
            }
            // Answers to what was redirected go back the way it came, also where only one device leads out.
            lines.push(format!(
                "iifname \"{bridge}\" ct status dnat ct direction reply accept"
            ));
        }
        lines.push(format!("oifname \"{bridge}\" reject"));
        lines.push(format!("iifname \"{bridge}\" reject"));
        lines
    }

    /// Under which address packets leave.
    fn postrouting(&self, nat: &Nat) -> Vec<String> {
        let family = self.family.as_str();
        let out = self
            .device()
            .map(|dev| format!("oifname \"{dev}\" "))
            .unwrap_or_default();
        let ports = nat
            .port
            .as_ref()
            .map_or((1024, 65535), |ports| (ports.start, ports.end));
        let addresses = nat.address.as_ref().filter(|_| self.family == Family::Ip);
        let (verdict, colon) = match addresses {
            Some(range) if range.start == range.end => (format!("snat to {}", range.start), String::new()),
            Some(range) => (format!("snat to {}-{}", range.start, range.end), String::new()),
            None => ("masquerade".to_owned(), " to ".to_owned()),
        };
        let mut lines = Vec::new();
        for subnet in &self.subnets {
            for destination in self.family.never_translated() {
                lines.push(format!(
                    "{out}{family} saddr {subnet} {family} daddr {destination} return"
                ));
            }
            let leaving = format!("{family} saddr {subnet} {family} daddr != {subnet}");
            for protocol in ["tcp", "udp"] {
                lines.push(format!(
                    "{out}meta l4proto {protocol} {leaving} {verdict}{colon}:{}-{}",
                    ports.0, ports.1
                ));
            }
            lines.push(format!("{out}{leaving} {verdict}"));
        }
        lines
    }

    /// What translation this family gets, if any.
    fn nat(&self) -> Option<Nat> {
        let forward = self
            .network
            .forward
            .as_ref()
            .filter(|forward| forward.mode == ForwardMode::Nat)?;
        let nat = forward.nat.clone().unwrap_or_default();
        (self.family == Family::Ip || nat.ipv6 == Some(true)).then_some(nat)
    }

    /// The one device of the host's that leads out, where the document names it.
    fn device(&self) -> Option<&str> {
        self.network.forward.as_ref()?.dev.as_deref()
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

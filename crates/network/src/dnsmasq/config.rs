//! What dnsmasq is told about a network: its configuration file and the two files with names and addresses beside
//! it. Pure text from the network's document; the options are those that libvirt's users know.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use ferrovirt_model::network::{
    Dhcp, DhcpRange, Dns, ForwardMode, Forwarder, Ip, LeaseTime, LeaseUnit, Network, Srv,
};

use crate::error::{Error, Result};

/// Where the files of one network's dnsmasq lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// Its configuration.
    pub conf: PathBuf,
    /// DHCP: who gets which address.
    pub hosts: PathBuf,
    /// DNS: names of addresses.
    pub addn_hosts: PathBuf,
    /// The process.
    pub pid: PathBuf,
    /// The leases, kept by `ferrovirt-lease`.
    pub leases: PathBuf,
}

/// The content of the three files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    /// For [`Files::conf`].
    pub conf: String,
    /// For [`Files::hosts`].
    pub hosts: String,
    /// For [`Files::addn_hosts`].
    pub addn_hosts: String,
}

/// Does the network need a dnsmasq at all?
pub(crate) fn is_needed(network: &Network) -> bool {
    network.makes_bridge()
        && !network.ips.is_empty()
        && (dns_enabled(network)
            || network
                .ips
                .iter()
                .any(|ip| ip.dhcp.is_some() || ip.tftp.is_some() || ip.address.is_ipv6()))
}

fn dns_enabled(network: &Network) -> bool {
    network.dns.as_ref().is_none_or(|dns| dns.enable != Some(false))
}

/// Writes the three texts.
///
/// # Errors
/// `Unsupported` for a subnet whose addresses have no DNS domain of their own.
pub(crate) fn render(network: &Network, bridge: &str, files: &Files) -> Result<Texts> {
    let mut conf = String::new();
    let mut line = |text: String| {
        conf.push_str(&text);
        conf.push('\n');
    };
    line(format!(
        "# Written by ferrovirt for the network '{}' at each start: change the network instead,",
        network.name
    ));
    line("# for example with 'virsh net-edit'.".to_owned());
    line("strict-order".to_owned());
    for text in dns_lines(network)? {
        line(text);
    }
    line(format!("pid-file={}", files.pid.display()));
    // Answers on the bridge only, also when the bridge comes and goes; other dnsmasqs keep port 53 of their addresses.
    line("except-interface=lo".to_owned());
    line("bind-dynamic".to_owned());
    line(format!("interface={bridge}"));
    if network.mode() == ForwardMode::None {
        // Nobody on an isolated network is told of a way out, and its names are not asked for outside.
        line("dhcp-option=3".to_owned());
        line("no-resolv".to_owned());
        line("ra-param=*,0,0".to_owned());
    }
    for text in record_lines(network.dns.as_ref()) {
        line(text);
    }
    for text in dhcp_lines(network, files) {
        line(text);
    }
    Ok(Texts {
        conf,
        hosts: dhcp_hosts(network),
        addn_hosts: dns_hosts(network),
    })
}

/// Where questions are passed on to, and which are not.
fn dns_lines(network: &Network) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if !dns_enabled(network) {
        lines.push("port=0".to_owned());
    }
    let forwarders: &[Forwarder] = network.dns.as_ref().map_or(&[], |dns| &dns.forwarders);
    for forwarder in forwarders {
        let server = forwarder.addr.map_or("#".to_owned(), |addr| addr.to_string());
        lines.push(match &forwarder.domain {
            Some(domain) => format!("server=/{}/{server}", quoted(domain)),
            None => format!("server={server}"),
        });
    }
    if forwarders.iter().any(|forwarder| forwarder.domain.is_none()) {
        lines.push("no-resolv".to_owned());
    }
    if let Some(domain) = &network.domain {
        if domain.local_only == Some(true) {
            lines.push(format!("local=/{}/", quoted(&domain.name)));
        }
        lines.push(format!("domain={}", quoted(&domain.name)));
        lines.push("expand-hosts".to_owned());
    }
    for ip in network.ips.iter().filter(|ip| ip.local_ptr == Some(true)) {
        lines.push(format!("local=/{}/", ptr_domain(ip)?));
    }
    if network
        .dns
        .as_ref()
        .is_some_and(|dns| dns.forward_plain_names == Some(false))
    {
        lines.push("domain-needed".to_owned());
        lines.push("local=//".to_owned());
    }
    Ok(lines)
}

/// TXT and SRV records.
fn record_lines(dns: Option<&Dns>) -> Vec<String> {
    let Some(dns) = dns else { return Vec::new() };
    let txts = dns
        .txts
        .iter()
        .map(|txt| format!("txt-record={},{}", quoted(&txt.name), quoted(&txt.value)));
    txts.chain(dns.srvs.iter().map(srv_line)).collect()
}

/// `srv-host=_SERVICE._PROTOCOL[.DOMAIN][,TARGET[,PORT[,PRIORITY[,WEIGHT]]]]`.
fn srv_line(srv: &Srv) -> String {
    let mut line = format!("srv-host=_{}._{}", quoted(&srv.service), quoted(&srv.protocol));
    if let Some(domain) = &srv.domain {
        let _ = write!(line, ".{}", quoted(domain));
    }
    let Some(target) = &srv.target else { return line };
    let _ = write!(line, ",{}", quoted(target));
    if srv.port.is_some() || srv.priority.is_some() || srv.weight.is_some() {
        let _ = write!(line, ",{}", srv.port.unwrap_or(1));
    }
    if srv.priority.is_some() || srv.weight.is_some() {
        let _ = write!(line, ",{}", srv.priority.unwrap_or(0));
    }
    if let Some(weight) = srv.weight {
        let _ = write!(line, ",{weight}");
    }
    line
}

/// DHCP, router advertisements, TFTP.
fn dhcp_lines(network: &Network, files: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    let mut addresses = 0u128;
    for ip in &network.ips {
        if let Some(tftp) = &ip.tftp {
            lines.push("enable-tftp".to_owned());
            lines.push(format!("tftp-root={}", quoted(&tftp.root)));
        }
        let Some(dhcp) = &ip.dhcp else { continue };
        addresses =
            addresses.saturating_add(dhcp.ranges.iter().map(range_size).fold(0, u128::saturating_add));
        range_lines(ip, dhcp, &mut lines);
    }
    if addresses > 0 {
        lines.push(format!(
            "dhcp-lease-max={}",
            addresses.min(u128::from(u32::MAX / 2))
        ));
    }
    if network.ips.iter().any(|ip| ip.dhcp.is_some()) {
        lines.push(format!("dhcp-hostsfile={}", files.hosts.display()));
    }
    if dns_enabled(network) {
        lines.push(format!("addn-hosts={}", files.addn_hosts.display()));
    }
    if let Some(mtu) = network
        .mtu
        .as_ref()
        .filter(|_| network.ips.iter().any(|ip| ip.dhcp.is_some()))
    {
        lines.push(format!("dhcp-option=option:mtu,{}", mtu.size));
    }
    let ipv6 = || network.ips.iter().filter(|ip| ip.address.is_ipv6());
    if ipv6().any(|ip| ip.dhcp.is_some()) {
        lines.push("enable-ra".to_owned());
    } else {
        lines.extend(ipv6().map(|ip| format!("dhcp-range={},ra-only", ip.address)));
    }
    lines
}

fn range_lines(ip: &Ip, dhcp: &Dhcp, lines: &mut Vec<String>) {
    let ipv4 = ip.address.is_ipv4();
    for range in &dhcp.ranges {
        let subnet = if ipv4 {
            netmask(ip)
        } else {
            ip.prefix_length().to_string()
        };
        let lease = range
            .lease
            .as_ref()
            .map(|lease| format!(",{}", lease_time(lease)))
            .unwrap_or_default();
        lines.push(format!(
            "dhcp-range={},{},{subnet}{lease}",
            range.start, range.end
        ));
    }
    if dhcp.ranges.is_empty() && !dhcp.hosts.is_empty() {
        let subnet = if ipv4 {
            String::new()
        } else {
            format!(",{}", ip.prefix_length())
        };
        lines.push(format!("dhcp-range={},static{subnet}", ip.address));
    }
    if ipv4 && !(dhcp.ranges.is_empty() && dhcp.hosts.is_empty()) {
        lines.push("dhcp-no-override".to_owned());
        lines.push("dhcp-authoritative".to_owned());
    }
    if let Some(bootp) = &dhcp.bootp {
        let server = bootp
            .server
            .map(|server| format!(",,{server}"))
            .unwrap_or_default();
        lines.push(format!("dhcp-boot={}{server}", quoted(&bootp.file)));
    }
}

fn netmask(ip: &Ip) -> String {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(ip.prefix_length().min(32)))
        .unwrap_or(0);
    std::net::Ipv4Addr::from(mask).to_string()
}

fn range_size(range: &DhcpRange) -> u128 {
    match (range.start, range.end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            u128::from(u32::from(end)).saturating_sub(u32::from(start).into()) + 1
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => u128::from(end)
            .saturating_sub(u128::from(start))
            .saturating_add(1),
        _ => 0,
    }
}

fn lease_time(lease: &LeaseTime) -> String {
    match (lease.expiry, lease.unit) {
        (0, _) => "infinite".to_owned(),
        (expiry, Some(LeaseUnit::Seconds)) => format!("{expiry}s"),
        (expiry, None | Some(LeaseUnit::Minutes)) => format!("{expiry}m"),
        (expiry, Some(LeaseUnit::Hours)) => format!("{expiry}h"),
    }
}

/// The DNS domain in which a subnet's addresses are looked up.
fn ptr_domain(ip: &Ip) -> Result<String> {
    let prefix = ip.prefix_length();
    let (label, digit_bits) = if ip.address.is_ipv4() {
        ("IPv4", 8)
    } else {
        ("IPv6", 4)
    };
    if !prefix.is_multiple_of(digit_bits) || prefix == 0 {
        return Err(Error::Unsupported(format!(
            "PTR domain for {label} network with prefix {prefix} cannot be automatically created"
        )));
    }
    let digits = usize::from(prefix / digit_bits);
    Ok(match ip.network_address() {
        IpAddr::V4(address) => {
            let digits: Vec<_> = address.octets()[..digits]
                .iter()
                .rev()
                .map(u8::to_string)
                .collect();
            format!("{}.in-addr.arpa", digits.join("."))
        }
        IpAddr::V6(address) => {
            let nibbles = address
                .octets()
                .into_iter()
                .flat_map(|byte| [byte >> 4, byte & 15]);
            let mut nibbles: Vec<_> = nibbles.take(digits).map(|nibble| format!("{nibble:x}")).collect();
            nibbles.reverse();
            format!("{}.ip6.arpa", nibbles.join("."))
        }
    })
}

/// Who gets which address, a line each.
fn dhcp_hosts(network: &Network) -> String {
    let mut text = String::new();
    for host in network
        .ips
        .iter()
        .filter_map(|ip| ip.dhcp.as_ref())
        .flat_map(|dhcp| &dhcp.hosts)
    {
        let mut parts = Vec::new();
        let name = host.name.clone();
        match host.ip {
            IpAddr::V4(ip) => {
                parts.extend(host.mac.map(|mac| mac.to_string()));
                // A host that is known by its name only begins with it.
                let (before, after) = if host.mac.is_some() {
                    (None, name)
                } else {
                    (name, None)
                };
                parts.extend(before);
                parts.push(ip.to_string());
                parts.extend(after);
            }
            IpAddr::V6(ip) => {
                parts.extend(host.id.as_ref().map(|id| format!("id:{id}")));
                parts.extend(name);
                parts.push(format!("[{ip}]"));
            }
        }
        parts.extend(host.lease.as_ref().map(lease_time));
        let _ = writeln!(text, "{}", parts.join(","));
    }
    text
}

/// Names of addresses, a line an address.
fn dns_hosts(network: &Network) -> String {
    let mut text = String::new();
    for host in network.dns.iter().flat_map(|dns| &dns.hosts) {
        let _ = write!(text, "{}\t", host.ip);
        for name in &host.hostnames {
            let _ = write!(text, "{name}\t");
        }
        text.push('\n');
    }
    text
}

/// A value as dnsmasq reads it back: in quotes where it has characters that mean something there.
fn quoted(value: &str) -> String {
    if value.contains(['"', '\\', '#', ',']) {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

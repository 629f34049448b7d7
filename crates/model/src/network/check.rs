//! What the parts of a network document must fit together in, and what reading fills in. The texts are libvirt's
//! where it has one for the case.

use std::net::IpAddr;

use super::{Bridge, Dhcp, DhcpHost, Dns, Family, ForwardMode, Ip, MacTableManager, Network, Route};
use crate::{Uuid, XmlError};

/// A bridge's forward delay can be no longer than the kernel's limit, in seconds.
const MAX_DELAY: u32 = 30;
/// Room for the name of a network device in the kernel, without the zero at its end.
const MAX_DEVICE_NAME: usize = 15;

fn inconsistent(text: String) -> XmlError {
    XmlError::Inconsistent(text)
}

fn unsupported(text: String) -> XmlError {
    XmlError::Unsupported(text)
}

impl Network {
    /// Fills in what needs no look at the host, and refuses what contradicts itself.
    ///
    /// # Errors
    /// `Inconsistent` and `Unsupported`, naming the part of the document.
    pub fn normalize(&mut self) -> Result<(), XmlError> {
        check_name(&self.name)?;
        self.uuid.get_or_insert_with(Uuid::random);
        if self.title.as_deref().is_some_and(|title| title.contains('\n')) {
            return Err(inconsistent("Network title can't contain newlines".to_owned()));
        }
        if self.ipv6 == Some(false) {
            self.ipv6 = None;
        }
        self.normalize_forward()?;
        self.normalize_bridge()?;
        self.check_mac_and_mtu()?;
        if let Some(dns) = &self.dns {
            check_dns(dns, &self.name)?;
        }
        if self.dns.as_ref() == Some(&Dns::default()) {
            self.dns = None;
        }
        for ip in &mut self.ips {
            normalize_ip(ip, &self.name)?;
        }
        self.check_one_dhcp_per_family()?;
        for route in &self.routes {
            check_route(route, self)?;
        }
        self.check_mode()
    }

    fn normalize_forward(&mut self) -> Result<(), XmlError> {
        let name = &self.name;
        let Some(forward) = &mut self.forward else {
            return Ok(());
        };
        if forward.nat.is_some() && forward.mode != ForwardMode::Nat {
            return Err(inconsistent(format!(
                "The <nat> element can only be used when <forward> 'mode' is 'nat' in network {name}"
            )));
        }
        match (&forward.dev, forward.interfaces.first()) {
            (Some(dev), Some(first)) if *dev != first.dev => {
                return Err(inconsistent(format!(
                    "<forward dev='{dev}'> must match first <interface dev='{}'/> in network {name}",
                    first.dev
                )));
            }
            (Some(dev), None) => forward
                .interfaces
                .push(super::ForwardInterface { dev: dev.clone() }),
            (None, Some(first)) => forward.dev = Some(first.dev.clone()),
            _ => {}
        }
        let mode = forward.mode;
        if let Some(dev) = &forward.dev {
            match mode {
                ForwardMode::Open | ForwardMode::None => {
                    return Err(inconsistent(format!(
                        "forward dev not allowed for network '{name}' with forward mode='{}'",
                        mode.as_str()
                    )));
                }
                ForwardMode::Bridge => {
                    return Err(unsupported(format!(
                        "<interface dev='{dev}'> in <forward> with mode='bridge' is not supported (network '{name}')"
                    )));
                }
                ForwardMode::Nat | ForwardMode::Route => {}
            }
        }
        if forward.interfaces.len() > 1 {
            return Err(inconsistent(format!(
                "multiple forwarding interfaces specified for network '{name}', only one is supported"
            )));
        }
        check_nat(forward, name)?;
        if mode == ForwardMode::None {
            self.forward = None;
        }
        Ok(())
    }

    fn normalize_bridge(&mut self) -> Result<(), XmlError> {
        let name = self.name.clone();
        let mode = self.mode();
        if mode == ForwardMode::Bridge {
            let Some(bridge) = self.bridge.as_ref().filter(|bridge| bridge.name.is_some()) else {
                return Err(unsupported(format!(
                    "<forward mode='bridge'> without a <bridge name='…'/> is not supported (network '{name}')"
                )));
            };
            if bridge.stp.is_some() || bridge.delay.is_some() || bridge.zone.is_some() {
                return Err(inconsistent(format!(
                    "bridge delay/stp/zone options only allowed in open, route, nat, and isolated mode, \
                     not in bridge (network '{name}')"
                )));
            }
        } else {
            let bridge = self.bridge.get_or_insert_with(Bridge::default);
            bridge.stp.get_or_insert(true);
            bridge.delay.get_or_insert(0);
        }
        let Some(bridge) = &self.bridge else { return Ok(()) };
        if bridge.delay.is_some_and(|delay| delay > MAX_DELAY) {
            return Err(inconsistent(format!("Invalid delay value in network '{name}'")));
        }
        if bridge.mac_table_manager == Some(MacTableManager::Libvirt) {
            return Err(unsupported(format!(
                "<bridge macTableManager='libvirt'> is not supported (network '{name}')"
            )));
        }
        match &bridge.name {
            Some(device) => check_device_name(device, &name),
            None => Ok(()),
        }
    }

    fn check_mac_and_mtu(&self) -> Result<(), XmlError> {
        if let Some(mac) = self.mac.as_ref().filter(|mac| mac.address.is_multicast()) {
            return Err(inconsistent(format!(
                "Invalid multicast bridge mac address '{}' in network '{}'",
                mac.address, self.name
            )));
        }
        match &self.mtu {
            Some(mtu) if !(68..=65535).contains(&mtu.size) => Err(inconsistent(format!(
                "Invalid <mtu size='{}'> in network '{}'",
                mtu.size, self.name
            ))),
            _ => Ok(()),
        }
    }

    /// dnsmasq is told of one subnet of each family.
    fn check_one_dhcp_per_family(&self) -> Result<(), XmlError> {
        for (family, label) in [(true, "IPv4"), (false, "IPv6")] {
            let with_dhcp = self
                .ips
                .iter()
                .filter(|ip| ip.dhcp.is_some() && ip.address.is_ipv4() == family)
                .count();
            if with_dhcp > 1 {
                return Err(unsupported(format!(
                    "Multiple {label} dhcp sections found -- dhcp is supported only for a single {label} address on \
                     each network"
                )));
            }
        }
        Ok(())
    }

    /// What some modes need, and others cannot have.
    fn check_mode(&self) -> Result<(), XmlError> {
        let mode = self.mode().as_str();
        let name = &self.name;
        match self.mode() {
            ForwardMode::Nat | ForwardMode::Route if self.ips.is_empty() => Err(inconsistent(format!(
                "{mode} forwarding requested, but no IP address provided for network '{name}'"
            ))),
            ForwardMode::Bridge => {
                let elements = [
                    ("mac", self.mac.is_some()),
                    ("ip", !self.ips.is_empty()),
                    ("dns", self.dns.is_some()),
                    ("domain", self.domain.is_some()),
                    ("route", !self.routes.is_empty()),
                    ("mtu", self.mtu.is_some()),
                ];
                match elements.iter().find(|(_, there)| *there) {
                    None => Ok(()),
                    Some((element, _)) => Err(unsupported(format!(
                        "Unsupported <{element}> element in network {name} with forward mode='{mode}'"
                    ))),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The name is part of file names and of hooks' arguments.
fn check_name(name: &str) -> Result<(), XmlError> {
    if name.is_empty() {
        return Err(inconsistent("missing name information".to_owned()));
    }
    match name.chars().find(|c| *c == '/' || *c == '\n') {
        Some(bad) => Err(inconsistent(format!("invalid char in name: {bad}"))),
        None if name == "." || name == ".." => Err(inconsistent(format!("invalid name: {name}"))),
        None => Ok(()),
    }
}

/// The kernel's rules for names of devices; `%d` asks for the first free number.
fn check_device_name(device: &str, network: &str) -> Result<(), XmlError> {
    let length = if device.contains("%d") {
        device.len() - 1
    } else {
        device.len()
    };
    let bad = device.is_empty()
        || length > MAX_DEVICE_NAME
        || device == "."
        || device == ".."
        || device
            .replacen("%d", "", 1)
            .contains(|c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace());
    if bad {
        return Err(inconsistent(format!(
            "Invalid bridge name '{device}' in network '{network}'"
        )));
    }
    Ok(())
}

fn check_nat(forward: &super::Forward, network: &str) -> Result<(), XmlError> {
    let Some(nat) = &forward.nat else { return Ok(()) };
    if let Some(address) = nat.address.as_ref().filter(|address| address.start > address.end) {
        return Err(inconsistent(format!(
            "range {} - {} is reversed",
            address.start, address.end
        )));
    }
    if nat
        .port
        .as_ref()
        .is_some_and(|port| port.start > port.end || port.start == 0)
    {
        return Err(inconsistent(format!(
            "Missing or invalid 'end' attribute in <port> in <nat> in <forward> in network {network}"
        )));
    }
    Ok(())
}

fn check_dns(dns: &Dns, network: &str) -> Result<(), XmlError> {
    let without_switch = Dns {
        enable: None,
        ..dns.clone()
    };
    if dns.enable == Some(false) && without_switch != Dns::default() {
        return Err(inconsistent(format!(
            "Extra data in disabled network '{network}'"
        )));
    }
    if dns
        .forwarders
        .iter()
        .any(|forwarder| forwarder.domain.is_none() && forwarder.addr.is_none())
    {
        return Err(inconsistent(
            "Invalid forwarder element, must contain at least one of addr or domain".to_owned(),
        ));
    }
    if let Some(txt) = dns
        .txts
        .iter()
        .find(|txt| txt.name.is_empty() || txt.name.contains(' '))
    {
        return Err(inconsistent(format!(
            "prohibited character in DNS TXT record name '{}' of network {network}",
            txt.name
        )));
    }
    if dns.hosts.iter().any(|host| host.hostnames.is_empty()) {
        return Err(inconsistent(format!(
            "Missing hostname in network '{network}' DNS HOST record"
        )));
    }
    let words = dns.srvs.iter().flat_map(|srv| [&srv.service, &srv.protocol]);
    let words = words.chain(dns.hosts.iter().flat_map(|host| &host.hostnames));
    let domains = dns
        .forwarders
        .iter()
        .filter_map(|forwarder| forwarder.domain.as_ref());
    let domains = domains.chain(
        dns.srvs
            .iter()
            .flat_map(|srv| [&srv.domain, &srv.target])
            .flatten(),
    );
    for text in words.chain(domains).chain(dns.txts.iter().map(|txt| &txt.value)) {
        check_line(text, "dns", network)?;
    }
    Ok(())
}

/// What becomes part of a line of dnsmasq's configuration must not begin another.
fn check_line(text: &str, element: &str, network: &str) -> Result<(), XmlError> {
    if text.chars().any(char::is_control) {
        return Err(inconsistent(format!(
            "control character in '{}' of <{element}> in network '{network}'",
            text.escape_debug()
        )));
    }
    Ok(())
}

fn normalize_ip(ip: &mut Ip, network: &str) -> Result<(), XmlError> {
    let address = ip.address;
    match (ip.family, address) {
        (None, IpAddr::V6(_)) => {
            return Err(unsupported(format!(
                "no family specified for non-IPv4 address '{address}' in network '{network}'"
            )));
        }
        (Some(Family::Ipv4), IpAddr::V6(_)) => {
            return Err(unsupported(format!(
                "Family 'ipv4' specified for non-IPv4 address '{address}' in network '{network}'"
            )));
        }
        (Some(Family::Ipv6), IpAddr::V4(_)) => {
            return Err(unsupported(format!(
                "Family 'ipv6' specified for non-IPv6 address '{address}' in network '{network}'"
            )));
        }
        _ => {}
    }
    check_subnet(address, ip.prefix, ip.netmask, network)?;
    if let Some(tftp) = &ip.tftp {
        check_line(&tftp.root, "tftp", network)?;
    }
    if ip.dhcp.as_ref() == Some(&Dhcp::default()) {
        ip.dhcp = None;
    }
    match &ip.dhcp {
        Some(dhcp) => check_dhcp(dhcp, ip, network),
        None => Ok(()),
    }
}

fn check_subnet(
    address: IpAddr,
    prefix: Option<u8>,
    netmask: Option<std::net::Ipv4Addr>,
    network: &str,
) -> Result<(), XmlError> {
    let (label, bits) = if address.is_ipv4() {
        ("IPv4", 32)
    } else {
        ("IPv6", 128)
    };
    if prefix.is_some() && netmask.is_some() {
        return Err(unsupported(format!(
            "Network '{network}' IP address cannot have both a prefix and a netmask"
        )));
    }
    if let Some(prefix) = prefix.filter(|prefix| *prefix > bits) {
        return Err(unsupported(format!(
            "Invalid {label} prefix '{prefix}' in network '{network}'"
        )));
    }
    if let Some(mask) = netmask {
        let ones = u32::from(mask).leading_ones();
        if address.is_ipv6() {
            return Err(unsupported(format!(
                "netmask not allowed for IPv6 address '{address}' in network '{network}'"
            )));
        }
        if u32::from(mask).count_ones() != ones {
            return Err(inconsistent(format!(
                "Invalid netmask '{mask}' in network '{network}'"
            )));
        }
    }
    Ok(())
}

fn check_dhcp(dhcp: &Dhcp, ip: &Ip, network: &str) -> Result<(), XmlError> {
    for range in &dhcp.ranges {
        let (start, end) = (range.start, range.end);
        if !ip.contains(start) || !ip.contains(end) {
            return Err(inconsistent(format!(
                "range {start} - {end} is not entirely within network {}/{}",
                ip.address,
                ip.prefix_length()
            )));
        }
        if start > end {
            return Err(inconsistent(format!("range {start} - {end} is reversed ")));
        }
    }
    for host in &dhcp.hosts {
        check_dhcp_host(host, ip, network)?;
    }
    if let Some(bootp) = &dhcp.bootp {
        if ip.address.is_ipv6() {
            return Err(unsupported(format!(
                "<bootp> is not supported for IPv6 in network '{network}'"
            )));
        }
        check_line(&bootp.file, "bootp", network)?;
    }
    Ok(())
}

fn check_dhcp_host(host: &DhcpHost, ip: &Ip, network: &str) -> Result<(), XmlError> {
    if host.ip.is_ipv4() != ip.address.is_ipv4() {
        return Err(inconsistent(format!(
            "Invalid IP address in static host definition for network '{network}'"
        )));
    }
    let ipv4 = ip.address.is_ipv4();
    if ipv4 && host.mac.is_none() && host.name.is_none() {
        return Err(inconsistent(format!(
            "Static host definition in IPv4 network '{network}' must have mac or name attribute"
        )));
    }
    if ipv4 && host.id.is_some() {
        return Err(inconsistent(format!(
            "Static host definition in IPv4 network '{network}' cannot have id attribute"
        )));
    }
    if !ipv4 && host.mac.is_some() {
        return Err(inconsistent(format!(
            "Invalid to specify MAC address '{}' in network '{network}' IPv6 static host definition",
            host.mac.map(|mac| mac.to_string()).unwrap_or_default()
        )));
    }
    if !ipv4 && host.id.is_none() && host.name.is_none() {
        return Err(inconsistent(format!(
            "Static host definition in IPv6 network '{network}' must have id or name attribute"
        )));
    }
    if let Some(mac) = host.mac.filter(|mac| mac.is_multicast()) {
        return Err(inconsistent(format!(
            "Invalid multicast MAC address '{mac}' in network '{network}'"
        )));
    }
    if let Some(name) = host
        .name
        .as_deref()
        .filter(|name| !name.starts_with(char::is_alphanumeric))
    {
        return Err(inconsistent(format!(
            "Cannot use host name '{name}' in network '{network}'"
        )));
    }
    for text in [&host.name, &host.id].into_iter().flatten() {
        if text.contains(',') {
            return Err(inconsistent(format!(
                "Cannot use '{text}' of <host> in network '{network}'"
            )));
        }
        check_line(text, "host", network)?;
    }
    Ok(())
}

fn check_route(route: &Route, network: &Network) -> Result<(), XmlError> {
    let name = &network.name;
    let ipv6 = route.family == Some(Family::Ipv6);
    if route.address.is_ipv6() != ipv6 || route.gateway.is_ipv6() != ipv6 {
        return Err(inconsistent(format!(
            "family of <route address='{}' gateway='{}'> does not fit in network '{name}'",
            route.address, route.gateway
        )));
    }
    check_subnet(route.address, route.prefix, route.netmask, name)?;
    if super::ip::masked(route.address, route.prefix_length()) != route.address {
        return Err(inconsistent(format!(
            "route address '{}' in network '{name}' is not a network address",
            route.address
        )));
    }
    if route.metric == Some(0) {
        return Err(inconsistent(format!(
            "Invalid <route metric='0'> in network '{name}'"
        )));
    }
    if !network.ips.iter().any(|ip| ip.contains(route.gateway)) {
        return Err(unsupported(format!(
            "unreachable static route gateway '{}' specified for network '{name}'",
            route.gateway
        )));
    }
    Ok(())
}

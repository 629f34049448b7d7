//! `<dns>`: the network's DNS server.

use std::net::IpAddr;

use ferrovirt_xml::Xml;
use ferrovirt_xml::values::yes_no;

/// `<dns>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct Dns {
    /// Is there a DNS server at all? Yes where absent.
    #[xml(attr, with = "yes_no")]
    pub enable: Option<bool>,
    /// Are names without a dot asked outside? Yes where absent.
    #[xml(attr = "forwardPlainNames", with = "yes_no")]
    pub forward_plain_names: Option<bool>,
    /// Servers to ask instead of the host's.
    #[xml(name = "forwarder")]
    pub forwarders: Vec<Forwarder>,
    /// TXT records.
    #[xml(name = "txt")]
    pub txts: Vec<Txt>,
    /// SRV records.
    #[xml(name = "srv")]
    pub srvs: Vec<Srv>,
    /// Names of addresses.
    #[xml(name = "host")]
    pub hosts: Vec<DnsHost>,
}

/// `<forwarder>`: a server to ask; with a domain, about that domain only.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Forwarder {
    /// The domain.
    #[xml(attr)]
    pub domain: Option<String>,
    /// The server; the host's own for this domain where absent.
    #[xml(attr)]
    pub addr: Option<IpAddr>,
}

/// `<txt>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Txt {
    /// Name of the record.
    #[xml(attr)]
    pub name: String,
    /// Its text.
    #[xml(attr)]
    pub value: String,
}

/// `<srv>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Srv {
    /// The service, without the underscore.
    #[xml(attr)]
    pub service: String,
    /// The protocol, without the underscore.
    #[xml(attr)]
    pub protocol: String,
    /// The domain that offers it.
    #[xml(attr)]
    pub domain: Option<String>,
    /// Who serves.
    #[xml(attr)]
    pub target: Option<String>,
    /// At which port.
    #[xml(attr)]
    pub port: Option<u16>,
    /// Lower is asked first.
    #[xml(attr)]
    pub priority: Option<u16>,
    /// Share among those of the same priority.
    #[xml(attr)]
    pub weight: Option<u16>,
}

/// `<host>`: names of one address.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DnsHost {
    /// The address.
    #[xml(attr)]
    pub ip: IpAddr,
    /// Its names.
    #[xml(name = "hostname")]
    pub hostnames: Vec<String>,
}

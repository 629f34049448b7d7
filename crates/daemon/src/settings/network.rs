//! `network.conf`.

use super::conf::{Conf, ConfError, Warning};

/// What `network.conf` says that has an effect here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {}

impl Network {
    /// Read the file.
    ///
    /// # Errors
    /// A value of the wrong type, or a firewall that does not exist.
    pub fn read(conf: &Conf) -> Result<(Self, Vec<Warning>), ConfError> {
        let mut reader = conf.reader();
        match (reader.text("firewall_backend")?, reader.entry("firewall_backend")) {
            (Some("nftables"), _) | (None, _) | (_, None) => {}
            (Some("iptables"), _) => reader.warn(
                "firewall_backend",
                "firewall_backend 'iptables' has no effect here: rules are made with nftables",
            ),
            (Some(other), Some(entry)) => {
                return Err(reader.wrong(entry, format!("there is no firewall backend '{other}'")));
            }
        }
        Ok((Self {}, reader.finish(&[])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Vec<Warning>, ConfError> {
        Network::read(&Conf::parse(Path::new("network.conf"), text).unwrap()).map(|(_, warnings)| warnings)
    }

    #[test]
    fn the_firewall_is_nftables() {
        assert!(read("firewall_backend = \"nftables\"\n").unwrap().is_empty());
        assert_eq!(read("\nfirewall_backend = \"iptables\"\n").unwrap()[0].line, 2);
        assert_eq!(read("firewall_backend = \"ipfw\"\n").unwrap_err().line, 1);
        assert_eq!(read("other = 1\n").unwrap().len(), 1);
    }
}

//! Where the page and the metrics are served: a socket of this machine, or a port that only this machine reaches.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// An address that nobody on another machine can reach.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// A port of the loopback interface. Every user of this machine can connect.
    Tcp(SocketAddr),
    /// A unix socket, which is its owner's alone.
    Unix(PathBuf),
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Listen::Unix(path.into())),
                false => Err(format!("'{text}' needs an absolute path after 'unix:'")),
            };
        }
        let Ok(address) = text.parse::<SocketAddr>() else {
            return Err(format!(
                "'{text}' is neither 'unix:/PATH' nor an address with a port as in '127.0.0.1:9178' or '[::1]:9178'"
            ));
        };
        if !address.ip().is_loopback() {
            return Err(format!(
                "'{text}' is not of this machine alone; only 127.0.0.0/8 and [::1] are"
            ));
        }
        if address.port() == 0 {
            return Err(format!("'{text}' needs a port"));
        }
        Ok(Listen::Tcp(address))
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "http://{address}/"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine() {
        let good = [
            "127.0.0.1:9178",
            "127.9.9.9:1",
            "[::1]:9177",
            "unix:/run/libvirt/m.sock",
        ];
        for text in good {
            assert!(Listen::try_from(text.to_owned()).is_ok(), "{text}");
        }
        let bad = [
            "",
            "localhost:80",
            "127.0.0.1",
            "127.0.0.1:0",
            "0.0.0.0:9178",
            "[::]:9178",
            "10.0.0.1:9178",
            "[::ffff:10.0.0.1]:1",
            "unix:",
            "unix:run/m.sock",
            "/run/m.sock",
        ];
        for text in bad {
            let error = Listen::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }
}

//! Connection URIs, as far as they reach the daemon: `qemu:///system`, `qemu:///session`, `lxc:///system`, `network:///system`.

use ferrovirt_hook::Driver;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};

/// Which driver a connection is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// QEMU guests, with networks and storage beside them.
    Qemu,
    /// Containers, with networks beside them.
    Lxc,
    /// Networks alone.
    Network,
}

/// What was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// The driver.
    pub scheme: Scheme,
    /// The whole URI in its usual form.
    pub text: String,
}

impl Scheme {
    /// Whose guests a connection shows; none where there are only networks.
    pub fn driver(self) -> Option<Driver> {
        match self {
            Self::Qemu => Some(Driver::Qemu),
            Self::Lxc => Some(Driver::Lxc),
            Self::Network => None,
        }
    }
}

impl Uri {
    /// Reads a URI; an empty one lets us choose. `privileged`: this is the daemon of the system.
    ///
    /// # Errors
    /// With libvirt's codes for URIs that cannot be read, that no driver here serves, or that ask for another daemon.
    pub fn parse(text: &str, privileged: bool) -> Result<Self, ErrorReply> {
        if text.is_empty() {
            let path = if privileged { "/system" } else { "/session" };
            return Ok(Self {
                scheme: Scheme::Qemu,
                text: format!("qemu://{path}"),
            });
        }
        let nobody = |what: String| ErrorReply::new(ErrorCode::NoConnect, ErrorDomain::None, what);
        let Some((scheme, rest)) = split_scheme(text) else {
            if text.starts_with(':') {
                return Err(ErrorReply::internal(
                    ErrorDomain::Uri,
                    format!("Unable to parse URI {text}"),
                ));
            }
            return Err(nobody(format!("URI '{text}' does not include a driver name")));
        };
        let (known, paths): (Scheme, &[&str]) = match (scheme, privileged) {
            ("qemu", true) => (Scheme::Qemu, &["/system", "/session"]),
            ("qemu", false) => (Scheme::Qemu, &["/session"]),
            ("lxc", true) => (Scheme::Lxc, &["/system"]),
            ("network", true) => (Scheme::Network, &["/system"]),
            ("network", false) => (Scheme::Network, &["/session"]),
            _ => return Err(nobody(text.to_owned())),
        };
        let (place, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        // A host would mean that we are to connect further: that is the client's business.
        let path = match place.strip_prefix("//") {
            None => place,
            Some(path) if path.is_empty() || path.starts_with('/') => path,
            Some(_) => return Err(nobody(text.to_owned())),
        };
        if !paths.contains(&path) {
            let text = format!(
                "unexpected {scheme} URI path '{path}', try {scheme}://{}",
                paths[0]
            );
            return Err(ErrorReply::internal(ErrorDomain::None, text));
        }
        Ok(Self {
            scheme: known,
            text: format!("{scheme}://{path}{query}"),
        })
    }
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain))
        .then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(text: &str) -> (Scheme, String) {
        let uri = Uri::parse(text, true).unwrap();
        (uri.scheme, uri.text)
    }

    fn refused(text: &str, privileged: bool) -> (i32, i32, String) {
        let error = Uri::parse(text, privileged).unwrap_err();
        (error.code, error.domain, error.text().to_owned())
    }

    #[test]
    fn uris_that_are_served() {
        let qemu = |text: &str| (Scheme::Qemu, text.to_owned());
        assert_eq!(opened("qemu:///system"), qemu("qemu:///system"));
        assert_eq!(opened("qemu:///session"), qemu("qemu:///session"));
        assert_eq!(opened("qemu:/system"), qemu("qemu:///system"));
        assert_eq!(opened("qemu:///system?a=b"), qemu("qemu:///system?a=b"));
        assert_eq!(opened(""), qemu("qemu:///system"));
        assert_eq!(
            opened("network:///system"),
            (Scheme::Network, "network:///system".to_owned())
        );
        assert_eq!(Uri::parse("", false).unwrap().text, "qemu:///session");
    }

    #[test]
    fn uris_that_are_refused_as_libvirt_refuses_them() {
        let nobody = |what: &str| (5, 0, format!("no connection driver available for {what}"));
        assert_eq!(refused("foo:///system", true), nobody("foo:///system"));
        assert_eq!(refused("QEMU:///system", true), nobody("QEMU:///system"));
        assert_eq!(refused("qemu://host/system", true), nobody("qemu://host/system"));
        assert_eq!(
            refused("foo", true),
            nobody("URI 'foo' does not include a driver name")
        );
        assert_eq!(
            refused("::", true),
            (1, 45, "internal error: Unable to parse URI ::".to_owned())
        );
        let path = |text: &str| (1, 0, format!("internal error: {text}"));
        assert_eq!(
            refused("qemu:///", true),
            path("unexpected qemu URI path '/', try qemu:///system")
        );
        assert_eq!(
            refused("qemu:", true),
            path("unexpected qemu URI path '', try qemu:///system")
        );
        assert_eq!(
            refused("qemu:///system", false),
            path("unexpected qemu URI path '/system', try qemu:///session")
        );
        assert_eq!(
            refused("network:///foo", true),
            path("unexpected network URI path '/foo', try network:///system")
        );
    }
}

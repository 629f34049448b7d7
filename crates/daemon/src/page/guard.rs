//! Who may ask what, decided from a request's head alone.

use std::net::SocketAddr;

use hyper::header::HOST;
use hyper::{HeaderMap, Method, StatusCode, Uri};

/// Through which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A unix socket. Nothing that runs in a browser gets here under a name of its own.
    Unix,
    /// This address of the loopback interface.
    Tcp(SocketAddr),
}

/// Whether a request is answered at all.
///
/// A browser can be made to send a request to any port of its own machine under any name (DNS rebinding). What it cannot
/// be made to do is to name another host than the page it came from. So only this machine's own names pass.
pub(crate) fn admit(method: &Method, uri: &Uri, headers: &HeaderMap, door: Door) -> Result<(), StatusCode> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    if let Door::Tcp(address) = door {
        let named = host.and_then(|host| host.to_str().ok());
        let in_uri = uri.authority().map(|authority| authority.as_str());
        let both = [named, in_uri];
        if both.iter().flatten().any(|host| !is_ours(host, address)) || named.is_none() {
            return Err(StatusCode::FORBIDDEN);
        }
    }
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether this is a name of this machine, or our address, with our port. Without a port, it is HTTP's own one.
fn is_ours(host: &str, address: SocketAddr) -> bool {
    if host == address.to_string() {
        return true;
    }
    let port = address.port();
    let rest = ["localhost", "127.0.0.1", "[::1]"].iter().find_map(|name| {
        let start = host.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| &host[name.len()..])
    });
    match rest {
        Some("") => port == 80,
        Some(rest) => rest.strip_prefix(':') == Some(port.to_string().as_str()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    fn port(port: u16) -> Door {
        Door::Tcp(([127, 0, 0, 1], port).into())
    }

    fn ask(method: &Method, hosts: &[&str], door: Door) -> Result<(), StatusCode> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        admit(method, &Uri::from_static("/"), &headers, door)
    }

    #[test]
    fn only_names_of_this_machine_pass() {
        let good = ["localhost:9178", "LocalHost:9178", "127.0.0.1:9178", "[::1]:9178"];
        for host in good {
            assert_eq!(ask(&Method::GET, &[host], port(9178)), Ok(()), "{host}");
        }
        let bad = [
            "",
            "localhost",
            "localhost:9177",
            "localhost:9178:9178",
            "localhost:09178",
            "localhost.:9178",
            "localhost.evil.example:9178",
            "evil.example",
            "evil.example:9178",
            "127.0.0.1.evil.example:9178",
            "127.0.0.1:9178 ",
            "user@127.0.0.1:9178",
            "::1:9178",
            "0.0.0.0:9178",
        ];
        for host in bad {
            let wanted = Err(StatusCode::FORBIDDEN);
            // A header's value is trimmed before it gets here.
            if host.trim() == host {
                assert_eq!(ask(&Method::GET, &[host], port(9178)), wanted, "{host}");
            }
        }
        assert_eq!(ask(&Method::GET, &[], port(9178)), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask(&Method::GET, &["localhost"], port(80)), Ok(()));
        let other = Door::Tcp(([127, 9, 9, 9], 9178).into());
        for host in ["127.9.9.9:9178", "localhost:9178"] {
            assert_eq!(ask(&Method::GET, &[host], other), Ok(()), "{host}");
        }
        assert_eq!(
            ask(&Method::GET, &["localhost:9178", "evil"], port(9178)),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn the_name_in_the_first_line_counts_too() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:9178"));
        let uri = Uri::from_static("http://evil.example/");
        let refused = admit(&Method::GET, &uri, &headers, port(9178));
        assert_eq!(refused, Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn a_unix_socket_has_no_name() {
        for host in [&[][..], &["anything"]] {
            assert_eq!(ask(&Method::GET, host, Door::Unix), Ok(()));
        }
    }

    #[test]
    fn nothing_can_be_changed() {
        for method in [
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            let wanted = Err(StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(ask(&method, &["localhost:1"], port(1)), wanted, "{method}");
        }
        assert_eq!(ask(&Method::HEAD, &["localhost:1"], port(1)), Ok(()));
        // Who is not meant learns nothing else.
        assert_eq!(ask(&Method::POST, &["evil"], port(1)), Err(StatusCode::FORBIDDEN));
    }

    proptest! {
        #[test]
        fn no_host_makes_it_panic(host in "\\PC*", port: u16) {
            let ours = is_ours(&host, ([127, 0, 0, 1], port).into());
            prop_assert!(!ours || host.is_ascii());
        }
    }
}

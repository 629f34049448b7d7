//! Who may ask what, decided from a request's head alone.

use hyper::header::HOST;
use hyper::{HeaderMap, Method, StatusCode, Uri};

/// Through which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A unix socket. Nothing that runs in a browser gets here under a name of its own.
    Unix,
    /// This port of the loopback interface.
    Port(u16),
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
    if let Door::Port(port) = door {
        let named = host.and_then(|host| host.to_str().ok());
        let in_uri = uri.authority().map(|authority| authority.as_str());
        let both = [named, in_uri];
        if both.iter().flatten().any(|host| !is_ours(host, port)) || named.is_none() {
            return Err(StatusCode::FORBIDDEN);
        }
    }
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether this is a name of this machine with our port. Without a port, it is HTTP's own one.
fn is_ours(host: &str, port: u16) -> bool {
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
            assert_eq!(ask(&Method::GET, &[host], Door::Port(9178)), Ok(()), "{host}");
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
                assert_eq!(ask(&Method::GET, &[host], Door::Port(9178)), wanted, "{host}");
            }
        }
        assert_eq!(
            ask(&Method::GET, &[], Door::Port(9178)),
            Err(StatusCode::FORBIDDEN)
        );
        assert_eq!(ask(&Method::GET, &["localhost"], Door::Port(80)), Ok(()));
        assert_eq!(
            ask(&Method::GET, &["localhost:9178", "evil"], Door::Port(9178)),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn the_name_in_the_first_line_counts_too() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:9178"));
        let uri = Uri::from_static("http://evil.example/");
        let refused = admit(&Method::GET, &uri, &headers, Door::Port(9178));
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
            assert_eq!(ask(&method, &["localhost:1"], Door::Port(1)), wanted, "{method}");
        }
        assert_eq!(ask(&Method::HEAD, &["localhost:1"], Door::Port(1)), Ok(()));
        // Who is not meant learns nothing else.
        assert_eq!(
            ask(&Method::POST, &["evil"], Door::Port(1)),
            Err(StatusCode::FORBIDDEN)
        );
    }

    proptest! {
        #[test]
        fn no_host_makes_it_panic(host in "\\PC*", port: u16) {
            let ours = is_ours(&host, port);
            prop_assert!(!ours || host.is_ascii());
        }
    }
}

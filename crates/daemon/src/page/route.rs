//! Paths: what is asked for, and how links are written.

use ferrovirt_hook::Driver;
use hyper::StatusCode;

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The host at a glance.
    Home,
    /// The stylesheet.
    Style,
    /// A guest or a network of a driver, by its name.
    Object(Driver, String),
    /// An operation of the history.
    Operation(u64),
    /// A run of a hook.
    Run(u64),
}

impl Route {
    /// Reads a path.
    ///
    /// # Errors
    /// 400 for what is no path, 404 for what is not there.
    pub(crate) fn parse(path: &str) -> Result<Route, StatusCode> {
        let rest = path.strip_prefix('/').ok_or(StatusCode::BAD_REQUEST)?;
        // Cut before it is decoded: a slash in a name is no separator.
        let parts: Vec<String> = rest
            .split('/')
            .map(decode)
            .collect::<Option<_>>()
            .ok_or(StatusCode::BAD_REQUEST)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            [""] => Ok(Route::Home),
            ["style.css"] => Ok(Route::Style),
            ["operation", id] => number(id).map(Route::Operation),
            ["run", id] => number(id).map(Route::Run),
            [kind, name] if !name.is_empty() => {
                let driver = KINDS.iter().find(|(_, word)| *word == kind);
                driver
                    .map(|(driver, _)| Route::Object(*driver, name.to_owned()))
                    .ok_or(StatusCode::NOT_FOUND)
            }
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

/// What the objects of each driver are called in paths.
const KINDS: &[(Driver, &str)] = &[
    (Driver::Qemu, "guest"),
    (Driver::Lxc, "container"),
    (Driver::Libxl, "xen"),
    (Driver::Network, "network"),
];

/// The link to an object's page; the daemon itself has none.
pub(crate) fn link(driver: Driver, name: &str) -> Option<String> {
    let (_, kind) = KINDS.iter().find(|(of, _)| *of == driver)?;
    Some(format!("/{kind}/{}", encode(name)))
}

/// A number as we write it: one page, one address.
fn number(text: &str) -> Result<u64, StatusCode> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let id = text.parse().ok().filter(|_| plain);
    id.ok_or(StatusCode::NOT_FOUND)
}

/// `%XX` to bytes, which must be UTF-8 then.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// One part of a path, for a link.
fn encode(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_page_has_its_path() {
        for (path, route) in [
            ("/", Route::Home),
            ("/style.css", Route::Style),
            ("/guest/web1", Route::Object(Driver::Qemu, "web1".to_owned())),
            (
                "/guest/a%2Fb%20%C3%A9",
                Route::Object(Driver::Qemu, "a/b é".to_owned()),
            ),
            ("/container/c1", Route::Object(Driver::Lxc, "c1".to_owned())),
            (
                "/network/default",
                Route::Object(Driver::Network, "default".to_owned()),
            ),
            ("/operation/7", Route::Operation(7)),
            ("/run/18446744073709551615", Route::Run(u64::MAX)),
        ] {
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
        for path in [
            "//",
            "/guest",
            "/guest/",
            "/guest/a/b",
            "/run/0",
            "/run/07",
            "/run/+7",
            "/run/-1",
            "/run/18446744073709551616",
            "/x",
            "/../etc",
        ] {
            assert_eq!(Route::parse(path), Err(StatusCode::NOT_FOUND), "{path}");
        }
        for path in [
            "",
            "*",
            "x",
            "/guest/%",
            "/guest/%4",
            "/guest/%zz",
            "/guest/%ff",
            "/guest/%00",
        ] {
            assert_eq!(Route::parse(path), Err(StatusCode::BAD_REQUEST), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_link_leads_to_what_it_names(name in "\\PC{1,40}") {
            let link = link(Driver::Lxc, &name).unwrap();
            prop_assert!(link.is_ascii() && !link.contains(['"', '<', '&', '\'', '?', '#']));
            prop_assert_eq!(Route::parse(&link), Ok(Route::Object(Driver::Lxc, name)));
        }

        #[test]
        fn no_path_makes_it_panic(path in "\\PC*") {
            let _ = Route::parse(&path);
        }
    }
}

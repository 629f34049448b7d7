//! A message about one device, from udev or from the kernel. Both end in a list of `KEY=value`, each with a zero behind it.

/// What happened to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is there.
    Add,
    /// It is gone.
    Remove,
    /// Something about it is different.
    Change,
    /// It has another name or place.
    Move,
    /// A driver came or went, and whatever else there is.
    Other,
}

/// A message about one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What happened.
    pub action: Action,
    /// Where the device is, below `/sys`: `/devices/…`.
    pub path: String,
    /// Where it was, if it moved.
    pub old_path: Option<String>,
    /// What kind of device it is.
    pub subsystem: String,
}

/// How a message of udev's begins.
const UDEV: &[u8] = b"libudev\0";
/// The number behind that, in network order.
const MAGIC: u32 = 0xfeed_cafe;

impl Message {
    /// Understands a message; none if it is not one about a device.
    pub fn parse(bytes: &[u8]) -> Option<Message> {
        let properties = match bytes.strip_prefix(UDEV) {
            Some(rest) => of_udev(bytes, rest)?,
            // The kernel's begins with `action@path`, which is said again behind it.
            None => {
                let end = bytes.iter().position(|byte| *byte == 0)?;
                bytes.get(end + 1..)?
            }
        };
        let mut message = Message {
            action: Action::Other,
            path: String::new(),
            old_path: None,
            subsystem: String::new(),
        };
        let texts = properties
            .split(|byte| *byte == 0)
            .filter_map(|text| std::str::from_utf8(text).ok());
        for (key, value) in texts.filter_map(|text| text.split_once('=')) {
            match key {
                "ACTION" => message.action = action(value),
                "DEVPATH" => value.clone_into(&mut message.path),
                "DEVPATH_OLD" => message.old_path = Some(value.to_owned()),
                "SUBSYSTEM" => value.clone_into(&mut message.subsystem),
                _ => {}
            }
        }
        // A path that leads elsewhere is nobody's.
        let inside = |path: &str| path.starts_with('/') && path.split('/').all(|part| part != "..");
        let whole = inside(&message.path)
            && message.old_path.as_deref().is_none_or(inside)
            && !message.subsystem.is_empty();
        whole.then_some(message)
    }
}

fn action(word: &str) -> Action {
    match word {
        "add" => Action::Add,
        "remove" => Action::Remove,
        "change" => Action::Change,
        "move" => Action::Move,
        _ => Action::Other,
    }
}

/// The properties of udev's message: magic, size of the header, where the properties begin and how long they are.
fn of_udev<'a>(whole: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let word = |index: usize| -> Option<[u8; 4]> { header.get(4 * index..4 * index + 4)?.try_into().ok() };
    if u32::from_be_bytes(word(0)?) != MAGIC {
        return None;
    }
    let begin = usize::try_from(u32::from_ne_bytes(word(2)?)).ok()?;
    let length = usize::try_from(u32::from_ne_bytes(word(3)?)).ok()?;
    whole.get(begin..begin.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn properties(action: &str, path: &str) -> Vec<u8> {
        format!("ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=net\0INTERFACE=d2\0DEVPATH_OLD=/devices/old\0")
            .into_bytes()
    }

    /// A message as udev sends it.
    fn of_udev(properties: &[u8]) -> Vec<u8> {
        let mut bytes = b"libudev\0".to_vec();
        bytes.extend(0xfeed_cafe_u32.to_be_bytes());
        for word in [40_u32, 40, properties.len() as u32, 0, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        assert_eq!(bytes.len(), 36);
        bytes.extend([0; 4]);
        bytes.extend(properties);
        bytes
    }

    #[test]
    fn udev_and_the_kernel_say_the_same() {
        let wanted = Message {
            action: Action::Move,
            path: "/devices/virtual/net/d2".to_owned(),
            old_path: Some("/devices/old".to_owned()),
            subsystem: "net".to_owned(),
        };
        let properties = properties("move", "/devices/virtual/net/d2");
        assert_eq!(Message::parse(&of_udev(&properties)), Some(wanted.clone()));
        let mut kernel = b"move@/devices/virtual/net/d2\0".to_vec();
        kernel.extend(&properties);
        assert_eq!(Message::parse(&kernel), Some(wanted));
    }

    #[test]
    fn what_is_no_message_about_a_device_is_none() {
        let mut wrong = of_udev(&properties("add", "/devices/x"));
        wrong[8] = 0;
        assert_eq!(Message::parse(&wrong), None);
        assert_eq!(
            Message::parse(&of_udev(&properties("add", "/devices/../../etc"))),
            None
        );
        assert_eq!(Message::parse(&of_udev(&properties("add", ""))), None);
        assert_eq!(Message::parse(b"add@/x"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, udev: bool, words: [u32; 4]) {
            if udev {
                let mut begin = b"libudev\0".to_vec();
                begin.extend(0xfeed_cafe_u32.to_be_bytes());
                begin.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
                begin.append(&mut bytes);
                bytes = begin;
            }
            let _ = Message::parse(&bytes);
        }
    }
}

//! Messages between the daemon and its small programs: a length, then fields. Both ends are of one build, so there are no
//! versions; but whatever bytes arrive, a reader answers with a message or with [`Broken`], never with a panic or with
//! memory that the bytes alone did not pay for.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The longest message: what `execve` takes (some MiB) and room to spare.
pub(crate) const LONGEST: usize = 16 << 20;

/// The bytes of the length in front of each message.
pub(crate) const HEADER: usize = 4;

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);

/// Builds one message.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(kind: u8) -> Writer {
        let mut bytes = vec![0; HEADER];
        bytes.push(kind);
        Writer { bytes }
    }

    pub(crate) fn byte(mut self, value: u8) -> Writer {
        self.bytes.push(value);
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Writer {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn i32(self, value: i32) -> Writer {
        self.u32(value.cast_unsigned())
    }

    pub(crate) fn u64(mut self, value: u64) -> Writer {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(self, value: &[u8]) -> Writer {
        // What is too long for the length field is too long for a message: `finish` refuses it.
        let mut writer = self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        writer.bytes.extend_from_slice(value);
        writer
    }

    pub(crate) fn option<T>(self, value: Option<T>, put: impl FnOnce(Writer, T) -> Writer) -> Writer {
        match value {
            Some(value) => put(self.byte(1), value),
            None => self.byte(0),
        }
    }

    pub(crate) fn list<T>(self, values: &[T], put: impl Fn(Writer, &T) -> Writer) -> Writer {
        let writer = self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        values.iter().fold(writer, put)
    }

    pub(crate) fn os(self, value: &OsString) -> Writer {
        self.bytes(value.as_bytes())
    }

    /// The message with its length in front.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Broken> {
        let length = self.bytes.len() - HEADER;
        if length > LONGEST {
            return Err(Broken("message too long"));
        }
        let length = u32::try_from(length).map_err(|_| Broken("message too long"))?;
        self.bytes[..HEADER].copy_from_slice(&length.to_le_bytes());
        Ok(self.bytes)
    }
}

/// Takes one message apart.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Broken("message too short"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.take(N)?.try_into().map_err(|_| Broken("message too short"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Broken> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Broken("a flag that is neither 0 nor 1")),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Broken> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Broken> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Broken> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Broken("message too short"))?)
    }

    pub(crate) fn os(&mut self) -> Result<OsString, Broken> {
        Ok(OsString::from_vec(self.bytes()?.to_vec()))
    }

    pub(crate) fn option<T>(
        &mut self,
        get: impl FnOnce(&mut Self) -> Result<T, Broken>,
    ) -> Result<Option<T>, Broken> {
        if self.flag()? {
            get(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Every element takes at least one byte, so a count that lies fails before it costs memory.
    pub(crate) fn list<T>(
        &mut self,
        mut get: impl FnMut(&mut Self) -> Result<T, Broken>,
    ) -> Result<Vec<T>, Broken> {
        let count = self.u32()?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(get(self)?);
        }
        Ok(values)
    }

    /// Nothing may be left over.
    pub(crate) fn end(self) -> Result<(), Broken> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Broken("message too long"))
        }
    }
}

/// Splits the first whole message off `buffer`; `None` while it is incomplete.
pub(crate) fn next_message(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Broken> {
    let Some(header) = buffer.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_le_bytes(*header)).map_err(|_| Broken("message too long"))?;
    if length > LONGEST {
        return Err(Broken("message too long"));
    }
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    let rest = buffer.split_off(HEADER + length);
    let mut message = std::mem::replace(buffer, rest);
    message.drain(..HEADER);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back_as_they_went(
            byte in any::<u8>(), number in any::<i32>(), long in any::<u64>(), text in ".*",
            list in proptest::collection::vec(any::<u32>(), 0..20), maybe in any::<Option<u64>>(),
        ) {
            let text = OsString::from(text);
            let message = Writer::new(byte).i32(number).u64(long).os(&text).list(&list, |w, v| w.u32(*v))
                .option(maybe, Writer::u64).finish().unwrap();
            let mut buffer = message.clone();
            buffer.extend_from_slice(&message[..3]);
            let first = next_message(&mut buffer).unwrap().unwrap();
            prop_assert_eq!(&buffer, &message[..3]);
            prop_assert_eq!(next_message(&mut buffer).unwrap(), None);
            let mut reader = Reader::new(&first);
            prop_assert_eq!(reader.byte().unwrap(), byte);
            prop_assert_eq!(reader.i32().unwrap(), number);
            prop_assert_eq!(reader.u64().unwrap(), long);
            prop_assert_eq!(reader.os().unwrap(), text);
            prop_assert_eq!(reader.list(Reader::u32).unwrap(), list);
            prop_assert_eq!(reader.option(Reader::u64).unwrap(), maybe);
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn any_bytes_are_taken_apart_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = bytes.clone();
            while let Ok(Some(_)) = next_message(&mut buffer) {}
            let mut reader = Reader::new(&bytes);
            while reader.list(|r| r.option(Reader::os)).is_ok() && !reader.rest.is_empty() {}
        }
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        assert!(next_message(&mut vec![0xff; 8]).is_err());
        assert_eq!(next_message(&mut vec![1, 0, 0]), Ok(None));
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]);
        assert!(reader.list(Reader::byte).is_err());
        assert!(Reader::new(&[2]).flag().is_err());
        assert!(Reader::new(&[2]).end().is_err());
        assert!(Writer::new(0).bytes(&vec![0; LONGEST]).finish().is_err());
    }
}

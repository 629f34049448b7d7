//! XDR as libvirt uses it: every value is a whole number of big-endian 4-byte words.
//!
//! Limits are part of the types (`List<T, 20>`), so a row of the procedure table is all that has to be said about an
//! argument. Decoding checks every length against what is there before it allocates. Encoding cannot fail half way:
//! a value over its limit is remembered by the [`Encoder`] and reported once, when the message is finished.

use std::ops::Deref;

/// Longest string that is sent or accepted, in bytes.
pub const STRING_LIMIT: usize = 4_194_304;

/// Why bytes are not a value, or a value cannot become bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XdrError {
    /// The bytes end before the value does.
    #[error("the message ends {missing} bytes before its value does")]
    Truncated {
        /// How many bytes are missing.
        missing: usize,
    },
    /// A counted value is longer than its type allows.
    #[error("{length} elements where at most {limit} are allowed")]
    TooLong {
        /// The count that was found.
        length: usize,
        /// The count that is allowed.
        limit: usize,
    },
    /// A typed value has a type that nobody knows.
    #[error("a value of the unknown type {kind}")]
    UnknownType {
        /// The number of the type.
        kind: i32,
    },
    /// A string is not UTF-8 or holds a NUL byte.
    #[error("a string is not text")]
    NotText,
}

/// A value with an XDR form.
pub trait Xdr: Sized {
    /// Appends the value's words.
    fn encode(&self, out: &mut Encoder);
    /// Takes the value from the front of `input`.
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError>;

    /// Reads a value from the front of a payload; bytes behind it are ignored, as the protocol wants it.
    fn from_payload(payload: &[u8]) -> Result<Self, XdrError> {
        Self::decode(&mut Decoder::new(payload))
    }
}

/// Collects words; remembers the first value that was over its limit.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    failure: Option<XdrError>,
}

impl Encoder {
    /// An encoder with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            failure: None,
        }
    }

    /// Appends one word.
    pub fn word(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends bytes and the zeros that make them a whole number of words.
    pub fn padded(&mut self, bytes: &[u8]) {
        const ZEROS: [u8; 3] = [0; 3];
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(&ZEROS[..padding(bytes.len())]);
    }

    /// Appends a count; one over its limit makes [`Encoder::finish`] fail.
    pub fn count(&mut self, length: usize, limit: usize) {
        if length > limit {
            self.failure.get_or_insert(XdrError::TooLong { length, limit });
        }
        self.word(u32::try_from(length).unwrap_or(u32::MAX));
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, or the first limit that was exceeded on the way.
    pub fn finish(self) -> Result<Vec<u8>, XdrError> {
        match self.failure {
            None => Ok(self.bytes),
            Some(failure) => Err(failure),
        }
    }
}

/// Takes words from the front of a byte slice.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes exactly `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], XdrError> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(XdrError::Truncated {
                missing: length - self.rest.len(),
            }),
        }
    }

    /// Takes one word.
    pub fn word(&mut self) -> Result<u32, XdrError> {
        match self.rest.split_first_chunk::<4>() {
            Some((word, rest)) => {
                self.rest = rest;
                Ok(u32::from_be_bytes(*word))
            }
            None => Err(XdrError::Truncated {
                missing: 4 - self.rest.len(),
            }),
        }
    }

    /// Takes `length` bytes and the padding behind them; its content is not looked at.
    pub fn padded(&mut self, length: usize) -> Result<&'a [u8], XdrError> {
        let taken = self.take(length)?;
        self.take(padding(length))?;
        Ok(taken)
    }

    /// Takes a count word and checks it.
    pub fn count(&mut self, limit: usize) -> Result<usize, XdrError> {
        let length = self.word()? as usize;
        if length > limit {
            Err(XdrError::TooLong { length, limit })
        } else {
            Ok(length)
        }
    }
}

const fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

impl Xdr for u32 {
    fn encode(&self, out: &mut Encoder) {
        out.word(*self);
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        input.word()
    }
}

impl Xdr for i32 {
    fn encode(&self, out: &mut Encoder) {
        out.word(self.cast_unsigned());
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(input.word()?.cast_signed())
    }
}

impl Xdr for u64 {
    fn encode(&self, out: &mut Encoder) {
        out.bytes.extend_from_slice(&self.to_be_bytes());
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(u64::from(input.word()?) << 32 | u64::from(input.word()?))
    }
}

impl Xdr for i64 {
    fn encode(&self, out: &mut Encoder) {
        self.cast_unsigned().encode(out);
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(u64::decode(input)?.cast_signed())
    }
}

impl Xdr for String {
    fn encode(&self, out: &mut Encoder) {
        out.count(self.len(), STRING_LIMIT);
        out.padded(self.as_bytes());
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        let length = input.count(STRING_LIMIT)?;
        let text = std::str::from_utf8(input.padded(length)?).map_err(|_| XdrError::NotText)?;
        if text.contains('\0') {
            Err(XdrError::NotText)
        } else {
            Ok(text.to_owned())
        }
    }
}

/// A UUID: sixteen bytes without a length.
impl Xdr for [u8; 16] {
    fn encode(&self, out: &mut Encoder) {
        out.padded(self);
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(input.take(16)?);
        Ok(uuid)
    }
}

/// Optional: any word but zero means that the value follows (one client sends 0x01000000).
impl<T: Xdr> Xdr for Option<T> {
    fn encode(&self, out: &mut Encoder) {
        out.word(u32::from(self.is_some()));
        if let Some(value) = self {
            value.encode(out);
        }
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        if input.word()? == 0 {
            Ok(None)
        } else {
            T::decode(input).map(Some)
        }
    }
}

/// A counted array of at most `MAX` elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// How many elements fit.
    pub const LIMIT: usize = MAX;

    /// The elements as an array, unless there are too many.
    pub fn new(elements: Vec<T>) -> Result<Self, XdrError> {
        if elements.len() > MAX {
            Err(XdrError::TooLong {
                length: elements.len(),
                limit: MAX,
            })
        } else {
            Ok(Self(elements))
        }
    }

    /// An array of nothing.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The elements.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Xdr, const MAX: usize> Xdr for List<T, MAX> {
    fn encode(&self, out: &mut Encoder) {
        out.count(self.0.len(), MAX);
        for element in &self.0 {
            element.encode(out);
        }
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        let length = input.count(MAX)?;
        // Each element is at least a word: a count that lies does not make us allocate for it.
        let mut elements = Vec::with_capacity(length.min(input.remaining() / 4));
        for _ in 0..length {
            elements.push(T::decode(input)?);
        }
        Ok(Self(elements))
    }
}

/// Bytes with their number before them, at most `MAX`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opaque<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Opaque<MAX> {
    /// The bytes, unless there are too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, XdrError> {
        if bytes.len() > MAX {
            Err(XdrError::TooLong {
                length: bytes.len(),
                limit: MAX,
            })
        } else {
            Ok(Self(bytes))
        }
    }
}

impl<const MAX: usize> Deref for Opaque<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> Xdr for Opaque<MAX> {
    fn encode(&self, out: &mut Encoder) {
        out.count(self.0.len(), MAX);
        out.padded(&self.0);
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        let length = input.count(MAX)?;
        Ok(Self(input.padded(length)?.to_vec()))
    }
}

/// One C character, which takes a whole word, sign extended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Char(pub u8);

impl Xdr for Char {
    fn encode(&self, out: &mut Encoder) {
        i32::from(self.0.cast_signed()).encode(out);
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(Self(input.word()?.to_be_bytes()[3]))
    }
}

/// `N` characters without a count: a text that ends at the first zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedText<const N: usize>(pub [u8; N]);

impl<const N: usize> FixedText<N> {
    /// As much of `text` as fits beside a final zero.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; N];
        let length = text.len().min(N.saturating_sub(1));
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self(bytes)
    }

    /// The characters before the first zero.
    pub fn text(&self) -> String {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        String::from_utf8_lossy(&self.0[..length]).into_owned()
    }
}

impl<const N: usize> Xdr for FixedText<N> {
    fn encode(&self, out: &mut Encoder) {
        for byte in self.0 {
            Char(byte).encode(out);
        }
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = Char::decode(input)?.0;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
#[path = "xdr_tests.rs"]
mod tests;

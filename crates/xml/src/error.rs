//! What can be wrong with a document, always with line and column (both from 1).

use std::fmt;

/// What to do with elements and attributes that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownPolicy {
    /// The document is refused; the error names each of them.
    #[default]
    Refuse,
    /// They are kept verbatim, written back, and listed in [`Parsed::kept`] so that the caller can warn.
    Keep,
    /// As `Keep`, and an item of a list with a value that nobody knows (`<disk type='…'>`) is kept whole, too. For
    /// documents that were accepted once and lie on disk: nothing may make their guest vanish. Not for new documents,
    /// where such a value is a mistake to be told.
    Salvage,
}

/// A value read from a document, and what was kept without being understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    /// The typed document.
    pub value: T,
    /// What was not understood; empty with [`UnknownPolicy::Refuse`].
    pub kept: Vec<Unknown>,
}

/// One attribute, element or text that no declaration claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub col: u32,
    /// Like `domain/devices/interface/mac/@chek`.
    pub path: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, column {})", self.path, self.line, self.col)
    }
}

/// Why a document was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed XML, or beyond the limits of size and depth.
    #[error("line {line}, column {col}: {text}")]
    Malformed {
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        col: u32,
        /// What is wrong.
        text: String,
    },
    /// A value that cannot be.
    #[error("{text} ({path}, line {line}, column {col})")]
    Invalid {
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        col: u32,
        /// Like `domain/devices/disk/@type`.
        path: String,
        /// What is wrong, in libvirt's words where it has some.
        text: String,
    },
    /// Elements and attributes that nobody knows ([`UnknownPolicy::Refuse`]); never empty.
    #[error("not supported: {}", list(.0))]
    Unknown(Vec<Unknown>),
    /// A required attribute or element is not there.
    #[error("{text} ({path}, line {line}, column {col})")]
    Missing {
        /// Line of the element that lacks it, from 1.
        line: u32,
        /// Column in characters, from 1.
        col: u32,
        /// Path of what is missing.
        path: String,
        /// What is missing, in libvirt's words.
        text: String,
    },
    /// The document is well-formed, but its parts do not fit together (libvirt: `XML error`).
    #[error("{0}")]
    Inconsistent(String),
    /// The document asks for something that is understood and not supported (libvirt: `unsupported configuration`).
    #[error("{0}")]
    Unsupported(String),
}

fn list(unknown: &[Unknown]) -> String {
    let parts = unknown.iter();
    let parts: Vec<String> = parts
        .map(|part| format!("{}, {part}", what_is(&part.path)))
        .collect();
    parts.join("; ")
}

/// What a path leads to, in words: `element 'speed'` (without its namespace's prefix), `attribute 'chek'`, `text in 'place'`.
pub fn what_is(path: &str) -> String {
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    match (last.strip_prefix('@'), last) {
        (Some(attribute), _) => format!("attribute '{attribute}'"),
        (None, "text()") => {
            let holder = above.rsplit('/').next().unwrap_or_default();
            format!("text in '{holder}'")
        }
        (None, element) => {
            let name = element.rsplit(':').next().unwrap_or(element);
            format!("element '{name}'")
        }
    }
}

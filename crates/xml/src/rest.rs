//! What a document said that no declaration claims, kept so that writing gives it back.

/// Unknown attributes and elements of one element and of those below it, verbatim. Empty in documents that were
/// understood whole. Written back where it was: attributes after the known ones of their element, elements after the
/// known children of theirs. An element that is no longer written takes what was kept in it along.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    pub(crate) kept: Vec<Kept>,
}

/// One kept attribute or subtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The way from the element that holds the `Rest` to the parent of what is kept.
    pub(crate) path: Vec<Step>,
    pub(crate) what: KeptWhat,
}

/// One step down: the `nth` child (from 0) of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) nth: u32,
}

/// See [`Kept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeptWhat {
    Attribute {
        name: String,
        namespace: Option<String>,
        value: String,
    },
    Subtree(String),
}

impl Rest {
    /// Is nothing kept?
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

//! What a document said that no declaration claims, kept so that writing gives it back.

/// Unknown attributes and elements below one element, verbatim. Empty in documents that were understood whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    pub(crate) kept: Vec<Kept>,
}

/// One kept attribute or subtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Steps from the element that holds the `Rest` to the parent of what is kept: name and which one of that name.
    pub(crate) path: Vec<(String, u32)>,
    pub(crate) what: KeptWhat,
}

/// See [`Kept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeptWhat {
    Attribute { name: String, value: String },
    Subtree(String),
}

impl Rest {
    /// Is nothing kept?
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

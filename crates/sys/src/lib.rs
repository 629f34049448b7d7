//! Placeholder, replaced by the crate's author.

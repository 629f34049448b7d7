//! The host's and guests' capabilities, a document that is only written.

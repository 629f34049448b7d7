//! Networks: `<network>` documents.

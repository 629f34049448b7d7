//! Ports of networks: `<networkport>` documents.

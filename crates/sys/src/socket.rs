//! Descriptors over sockets.

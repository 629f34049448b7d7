//! libvirt's RPC as bytes: what travels on the daemon's socket, for both ends of it.
//!
//! The crate knows numbers, layouts and limits and nothing else: no files, no sockets (apart from the small blocking
//! [`client`]), no drivers. Whatever bytes it is given, it answers with a value or an error and never panics.
//!
//! - [`xdr`]: values to bytes and back, limits as part of the types
//! - [`frame`]: messages cut out of a byte stream
//! - [`object`]: the structures that several procedures share
//! - [`typed`]: parameters that say their own names and types
//! - [`program`]: programs, and what is known about a procedure besides its arguments
//! - [`procedures`]: the one table, a row a procedure; arguments, replies, trait and dispatch come from it
//! - [`events`]: the table of what the server says unasked
//! - [`answer`]: what comes of a call besides its message: descriptors, a stream
//! - [`stream`]: packets of bytes beside calls
//! - [`lxc`]: the program of containers
//! - [`own`]: ferrovirt's own program, for the tool
//! - [`triage`]: which answer odd messages get
//! - [`error`]: the error structure, its codes, domains and texts
//! - [`client`]: a blocking client for tests and tools

pub mod answer;
pub mod client;
pub mod error;
pub mod events;
pub mod frame;
pub mod lxc;
pub mod object;
pub mod own;
pub mod procedures;
pub mod program;
pub mod stream;
pub mod triage;
pub mod typed;
pub mod xdr;

pub use answer::Answer;
pub use error::{ErrorCode, ErrorDomain, ErrorReply};
pub use frame::{Frame, FrameError, FrameReader, Header, MessageType, Status};
pub use object::{DomainRef, NetworkRef, NodeDeviceRef, PoolRef, PortRef};
pub use procedures::RemoteService;
pub use program::Procedure;
pub use stream::{Packet, StreamKey};
pub use triage::{Incoming, triage};
pub use typed::{TypedParam, TypedValue};
pub use xdr::{Decoder, Encoder, List, Opaque, Xdr, XdrError};

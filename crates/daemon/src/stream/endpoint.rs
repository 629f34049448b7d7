//! The server's end of a stream, whatever it is.

use std::any::Any;
use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// Where a stream's bytes come from and go to.
pub struct Endpoint {
    pub(super) source: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub(super) sink: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Cancelled when somebody else takes it over.
    pub(super) lost: CancellationToken,
    /// Given back when the stream has ended, after both of the above.
    kept: Vec<Box<dyn Any + Send>>,
}

impl Endpoint {
    /// Bytes both ways.
    pub fn both(
        source: impl AsyncRead + Send + Unpin + 'static,
        sink: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            source: Some(Box::new(source)),
            sink: Some(Box::new(sink)),
            lost: CancellationToken::new(),
            kept: Vec::new(),
        }
    }

    /// Bytes for the client alone; what it sends is an error.
    pub fn reading(source: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self {
            sink: None,
            ..Self::both(source, tokio::io::sink())
        }
    }

    /// Bytes from the client alone.
    pub fn writing(sink: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            source: None,
            ..Self::both(tokio::io::empty(), sink)
        }
    }

    /// The stream ends with an error when `lost` is cancelled.
    #[must_use]
    pub fn until(mut self, lost: CancellationToken) -> Self {
        self.lost = lost;
        self
    }

    /// Keeps something that is dropped when the stream has ended.
    #[must_use]
    pub fn keeping(mut self, thing: impl Any + Send) -> Self {
        self.kept.push(Box::new(thing));
        self
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("reads", &self.source.is_some())
            .field("writes", &self.sink.is_some())
            .field("lost", &self.lost.is_cancelled())
            .finish_non_exhaustive()
    }
}

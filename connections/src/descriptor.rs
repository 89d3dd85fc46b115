//! Waits for descriptors.

use std::{io, os::fd::OwnedFd};

use tokio::io::unix::AsyncFd;

/// Returns the descriptor in a form that can be waited for.
#[expect(
    deprecated,
    reason = "what is deprecated is a descriptor that may be closed meanwhile, which this type rules out"
)]
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

//! The trait of what counts connections.

use std::{collections::BTreeSet, net::SocketAddr};

use async_trait::async_trait;

use crate::{connection::Connection, error::Error, sample::Sample};

/// Counts the live connections to backends.
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait ConnectionSource: Send + Sync + 'static {
    /// Counts the connections to each of `backends` now, and those opened and closed since the last successful sample.
    /// Connections to any other address do not count. A backend whose load is zero is missing in the sample.
    ///
    /// A connection that was opened a moment ago may be missing, and then counts as opened in a later sample.
    async fn sample(&self, backends: &BTreeSet<SocketAddr>) -> Result<Sample, Error>;

    /// Describes each connection to these backends that the samples so far have counted and that this side has not ended,
    /// in the order of their cookies. It is for those who choose connections to close, and costs as much as reading the
    /// whole table. Where the kernel does not describe connections, which is what this default says, there are none.
    async fn connections(&self, backends: &BTreeSet<SocketAddr>) -> Result<Vec<Connection>, Error> {
        let _ = backends;
        Ok(Vec::new())
    }

    /// Waits until a connection to a backend of the last sample has ended since then. Where endings are only found by
    /// samples, which is what this default says, it never returns. Dropping the future loses nothing.
    async fn ended(&self) {
        std::future::pending::<()>().await;
    }
}

use std::{collections::BTreeSet, net::SocketAddr};

use async_trait::async_trait;

use crate::{error::Error, sample::Sample};

/// Something that counts the live connections to backends.
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait ConnectionSource: Send + Sync + 'static {
    /// Counts the connections to each of `backends` now. Connections to other addresses do not count, whatever they are.
    async fn sample(&self, backends: &BTreeSet<SocketAddr>) -> Result<Sample, Error>;
}

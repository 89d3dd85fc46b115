use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::{BackendSet, Error};

/// A source of backends.
///
/// What every source promises, and what a consumer may build on:
///
/// * The first `Ok` of [`watch`](Self::watch) comes only after a full synchronisation, and every `Ok` is complete.
/// * A set is published only when it differs from the last one, or when it ends a time of staleness (see next item).
/// * `Err` means "the view is stale, still trying". It never ends the stream, and the last set stays valid. The next
///   `Ok`, which may be equal to the last one, says that the view is fresh again.
/// * When the consumer is slow, sets that it did not take are replaced: the latest wins.
/// * The stream ends only by being dropped, and dropping it stops all work that it caused.
/// * A failed or half-done listing never publishes a partial set.
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Asks the source once for the complete set.
    async fn list(&self) -> Result<Arc<BackendSet>, Error>;

    /// Follows the source. Must be called within a Tokio runtime.
    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>>;

    /// How long ago the source last gave a sign of life: an answer, an event, or the orderly end of a watch. Of several
    /// that are asked (namespaces, for example) the one that has been silent for longest counts.
    ///
    /// `None` before the first sign, and for a source that has nothing to be in contact with. A source that is followed
    /// and well is heard of every few seconds, even when nothing changes; each one says how often.
    fn since_contact(&self) -> Option<Duration> {
        None
    }

    /// How often the source has been listed as a whole again after its first complete list, because a watch could not be
    /// resumed. Of several that are asked it is the sum. `None` for a source that is not watched.
    fn relists(&self) -> Option<u64> {
        None
    }
}

#[async_trait]
impl<D: Discovery + ?Sized> Discovery for Arc<D> {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        (**self).list().await
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        (**self).watch()
    }

    fn since_contact(&self) -> Option<Duration> {
        (**self).since_contact()
    }

    fn relists(&self) -> Option<u64> {
        (**self).relists()
    }
}

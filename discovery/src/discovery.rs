//! The trait of all sources of backends.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::{BackendSet, Error};

/// Source of backends.
///
/// Every source promises:
///
/// * The first `Ok` of [`watch`](Self::watch) comes only after a full synchronisation, and every `Ok` is complete. The one
///   exception are parts that may not be read, such as some of several namespaces: they are left out, and an `Err` says so
///   after the `Ok`.
/// * A set is published only when it differs from the last one, or when it ends staleness (see the next item).
/// * `Err` means "the view is stale, still trying". It never ends the stream, and the last set stays valid. The next
///   `Ok`, which may be equal to the last one, means that the view is fresh again.
/// * When the consumer is slow, newer sets replace those that it has not taken: the latest wins.
/// * The stream never ends. Dropping it stops all work that it caused.
/// * A list that failed or is incomplete is never published as a partial set.
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Lists the complete set once. If a part may not be read, the set of the others is in the error:
    /// [`Error::Partial`].
    async fn list(&self) -> Result<Arc<BackendSet>, Error>;

    /// Watches the source. Must be called within a Tokio runtime.
    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>>;

    /// Returns the time since the last contact with the source: an answer, an event, or the orderly end of a watch. With
    /// several parts (namespaces, for example) it is the longest of their times.
    ///
    /// `None` before the first contact, and for a source that has nothing to be in contact with. While a watch is well,
    /// there is contact every few seconds, even when nothing changes; each source documents how often.
    fn since_contact(&self) -> Option<Duration> {
        None
    }

    /// Returns the number of complete lists after the first one, each because a watch could not be resumed. With several
    /// parts it is the sum. `None` for a source that is not watched.
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

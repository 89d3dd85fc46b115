//! The trait of all sources of backends.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use crate::{BackendSet, Complaints, Error, SourceInfo};

/// A set of backends as a watch publishes it, with what the watch saw since the set before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// The complete set.
    pub set: Arc<BackendSet>,
    /// Addresses that left the set since the one before because they do not match the selector any more, while they live
    /// on. A source that cannot tell that from a deletion reports none.
    pub left_selector: BTreeSet<SocketAddr>,
}

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

    /// Watches the source as [`watch`](Self::watch) does, and reports why backends left, as far as the source shows that.
    /// Must be called within a Tokio runtime.
    fn watch_updates(&self) -> BoxStream<'static, Result<Update, Error>> {
        self.watch().map(|set| set.map(Update::from)).boxed()
    }

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

    /// Describes where it looks for backends. `None` for a source that has no description.
    fn info(&self) -> Option<SourceInfo> {
        None
    }

    /// Returns a number that changes whenever the [complaints](Self::complaints) do.
    fn complaints_version(&self) -> u64 {
        0
    }

    /// Returns the complaints about objects that it found, at most `limit` of them.
    fn complaints(&self, limit: usize) -> Complaints {
        let _ = limit;
        Complaints::default()
    }
}

impl From<Arc<BackendSet>> for Update {
    fn from(set: Arc<BackendSet>) -> Self {
        Self { set, left_selector: BTreeSet::new() }
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

    fn watch_updates(&self) -> BoxStream<'static, Result<Update, Error>> {
        (**self).watch_updates()
    }

    fn since_contact(&self) -> Option<Duration> {
        (**self).since_contact()
    }

    fn relists(&self) -> Option<u64> {
        (**self).relists()
    }

    fn info(&self) -> Option<SourceInfo> {
        (**self).info()
    }

    fn complaints_version(&self) -> u64 {
        (**self).complaints_version()
    }

    fn complaints(&self, limit: usize) -> Complaints {
        (**self).complaints(limit)
    }
}

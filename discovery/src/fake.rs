//! The source that a test drives.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use crate::{BackendSet, Complaint, Complaints, Discovery, Error, SourceInfo, Update, publish::Publisher};

/// Source that a test drives. It keeps the promises of [`Discovery`] as the real ones do.
///
/// Clones are the same source: one goes to the code under test, one stays with the test. [`list`](Discovery::list) waits
/// until a set or an error has been published.
///
/// ```
/// use futures_util::StreamExt;
/// use ilb_discovery::{BackendSet, Discovery, testing::FakeDiscovery};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let fake = FakeDiscovery::default();
/// let mut sets = fake.watch();
/// fake.publish(BackendSet::empty());
/// assert!(sets.next().await.unwrap().unwrap().is_empty());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct FakeDiscovery(Arc<Script>);

struct Script {
    publisher: Publisher,
    since_contact: Mutex<Option<Duration>>,
    info: Mutex<Option<SourceInfo>>,
    /// Complaints, and how often they have been replaced.
    complaints: Mutex<(u64, Complaints)>,
}

impl FakeDiscovery {
    /// Publishes `set` as the complete set, and ends staleness.
    pub fn publish(&self, set: BackendSet) {
        self.0.publisher.fresh(&Arc::new(set));
    }

    /// Publishes `set` after these addresses have left the selector, and ends staleness.
    pub fn publish_after(&self, set: BackendSet, left_selector: impl IntoIterator<Item = SocketAddr>) {
        self.0.publisher.fresh_after(&Arc::new(set), &left_selector.into_iter().collect());
    }

    /// Makes the view stale because of `error`.
    pub fn fail(&self, error: Error) {
        self.0.publisher.stale(error);
    }

    /// Sets the result of [`since_contact`](Discovery::since_contact).
    pub fn set_since_contact(&self, age: Option<Duration>) {
        *self.0.since_contact.lock().unwrap_or_else(PoisonError::into_inner) = age;
    }

    /// Sets the result of [`info`](Discovery::info).
    pub fn set_info(&self, info: Option<SourceInfo>) {
        *self.0.info.lock().unwrap_or_else(PoisonError::into_inner) = info;
    }

    /// Sets the result of [`complaints`](Discovery::complaints).
    pub fn set_complaints(&self, listed: Vec<Complaint>) {
        let mut complaints = self.0.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        *complaints = (complaints.0 + 1, Complaints { count: listed.len(), listed });
    }
}

impl Default for Script {
    fn default() -> Self {
        let publisher = Publisher::new();
        Self { publisher, since_contact: Mutex::default(), info: Mutex::default(), complaints: Mutex::default() }
    }
}

impl fmt::Debug for FakeDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeDiscovery").finish_non_exhaustive()
    }
}

#[async_trait]
impl Discovery for FakeDiscovery {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        self.0.publisher.latest().await
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        self.watch_updates().map(|update| update.map(|update| update.set)).boxed()
    }

    fn watch_updates(&self) -> BoxStream<'static, Result<Update, Error>> {
        self.0.publisher.subscribe()
    }

    fn since_contact(&self) -> Option<Duration> {
        *self.0.since_contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn info(&self) -> Option<SourceInfo> {
        self.0.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn complaints_version(&self) -> u64 {
        self.0.complaints.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn complaints(&self, limit: usize) -> Complaints {
        let mut complaints = self.0.complaints.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        complaints.listed.truncate(limit);
        complaints
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::Cause;

    #[tokio::test]
    async fn each_consumer_of_a_fake_receives_what_is_published() {
        let fake = FakeDiscovery::default();
        let (mut one, mut other) = (fake.watch(), fake.clone().watch());
        fake.publish(BackendSet::empty());
        for sets in [&mut one, &mut other] {
            assert!(sets.next().await.unwrap().unwrap().is_empty());
        }
        fake.fail(Error::Failed { source_name: "the fake".into(), cause: Cause::new("scripted") });
        one.next().await.unwrap().unwrap_err();
        fake.list().await.unwrap_err();
        fake.publish(BackendSet::empty());
        assert!(fake.list().await.unwrap().is_empty());
    }
}

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::{BackendSet, Discovery, Error, publish::Publisher};

/// A source that says what a test tells it to, and keeps the promises of [`Discovery`] as the real ones do.
///
/// Clones are the same source: one goes to what is tested, one stays with the test. Until something is published,
/// [`list`](Discovery::list) waits.
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
pub struct FakeDiscovery(Arc<Inner>);

struct Inner {
    publisher: Publisher,
    since_contact: Mutex<Option<std::time::Duration>>,
}

impl FakeDiscovery {
    /// The source's complete set is `set` from now on, and the view of it is fresh.
    pub fn publish(&self, set: BackendSet) {
        self.0.publisher.fresh(&Arc::new(set));
    }

    /// The view becomes stale because of `error`.
    pub fn fail(&self, error: Error) {
        self.0.publisher.stale(error);
    }

    /// What [`since_contact`](Discovery::since_contact) answers from now on.
    pub fn set_since_contact(&self, age: Option<std::time::Duration>) {
        *self.0.since_contact.lock().unwrap_or_else(PoisonError::into_inner) = age;
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self { publisher: Publisher::new(), since_contact: Mutex::default() }
    }
}

#[async_trait]
impl Discovery for FakeDiscovery {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        self.0.publisher.latest().await
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        self.0.publisher.subscribe()
    }

    fn since_contact(&self) -> Option<std::time::Duration> {
        *self.0.since_contact.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::Cause;

    #[tokio::test]
    async fn each_consumer_of_a_fake_sees_what_the_script_says() {
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

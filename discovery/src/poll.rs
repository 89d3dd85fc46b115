//! The source that polls another one.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use tokio::time::{self, MissedTickBehavior};

use crate::{BackendSet, Discovery, Error, backoff::Backoff, contact::Contact, publish};

/// Watches a source by listing it again and again, for where a watch is not allowed or does not get through.
pub struct Poll<D> {
    source: Arc<D>,
    interval: Duration,
    contact: Contact,
}

impl<D: Discovery> Poll<D> {
    /// Lists `source` once an `interval`; after a failure, not before a pause that grows to at most 5 s is over.
    pub fn new(source: D, interval: Duration) -> Self {
        Self { source: Arc::new(source), interval: interval.max(Duration::from_millis(1)), contact: Contact::default() }
    }
}

#[async_trait]
impl<D: Discovery> Discovery for Poll<D> {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        let set = self.source.list().await?;
        self.contact.note();
        Ok(set)
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        let (source, interval, contact) = (Arc::clone(&self.source), self.interval, self.contact.clone());
        publish::spawn(move |publisher| async move {
            let mut ticks = time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut backoff = Backoff::new();
            loop {
                ticks.tick().await;
                match source.list().await {
                    Ok(set) => {
                        contact.note();
                        publisher.fresh(&set);
                        backoff.reset();
                    }
                    Err(error) => {
                        publisher.stale(error);
                        time::sleep(backoff.pause()).await;
                    }
                }
            }
        })
    }

    /// Returns at most one interval and the time of one answer while all is well.
    fn since_contact(&self) -> Option<Duration> {
        self.contact.age()
    }
}

impl<D> fmt::Debug for Poll<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").field("interval", &self.interval).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;

    use super::*;
    use crate::{Backend, Cause, State, discovery::MockDiscovery};

    /// Makes a source that has one more backend each time, and fails the second time.
    fn growing() -> MockDiscovery {
        let calls = AtomicUsize::new(0);
        let mut source = MockDiscovery::new();
        source.expect_list().returning(move || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call == 1 {
                let cause = Cause::new("scripted");
                return Err(Error::Failed { source_name: "the test".into(), cause });
            }
            let backend = |n: usize| Backend::new(([10, 0, 0, n.to_le_bytes()[0]], 1).into(), State::Ready);
            Ok(Arc::new((0..=call).map(backend).collect()))
        });
        source
    }

    #[tokio::test(start_paused = true)]
    async fn each_interval_brings_a_set_and_a_failure_is_survived() {
        let started = time::Instant::now();
        let poll = Poll::new(growing(), Duration::from_secs(10));
        let mut sets = poll.watch();
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 1);
        assert_eq!(started.elapsed(), Duration::ZERO);
        sets.next().await.unwrap().unwrap_err();
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert_eq!(poll.since_contact(), Some(Duration::from_secs(10)));
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 3);
    }
}

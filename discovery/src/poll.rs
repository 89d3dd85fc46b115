//! The source that polls another one.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use tokio::time::{self, MissedTickBehavior};

use crate::{BackendSet, Complaints, Discovery, Error, SourceInfo, backoff::Backoff, contact::Contact, publish};

/// Watches a source by listing it again and again, for where a watch is not allowed or does not get through.
pub struct Poll<D> {
    source: Arc<D>,
    interval: Duration,
    contact: Contact,
}

const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
/// Every clock can show a moment that is later by this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

impl<D: Discovery> Poll<D> {
    /// Lists `source` once an `interval`, which is 1 ms to a day, else the nearer of these; after a failure, when a pause is over that grows from 0.2 to 5 s, whatever the
    /// interval. A pause that the source [demands](Error::retry_after) comes on top, up to 30 s.
    ///
    /// A part of the source that may not be listed takes only its own backends away, and does not slow the others down.
    pub fn new(source: D, interval: Duration) -> Self {
        let interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Self { source: Arc::new(source), interval, contact: Contact::default() }
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
                    Err(Error::Partial { set, cause }) => {
                        contact.note();
                        let demanded = cause.retry_after();
                        let pause = backoff.pause_after(demanded);
                        // Only what the source demands is kept beyond the interval: a part can be listed.
                        let pause = if demanded.is_some() { pause } else { pause.min(interval) };
                        publisher.partly_fresh(&set, (*cause).clone());
                        publisher.stale(*cause);
                        ticks.reset_after(pause);
                    }
                    Err(error) => {
                        let pause = backoff.pause_after(error.retry_after());
                        publisher.stale(error);
                        ticks.reset_after(pause);
                    }
                }
            }
        })
    }

    /// Returns at most one interval and the time of one answer while all is well.
    fn since_contact(&self) -> Option<Duration> {
        self.contact.age()
    }

    fn info(&self) -> Option<SourceInfo> {
        self.source.info()
    }

    fn complaints_version(&self) -> u64 {
        self.source.complaints_version()
    }

    fn complaints(&self, limit: usize) -> Complaints {
        self.source.complaints(limit)
    }
}

impl<D> fmt::Debug for Poll<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").field("interval", &self.interval).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::StreamExt;
    use tokio::time::Instant;

    use super::*;
    use crate::{Backend, Cause, State, discovery::MockDiscovery, errors::Refusal};

    type Answer = Result<Arc<BackendSet>, Error>;

    /// Makes a source that gives these answers one after the other, and the last one again and again.
    fn scripted(answers: impl IntoIterator<Item = Answer>) -> MockDiscovery {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        let answers = Mutex::new(answers);
        let mut source = MockDiscovery::new();
        source.expect_list().returning(move || {
            let mut answers = answers.lock().unwrap();
            let next = answers.last().unwrap().clone();
            if answers.len() > 1 {
                answers.pop();
            }
            next
        });
        source
    }

    fn backends(count: u8) -> Arc<BackendSet> {
        let backend = |n: u8| Backend::new(([10, 0, 0, n], 1).into(), State::Ready);
        Arc::new((0..count).map(backend).collect())
    }

    fn failure(retry_after: Option<Duration>) -> Error {
        let cause = Cause::new(Refusal::new(429, "scripted").with_retry_after(retry_after));
        Error::Failed { source_name: "the test".into(), cause }
    }

    #[tokio::test(start_paused = true)]
    async fn each_interval_brings_a_set_and_a_failure_is_survived() {
        let started = Instant::now();
        let poll = Poll::new(scripted([Ok(backends(1)), Err(failure(None)), Ok(backends(3))]), Duration::from_secs(10));
        let mut sets = poll.watch();
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 1);
        assert_eq!(started.elapsed(), Duration::ZERO);
        sets.next().await.unwrap().unwrap_err();
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert_eq!(poll.since_contact(), Some(Duration::from_secs(10)));
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_within_seconds_whatever_the_interval() {
        for interval in [Duration::from_millis(1), Duration::from_secs(90)] {
            let answers = std::iter::repeat_n(Err(failure(None)), 20).chain([Ok(backends(1)), Ok(backends(2))]);
            let mut sets = Poll::new(scripted(answers), interval).watch();
            let mut last = Instant::now();
            let mut pauses = Vec::new();
            sets.next().await.unwrap().unwrap_err();
            for _ in 0..20 {
                let _ = sets.next().await.unwrap();
                pauses.push(last.elapsed());
                last = Instant::now();
            }
            assert!(pauses[0] <= Duration::from_millis(200), "{pauses:?}");
            assert!(
                pauses.iter().all(|p| *p >= Duration::from_millis(100) && *p <= Duration::from_secs(5)),
                "{pauses:?}"
            );
            assert!(pauses[10..].iter().all(|p| *p >= Duration::from_millis(2500)), "{pauses:?}");
            assert_eq!(sets.next().await.unwrap().unwrap().len(), 2);
            assert_eq!(last.elapsed(), interval, "a success brings the interval back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_source_demands_is_kept_up_to_half_a_minute() {
        for (demanded, kept) in [(7, 7), (u64::MAX, 30)] {
            let answers = [Err(failure(Some(Duration::from_secs(demanded)))), Ok(backends(1))];
            let mut sets = Poll::new(scripted(answers), Duration::from_secs(1)).watch();
            let started = Instant::now();
            sets.next().await.unwrap().unwrap_err();
            sets.next().await.unwrap().unwrap();
            let kept = Duration::from_secs(kept);
            assert!((kept..kept + Duration::from_secs(1)).contains(&started.elapsed()), "{:?}", started.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_part_that_can_be_listed_is_published_with_the_refusal_of_the_other_at_the_pace_of_the_interval() {
        let partial = |count| {
            let cause = Error::Forbidden { what: "half".into(), cause: Cause::new("scripted") };
            Err(Error::Partial { set: backends(count), cause: Box::new(cause) })
        };
        let answers = (0..20).map(|_| partial(1)).chain([partial(2), Ok(backends(3))]);
        let poll = Poll::new(scripted(answers), Duration::from_secs(1));
        let (mut sets, started) = (poll.watch(), Instant::now());
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 1);
        assert!(matches!(sets.next().await.unwrap().unwrap_err(), Error::Forbidden { .. }));
        let mut changed = loop {
            if let Ok(set) = sets.next().await.unwrap() {
                break set;
            }
        };
        assert_eq!(changed.len(), 2);
        assert!(started.elapsed() <= Duration::from_secs(20), "{:?}", started.elapsed());
        assert!(poll.since_contact().unwrap() <= Duration::from_secs(1));
        sets.next().await.unwrap().unwrap_err();
        changed = sets.next().await.unwrap().unwrap();
        assert_eq!(changed.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_beyond_every_clock_is_a_day() {
        let mut sets = Poll::new(scripted([Ok(backends(1)), Ok(backends(2))]), Duration::MAX).watch();
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 1);
        let listed = Instant::now();
        assert_eq!(sets.next().await.unwrap().unwrap().len(), 2);
        assert_eq!(listed.elapsed(), LONGEST_INTERVAL);
    }
}

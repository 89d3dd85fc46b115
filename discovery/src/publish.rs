//! The way from a background task to the consumers of a stream.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{BackendSet, Error, Update};

/// Starts a background task that fills a [`Publisher`], and returns its stream for
/// [`Discovery::watch`](crate::Discovery::watch).
///
/// Dropping the stream aborts the task.
pub(crate) fn spawn<F>(work: impl FnOnce(Publisher) -> F) -> BoxStream<'static, Result<Arc<BackendSet>, Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    spawn_updates(work).map(|update| update.map(|update| update.set)).boxed()
}

/// Starts the same task, and returns its stream for [`Discovery::watch_updates`](crate::Discovery::watch_updates).
pub(crate) fn spawn_updates<F>(work: impl FnOnce(Publisher) -> F) -> BoxStream<'static, Result<Update, Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let publisher = Publisher::new();
    let views = publisher.0.subscribe();
    let task = AbortOnDropHandle::new(tokio::spawn(work(publisher)));
    Consumer { views, taken: Taken::default(), _task: Some(task) }.stream()
}

/// Source's side: takes sets and errors, and never waits for the consumer.
pub(crate) struct Publisher(watch::Sender<View>);

/// Latest set, and the error that makes it stale. Each part is counted, so that a consumer takes each change once.
#[derive(Clone, Default)]
struct View {
    set: Option<Arc<BackendSet>>,
    sets: u64,
    /// The last addresses that left the selector and have not come back, each with the number of the first set without it.
    left_selector: VecDeque<(u64, SocketAddr)>,
    error: Option<Error>,
    errors: u64,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(View::default()))
    }

    /// Returns a stream of what is published, beginning with the latest set.
    #[cfg(feature = "test-util")]
    pub(crate) fn subscribe(&self) -> BoxStream<'static, Result<Update, Error>> {
        Consumer { views: self.0.subscribe(), taken: Taken::default(), _task: None }.stream()
    }

    /// Returns the latest set or error; waits until there is one.
    #[cfg(feature = "test-util")]
    pub(crate) async fn latest(&self) -> Result<Arc<BackendSet>, Error> {
        let mut views = self.0.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            if let Some(latest) = view.error.map(Err).or_else(|| view.set.map(Ok)) {
                return latest;
            }
            // The sender is `self`, so the wait never fails.
            let _ = views.changed().await;
        }
    }

    /// Publishes `set` if it differs from the last one or ends staleness.
    #[cfg(any(feature = "file", feature = "kube", feature = "test-util", test))]
    pub(crate) fn fresh(&self, set: &Arc<BackendSet>) {
        self.fresh_after(set, &BTreeSet::new());
    }

    /// Publishes `set` as [`fresh`](Self::fresh) does, after these addresses have left the selector.
    pub(crate) fn fresh_after(&self, set: &Arc<BackendSet>, left_selector: &BTreeSet<SocketAddr>) {
        self.0.send_if_modified(|view| {
            let is_new = view.error.is_some() || view.set.as_ref() != Some(set);
            if is_new {
                (view.set, view.error) = (Some(Arc::clone(set)), None);
                view.sets += 1;
                view.left(set, left_selector);
            }
            is_new
        });
    }

    /// Publishes `set` if it differs from the last one, though a part of the source is still stale because of `error`.
    pub(crate) fn partly_fresh(&self, set: &Arc<BackendSet>, error: Error) {
        self.partly_fresh_after(set, error, &BTreeSet::new());
    }

    /// Publishes `set` as [`partly_fresh`](Self::partly_fresh) does, after these addresses have left the selector.
    pub(crate) fn partly_fresh_after(&self, set: &Arc<BackendSet>, error: Error, left_selector: &BTreeSet<SocketAddr>) {
        self.0.send_if_modified(|view| {
            let is_new = view.set.as_ref() != Some(set);
            if is_new {
                (view.set, view.error) = (Some(Arc::clone(set)), Some(error));
                view.sets += 1;
                view.errors += 1;
                view.left(set, left_selector);
            }
            is_new
        });
    }

    /// Marks the view stale.
    pub(crate) fn stale(&self, error: Error) {
        self.0.send_modify(|view| {
            view.error = Some(error);
            view.errors += 1;
        });
    }
}

impl View {
    /// Maximum number of addresses that are kept for a slow consumer.
    const MAX_LEFT: usize = 1_000;

    /// Notes which addresses have left the selector before `set`.
    fn left(&mut self, set: &BackendSet, left_selector: &BTreeSet<SocketAddr>) {
        let is_absent = |address: &SocketAddr| set.get(address).is_none();
        self.left_selector.retain(|(_, address)| is_absent(address));
        let absent = left_selector.iter().copied().filter(is_absent);
        self.left_selector.extend(absent.map(|address| (self.sets, address)));
        let surplus = self.left_selector.len().saturating_sub(Self::MAX_LEFT);
        self.left_selector.drain(..surplus);
    }
}

/// Consumer's side: remembers what it has taken.
struct Consumer {
    views: watch::Receiver<View>,
    taken: Taken,
    /// The task behind the stream, where it belongs to this consumer.
    _task: Option<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Taken {
    sets: u64,
    errors: u64,
}

impl Consumer {
    fn stream(self) -> BoxStream<'static, Result<Update, Error>> {
        Box::pin(stream::unfold(self, |mut consumer| async { Some((consumer.next().await?, consumer)) }))
    }

    async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            if let Some(item) = self.taken.next(&self.views.borrow_and_update()) {
                return Some(item);
            }
            // Fails only when the task has ended, and tasks run until they are aborted.
            self.views.changed().await.ok()?;
        }
    }
}

impl Taken {
    /// Takes the oldest change that `view` has: a set before the error that made it stale.
    fn next(&mut self, view: &View) -> Option<Result<Update, Error>> {
        if let Some(set) = view.set.as_ref().filter(|_| view.sets > self.sets) {
            let before = std::mem::replace(&mut self.sets, view.sets);
            // What left before the first set never was in one.
            let left = view.left_selector.iter().filter(|(number, _)| before > 0 && *number > before);
            let left_selector = left.map(|(_, address)| *address).collect();
            return Some(Ok(Update { set: Arc::clone(set), left_selector }));
        }
        let error = view.error.as_ref().filter(|_| view.errors > self.errors)?;
        self.errors = view.errors;
        Some(Err(error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{Backend, Cause, State};

    fn set(last: u8) -> Arc<BackendSet> {
        Arc::new([Backend::new(([10, 0, 0, last], 1).into(), State::Ready)].into_iter().collect())
    }

    fn error() -> Error {
        Error::Failed { source_name: "the test".into(), cause: Cause::new("scripted") }
    }

    /// Makes a stream whose publisher the test drives.
    async fn scripted() -> (Publisher, BoxStream<'static, Result<Arc<BackendSet>, Error>>) {
        let (give, take) = oneshot::channel();
        let mut stream = spawn(|publisher| async {
            let _ = give.send(publisher);
            std::future::pending::<()>().await;
        });
        assert!(stream.next().now_or_never().is_none(), "published before the first set");
        (take.await.unwrap(), stream)
    }

    #[tokio::test]
    async fn a_slow_consumer_gets_the_latest_set_only() {
        let (publisher, mut stream) = scripted().await;
        (1..=3).for_each(|n| publisher.fresh(&set(n)));
        assert_eq!(stream.next().await.unwrap().unwrap(), set(3));
        assert!(stream.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn an_equal_set_is_not_published_again() {
        let (publisher, mut stream) = scripted().await;
        publisher.fresh(&set(1));
        stream.next().await.unwrap().unwrap();
        publisher.fresh(&set(1));
        assert!(stream.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_end_of_staleness_is_published_with_the_set_even_if_it_is_equal() {
        let (publisher, mut stream) = scripted().await;
        publisher.fresh(&set(1));
        publisher.stale(error());
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap_err();
        publisher.fresh(&set(1));
        assert_eq!(stream.next().await.unwrap().unwrap(), set(1));
    }

    #[tokio::test]
    async fn a_change_while_a_part_is_stale_is_published_with_the_staleness_that_remains() {
        let (publisher, mut stream) = scripted().await;
        publisher.fresh(&set(1));
        publisher.stale(error());
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap_err();
        publisher.partly_fresh(&set(1), error());
        assert!(stream.next().now_or_never().is_none(), "published without a change");
        publisher.partly_fresh(&set(2), error());
        assert_eq!(stream.next().await.unwrap().unwrap(), set(2));
        stream.next().await.unwrap().unwrap_err();
    }

    #[tokio::test]
    async fn an_error_that_is_over_is_not_delivered() {
        let (publisher, mut stream) = scripted().await;
        publisher.stale(error());
        publisher.fresh(&set(1));
        assert_eq!(stream.next().await.unwrap().unwrap(), set(1));
        assert!(stream.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_slow_consumer_hears_of_all_that_left_the_selector_and_did_not_come_back() {
        let (give, take) = oneshot::channel();
        let mut stream = spawn_updates(|publisher| async {
            let _ = give.send(publisher);
            std::future::pending::<()>().await;
        });
        assert!(stream.next().now_or_never().is_none());
        let publisher = take.await.unwrap();
        let address = |last| SocketAddr::from(([10, 0, 0, last], 1));
        publisher.fresh_after(&set(1), &[address(9)].into());
        let first = stream.next().await.unwrap().unwrap();
        assert!(first.left_selector.is_empty(), "it was in no set before");
        publisher.fresh_after(&set(2), &[address(1)].into());
        publisher.fresh_after(&set(3), &[address(2)].into());
        publisher.fresh_after(&set(1), &[address(3)].into());
        let second = stream.next().await.unwrap().unwrap();
        assert_eq!((second.set, second.left_selector), (set(1), [address(2), address(3)].into()));
        publisher.fresh(&set(4));
        assert!(stream.next().await.unwrap().unwrap().left_selector.is_empty(), "each is reported once");
    }

    #[tokio::test]
    async fn dropping_the_stream_ends_the_work() {
        let (alive, mut ended) = oneshot::channel::<()>();
        let mut stream = spawn(|publisher| async {
            let _held = (alive, publisher);
            std::future::pending::<()>().await;
        });
        assert!(stream.next().now_or_never().is_none());
        assert!(ended.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Empty));
        drop(stream);
        ended.await.unwrap_err();
    }
}

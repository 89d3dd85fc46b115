//! The watch machine: lists a scope, watches it, and recovers from every failure.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{Stream, stream};
use kube::{Client, api::WatchEvent};
use tokio::time::{Instant, sleep, timeout};

use super::{
    decoded::Decoded,
    index::Event,
    object::Object,
    request::{Page, Watch, probe, retry_after_of},
    request_error::RequestError,
    scope::Scope,
    version_guard::Known,
};
use crate::backoff::Backoff;

/// Follows one scope: returns an endless stream of its events, from the first list on.
///
/// # Recovery
///
/// * A watch that ends is resumed after the last whole event, without a list and without an event: nothing was lost. Only
///   if it cannot be resumed, or breaks off repeatedly, the view is [failed](Event::Failed).
/// * Before a watch that broke off or was refused is resumed, the collection's version is requested: an API server that
///   was restored from a backup would keep such a watch open and send nothing until its version has caught up.
/// * A version that the API server has forgotten leads to a new list, whatever the form of its error.
/// * Watches that fail again and again although lists work, for want of a right or because of a gateway that does not pass
///   streams, are replaced by lists. The view stays stale, and a watch is tried after each list.
/// * After each failure there is a pause of 0.2 s that grows to 5 s, or a longer one if the API server demands it. It is
///   reset only when a watch is known to work, so that no kind of failure becomes a busy loop.
pub(super) fn follow<K: Object>(client: Client, scope: Arc<Scope>) -> impl Stream<Item = Event<K>> + Send {
    let follower = Follower {
        client,
        scope,
        stage: Stage::Unlisted,
        listed: false,
        unwatched_since: None,
        queued: None,
        backoff: Backoff::new(),
        pause: None,
    };
    stream::unfold(follower, |mut follower| async {
        let event = follower.next().await;
        Some((event, follower))
    })
}

struct Follower<K> {
    client: Client,
    scope: Arc<Scope>,
    stage: Stage,
    /// Set after the first complete list.
    listed: bool,
    /// Time since which every watch has failed, while lists work.
    unwatched_since: Option<Instant>,
    /// Event to be returned before the next step.
    queued: Option<Event<K>>,
    backoff: Backoff,
    /// Pause before the next step.
    pause: Option<Duration>,
}

enum Stage {
    Unlisted,
    /// A list has begun.
    Listing {
        /// Token that leads to the next page, from the second page on.
        token: Option<String>,
        /// Newest version known when it began.
        known: Known,
    },
    /// All objects up to `version` are known, and a watch from there is to be opened.
    Listed {
        version: String,
        opening: Opening,
    },
    Watching(Watching),
}

/// Way to open a watch.
#[derive(Clone, Copy)]
enum Opening {
    /// Opens it at once: the API server knows the version.
    Direct,
    /// Opens it after a request that shows whether the API server has reached the version.
    Probed,
}

struct Watching {
    version: String,
    watch: Watch,
    opened: Instant,
    /// Set when the watch is known to work: an event arrived, or no refusal for a while.
    works: bool,
}

/// Time after which a new watch is known to work: a refusal is its first event, and arrives at once or not at all.
const REFUSAL_WAIT: Duration = Duration::from_millis(200);
/// Time after which lists replace watches that fail.
const UNWATCHED_TIME: Duration = Duration::from_secs(15);
/// Minimum lifetime of a watch that is resumed without a pause.
const MIN_WATCH_LIFETIME: Duration = Duration::from_secs(1);

impl<K: Object> Follower<K> {
    async fn next(&mut self) -> Event<K> {
        loop {
            if let Some(event) = self.queued.take() {
                return event;
            }
            if let Some(pause) = self.pause.take() {
                sleep(pause).await;
            }
            if let Some(event) = self.step().await {
                return event;
            }
        }
    }

    /// Steps to the next stage. After a failure, the stage is one from which the next step can continue.
    async fn step(&mut self) -> Option<Event<K>> {
        match std::mem::replace(&mut self.stage, Stage::Unlisted) {
            Stage::Unlisted => {
                self.stage = Stage::Listing { token: None, known: self.scope.versions().known() };
                Some(Event::ListBegun)
            }
            Stage::Listing { token, known } => Some(self.list(token.as_deref(), known).await),
            Stage::Listed { version, opening } => self.open(version, opening).await,
            Stage::Watching(watching) => self.watch(watching).await,
        }
    }

    async fn list(&mut self, token: Option<&str>, known: Known) -> Event<K> {
        let page: Page<K> = match Page::get(&self.client, &self.scope, token, known).await {
            Ok(page) => page,
            Err(error) => return self.failed(error), // a list that failed begins again
        };
        if page.next.is_some() {
            self.stage = Stage::Listing { token: page.next, known };
        } else {
            self.stage = Stage::Listed { version: page.version, opening: Opening::Direct };
            self.queued = Some(if self.is_unwatched() { Event::ListDoneUnwatched } else { Event::ListDone });
            if std::mem::replace(&mut self.listed, true) {
                self.scope.relists.fetch_add(1, Ordering::Relaxed);
            }
        }
        Event::Listed(page.items)
    }

    async fn open(&mut self, version: String, opening: Opening) -> Option<Event<K>> {
        if matches!(opening, Opening::Probed)
            && let Err(error) = probe(&self.client, &self.scope).await
        {
            self.unwatched_since = None;
            return Some(self.not_watched(version, error));
        }
        match Watch::open(&self.client, &self.scope, &version).await {
            Ok(watch) => {
                self.stage = Stage::Watching(Watching { version, watch, opened: Instant::now(), works: false });
                None
            }
            Err(error) => {
                self.count_failed_watch(&error);
                Some(self.not_watched(version, error))
            }
        }
    }

    /// Takes in that no watch from `version` could be opened, or that it failed.
    fn not_watched(&mut self, version: String, error: RequestError) -> Event<K> {
        // An API server that went back does not know the version: a list will be refused or used.
        let needs_list = error.needs_list() || matches!(error, RequestError::Older(_)) || self.is_unwatched();
        if !needs_list {
            self.stage = Stage::Listed { version, opening: Opening::Probed };
        }
        self.failed(error)
    }

    fn count_failed_watch(&mut self, error: &RequestError) {
        // An API server that demands a pause wants less work, not lists.
        if error.needs_list() || error.retry_after().is_some() {
            self.unwatched_since = None;
        } else {
            self.unwatched_since.get_or_insert_with(Instant::now);
        }
    }

    fn is_unwatched(&self) -> bool {
        self.unwatched_since.is_some_and(|since| since.elapsed() >= UNWATCHED_TIME)
    }

    async fn watch(&mut self, mut watching: Watching) -> Option<Event<K>> {
        let next = watching.watch.next(&self.scope);
        let next = if watching.works {
            next.await
        } else if let Ok(next) = timeout(REFUSAL_WAIT, next).await {
            next
        } else {
            self.stage = Stage::Watching(Watching { works: true, ..watching });
            return Some(Event::Fresh);
        };
        match next.and_then(|event| event.map(|event| convert(event, &mut watching.version)).transpose()) {
            Ok(Some(event)) => {
                self.backoff.reset();
                self.unwatched_since = None;
                self.scope.versions().saw(&watching.version);
                self.stage = Stage::Watching(Watching { works: true, ..watching });
                Some(event)
            }
            Ok(None) => {
                self.resume(watching, Opening::Direct);
                None
            }
            Err(error) if error.is_cut() && watching.has_lived() => {
                tracing::info!(of = self.scope.what, cause = ?error, "a watch broke off and is resumed");
                self.resume(watching, Opening::Probed);
                None
            }
            Err(error) => {
                self.count_failed_watch(&error);
                Some(self.not_watched(watching.version, error))
            }
        }
    }

    fn resume(&mut self, watching: Watching, opening: Opening) {
        if watching.has_lived() {
            self.backoff.reset();
            self.unwatched_since = None;
        } else {
            self.pause = Some(self.backoff.pause());
        }
        self.stage = Stage::Listed { version: watching.version, opening };
    }

    fn failed(&mut self, error: RequestError) -> Event<K> {
        self.pause = Some(self.backoff.pause_after(error.retry_after()));
        Event::Failed(error.into_error(&self.scope.what))
    }
}

impl Watching {
    fn has_lived(&self) -> bool {
        self.works && self.opened.elapsed() >= MIN_WATCH_LIFETIME
    }
}

/// Converts an event of a watch, and moves `version` to the one in it.
fn convert<K: Object>(event: WatchEvent<Decoded<K>>, version: &mut String) -> Result<Event<K>, RequestError> {
    let mut move_to = |new: &str| {
        if new.is_empty() {
            return Err(RequestError::NoVersion);
        }
        new.clone_into(version);
        Ok(())
    };
    let version_of = |object: &Decoded<K>| object.meta().resource_version.clone().unwrap_or_default();
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            move_to(&version_of(&object))?;
            Ok(Event::Applied(object))
        }
        WatchEvent::Deleted(object) => {
            move_to(&version_of(&object))?;
            Ok(Event::Deleted(object))
        }
        WatchEvent::Bookmark(bookmark) => {
            move_to(&bookmark.metadata.resource_version)?;
            Ok(Event::Fresh)
        }
        WatchEvent::Error(status) => {
            let retry_after = retry_after_of(&status);
            Err(RequestError::Refused { status, retry_after })
        }
    }
}

#[cfg(test)]
mod tests;

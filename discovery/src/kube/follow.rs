use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{Stream, stream};
use kube::{Client, api::WatchEvent};
use serde::de::IgnoredAny;
use tokio::time::{Instant, sleep, timeout};

use super::{
    index::Event,
    object::Object,
    request::{Page, Watch},
    request_error::RequestError,
    scope::Scope,
};
use crate::backoff::Backoff;

/// The events of one scope, from the first list on, for ever.
///
/// # Recovery
///
/// * A watch that ends is resumed after the last whole event, without a list and without a word: nothing was lost. Only
///   if it cannot be resumed, or breaks off again and again, the view is [failed](Event::Failed).
/// * Before a watch that ended rudely or was refused is resumed, the collection's version is asked for: an API server
///   that was restored from a backup would keep such a watch open and send nothing until its version has caught up.
/// * A version that the API server does not know any more, in whatever form it says so, leads to a new list.
/// * After each failure there is a pause of 0.2 s that grows to 5 s, or longer if the API server asks for it. It shrinks
///   back only when a watch has proved itself, so that no way of failing becomes a busy loop.
pub(super) fn follow<K: Object>(client: Client, scope: Arc<Scope>) -> impl Stream<Item = Event<K>> + Send {
    let follower = Follower {
        client,
        scope,
        stage: Stage::Unlisted,
        listed: false,
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
    /// Whether there has been a complete list already.
    listed: bool,
    /// An event that comes right after the one just given.
    queued: Option<Event<K>>,
    backoff: Backoff,
    /// To be made before the next step.
    pause: Option<Duration>,
}

enum Stage {
    Unlisted,
    /// With the token of the next page, from the second page on.
    Listing(Option<String>),
    /// Everything up to `version` is known. In doubt, whether the API server still knows it is asked first.
    Listed {
        version: String,
        doubt: bool,
    },
    Watching(Watching),
}

struct Watching {
    version: String,
    watch: Watch,
    opened: Instant,
    /// Whether the watch is known to be good: an event came, or no refusal came for a while.
    proved: bool,
}

/// A refusal may come as the first event of a watch. It comes at once or not at all.
const SETTLE: Duration = Duration::from_millis(200);
/// A watch that ends sooner, and has brought nothing, is resumed after a pause only.
const SHORT_LIFE: Duration = Duration::from_secs(1);

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

    /// One step to the next stage. A failure leaves a stage that can be gone on from.
    async fn step(&mut self) -> Option<Event<K>> {
        match std::mem::replace(&mut self.stage, Stage::Unlisted) {
            Stage::Unlisted => {
                self.stage = Stage::Listing(None);
                Some(Event::ListBegun)
            }
            Stage::Listing(token) => Some(self.list(token.as_deref()).await),
            Stage::Listed { version, doubt } => self.open(version, doubt).await,
            Stage::Watching(watching) => self.watch(watching).await,
        }
    }

    async fn list(&mut self, token: Option<&str>) -> Event<K> {
        let page: Page<K> = match Page::get(&self.client, &self.scope, &self.scope.page(token)).await {
            Ok(page) => page,
            Err(error) => return self.failed(error), // a list that broke off begins anew
        };
        if let Some(next) = page.next() {
            self.stage = Stage::Listing(Some(next));
        } else {
            self.stage = Stage::Listed { version: page.version().to_owned(), doubt: false };
            self.queued = Some(Event::ListDone);
            if std::mem::replace(&mut self.listed, true) {
                self.scope.relists.fetch_add(1, Ordering::Relaxed);
            }
        }
        Event::Listed(page.into_items())
    }

    async fn open(&mut self, version: String, doubt: bool) -> Option<Event<K>> {
        let (client, scope) = (&self.client, &self.scope);
        let opened = async {
            if doubt {
                Page::<IgnoredAny>::get(client, scope, &Scope::probe()).await?;
            }
            Watch::open(client, scope, &version).await
        };
        match opened.await {
            Ok(watch) => {
                self.stage = Stage::Watching(Watching { version, watch, opened: Instant::now(), proved: false });
                None
            }
            Err(error) => {
                // An API server that went back does not know the version: its list will be held or taken over.
                if !error.needs_list() && !matches!(error, RequestError::Older(_)) {
                    self.stage = Stage::Listed { version, doubt: true };
                }
                Some(self.failed(error))
            }
        }
    }

    async fn watch(&mut self, mut watching: Watching) -> Option<Event<K>> {
        let next = watching.watch.next(&self.scope);
        let next = if watching.proved {
            next.await
        } else if let Ok(next) = timeout(SETTLE, next).await {
            next
        } else {
            self.stage = Stage::Watching(Watching { proved: true, ..watching });
            return Some(Event::Fresh);
        };
        match next.and_then(|event| event.map(|event| changed(event, &mut watching.version)).transpose()) {
            Ok(Some(event)) => {
                self.backoff.reset();
                self.scope.versions().saw(&watching.version);
                self.stage = Stage::Watching(Watching { proved: true, ..watching });
                Some(event)
            }
            Ok(None) => {
                self.resume(watching, false);
                None
            }
            Err(error) if error.is_cut() && watching.has_lived() => {
                tracing::info!(of = self.scope.what, cause = ?error, "a watch broke off and is resumed");
                self.resume(watching, true);
                None
            }
            Err(error) => {
                if !error.needs_list() {
                    self.stage = Stage::Listed { version: watching.version, doubt: true };
                }
                Some(self.failed(error))
            }
        }
    }

    fn resume(&mut self, watching: Watching, doubt: bool) {
        if watching.has_lived() {
            self.backoff.reset();
        } else {
            self.pause = Some(self.backoff.pause());
        }
        self.stage = Stage::Listed { version: watching.version, doubt };
    }

    fn failed(&mut self, error: RequestError) -> Event<K> {
        // Many clients may have been sent away at once: each comes back at its own time.
        self.pause = Some(self.backoff.pause() + error.retry_after().unwrap_or_default());
        Event::Failed(error.into_error(&self.scope.what))
    }
}

impl Watching {
    fn has_lived(&self) -> bool {
        self.proved && self.opened.elapsed() >= SHORT_LIFE
    }
}

/// What `event` means. Moves `version` on to it.
fn changed<K: Object>(event: WatchEvent<K>, version: &mut String) -> Result<Event<K>, RequestError> {
    let mut move_to = |new: &str| {
        if new.is_empty() {
            return Err(RequestError::NoVersion);
        }
        new.clone_into(version);
        Ok(())
    };
    let version_of = |object: &K| object.meta().resource_version.clone().unwrap_or_default();
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
            let retry_after = status.details.as_ref().map(|d| Duration::from_secs(d.retry_after_seconds.into()));
            Err(RequestError::Refused { status, retry_after })
        }
    }
}

#[cfg(test)]
mod tests;

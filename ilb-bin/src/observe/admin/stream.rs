//! The status as a stream of server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use super::{document::Document, sending::Sender};
use crate::observe::insight::{Facts, Insight};

/// The streams of all readers, who share each event.
#[derive(Debug)]
pub(super) struct Streams {
    insight: Insight,
    /// The event of this moment.
    latest: Arc<Document>,
    free: Arc<Semaphore>,
}

/// Marks a response that is a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct IsStream;

/// Maximum number of open streams.
const MAX_STREAMS: usize = 32;

/// Minimum time between two events. Changes in between are in the next event.
const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// Maximum time between two events: ages grow and counts change all the time.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum duration of a stream. A browser then opens another one.
const MAX_STREAM_DURATION: Duration = Duration::from_secs(900);

/// Maximum number of backends of a pool in an event: more than a person looks at.
const MAX_LISTED_BACKENDS: usize = 200;

impl Streams {
    pub(super) fn new(insight: Insight) -> Self {
        let facts = insight.clone();
        let event = move || {
            let status = facts.snapshot().status(MAX_LISTED_BACKENDS, Instant::now());
            let json = serde_json::to_string(&status).map_err(|error| error.to_string())?;
            Ok(format!("data: {json}\n\n"))
        };
        let latest = Arc::new(Document::new(insight.subscribe(), event));
        Self { insight, latest, free: Arc::new(Semaphore::new(MAX_STREAMS)) }
    }

    /// Streams the status: one event at once, one after each change, and at least one per second. Returns `None` if too
    /// many streams are open.
    pub(super) fn stream(&self, sender: Sender) -> Option<Response> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let follower = Follower {
            latest: Arc::clone(&self.latest),
            changes: self.insight.subscribe(),
            sender,
            ends: Instant::now() + MAX_STREAM_DURATION,
            has_begun: false,
            _permit: permit,
        };
        let mut response = Body::from_stream(follower.events()).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response.extensions_mut().insert(IsStream);
        Some(response)
    }
}

/// A reader of the stream.
struct Follower {
    latest: Arc<Document>,
    changes: watch::Receiver<Facts>,
    sender: Sender,
    ends: Instant,
    /// The first event has been sent.
    has_begun: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut follower| async {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::replace(&mut self.has_begun, true) {
            sleep(MIN_INTERVAL).await;
            // Without a change, the next event is due when the wait times out.
            let _ = timeout(MAX_INTERVAL.saturating_sub(MIN_INTERVAL), self.changes.changed()).await;
        }
        if Instant::now() >= self.ends {
            return None;
        }
        self.changes.mark_unchanged();
        let event = self.latest.get().await.unwrap_or_else(|reason| Bytes::from(format!(": {reason}\n\n")));
        Some(self.sender.send(event).await)
    }
}

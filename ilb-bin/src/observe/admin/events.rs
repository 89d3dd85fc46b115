//! The status as a stream of server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response, Sse, sse::Event},
};
use futures_util::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use crate::observe::insight::Insight;

/// Limits the number of open streams, so that probes and Prometheus always find a free connection.
#[derive(Clone, Debug)]
pub(super) struct StreamLimit(Arc<Semaphore>);

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

impl Default for StreamLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

/// Streams the status: one event at once, one after each change, and at least one per second.
pub(super) fn respond(insight: &Insight, limit: &StreamLimit) -> Response {
    match Arc::clone(&limit.0).try_acquire_owned() {
        Ok(permit) => Sse::new(events(insight.clone(), permit)).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many status pages are open: close one\n").into_response(),
    }
}

fn events(insight: Insight, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let (changes, ends) = (insight.subscribe(), Instant::now() + MAX_STREAM_DURATION);
    stream::unfold((insight, changes, permit, false), move |(insight, mut changes, permit, begun)| async move {
        if begun {
            sleep(MIN_INTERVAL).await;
            // Without a change, the next event is due when the wait times out.
            let _ = timeout(MAX_INTERVAL.saturating_sub(MIN_INTERVAL), changes.changed()).await;
        }
        if Instant::now() >= ends {
            return None;
        }
        changes.mark_unchanged();
        let status = insight.read(|facts| facts.status(MAX_LISTED_BACKENDS, Instant::now()));
        let event =
            Event::default().json_data(status).unwrap_or_else(|error| Event::default().comment(error.to_string()));
        Some((Ok(event), (insight, changes, permit, true)))
    })
}

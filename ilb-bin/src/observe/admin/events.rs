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

/// Who follows the events: so many at a time, so that probes and collectors always find a free connection.
#[derive(Clone)]
pub(super) struct Followers(Arc<Semaphore>);

/// See [`Followers`].
const MOST_FOLLOWERS: usize = 32;

/// Events are not closer than this: what happens meanwhile is in the next one.
const GAP: Duration = Duration::from_millis(250);

/// There is an event at least this often, because ages grow and counts change all the time.
const PERIOD: Duration = Duration::from_secs(1);

/// A stream ends after this long, and a browser opens another one.
const LONGEST: Duration = Duration::from_secs(900);

/// As many backends of a pool as a person looks at.
const LONGEST_LIST: usize = 200;

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_FOLLOWERS)))
    }
}

/// The status as a stream of server-sent events: one at once, one for each piece of news, one a second.
pub(super) fn follow(insight: &Insight, followers: &Followers) -> Response {
    match Arc::clone(&followers.0).try_acquire_owned() {
        Ok(place) => Sse::new(events(insight.clone(), place)).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many status pages are open: close one\n").into_response(),
    }
}

fn events(insight: Insight, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let (news, ends) = (insight.follow(), Instant::now() + LONGEST);
    stream::unfold((insight, news, place, false), move |(insight, mut news, place, begun)| async move {
        if begun {
            sleep(GAP).await;
            // News that never comes is no news: the period ends the waiting.
            let _ = timeout(PERIOD.saturating_sub(GAP), news.changed()).await;
        }
        if Instant::now() >= ends {
            return None;
        }
        news.mark_unchanged();
        let status = insight.look(|facts| facts.status(LONGEST_LIST, Instant::now()));
        let event =
            Event::default().json_data(status).unwrap_or_else(|error| Event::default().comment(error.to_string()));
        Some((Ok(event), (insight, news, place, true)))
    })
}

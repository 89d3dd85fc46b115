//! A source of backends, seen by its consumer.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream::BoxStream};
use ilb_discovery::{BackendSet, ClientLimits, Discovery, Error, PodDiscovery, State, api_client};
use tokio::time::timeout;

use crate::{ApiServer, Pods};

/// The stream of a source of backends.
pub struct Followed {
    sets: BoxStream<'static, Result<Arc<BackendSet>, Error>>,
}

/// Creates the source that discovers `pods` as ilb does, with an API server that is reached at `via`.
pub async fn pods_via(api_server: &ApiServer, via: SocketAddr, pods: &Pods) -> anyhow::Result<PodDiscovery> {
    let client = api_client(&api_server.config(via).await?, &ClientLimits::default())?;
    Ok(PodDiscovery::new(client, pods.namespace(), Pods::SELECTOR.parse()?, 5432))
}

/// Returns an address for pod `index` that no test connects to.
pub fn pod_ip(index: u16) -> IpAddr {
    let [high, low] = index.to_be_bytes();
    [10, 1, high, low].into()
}

/// Time limit for each wait: longer than any recovery takes. (The file of a token is read once a minute.)
const WAIT_LIMIT: Duration = Duration::from_secs(120);

impl Followed {
    /// Begins to watch `source`.
    pub fn new(source: &impl Discovery) -> Self {
        Self { sets: source.watch() }
    }

    /// Waits for a set that `is_wanted`. Returns all that the stream had until then.
    pub async fn until(&mut self, what: &str, is_wanted: impl Fn(&BackendSet) -> bool) -> anyhow::Result<Seen> {
        let (begun, mut seen) = (Instant::now(), Seen::default());
        loop {
            let left = WAIT_LIMIT.saturating_sub(begun.elapsed());
            match timeout(left, self.sets.next()).await.with_context(|| format!("waited for {what}, saw {seen:?}"))? {
                Some(Ok(set)) => {
                    let found = is_wanted(&set);
                    seen.sets.push(set);
                    if found {
                        return Ok(Seen { after: begun.elapsed(), ..seen });
                    }
                }
                Some(Err(error)) => seen.errors.push(error),
                None => bail!("the stream ended"),
            }
        }
    }

    /// Waits until `count` backends are ready.
    pub async fn until_ready(&mut self, count: usize) -> anyhow::Result<Seen> {
        self.until(&format!("{count} ready backends"), |set| set.count(State::Ready) == count).await
    }

    /// Waits until the view is stale. Returns the cause, and how long that took.
    pub async fn until_stale(&mut self) -> anyhow::Result<(Error, Duration)> {
        let begun = Instant::now();
        loop {
            match timeout(WAIT_LIMIT, self.sets.next()).await.context("the view did not become stale")? {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ok((error, begun.elapsed())),
                None => bail!("the stream ended"),
            }
        }
    }
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").finish_non_exhaustive()
    }
}

/// The items of the stream during one wait.
#[derive(Debug, Default)]
pub struct Seen {
    /// Sets, the wanted one last.
    pub sets: Vec<Arc<BackendSet>>,
    /// Causes of staleness.
    pub errors: Vec<Error>,
    /// Duration of the wait.
    pub after: Duration,
}

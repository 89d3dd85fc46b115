//! Several Traefiks that are kept at one configuration.

mod builder;
mod dns;
mod instance;
mod members;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

pub use self::{builder::FleetBuilder, instance::InstanceState};
use self::{
    instance::{Desired, Instance, Task},
    members::Members,
};
use crate::{Applied, ConfigSink, Configuration, Error};

/// Keeps several Traefiks at one configuration.
///
/// Each instance has a task, a circuit breaker and a state of its own: it gets the latest configuration as fast as it
/// accepts it, is checked at intervals, and is configured again after a restart or when another client has written to it.
/// A slow or dead instance delays no other. [`apply`](ConfigSink::apply) waits for it no longer than the builder's
/// `patience` after the first success, and not at all while it is known to be behind; the attempts go on in the
/// background.
///
/// Dropping the fleet stops all tasks.
pub struct Fleet {
    members: Arc<Members>,
    desired: Arc<watch::Sender<Option<Desired>>>,
    /// True once the instances are known: at once without a name, else after its first lookup.
    known: watch::Receiver<bool>,
    generation: AtomicU64,
    patience: Duration,
    quorum: Quorum,
    /// Task that looks up the name, if the fleet has one.
    _resolver: Option<Task>,
}

/// Number of instances with the configuration in force that make `apply` succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quorum {
    /// Every instance, and at least one.
    #[default]
    All,
    /// The given number of instances, or all if there are fewer; at least one.
    AtLeast(usize),
}

impl Fleet {
    /// Returns a builder without instances.
    pub fn builder() -> FleetBuilder {
        FleetBuilder::default()
    }

    /// Returns the state of each instance, by host and port.
    pub fn instances(&self) -> Vec<(String, InstanceState)> {
        self.members.all().iter().map(|instance| (instance.label.clone(), instance.state())).collect()
    }

    /// Returns the instances, after the first lookup of the name has succeeded or taken too long.
    async fn known_instances(&self) -> Vec<Arc<Instance>> {
        const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
        let mut known = self.known.clone();
        // An error means that the resolver has ended, so there is nothing to wait for.
        let _ = timeout(LOOKUP_TIMEOUT, known.wait_for(|known| *known)).await;
        self.members.all()
    }

    /// Sums up the outcomes of all instances by the quorum.
    fn result(&self, mut outcomes: Vec<(String, Result<Applied, Error>)>) -> Result<Applied, Error> {
        outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (of, in_force) = (outcomes.len(), outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count());
        let needed = match self.quorum {
            Quorum::All => of,
            Quorum::AtLeast(count) => count.min(of),
        };
        let first = outcomes.iter().position(|(_, outcome)| outcome.is_ok());
        if let Some((_, Ok(mut applied))) = first.filter(|_| in_force >= needed).map(|first| outcomes.remove(first)) {
            applied.others = outcomes;
            return Ok(applied);
        }
        let failed = outcomes.into_iter().filter_map(|(label, outcome)| Some((label, outcome.err()?)));
        Err(Error::Fleet { failed: failed.collect(), of })
    }
}

#[async_trait]
impl ConfigSink for Fleet {
    /// Returns the proof of the first instance, with the outcomes of the others.
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        let instances = self.known_instances().await;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        // An instance that is behind already is not waited for.
        let mut prompt: BTreeSet<_> =
            instances.iter().filter(|i| i.has_kept_up(generation - 1)).map(|i| i.label.clone()).collect();
        let configuration = Arc::new(configuration.clone());
        self.desired.send_replace(Some(Desired { generation, configuration }));
        let mut waiting: FuturesUnordered<_> = instances.iter().map(|i| i.outcome_of(generation)).collect();
        let mut outcomes = BTreeMap::new();
        let mut deadline = None;
        loop {
            let in_time = async {
                match deadline {
                    Some(deadline) => timeout_at(deadline, waiting.next()).await.unwrap_or_default(),
                    None => waiting.next().await,
                }
            };
            let Some((label, outcome)) = in_time.await else { break };
            prompt.remove(&label);
            // After the first success the others get the time by which a healthy one may be slower.
            if outcome.is_ok() {
                deadline.get_or_insert_with(|| Instant::now() + self.patience);
            }
            outcomes.insert(label, outcome);
            if prompt.is_empty() && deadline.is_some() {
                break;
            }
        }
        drop(waiting);
        let late = || Err(Error::unreachable("it is not done yet and goes on in the background"));
        let mut outcome = |label: &String| outcomes.remove(label).unwrap_or_else(late);
        self.result(instances.iter().map(|i| (i.label.clone(), outcome(&i.label))).collect())
    }

    /// Checks the instances, and applies the same quorum as [`apply`](ConfigSink::apply).
    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        let instances = self.known_instances().await;
        let checks = instances.iter().map(|instance| async move {
            let late = || Err(Error::unreachable("no answer in time"));
            let outcome = timeout(self.patience, instance.verify(&applied.revision)).await.unwrap_or_else(|_| late());
            (instance.label.clone(), outcome)
        });
        self.result(join_all(checks).await).map(drop)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("instances", &self.instances())
            .field("quorum", &self.quorum)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

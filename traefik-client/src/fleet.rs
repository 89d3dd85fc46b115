mod builder;
mod dns;
mod instance;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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

use self::instance::{Instance, Task, Wish};
pub use self::{builder::FleetBuilder, instance::InstanceState};
use crate::{Applied, ConfigSink, Configuration, Error};

/// Several Traefiks that are kept at the same configuration.
///
/// Each instance has a task, a circuit breaker and a state of its own: it gets the latest configuration as fast as it
/// takes it, is checked again and again, and is put right when it has restarted or been written to by somebody else. A
/// slow or dead one delays no other, and [`apply`](ConfigSink::apply) waits for it no longer than the builder's
/// `patience` after the first success, and not at all while it is known to be behind; it goes on being tried in the
/// background.
///
/// Dropping the fleet ends all of it.
pub struct Fleet {
    members: Arc<Members>,
    wishes: Arc<watch::Sender<Wish>>,
    known: watch::Receiver<bool>,
    generation: AtomicU64,
    patience: Duration,
    quorum: Quorum,
    /// Looks the name up, where there is one.
    _resolver: Option<Task>,
}

/// How many instances have to have a configuration in force before `apply` is `Ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quorum {
    /// All there are, and at least one.
    #[default]
    All,
    /// At least so many, or all when there are fewer; never none.
    AtLeast(usize),
}

/// The instances, by label.
#[derive(Default)]
struct Members(Mutex<BTreeMap<String, Arc<Instance>>>);

impl Members {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Instance>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Instance>> {
        self.lock().values().cloned().collect()
    }
}

impl Fleet {
    /// No instances yet.
    pub fn builder() -> FleetBuilder {
        FleetBuilder::default()
    }

    /// The state of each instance, by host and port.
    pub fn instances(&self) -> Vec<(String, InstanceState)> {
        self.members.all().iter().map(|instance| (instance.label.clone(), instance.state())).collect()
    }

    /// The instances, once a name has been looked up for the first time, or that has taken too long.
    async fn known_instances(&self) -> Vec<Arc<Instance>> {
        const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
        let mut known = self.known.clone();
        // An error means that there is nothing to wait for any more.
        let _ = timeout(LOOKUP_TIMEOUT, known.wait_for(|known| *known)).await;
        self.members.all()
    }

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
    /// The proof of the first instance, with the outcomes of the others.
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        let instances = self.known_instances().await;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever has not kept up so far is not worth waiting for.
        let mut prompt: BTreeSet<_> =
            instances.iter().filter(|i| i.has_kept_up(generation - 1)).map(|i| i.label.clone()).collect();
        self.wishes.send_replace(Some((generation, Arc::new(configuration.clone()))));
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
            // From the first success on, the others have the time that a healthy one may be slower.
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

    /// Of each instance that [`apply`](ConfigSink::apply) would count.
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

#[cfg(test)]
mod tests;

//! Several Traefiks that are kept at one configuration.

mod builder;
mod changes;
mod dns;
mod instance;
mod members;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    future::join_all,
    stream::{BoxStream, FuturesUnordered},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

pub use self::{builder::FleetBuilder, changes::InstanceChange, instance::InstanceState};
use self::{
    instance::{Desired, Instance, Task},
    members::Members,
};
use crate::{Applied, ConfigSink, Configuration, Error, Member, Name, Revision};

/// Keeps several Traefiks at one configuration.
///
/// Each instance has a task, a circuit breaker and a state of its own: it gets the latest configuration as fast as it
/// accepts it, is checked at intervals, and is configured again after a restart or when another client has written to it.
/// A slow or dead instance delays no other, nor is the same configuration sent again to the others because of it.
/// [`apply`](ConfigSink::apply) waits for it no longer than the builder's `patience` after the first success, and not at
/// all while it is known to be behind; the attempts go on in the background.
///
/// Dropping the fleet stops all tasks.
pub struct Fleet {
    members: Arc<Members>,
    desired: Arc<watch::Sender<Option<Desired>>>,
    /// True once the instances are known: at once without a name, else after its first lookup.
    known: watch::Receiver<bool>,
    /// Notified when an instance joins, leaves or changes.
    changes: Arc<watch::Sender<()>>,
    /// Revision that the last successful call of `apply` has returned, and its generation.
    proved: Mutex<Option<(Revision, u64)>>,
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

    /// Returns the present instances, and then each that joins, leaves or changes.
    pub fn watch_instances(&self) -> BoxStream<'static, InstanceChange> {
        changes::changes(&self.members, self.changes.subscribe())
    }

    /// Returns the instances, after the first lookup of the name has succeeded or taken too long.
    async fn known_instances(&self) -> Vec<Arc<Instance>> {
        const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
        let mut known = self.known.clone();
        // An error means that the resolver has ended, so there is nothing to wait for.
        let _ = timeout(LOOKUP_TIMEOUT, known.wait_for(|known| *known)).await;
        self.members.all()
    }

    /// Gives the configuration to all instances, unless they have it already, and returns its generation.
    fn desire(&self, configuration: &Configuration) -> u64 {
        let mut generation = 0;
        self.desired.send_if_modified(|desired| {
            generation = desired.as_ref().map_or(0, |desired| desired.generation);
            let is_new = desired.as_ref().is_none_or(|desired| *desired.configuration != *configuration);
            if is_new {
                generation += 1;
                *desired = Some(Desired { generation, configuration: Arc::new(configuration.clone()) });
            }
            is_new
        });
        generation
    }

    /// Sums up the outcomes of all instances by the quorum.
    fn result(&self, mut outcomes: Vec<(String, Result<Applied, Error>)>) -> Result<Applied, Error> {
        outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (of, in_force) = (outcomes.len(), outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count());
        let needed = match self.quorum {
            Quorum::All => of,
            Quorum::AtLeast(count) => count.min(of),
        };
        let faults = faults(&outcomes, needed);
        let first = outcomes.iter().position(|(_, outcome)| outcome.is_ok());
        if let Some((_, Ok(mut applied))) = first.filter(|_| in_force >= needed).map(|first| outcomes.remove(first)) {
            (applied.others, applied.faults) = (outcomes, faults);
            return Ok(applied);
        }
        let failed = outcomes.into_iter().filter_map(|(label, outcome)| Some((label, outcome.err()?)));
        Err(Error::Fleet { failed: failed.collect(), of })
    }
}

/// Returns the routers that fewer than `needed` instances have in force, each with the first reason.
fn faults(outcomes: &[(String, Result<Applied, Error>)], needed: usize) -> BTreeMap<Name, Error> {
    let proofs = || outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
    let mut faults = BTreeMap::new();
    for (router, error) in proofs().flat_map(|applied| &applied.faults) {
        let in_force = proofs().filter(|applied| !applied.faults.contains_key(router)).count();
        if in_force < needed.max(1) {
            faults.entry(router.clone()).or_insert_with(|| error.clone());
        }
    }
    faults
}

#[async_trait]
impl ConfigSink for Fleet {
    /// Returns the proof of the first instance, with the outcomes of the others. A configuration that is the same as that of
    /// the call before is sent to no instance: those without it are tried in the background anyway.
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        let instances = self.known_instances().await;
        let generation = self.desire(configuration);
        // An instance that is behind already is not waited for.
        let mut prompt: BTreeSet<_> =
            instances.iter().filter(|i| i.has_kept_up(generation.saturating_sub(1))).map(|i| i.label.clone()).collect();
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
        let applied = self.result(instances.iter().map(|i| (i.label.clone(), outcome(&i.label))).collect())?;
        let proved = Some((applied.revision.clone(), generation));
        *self.proved.lock().unwrap_or_else(PoisonError::into_inner) = proved;
        Ok(applied)
    }

    /// Checks the instances, and applies the same quorum as [`apply`](ConfigSink::apply).
    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        let proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((_, generation)) = proved.filter(|(revision, _)| *revision == applied.revision) else {
            return Err(Error::Overwritten(applied.revision.clone()));
        };
        let instances = self.known_instances().await;
        let checks = instances.iter().map(|instance| async move {
            let late = || Err(Error::unreachable("no answer in time"));
            let outcome = timeout(self.patience, instance.verify(generation)).await.unwrap_or_else(|_| late());
            (instance.label.clone(), outcome)
        });
        self.result(join_all(checks).await).map(drop)
    }

    /// Returns each pool as the first instance has it that has it at all. Instances that cannot be asked are left out,
    /// unless that is all of them. Each of these is asked as soon as it answers, before it is configured; if it has pools
    /// that the configuration lacks, it [says so](InstanceState::has_more_pools) for a while, in which this can be called
    /// again.
    async fn pools_in_force(&self) -> Result<BTreeMap<Name, Vec<Member>>, Error> {
        let instances = self.known_instances().await;
        let answers = join_all(instances.iter().map(|instance| instance.pools_in_force())).await;
        let (mut pools, mut failed) = (BTreeMap::new(), Vec::new());
        for (instance, answer) in instances.iter().zip(answers) {
            match answer {
                Ok(in_force) => in_force.into_iter().for_each(|(name, members)| {
                    pools.entry(name).or_insert(members);
                }),
                Err(error) => failed.push((instance.label.clone(), error)),
            }
        }
        if failed.len() == instances.len() { Err(Error::Fleet { failed, of: instances.len() }) } else { Ok(pools) }
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

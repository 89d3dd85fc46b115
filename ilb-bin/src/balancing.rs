use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Fuse, FusedFuture},
    stream::FuturesUnordered,
};
use ilb_connections::{ConnectionSource, Load, Prober, Sample};
use ilb_discovery::BackendSet;
use ilb_reconciler::{Count, Decision, LeastConnections, Pacing, Plan};
use tokio::time::{self, Instant};

use crate::observe::insight::PoolInsight;

/// Chooses the plan for the backends that are there.
pub(crate) enum Balancing {
    RoundRobin(Option<Arc<Plan>>),
    LeastConnections(Box<Counting>),
}

/// What was chosen. Two choices of least connections are never equal, so that each is pushed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    RoundRobin(Arc<Plan>),
    LeastConnections(Arc<Decision>),
}

/// Least connections: the state machine, and the counting and probing that it asks for.
pub(crate) struct Counting {
    balancer: LeastConnections,
    /// `None` where counting is impossible: then it is round robin.
    eyes: Option<Eyes>,
    /// Whose connections to count; `None` as long as nobody knows.
    backends: Option<Arc<BTreeSet<SocketAddr>>>,
    sampling: Fuse<BoxFuture<'static, Result<Sample, ilb_connections::Error>>>,
    probes: FuturesUnordered<BoxFuture<'static, (SocketAddr, bool)>>,
    wake_up: Option<Instant>,
    failing: bool,
    insight: PoolInsight,
}

/// What sees connections.
pub(crate) struct Eyes {
    pub(crate) source: Arc<dyn ConnectionSource>,
    pub(crate) probe: Probe,
}

/// Tells whether a backend answers.
pub(crate) type Probe = Box<dyn Fn(SocketAddr) -> BoxFuture<'static, bool> + Send>;

impl Balancing {
    pub(crate) fn round_robin() -> Self {
        Self::RoundRobin(None)
    }

    /// Least connections, as far as `eyes` see any; else for this reason by round robin.
    pub(crate) fn least_connections(eyes: Result<Eyes, String>, pacing: Pacing, insight: PoolInsight) -> Self {
        let mut balancer = LeastConnections::new(pacing);
        let eyes = eyes.map_err(|reason| {
            balancer.blind(Instant::now().into_std());
            insight.uncounted(&reason);
        });
        Self::LeastConnections(Box::new(Counting {
            balancer,
            eyes: eyes.ok(),
            backends: None,
            sampling: Fuse::terminated(),
            probes: FuturesUnordered::new(),
            wake_up: None,
            failing: false,
            insight,
        }))
    }

    /// These backends are there now.
    pub(crate) fn backends(&mut self, set: &BackendSet) {
        match self {
            Self::RoundRobin(plan) => *plan = Some(Arc::new(Plan::round_robin(set))),
            Self::LeastConnections(counting) => {
                counting.backends = Some(Arc::new(set.iter().map(ilb_discovery::Backend::address).collect()));
                counting.balancer.backends(set, Instant::now().into_std());
            }
        }
    }

    /// The plan that should be in force; `None` as long as too little is known. Starts the counting and probing that is due.
    pub(crate) fn choose(&mut self) -> Option<Choice> {
        match self {
            Self::RoundRobin(plan) => plan.clone().map(Choice::RoundRobin),
            Self::LeastConnections(counting) => counting.choose().map(Choice::LeastConnections),
        }
    }

    /// Waits for something that may change the choice.
    pub(crate) async fn changed(&mut self) {
        match self {
            Self::RoundRobin(_) => std::future::pending().await,
            Self::LeastConnections(counting) => counting.changed().await,
        }
    }

    /// Traefik is about to begin its round robin anew: the choice should be one for this moment.
    pub(crate) fn refresh(&mut self) {
        if let Self::LeastConnections(counting) = self {
            counting.balancer.renew();
        }
    }

    /// This choice is proved to be in force, after a push that took so long.
    pub(crate) fn acknowledged(&mut self, choice: &Choice, took: std::time::Duration) {
        if let (Self::LeastConnections(counting), Choice::LeastConnections(decision)) = (self, choice) {
            counting.balancer.acknowledged(decision, took, Instant::now().into_std());
        }
    }
}

impl Choice {
    pub(crate) fn plan(&self) -> &Plan {
        match self {
            Self::RoundRobin(plan) => plan,
            Self::LeastConnections(decision) => &decision.plan,
        }
    }
}

impl Counting {
    fn choose(&mut self) -> Option<Arc<Decision>> {
        let todo = self.balancer.decide(Instant::now().into_std());
        self.wake_up = todo.ask_again.map(Into::into);
        let Some(eyes) = &self.eyes else { return todo.decision };
        for backend in todo.probe {
            let probe = (eyes.probe)(backend);
            self.probes.push(probe.map(move |answered| (backend, answered)).boxed());
        }
        if let (Some(backends), true) = (&self.backends, self.sampling.is_terminated()) {
            let sample_at = todo.sample_at.into();
            if sample_at <= Instant::now() {
                let (source, backends) = (Arc::clone(&eyes.source), Arc::clone(backends));
                self.sampling = async move { source.sample(&backends).await }.boxed().fuse();
            } else {
                self.wake_up = Some(self.wake_up.map_or(sample_at, |at| at.min(sample_at)));
            }
        }
        todo.decision
    }

    async fn changed(&mut self) {
        tokio::select! {
            sample = &mut self.sampling, if !self.sampling.is_terminated() => self.counted(sample),
            Some((backend, answered)) = self.probes.next() => {
                if !answered {
                    tracing::warn!(%backend, "A backend does not answer: no new connections until it does");
                }
                self.insight.probed(answered);
                self.balancer.probed(backend, answered, Instant::now().into_std());
            }
            () = until(self.wake_up) => {}
        }
    }

    fn counted(&mut self, sample: Result<Sample, ilb_connections::Error>) {
        let now = Instant::now().into_std();
        match sample {
            Ok(sample) => {
                if std::mem::replace(&mut self.failing, false) {
                    tracing::info!("Connections can be counted again");
                }
                self.insight.sampled(&sample);
                self.balancer.sample(sample.iter().map(|(a, load)| (a, count(&load))), sample.cost(), now);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "Connections cannot be counted: round robin until they can");
                }
                self.insight.uncounted(&error.to_string());
                self.balancer.blind(now);
            }
        }
    }
}

/// A prober as a function.
pub(crate) fn probing(prober: Prober) -> Probe {
    Box::new(move |backend| {
        let prober = prober.clone();
        async move { prober.probe(backend).await.is_ok() }.boxed()
    })
}

fn count(load: &Load) -> Count {
    Count { connections: load.connections(), born: load.born, oldest_opening: load.oldest_opening }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

//! The counting and probing that least connections asks for.

use std::{collections::BTreeSet, fmt, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Fuse, FusedFuture},
    stream::FuturesUnordered,
};
use ilb_connections::{Connection, ConnectionSource, EndedBy, KernelConnections, Load, ProbeError, Probed, Sample};
use ilb_discovery::{Backend, BackendSet};
use ilb_reconciler::{
    Decision, LeastConnections,
    least_connections::{self, Count, Ending, Limit, ProbeKind, ProbeResult},
    siblings::{Heard, ReplicaId, Report},
};
use ilb_traefik_client::Name;
use tokio::time::{self, Instant};

use crate::{
    event::{Event, Observer},
    zones::ZoneSource,
};

/// Counts the connections of backends, and probes those that seem not to take any.
pub struct Counter {
    source: Arc<dyn ConnectionSource>,
    probe: Probe,
}

/// A function that tries whether a backend accepts a connection and keeps it.
pub type Probe = Box<dyn Fn(SocketAddr, ProbeKind) -> BoxFuture<'static, Result<Probed, ProbeError>> + Send + Sync>;

impl Counter {
    /// Creates a counter from its two parts.
    pub fn new(source: Arc<dyn ConnectionSource>, probe: Probe) -> Self {
        Self { source, probe }
    }
}

impl From<KernelConnections> for Counter {
    fn from(connections: KernelConnections) -> Self {
        let prober = connections.prober();
        let probe = move |backend, kind| {
            let prober = prober.clone();
            async move {
                match kind {
                    ProbeKind::First => prober.probe(backend).await,
                    ProbeKind::Again => prober.reprobe(backend).await,
                }
            }
            .boxed()
        };
        Self::new(Arc::new(connections), Box::new(probe))
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

/// Runs least connections: the state machine, and the counting and probing that it asks for.
pub(crate) struct Counting {
    balancer: LeastConnections,
    /// The counter, or the reason why there is none: then the balancer decides by round robin.
    counter: Result<Counter, String>,
    /// The addresses to count; `None` before the first set of backends.
    backends: Option<Arc<BTreeSet<SocketAddr>>>,
    sampling: Fuse<BoxFuture<'static, Result<Taken, ilb_connections::Error>>>,
    probes: FuturesUnordered<BoxFuture<'static, (SocketAddr, Result<Probed, ProbeError>)>>,
    /// Whether the end of a connection has been heard since the last sample.
    has_heard_end: bool,
    wake_up: Option<Instant>,
    needs: ClosingNeeds,
    zones: Option<ZoneSource>,
}

/// Connections to count and describe for those who close them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClosingNeeds {
    /// Backends that are not in the set any more, and whose connections still have to be counted.
    pub(crate) also_count: BTreeSet<SocketAddr>,
    /// Moment from which on a sample has to come with a description of each connection.
    pub(crate) describe_at: Option<Instant>,
    /// Set while connections are closed.
    pub(crate) is_closing: bool,
}

/// A sample, with the moment at which it was begun.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) begun: Instant,
    pub(crate) sample: Sample,
    /// A description of each connection, if it was needed.
    pub(crate) connections: Option<Result<Vec<Connection>, ilb_connections::Error>>,
}

/// Cause for [`Counting`] to wake up.
#[derive(Debug)]
pub(crate) enum CountingWakeUp {
    /// A sample ended.
    Sampled(Result<Taken, ilb_connections::Error>),
    /// A probe ended.
    Probed { backend: SocketAddr, outcome: Result<Probed, ProbeError> },
    /// A connection was heard to end.
    Ended,
    /// The moment for which the balancer asked has come.
    Due,
}

impl Counting {
    pub(crate) fn new(balancer: LeastConnections, counter: Result<Counter, String>) -> Self {
        let (sampling, probes) = (Fuse::terminated(), FuturesUnordered::new());
        let (has_heard_end, needs) = (false, ClosingNeeds::default());
        Self { balancer, counter, backends: None, sampling, probes, has_heard_end, wake_up: None, needs, zones: None }
    }

    /// Returns the reason why connections can never be counted; `None` if they can.
    pub(crate) fn reason_against(&self) -> Option<&str> {
        self.counter.as_ref().err().map(String::as_str)
    }

    /// Takes in a complete set of backends.
    pub(crate) fn set_backends(&mut self, set: &BackendSet) {
        self.backends = Some(Arc::new(set.iter().map(Backend::address).collect()));
        self.balancer.set_backends(set, Instant::now().into_std());
    }

    /// Takes in which backends other pools have, too.
    pub(crate) fn set_shared(&mut self, shared: &BTreeSet<SocketAddr>) {
        self.balancer.set_shared(shared);
    }

    /// Starts the counting and probing that is due, and returns the decision of this moment; `None` as long as too
    /// little is known.
    pub(crate) fn advance(&mut self, pool: &Name, observer: &mut dyn Observer) -> Option<Arc<Decision>> {
        if let Some(zones) = &mut self.zones
            && zones.apply(&mut self.balancer)
        {
            self.balancer.renew();
        }
        let work = self.balancer.decide(Instant::now().into_std());
        for change in &work.changes {
            observer.on(&Event::StandingChanged { pool, change });
        }
        self.wake_up = work.decide_again_at.map(Into::into);
        let Ok(counter) = &self.counter else { return work.decision };
        for (backend, kind) in work.probes {
            let probe = (counter.probe)(backend, kind);
            self.probes.push(probe.map(move |outcome| (backend, outcome)).boxed());
        }
        if let (Some(backends), true) = (&self.backends, self.sampling.is_terminated()) {
            let (sample_at, now) = (Instant::from(work.sample_at), Instant::now());
            let sample_at = self.needs.describe_at.map_or(sample_at, |at| at.min(sample_at));
            if sample_at <= now {
                let describes = self.needs.describe_at.is_some_and(|at| at <= now);
                let backends = self.needs.counted(backends);
                self.has_heard_end = false;
                self.sampling = take(Arc::clone(&counter.source), backends, describes).boxed().fuse();
            } else {
                self.wake_up = Some(self.wake_up.map_or(sample_at, |at| at.min(sample_at)));
            }
        }
        work.decision
    }

    /// Waits for the end of a sample or probe, or for the next moment to decide. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> CountingWakeUp {
        tokio::select! {
            sample = &mut self.sampling, if !self.sampling.is_terminated() => CountingWakeUp::Sampled(sample),
            Some((backend, outcome)) = self.probes.next() => CountingWakeUp::Probed { backend, outcome },
            () = heard_end(&self.counter), if self.listens() => CountingWakeUp::Ended,
            () = sleep_until(self.wake_up) => CountingWakeUp::Due,
        }
    }

    /// Takes in what [`next`](Self::next) returned.
    pub(crate) fn handle(&mut self, wake_up: CountingWakeUp, pool: &Name, observer: &mut dyn Observer) {
        let now = Instant::now().into_std();
        match wake_up {
            CountingWakeUp::Sampled(Ok(Taken { sample, connections, .. })) => {
                let counts = sample.iter().map(|(address, load)| (address, count(&load)));
                self.balancer.ended(sample.endings().iter().map(|ended| (ended.backend, ending(ended))), now);
                self.balancer.sampled(counts, sample.cost(), now);
                self.balancer.presume(sample.unseen());
                observer.on(&Event::Sampled { pool, sample: &sample, balancer: &self.balancer });
                if let Some(Err(error)) = connections {
                    observer.on(&Event::DescribingFailed { pool, error: &error });
                }
            }
            CountingWakeUp::Sampled(Err(error)) => {
                self.balancer.counting_failed(now);
                observer.on(&Event::CountingFailed { pool, error: &error });
            }
            CountingWakeUp::Probed { backend, outcome } => {
                self.balancer.probed(backend, result(&outcome), now);
                observer.on(&Event::Probed { pool, backend, outcome: &outcome });
            }
            CountingWakeUp::Ended => {
                self.has_heard_end = true;
                self.balancer.heard_end();
            }
            CountingWakeUp::Due => {}
        }
    }

    /// Takes in what has to be counted for those who close connections. Returns `true` if that is news.
    pub(crate) fn set_closing_needs(&mut self, needs: ClosingNeeds) -> bool {
        let is_news = self.needs != needs;
        self.balancer.closes_on_purpose(needs.is_closing);
        self.needs = needs;
        is_news
    }

    /// Limits the connections of each backend.
    pub(crate) fn set_limit(&mut self, limit: Limit) {
        self.balancer.set_limit(limit);
    }

    /// Prefers backends of the own zone.
    pub(crate) fn set_zones(&mut self, zones: ZoneSource) {
        self.zones = Some(zones);
    }

    pub(crate) fn zone_max_excess_percent(&self) -> Option<u32> {
        self.zones.as_ref().map(ZoneSource::max_excess_percent)
    }

    /// Takes part in the exchange with the siblings as this replica.
    pub(crate) fn set_replica(&mut self, replica: ReplicaId) {
        self.balancer.set_replica(replica);
    }

    /// Takes over what the counting of a pool that is replaced knows of the siblings.
    pub(crate) fn replace(&mut self, before: &mut Self) {
        self.balancer.replace_replica(&mut before.balancer);
    }

    /// Returns the report for the siblings; `None` while connections cannot be counted.
    pub(crate) fn report(&self) -> Option<Report> {
        self.balancer.report(Instant::now().into_std())
    }

    /// Takes in the report of a sibling.
    pub(crate) fn sibling_reported(&mut self, report: Report) -> Heard {
        let now = Instant::now().into_std();
        // Reports come in order. A lower number is that of a pool that has been removed there and added again.
        if self.balancer.knows_later(&report) {
            self.balancer.sibling_left(report.replica);
        }
        self.balancer.sibling_reported(report, now)
    }

    /// Takes in that a sibling no longer takes part in this pool. Returns `true` if it did.
    pub(crate) fn sibling_left(&mut self, replica: ReplicaId) -> bool {
        self.balancer.sibling_left(replica)
    }

    /// Returns `true` if the last attempt to count connections succeeded.
    pub(crate) fn is_counting(&self) -> bool {
        self.balancer.is_counting()
    }

    /// Returns the ready backends that are suspect or failing, or that a probe is due for or out.
    pub(crate) fn in_doubt(&self) -> BTreeSet<SocketAddr> {
        self.balancer.in_doubt()
    }

    /// Returns the backends that the next connections go to, one for each connection; none while that is not known.
    pub(crate) fn next_backends(&self) -> Vec<SocketAddr> {
        self.balancer.next_backends()
    }

    /// Takes in that a connection of `backend` was closed on purpose.
    pub(crate) fn closed_on_purpose(&mut self, backend: SocketAddr) {
        self.balancer.closed_on_purpose(backend);
    }

    /// Requests a plan for the present counts.
    pub(crate) fn renew(&mut self) {
        self.balancer.renew();
    }

    /// Requests fresh counts and a plan for them, because what was decided before is not in force.
    pub(crate) fn recount(&mut self) {
        self.balancer.recount(Instant::now().into_std());
    }

    /// Returns `true` if a push should wait for counts that are about to be taken.
    pub(crate) fn awaits_counts(&self) -> bool {
        self.balancer.awaits_counts(Instant::now().into_std())
    }

    /// Returns `true` if the end of a connection would be news: nothing is being counted, and none was heard since. While
    /// connections are closed, ends are expected, and make no sample come sooner.
    fn listens(&self) -> bool {
        let is_news = !self.has_heard_end && !self.needs.is_closing;
        self.backends.is_some() && self.sampling.is_terminated() && is_news
    }

    /// Takes in that `decision` is in force, after a push of this duration.
    pub(crate) fn acknowledged(&mut self, decision: &Arc<Decision>, took: Duration) {
        self.balancer.acknowledged(decision, took, Instant::now().into_std());
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting")
            .field("counter", &self.counter)
            .field("wake_up", &self.wake_up)
            .finish_non_exhaustive()
    }
}

impl ClosingNeeds {
    /// Returns the backends to count: those of the set, and those that left it.
    fn counted(&self, set: &Arc<BTreeSet<SocketAddr>>) -> Arc<BTreeSet<SocketAddr>> {
        if self.also_count.is_subset(set) { Arc::clone(set) } else { Arc::new(&**set | &self.also_count) }
    }
}

/// Takes a sample.
async fn take(
    source: Arc<dyn ConnectionSource>,
    backends: Arc<BTreeSet<SocketAddr>>,
    describes: bool,
) -> Result<Taken, ilb_connections::Error> {
    let begun = Instant::now();
    let sample = source.sample(&backends).await?;
    let connections = if describes { Some(source.connections(&backends).await) } else { None };
    Ok(Taken { begun, sample, connections })
}

fn count(load: &Load) -> Count {
    Count { connections: load.connections(), opened: load.opened, oldest_opening: load.oldest_opening }
}

fn ending(ended: &ilb_connections::Ending) -> Ending {
    let by = match ended.by {
        EndedBy::Backend => least_connections::EndedBy::Backend,
        EndedBy::Proxy => least_connections::EndedBy::Proxy,
        EndedBy::NeverAnswered => least_connections::EndedBy::NeverAnswered,
        EndedBy::Unknown => least_connections::EndedBy::Unknown,
    };
    Ending { age: ended.age, received: ended.received, by }
}

fn result(outcome: &Result<Probed, ProbeError>) -> ProbeResult {
    match outcome {
        Ok(probed) if probed.closed_by_backend => ProbeResult::Closed,
        Ok(_) => ProbeResult::Answered,
        Err(ProbeError::Local(_)) => ProbeResult::NotMade,
        Err(_) => ProbeResult::Unanswered,
    }
}

/// Waits until the counter hears a connection end; without a counter it never returns.
async fn heard_end(counter: &Result<Counter, String>) {
    match counter {
        Ok(counter) => counter.source.ended().await,
        Err(_) => std::future::pending().await,
    }
}

/// Sleeps until `moment`; without one it never returns.
pub(crate) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use ilb_reconciler::Pacing;

    use super::*;
    use crate::testing::{Counts, set};

    /// Returns the number of samples in a second in which one connection after the other ends.
    async fn samples_in_a_second(is_closing: bool) -> usize {
        let counts = Counts::default();
        counts.set(&[3, 3]);
        let mut counting = Counting::new(LeastConnections::new(Pacing::default()), Ok(counts.counter()));
        counting.set_backends(&set(2));
        counting.set_closing_needs(ClosingNeeds { is_closing, ..ClosingNeeds::default() });
        let (name, mut observer) = ("a".parse().unwrap(), |_: &Event<'_>| {});
        let (end, mut samples) = (Instant::now() + Duration::from_secs(1), 0);
        while Instant::now() < end {
            counting.advance(&name, &mut observer);
            let wake_up = counting.next().await;
            if let CountingWakeUp::Sampled(_) = &wake_up {
                samples += 1;
                counts.end_connection();
            }
            counting.handle(wake_up, &name, &mut observer);
        }
        samples
    }

    #[tokio::test(start_paused = true)]
    async fn ends_cause_few_samples_while_connections_are_closed() {
        let (usually, while_closing) = (samples_in_a_second(false).await, samples_in_a_second(true).await);
        assert!(usually > 100 && while_closing <= 11, "{usually}, and {while_closing}");
    }
}

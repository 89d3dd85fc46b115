//! The policies by which pools are balanced.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use ilb_discovery::{BackendSet, Zone};
use ilb_reconciler::{
    Decision, LeastConnections, Method, Pacing, RoundRobin,
    least_connections::Limit,
    siblings::{Heard, Ignored, ReplicaId, Report},
};
use ilb_traefik_client::Name;
use tokio::{sync::watch, time::Instant};

use crate::{
    counting::{ClosingNeeds, Counter, Counting, CountingWakeUp},
    event::{Event, Observer},
    zones::ZoneSource,
};

/// Decides which plan the backends of a pool get.
#[derive(Debug)]
pub struct Policy(Kind);

#[derive(Debug)]
enum Kind {
    RoundRobin(RoundRobin),
    LeastConnections(Box<Counting>),
}

impl Policy {
    /// Creates round robin: each ready backend in turn, in proportion to its capacity.
    pub fn round_robin() -> Self {
        Self(Kind::RoundRobin(RoundRobin::new()))
    }

    /// Creates least connections by the counts of `counter`.
    pub fn least_connections(counter: impl Into<Counter>, pacing: Pacing) -> Self {
        Self::counting(LeastConnections::new(pacing), Ok(counter.into()))
    }

    /// Creates least connections where connections cannot be counted, for the given reason. It balances by round robin
    /// and reports [`Event::CountingImpossible`].
    pub fn least_connections_without_counts(reason: impl Into<String>, pacing: Pacing) -> Self {
        let mut balancer = LeastConnections::new(pacing);
        balancer.counting_failed(Instant::now().into_std());
        Self::counting(balancer, Err(reason.into()))
    }

    /// Limits the connections of each backend, if connections are counted.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.set_limit(limit);
        }
        self
    }

    /// Prefers backends of the own zone, if connections are counted: as long as they are not fuller than the mean by more
    /// than `max_excess_percent` of it. The zone may become known, or another one, later.
    #[must_use]
    pub fn with_zones(mut self, own: watch::Receiver<Option<Zone>>, max_excess_percent: u32) -> Self {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.set_zones(ZoneSource::new(own, max_excess_percent));
        }
        self
    }

    /// Returns the excess in percent up to which backends of the own zone are preferred; `None` if they are not.
    pub fn zone_max_excess_percent(&self) -> Option<u32> {
        match &self.0 {
            Kind::RoundRobin(_) => None,
            Kind::LeastConnections(counting) => counting.zone_max_excess_percent(),
        }
    }

    fn counting(balancer: LeastConnections, counter: Result<Counter, String>) -> Self {
        Self(Kind::LeastConnections(Box::new(Counting::new(balancer, counter))))
    }

    /// Returns the method that this policy was made for.
    pub fn method(&self) -> Method {
        match &self.0 {
            Kind::RoundRobin(_) => Method::RoundRobin,
            Kind::LeastConnections(_) => Method::LeastConnections,
        }
    }

    /// Reports that counting is impossible, if it is.
    pub(crate) fn announce(&self, pool: &Name, observer: &mut dyn Observer) {
        if let Kind::LeastConnections(counting) = &self.0
            && let Some(reason) = counting.reason_against()
        {
            observer.on(&Event::CountingImpossible { pool, reason });
        }
    }

    /// Takes over the decision of a pool that this policy's pool replaces, because it may still be right.
    pub(crate) fn inherit(&mut self, before: &Arc<Decision>) {
        if let Kind::RoundRobin(round_robin) = &mut self.0 {
            *round_robin = RoundRobin::from_decision(before);
        }
    }

    /// Takes in a complete set of backends.
    pub(crate) fn set_backends(&mut self, set: &BackendSet) {
        match &mut self.0 {
            Kind::RoundRobin(round_robin) => {
                round_robin.decide(set);
            }
            Kind::LeastConnections(counting) => counting.set_backends(set),
        }
    }

    /// Takes in which backends other pools have, too.
    pub(crate) fn set_shared(&mut self, shared: &BTreeSet<SocketAddr>) {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.set_shared(shared);
        }
    }

    /// Starts the counting and probing that is due, and returns the decision of this moment; `None` as long as too
    /// little is known.
    pub(crate) fn advance(&mut self, pool: &Name, observer: &mut dyn Observer) -> Option<Arc<Decision>> {
        match &mut self.0 {
            Kind::RoundRobin(round_robin) => round_robin.decision().cloned(),
            Kind::LeastConnections(counting) => counting.advance(pool, observer),
        }
    }

    /// Waits for something that may change the decision. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> CountingWakeUp {
        match &mut self.0 {
            Kind::RoundRobin(_) => std::future::pending().await,
            Kind::LeastConnections(counting) => counting.next().await,
        }
    }

    /// Takes in what [`next`](Self::next) returned.
    pub(crate) fn handle(&mut self, wake_up: CountingWakeUp, pool: &Name, observer: &mut dyn Observer) {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.handle(wake_up, pool, observer);
        }
    }

    /// Takes in what has to be counted for those who close connections. Returns `true` if that is news.
    pub(crate) fn set_closing_needs(&mut self, needs: ClosingNeeds) -> bool {
        match &mut self.0 {
            Kind::RoundRobin(_) => false,
            Kind::LeastConnections(counting) => counting.set_closing_needs(needs),
        }
    }

    /// Takes part in the exchange with the siblings as this replica, if connections are counted.
    pub(crate) fn set_replica(&mut self, replica: ReplicaId) {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.set_replica(replica);
        }
    }

    /// Takes over what the policy of a pool that is replaced knows of the siblings.
    pub(crate) fn replace(&mut self, before: &mut Self) {
        if let (Kind::LeastConnections(counting), Kind::LeastConnections(before)) = (&mut self.0, &mut before.0) {
            counting.replace(before);
        }
    }

    /// Returns the report for the siblings; `None` if this replica takes no part.
    pub(crate) fn report(&self) -> Option<Report> {
        match &self.0 {
            Kind::RoundRobin(_) => None,
            Kind::LeastConnections(counting) => counting.report(),
        }
    }

    /// Takes in the report of a sibling.
    pub(crate) fn sibling_reported(&mut self, report: Report) -> Heard {
        match &mut self.0 {
            Kind::RoundRobin(_) => Heard::Ignored(Ignored::NotSharing),
            Kind::LeastConnections(counting) => counting.sibling_reported(report),
        }
    }

    /// Takes in that a sibling no longer takes part in this pool. Returns `true` if it did.
    pub(crate) fn sibling_left(&mut self, replica: ReplicaId) -> bool {
        match &mut self.0 {
            Kind::RoundRobin(_) => false,
            Kind::LeastConnections(counting) => counting.sibling_left(replica),
        }
    }

    /// Returns `true` if the last attempt to count connections succeeded.
    pub(crate) fn is_counting(&self) -> bool {
        match &self.0 {
            Kind::RoundRobin(_) => false,
            Kind::LeastConnections(counting) => counting.is_counting(),
        }
    }

    /// Returns the ready backends that are suspect or failing, or that a probe is due for or out.
    pub(crate) fn in_doubt(&self) -> BTreeSet<SocketAddr> {
        match &self.0 {
            Kind::RoundRobin(_) => BTreeSet::new(),
            Kind::LeastConnections(counting) => counting.in_doubt(),
        }
    }

    /// Returns the backends that the next connections go to, one for each connection; none while that is not known.
    pub(crate) fn next_backends(&self) -> Vec<SocketAddr> {
        match &self.0 {
            Kind::RoundRobin(_) => Vec::new(),
            Kind::LeastConnections(counting) => counting.next_backends(),
        }
    }

    /// Takes in that a connection of `backend` was closed on purpose.
    pub(crate) fn closed_on_purpose(&mut self, backend: SocketAddr) {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.closed_on_purpose(backend);
        }
    }

    /// Requests a plan for the present counts, because Traefik is about to start its round robin from the top.
    pub(crate) fn renew(&mut self) {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.renew();
        }
    }

    /// Requests fresh counts and a plan for them, because what was decided before is not in force.
    pub(crate) fn recount(&mut self) {
        if let Kind::LeastConnections(counting) = &mut self.0 {
            counting.recount();
        }
    }

    /// Returns `true` if a push should wait for counts that are about to be taken.
    pub(crate) fn awaits_counts(&self) -> bool {
        match &self.0 {
            Kind::RoundRobin(_) => false,
            Kind::LeastConnections(counting) => counting.awaits_counts(),
        }
    }

    /// Takes in that `decision` is in force, after a push of this duration.
    pub(crate) fn acknowledged(&mut self, decision: &Arc<Decision>, took: Duration) {
        if let Kind::LeastConnections(counting) = &mut self.0
            && decision.method == Method::LeastConnections
        {
            counting.acknowledged(decision, took);
        }
    }
}

#[cfg(test)]
mod tests;

//! Least connections over several replicas: what a balancer tells its siblings and what it hears from them.

use std::{net::SocketAddr, time::Instant};

use super::LeastConnections;
use crate::{
    siblings::{Heard, Ignored, ReplicaId, Report, Sharing, Siblings},
    tracked::Tracked,
};

impl LeastConnections {
    /// Makes this balancer one of several replicas before the same backends, which blend each other's counts into their
    /// own. As long as it hears no sibling, it decides as if it were alone.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use ilb_discovery::{Backend, State};
    /// use ilb_reconciler::{LeastConnections, Pacing, least_connections::Count, siblings::ReplicaId};
    ///
    /// let (a, b) = ("10.0.1.4:5432".parse()?, "10.0.1.5:5432".parse()?);
    /// let now = Instant::now();
    /// let replica = |id: u128, connections: [u32; 2]| {
    ///     let mut balancer = LeastConnections::new(Pacing::default()).with_replica(ReplicaId::new(id));
    ///     balancer.set_backends(&[a, b].into_iter().map(|a| Backend::new(a, State::Ready)).collect(), now);
    ///     let counts = [a, b].into_iter().zip(connections.map(|n| Count { connections: n, ..Count::default() }));
    ///     balancer.sampled(counts, Duration::from_micros(500), now);
    ///     balancer
    /// };
    /// let (mut first, second) = (replica(1, [3, 3]), replica(2, [0, 4]));
    /// // The exchange is up to the caller, who adds half of the round trip.
    /// let report = second.report(now).ok_or("it cannot count")?;
    /// first.sibling_reported(report.delayed(Duration::from_millis(1)), now);
    /// let plan = first.decide(now).decision.ok_or("it has no backends")?.plan.clone();
    /// assert!(plan.entries()[0].weight > plan.entries()[1].weight, "backend a has 3 of 10 connections");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_replica(mut self, replica: ReplicaId) -> Self {
        self.set_replica(replica);
        self
    }

    /// Makes this balancer one of several replicas, as [`with_replica`](Self::with_replica) does. It has heard no sibling
    /// then.
    pub fn set_replica(&mut self, replica: ReplicaId) {
        self.siblings = Some(Siblings::new(replica));
    }

    /// Takes over what `before`, which this balancer replaces, knows of the siblings and of its own counts over time. For
    /// the siblings it is the same balancer then, and its next report continues the last one.
    pub fn replace_replica(&mut self, before: &mut Self) {
        if self.siblings.is_some() && before.siblings.is_some() {
            self.siblings = before.siblings.take();
        }
    }

    /// Returns the report of this replica for its siblings; `None` if it has no identity or cannot count, so that it takes
    /// no part.
    pub fn report(&self, now: Instant) -> Option<Report> {
        let siblings = self.siblings.as_ref().filter(|_| self.can_count())?;
        siblings.report(now)
    }

    /// Returns `true` if a later sample of the same sibling is known, so that this report would be ignored. Where reports come
    /// in order, the sibling has begun to count from the start again.
    pub fn knows_later(&self, report: &Report) -> bool {
        self.siblings.as_ref().is_some_and(|siblings| siblings.knows_later(report))
    }

    /// Takes in the report of a sibling, as often as one comes. Which siblings there are is the caller's business, and so
    /// is the time that the report took, by which [`Report::delayed`] adds to its age.
    ///
    /// If the counts have changed, the next sample is due soon also where nothing happens here, and then the next push
    /// if it is worth its cost.
    pub fn sibling_reported(&mut self, report: Report, now: Instant) -> Heard {
        let Some(siblings) = &mut self.siblings else { return Heard::Ignored(Ignored::NotSharing) };
        let heard = siblings.heard(report, now);
        if heard == Heard::News {
            self.sampling.wake();
        }
        heard
    }

    /// Takes in that a sibling has ended, or another one has taken its place: its connections no longer count. One that
    /// is merely silent still may carry connections, and counts again once it is heard. Returns `true` if it was known.
    pub fn sibling_left(&mut self, replica: ReplicaId) -> bool {
        let was_known = self.siblings.as_mut().is_some_and(|siblings| siblings.left(replica));
        if was_known {
            self.sampling.wake();
        }
        was_known
    }

    /// Returns which siblings are heard and how the connections are shared with them; `None` without an identity.
    pub fn sharing(&self, now: Instant) -> Option<Sharing> {
        self.siblings.as_ref().map(|siblings| siblings.sharing(now))
    }

    /// Returns the connections to each backend through this replica and all siblings that are heard, in the order of addresses;
    /// `None` if none is heard.
    pub fn totals(&self, now: Instant) -> Option<Vec<(SocketAddr, u64)>> {
        let backends: Vec<_> = self.backends.keys().copied().collect();
        let theirs = self.siblings.as_ref()?.connections_to_each(&backends, now)?;
        let own = self.backends.iter().map(|(address, tracked)| (*address, u64::from(tracked.connections())));
        Some(own.zip(theirs).map(|((address, own), theirs)| (address, own + theirs)).collect())
    }

    /// Returns the connections to `backend` through this replica and all siblings that are heard.
    pub fn total_connections(&self, backend: SocketAddr, now: Instant) -> u64 {
        let own = self.backends.get(&backend).map_or(0, Tracked::connections);
        let theirs = self.siblings.as_ref().map_or(0, |siblings| siblings.connections_to(backend, now));
        theirs.saturating_add(own.into())
    }
}

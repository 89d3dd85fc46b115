//! Places connections as a proxy does whose weights least connections decides.

use std::sync::Arc;

use super::*;
use crate::{Decision, LeastConnections, Pacing, TraefikRoundRobin, least_connections::Count};

/// A balancer, and the proxy that it configures.
pub(super) struct Placement {
    balancer: LeastConnections,
    proxy: Option<TraefikRoundRobin>,
    /// A push, and the moment at which it will be in force.
    push: Option<(Instant, Arc<Decision>)>,
    in_force: Option<Arc<Decision>>,
    pub(super) sample_at: Instant,
    /// Time that a push takes.
    pub(super) push_time: Duration,
    /// Connections that end at once, in a second.
    pub(super) short_per_second: u64,
    /// Open connections, each with the moment of its end.
    pub(super) short: Vec<(SocketAddr, Instant)>,
}

/// Processor time of a sample.
const SAMPLE_COST: Duration = Duration::from_micros(200);
/// Time for which a short connection is open.
const SHORT: Duration = Duration::from_millis(5);

impl Placement {
    pub(super) fn new(now: Instant) -> Self {
        let balancer = LeastConnections::new(Pacing::default());
        Self {
            balancer,
            proxy: None,
            push: None,
            in_force: None,
            sample_at: now,
            push_time: 5 * MS,
            short_per_second: 0,
            short: Vec::new(),
        }
    }

    pub(super) fn set_backends(&mut self, set: &BackendSet, now: Instant) {
        self.balancer.set_backends(set, now);
    }

    pub(super) fn sampled(&mut self, counts: &BTreeMap<SocketAddr, Counted>, now: Instant) {
        let count = |counted: &Counted| Count {
            connections: counted.connections,
            opened: counted.opened,
            oldest_opening: None,
        };
        self.balancer.sampled(counts.iter().map(|(backend, counted)| (*backend, count(counted))), SAMPLE_COST, now);
    }

    pub(super) fn next_backends(&self) -> Vec<SocketAddr> {
        self.balancer.next_backends()
    }

    pub(super) fn closed(&mut self, backend: SocketAddr) {
        self.balancer.closed_on_purpose(backend);
        self.balancer.heard_end();
    }

    /// Lets this moment come. Returns the backends of the short connections that open.
    pub(super) fn advance(&mut self, tick: Duration, ticks: u64, now: Instant) -> Vec<SocketAddr> {
        if let Some((_, decision)) = self.push.take_if(|(at, _)| *at <= now) {
            self.proxy = Some(TraefikRoundRobin::new(&decision.plan));
            self.balancer.acknowledged(&decision, self.push_time, now);
            self.in_force = Some(decision);
        }
        let work = self.balancer.decide(now);
        self.sample_at = work.sample_at;
        for (backend, _) in work.probes {
            self.balancer.probed(backend, crate::least_connections::ProbeResult::Answered, now);
        }
        if let Some(decision) = work.decision
            && self.push.is_none()
            && !self.in_force.as_ref().is_some_and(|in_force| Arc::ptr_eq(in_force, &decision))
        {
            self.push = Some((now + self.push_time, decision));
        }
        self.short.retain(|(_, end)| *end > now);
        let millis = u64::try_from(tick.as_millis()).unwrap();
        let opening =
            (ticks + 1) * self.short_per_second * millis / 1_000 - ticks * self.short_per_second * millis / 1_000;
        let opened: Vec<SocketAddr> = (0..opening).filter_map(|_| self.place()).collect();
        self.short.extend(opened.iter().map(|backend| (*backend, now + SHORT)));
        opened
    }

    /// Returns where the next connection goes.
    pub(super) fn place(&mut self) -> Option<SocketAddr> {
        self.proxy.as_mut()?.pick()
    }
}

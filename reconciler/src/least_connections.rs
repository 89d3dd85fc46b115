//! Least connections: decides from live counts which plan should be in force.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ilb_discovery::{Backend, BackendSet, Capacity, State};

pub use crate::observations::{Count, ProbeResult};
use crate::{
    decision::{Decision, Method, Reason, Row},
    in_force::InForce,
    ladder,
    pacing::Pacing,
    plan::{Plan, equal_shares},
    push_limit::PushLimit,
    sampling::{Activity, Sampling},
    tracked::Tracked,
    trigger::{Drift, reason_to_push},
};

/// Least connections for a proxy that only knows weighted round robin.
///
/// Decides from live counts which plan should be in force, which backends to probe, and when to count again. Holds the
/// backends, their last counts, the desired decision and the one in force. The caller reports what happens, and then
/// calls [`decide`](Self::decide). Nothing has to survive a restart: the counts come from the kernel.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use ilb_discovery::{Backend, State};
/// use ilb_reconciler::{LeastConnections, Pacing, least_connections::Count};
///
/// let (busy, idle) = ("10.0.1.4:5432".parse()?, "10.0.1.5:5432".parse()?);
/// let now = Instant::now();
/// let mut balancer = LeastConnections::new(Pacing::default());
/// balancer.set_backends(&[busy, idle].into_iter().map(|a| Backend::new(a, State::Ready)).collect(), now);
/// balancer.sampled([(busy, Count { connections: 3, ..Count::default() })], Duration::from_micros(500), now);
/// let work = balancer.decide(now);
/// let weights: Vec<u32> = work.decision.unwrap().plan.entries().iter().map(|entry| entry.weight).collect();
/// assert_eq!(weights[1] - weights[0], 3, "the next three connections go to the idle backend");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct LeastConnections {
    slow_start: Duration,
    backends: BTreeMap<SocketAddr, Tracked>,
    /// Set by the first set of backends, which may be empty.
    knows_backends: bool,
    counting: Counting,
    desired: Option<Arc<Decision>>,
    in_force: Option<InForce>,
    /// Reason for a new decision that does not wait for the trigger.
    urgent: Option<Reason>,
    /// Set by a sample and cleared by the next decision.
    has_fresh_counts: bool,
    sampling: Sampling,
    push_limit: PushLimit,
    /// Number of decisions made.
    decisions: u64,
}

/// Work for the caller of [`LeastConnections::decide`].
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct Work {
    /// Decision that should be in force; `None` as long as the backends, or whether they can be counted, are unknown.
    /// It stays the same one until something better is decided.
    pub decision: Option<Arc<Decision>>,
    /// Backends to probe now. Their results are reported by [`probed`](LeastConnections::probed).
    pub probes: Vec<SocketAddr>,
    /// Moment of the next sample, which is reported by [`sampled`](LeastConnections::sampled) or
    /// [`counting_failed`](LeastConnections::counting_failed).
    pub sample_at: Instant,
    /// Moment at which to decide again, if nothing is reported before.
    pub decide_again_at: Option<Instant>,
}

/// State of the counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    /// There has been neither a sample nor a failure.
    Unknown,
    Working,
    Failing,
}

impl LeastConnections {
    /// Creates a balancer that knows neither backends nor counts.
    pub fn new(pacing: Pacing) -> Self {
        Self {
            slow_start: pacing.slow_start,
            backends: BTreeMap::new(),
            knows_backends: false,
            counting: Counting::Unknown,
            desired: None,
            in_force: None,
            urgent: None,
            has_fresh_counts: false,
            sampling: Sampling::new(pacing.max_sample_period),
            push_limit: PushLimit::new(),
            decisions: 0,
        }
    }

    /// Takes in a complete set of backends.
    pub fn set_backends(&mut self, set: &BackendSet, now: Instant) {
        let first = !std::mem::replace(&mut self.knows_backends, true);
        let mut before = std::mem::take(&mut self.backends);
        if first {
            self.make_urgent(Some(Reason::Backends));
        }
        for backend in set.iter() {
            let old = before.remove(&backend.address());
            self.make_urgent(reason_of_change(old.as_ref().map(|t| &t.backend), Some(backend)));
            let tracked = match old {
                Some(old) if old.is_ready() == is_ready(backend) => Tracked { backend: backend.clone(), ..old },
                // A backend that could not take connections until now is treated as a new one.
                old => {
                    let count = old.map(|o| o.count).unwrap_or_default();
                    Tracked::new(backend.clone(), (!first).then_some(now), count)
                }
            };
            self.backends.insert(backend.address(), tracked);
        }
        for removed in before.values() {
            self.make_urgent(reason_of_change(Some(&removed.backend), None));
        }
    }

    /// Takes in the counts of all backends, and their cost in processor time. A backend without a count has no
    /// connections. A sample before the first set of backends is ignored: it was taken without knowing the addresses.
    pub fn sampled(&mut self, counts: impl IntoIterator<Item = (SocketAddr, Count)>, cost: Duration, now: Instant) {
        if !self.knows_backends {
            return;
        }
        let mut counts: BTreeMap<_, _> = counts.into_iter().collect();
        let mut activity = Activity::Idle;
        for (address, tracked) in &mut self.backends {
            let count = counts.remove(address).unwrap_or_default();
            if count.opened > 0 || count.connections != tracked.count.connections {
                activity = Activity::Busy;
            }
            tracked.count = count;
            tracked.opened_since_push = tracked.opened_since_push.saturating_add(count.opened);
        }
        if std::mem::replace(&mut self.counting, Counting::Working) != Counting::Working {
            self.make_urgent(Some(Reason::Counting));
        }
        let missed = self.missed();
        for ((_, tracked), missed) in self.backends.iter_mut().zip(missed) {
            if tracked.is_ready() {
                tracked.guard.sampled(&tracked.count, missed, now);
            }
        }
        self.sampling.sampled(activity, cost, now);
        self.has_fresh_counts = true;
    }

    /// Takes in that the connections cannot be counted: only round robin is possible until the next sample.
    pub fn counting_failed(&mut self, now: Instant) {
        if std::mem::replace(&mut self.counting, Counting::Failing) != Counting::Failing {
            self.make_urgent(Some(Reason::Blind));
        }
        self.sampling.failed(now);
    }

    /// Takes in the result of a probe.
    pub fn probed(&mut self, backend: SocketAddr, result: ProbeResult, now: Instant) {
        if let Some(tracked) = self.backends.get_mut(&backend) {
            tracked.probed(result, now);
        }
    }

    /// Takes in that `decision` is proved to be in force, after a push of this duration.
    pub fn acknowledged(&mut self, decision: &Arc<Decision>, took: Duration, now: Instant) {
        let missed = self.missed();
        for ((_, tracked), missed) in self.backends.iter_mut().zip(missed) {
            tracked.guard.pushed(missed);
            tracked.opened_since_push = 0;
        }
        self.in_force = Some(InForce::new(decision, took, now));
        self.push_limit.pushed(took);
    }

    /// Requests a plan for the present counts, because Traefik is about to start its round robin from the top for
    /// another pool: the plan in force would fill gaps again that are filled.
    pub fn renew(&mut self) {
        if self.counting == Counting::Working && self.desired.is_some() {
            self.make_urgent(Some(Reason::Freshness));
        }
    }

    /// Returns how many connections `backend` has opened since the plan in force took effect. They use up its head
    /// start.
    pub fn opened_since_push(&self, backend: SocketAddr) -> u32 {
        self.backends.get(&backend).map_or(0, |tracked| tracked.opened_since_push)
    }

    /// Decides what to do at `now`. The probes that it returns count as started.
    pub fn decide(&mut self, now: Instant) -> Work {
        let mut probes = Vec::new();
        for (address, tracked) in &mut self.backends {
            if tracked.guard.take_due_probe(now) {
                probes.push(*address);
            }
        }
        if let Some(reason) = self.take_reason(now) {
            self.decisions += 1;
            self.desired = Some(Arc::new(self.new_decision(reason, now)));
        }
        let decide_again_at = self.backends.values().filter_map(|t| t.guard.wake_up()).filter(|at| *at > now).min();
        Work { decision: self.desired.clone(), probes, sample_at: self.sample_at(now), decide_again_at }
    }

    /// Returns the reason for a new decision, if there is one, and takes it as settled.
    fn take_reason(&mut self, now: Instant) -> Option<Reason> {
        if self.counting == Counting::Unknown || !self.knows_backends {
            return None;
        }
        let has_fresh_counts = std::mem::take(&mut self.has_fresh_counts);
        if let Some(urgent) = self.urgent.take() {
            return Some(urgent);
        }
        let desired = self.desired.as_ref()?;
        if self.counting == Counting::Failing {
            return None;
        }
        if !self.suspects(now).eq(desired.suspects.iter().copied()) {
            return Some(Reason::Suspicion);
        }
        let in_force = self.in_force.as_ref().filter(|f| Arc::ptr_eq(&f.decision, desired))?;
        if !has_fresh_counts || now < self.next_push(in_force) {
            return None;
        }
        reason_to_push(&self.drifts(in_force, now), now.saturating_duration_since(in_force.since))
    }

    fn new_decision(&self, reason: Reason, now: Instant) -> Decision {
        let eligible = self.eligible(now);
        let weights = match self.counting {
            Counting::Working => self.ladder_weights(&eligible, now),
            Counting::Unknown | Counting::Failing => equal_shares(eligible.iter().map(|t| t.backend.capacity())),
        };
        let plan: Plan = eligible
            .iter()
            .zip(&weights)
            .flat_map(|(tracked, weights)| weights.iter().map(|weight| (tracked.backend.address(), *weight)))
            .collect();
        let addresses = eligible.iter().map(|t| t.backend.address());
        let mut weights_by_address: BTreeMap<SocketAddr, Vec<u32>> = addresses.zip(weights).collect();
        let row = |(address, tracked): (&SocketAddr, &Tracked)| Row {
            backend: *address,
            connections: tracked.count.connections,
            capacity: tracked.backend.capacity(),
            age: tracked.age(now),
            standing: tracked.standing(now),
            weights: weights_by_address.remove(address).unwrap_or_default(),
        };
        let rows = self.backends.iter().map(row).collect();
        let suspects = self.suspects(now).collect();
        Decision { method: Method::LeastConnections, number: self.decisions, plan, reason, rows, suspects }
    }

    /// Returns the backends that get new connections: those that are ready and not suspect, or all that are ready if
    /// all of them are suspect.
    fn eligible(&self, now: Instant) -> Vec<&Tracked> {
        let ready = || self.backends.values().filter(|t| t.is_ready());
        let trusted: Vec<_> = ready().filter(|t| !t.is_suspect(now)).collect();
        if trusted.is_empty() { ready().collect() } else { trusted }
    }

    fn suspects(&self, now: Instant) -> impl Iterator<Item = SocketAddr> {
        self.backends.iter().filter(move |(_, t)| t.is_suspect(now)).map(|(address, _)| *address)
    }

    fn ladder_weights(&self, eligible: &[&Tracked], now: Instant) -> Vec<Vec<u32>> {
        let inputs: Vec<_> = eligible.iter().map(|t| t.ladder_input(self.slow_start, now)).collect();
        ladder::weights(&inputs, self.decisions)
    }

    fn drifts(&self, in_force: &InForce, now: Instant) -> Vec<Drift> {
        let eligible = self.eligible(now);
        let fresh = self.ladder_weights(&eligible, now);
        eligible.iter().zip(fresh).map(|(tracked, fresh)| in_force.drift(tracked, &fresh)).collect()
    }

    fn missed(&self) -> Vec<u32> {
        match &self.in_force {
            Some(in_force) => in_force.missed(self.backends.values()),
            None => vec![0; self.backends.len()],
        }
    }

    fn sample_at(&self, now: Instant) -> Instant {
        match self.counting {
            Counting::Failing => self.sampling.next_attempt(now),
            Counting::Unknown | Counting::Working => {
                self.sampling.next(self.in_force.as_ref().map(|in_force| self.next_push(in_force)), now)
            }
        }
    }

    /// Returns the earliest moment of the next push for balance.
    fn next_push(&self, in_force: &InForce) -> Instant {
        in_force.since + self.push_limit.period().saturating_sub(in_force.took)
    }

    fn make_urgent(&mut self, reason: Option<Reason>) {
        self.urgent = self.urgent.max(reason);
    }
}

/// Returns the reason for a new plan that lies in the change of one backend, if it matters for the plan.
fn reason_of_change(old: Option<&Backend>, new: Option<&Backend>) -> Option<Reason> {
    let ready_capacity =
        |backend: Option<&Backend>| -> Option<Capacity> { backend.filter(|b| is_ready(b)).map(Backend::capacity) };
    match (ready_capacity(old), ready_capacity(new)) {
        (None, None) => None,
        (Some(old), Some(new)) => (old != new).then_some(Reason::Capacity),
        (Some(_), None) if new.is_some() => Some(Reason::Drain),
        _ => Some(Reason::Backends),
    }
}

fn is_ready(backend: &Backend) -> bool {
    backend.state() == State::Ready
}

#[cfg(test)]
mod tests;

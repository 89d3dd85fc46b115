//! Least connections: decides from live counts which plan should be in force.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ilb_discovery::{Backend, State};

pub use crate::limit::{Limit, LimitState, Overflow};
pub use crate::observations::{Count, EndedBy, Ending, ProbeKind, ProbeResult};
use crate::{
    arrivals::Arrivals,
    decision::{Decision, Evidence, Method, Reason, Restriction, Row, Standing},
    in_force::{Fresh, InForce},
    ladder::{self, LadderInput},
    outcomes::Outcomes,
    pacing::Pacing,
    plan::{Plan, equal_shares},
    presumed::Presumed,
    push_limit::PushLimit,
    sampling::Sampling,
    siblings::{Heights, Siblings, Whole},
    tracked::Tracked,
    trigger::{Drift, reason_to_push},
    zones::ZonePreference,
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
    /// Number of backends that were added since the map was packed.
    unpacked: usize,
    /// Set by the first set of backends, which may be empty.
    knows_backends: bool,
    counting: Counting,
    desired: Option<Arc<Decision>>,
    in_force: Option<InForce>,
    presumed: Presumed,
    /// Backends at which the last sample found connections that were not presumed there, once for each.
    found_elsewhere: Vec<SocketAddr>,
    /// Reason for a new decision that does not wait for the trigger.
    urgent: Option<Reason>,
    /// Set by a sample and cleared by the next decision.
    has_fresh_counts: bool,
    sampling: Sampling,
    push_limit: PushLimit,
    arrivals: Arrivals,
    limit: Limit,
    /// Connections of the other replicas; `None` if they are not shared.
    siblings: Option<Siblings>,
    /// Zone whose backends come first; `None` if none does.
    zones: Option<ZonePreference>,
    /// Outcomes of the connections of all open backends: those that a watched one is compared with.
    peers: Outcomes,
    /// Set by a push and cleared by the first sample after it.
    has_just_pushed: bool,
    /// Moment at which all backends were probed because several did not respond.
    swept_at: Option<Instant>,
    /// Moment from which on a decision is made without waiting for fresh counts any longer; `None` if none is awaited.
    recount_until: Option<Instant>,
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
    pub probes: Vec<(SocketAddr, ProbeKind)>,
    /// Backends whose standing has changed since the last call.
    pub changes: Vec<StandingChange>,
    /// Moment of the next sample, which is reported by [`sampled`](LeastConnections::sampled) or
    /// [`counting_failed`](LeastConnections::counting_failed).
    pub sample_at: Instant,
    /// Moment at which to decide again, if nothing is reported before.
    pub decide_again_at: Option<Instant>,
}

/// Change of the standing of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandingChange {
    /// Address of the backend.
    pub backend: SocketAddr,
    /// Standing before.
    pub from: Standing,
    /// Standing from now on.
    pub to: Standing,
    /// Facts behind the new standing, if discovery does not report it.
    pub evidence: Option<Evidence>,
}

impl StandingChange {
    /// Creates the change of `backend` to this standing.
    pub fn new(backend: SocketAddr, from: Standing, to: Standing, evidence: Option<Evidence>) -> Self {
        Self { backend, from, to, evidence }
    }
}

/// State of the counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    /// There has been neither a sample nor a failure.
    Unknown,
    Working,
    Failing,
}

/// Maximum time for which a push waits for fresh counts.
const MAX_RECOUNT_TIME: Duration = Duration::from_millis(100);

impl LeastConnections {
    /// Creates a balancer that knows neither backends nor counts.
    pub fn new(pacing: Pacing) -> Self {
        Self {
            slow_start: pacing.slow_start,
            backends: BTreeMap::new(),
            unpacked: 0,
            knows_backends: false,
            counting: Counting::Unknown,
            desired: None,
            in_force: None,
            presumed: Presumed::default(),
            found_elsewhere: Vec::new(),
            urgent: None,
            has_fresh_counts: false,
            sampling: Sampling::new(pacing.max_sample_period),
            push_limit: PushLimit::new(),
            arrivals: Arrivals::default(),
            limit: Limit::default(),
            siblings: None,
            zones: None,
            peers: Outcomes::default(),
            has_just_pushed: false,
            swept_at: None,
            recount_until: None,
            decisions: 0,
        }
    }

    /// Takes in the result of a probe.
    pub fn probed(&mut self, backend: SocketAddr, result: ProbeResult, now: Instant) {
        if let Some(tracked) = self.backends.get_mut(&backend) {
            tracked.probed(result, &self.peers, now);
        }
    }

    /// Takes in that `decision` is proved to be in force, after a push of this duration.
    pub fn acknowledged(&mut self, decision: &Arc<Decision>, took: Duration, now: Instant) {
        let missed = self.missed();
        for ((_, tracked), missed) in self.backends.iter_mut().zip(missed) {
            tracked.pushed(missed);
        }
        self.presumed.pushed();
        self.has_just_pushed = true;
        self.sampling.pushed();
        self.in_force = Some(InForce::new(decision, took, now));
        self.push_limit.pushed(took, now);
    }

    /// Requests a plan for the present counts, because Traefik is about to start its round robin from the top for
    /// another pool: the plan in force would fill gaps again that are filled.
    pub fn renew(&mut self) {
        if self.counting == Counting::Working && self.desired.is_some() {
            self.make_urgent(Some(Reason::Freshness));
        }
    }

    /// Requests fresh counts and a plan for them, because what was decided before could not be pushed or is no longer in
    /// force. Until the counts are there, but for no longer than 100 ms, [`awaits_counts`](Self::awaits_counts) is true.
    pub fn recount(&mut self, now: Instant) {
        if self.counting == Counting::Working && self.desired.is_some() {
            self.recount_until = Some(now + MAX_RECOUNT_TIME);
        }
    }

    /// Returns `true` if the next push should wait for counts that are about to be taken.
    pub fn awaits_counts(&self, now: Instant) -> bool {
        self.recount_until.is_some_and(|until| now < until)
    }

    /// Returns how many connections `backend` has opened since the plan in force took effect. They use up its head
    /// start.
    pub fn opened_since_push(&self, backend: SocketAddr) -> u32 {
        self.backends.get(&backend).map_or(0, |tracked| tracked.opened_since_push)
    }

    /// Decides what to do at `now`. The probes that it returns count as started.
    pub fn decide(&mut self, now: Instant) -> Work {
        let (mut probes, mut changes, mut wake_up) = (Vec::new(), Vec::new(), self.recount_until);
        for (address, tracked) in &mut self.backends {
            probes.extend(tracked.take_due_probe(now).map(|kind| (*address, kind)));
            let to = tracked.standing();
            let from = std::mem::replace(&mut tracked.reported, to);
            if from != to {
                changes.push(StandingChange { backend: *address, from, to, evidence: tracked.evidence() });
            }
            let wake_ups = tracked.wake_up().into_iter().chain(wake_up);
            wake_up = wake_ups.filter(|at| *at > now).min();
        }
        probes.sort_by_key(|(_, kind)| *kind);
        if let Some(reason) = self.take_reason(now) {
            self.decisions += 1;
            self.desired = Some(Arc::new(self.new_decision(reason, now)));
        }
        let decide_again_at = wake_up.filter(|at| *at > now);
        Work { decision: self.desired.clone(), probes, changes, sample_at: self.sample_at(now), decide_again_at }
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
        let ready = self.ready();
        let is_by_counts = |(_, restriction): &(SocketAddr, Restriction)| *restriction != Restriction::Full;
        let before = desired.restricted.iter().copied();
        if !restricted(&ready).filter(is_by_counts).eq(before.clone().filter(is_by_counts)) {
            return Some(Reason::Suspicion);
        }
        if self.counting == Counting::Failing {
            return None;
        }
        let in_force = self.in_force.as_ref().filter(|f| Arc::ptr_eq(&f.decision, desired))?;
        if !has_fresh_counts || now < self.next_push(in_force) {
            return None;
        }
        if !restricted(&ready).eq(before) {
            return Some(Reason::Limit);
        }
        let since_push = now.saturating_duration_since(in_force.since);
        let eligible = eligible(&ready);
        let fresh = self.weigh(&eligible, now);
        let drift = |(at, tracked): (usize, &&Tracked)| in_force.drift(tracked, &fresh.of(at, tracked));
        let drifts: Vec<Drift> = eligible.iter().enumerate().map(drift).collect();
        let have_counted = self.siblings.as_ref().is_some_and(|s| s.have_counted_since(in_force.since, now));
        reason_to_push(&drifts, since_push, self.arrivals.expected(), fresh.share(), have_counted)
    }

    fn new_decision(&self, reason: Reason, now: Instant) -> Decision {
        let ready = self.ready();
        let eligible = eligible(&ready);
        let Weighing { weights, rounded_up_by, .. } = match self.counting {
            Counting::Working => self.weigh(&eligible, now),
            Counting::Unknown | Counting::Failing => {
                Weighing { weights: equal_shares(eligible.iter().map(|t| t.backend.capacity())), ..Weighing::default() }
            }
        };
        let plan: Plan = eligible
            .iter()
            .zip(&weights)
            .flat_map(|(tracked, weights)| weights.iter().map(|weight| (tracked.backend.address(), *weight)))
            .collect();
        // Both are in the order of addresses.
        let mut weighted = eligible.iter().zip(weights).peekable();
        let mut weights_of = |address: &SocketAddr| weighted.next_if(|(t, _)| t.backend.address() == *address);
        let row = |(address, tracked): (&SocketAddr, &Tracked)| Row {
            backend: *address,
            connections: tracked.count.connections,
            capacity: tracked.backend.capacity(),
            age: tracked.age(now),
            standing: tracked.standing(),
            evidence: tracked.evidence(),
            weights: weights_of(address).map(|(_, weights)| weights).unwrap_or_default(),
        };
        let rows = self.backends.iter().map(row).collect();
        let restricted = restricted(&ready).collect();
        let method = Method::LeastConnections;
        let limit = self.limit_state(&ready);
        Decision { method, number: self.decisions, plan, reason, rows, limit, restricted, rounded_up_by }
    }

    /// Returns the ready backends, by address, each with its restriction if it does not get what the counts say. While none
    /// is known to work, none is left out, and each gets an equal share.
    fn ready(&self) -> Vec<(&Tracked, Option<Restriction>)> {
        let ready = self.backends.values().filter(|t| t.is_ready());
        let mut ready: Vec<_> = ready.map(|tracked| (tracked, restriction(tracked, false))).collect();
        let bad = ready.iter().filter(|(_, restriction)| *restriction == Some(Restriction::LeftOut)).count();
        // If so many backends look bad, a backend is only left out if a probe found it bad, too.
        if bad * 2 > ready.len() {
            for (tracked, found) in &mut ready {
                *found = restriction(tracked, true);
            }
        }
        // The last resort: one on trial would get all connections alone, and has not shown yet that it works.
        if !ready.iter().any(|(tracked, _)| tracked.works()) {
            for (_, found) in &mut ready {
                *found = Some(Restriction::EqualShare);
            }
        }
        self.apply_limit(&mut ready);
        ready
    }

    /// Returns the weights of backends for the present counts.
    fn weigh(&self, eligible: &[&Tracked], now: Instant) -> Weighing {
        let open = eligible.iter().filter(|t| t.admission.is_open()).count();
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let input = |t: &&Tracked| t.ladder_input(self.slow_start, &self.peers, open, now);
        let mut inputs: Vec<_> = eligible.iter().map(input).collect();
        let heights = self.heights(eligible, now);
        let whole = heights.as_ref().map(Heights::whole).unwrap_or_default();
        for (input, whole) in inputs.iter_mut().zip(&whole) {
            *input = LadderInput { connections: whole.connections, ..*input };
        }
        // Where none works, few connections are no reason to get more.
        if !eligible.iter().any(|t| t.works()) {
            for input in &mut inputs {
                *input = input.with_max_head_start(0);
            }
        }
        // Where a limit decides, the height does not.
        let rounded_up_by =
            |(input, whole): (&LadderInput, &Whole)| if input.is_limited() { 0.0 } else { whole.rounded_up_by };
        let rounded_up_by = inputs.iter().zip(&whole).map(rounded_up_by).collect();
        Weighing { weights: ladder::weights(&inputs, self.decisions), rounded_up_by, heights }
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
            Counting::Working if self.recount_until.is_some() => now,
            Counting::Unknown | Counting::Working => {
                self.sampling.next(self.in_force.as_ref().map(|in_force| self.next_push(in_force)), now)
            }
        }
    }

    /// Returns the earliest moment of the next push for balance.
    fn next_push(&self, in_force: &InForce) -> Instant {
        self.push_limit.next(in_force.since, in_force.took)
    }

    fn can_count(&self) -> bool {
        self.counting == Counting::Working
    }

    fn make_urgent(&mut self, reason: Option<Reason>) {
        self.urgent = self.urgent.max(reason);
    }
}

/// Weights of the backends that get connections, in the order of addresses.
#[derive(Debug, Default)]
struct Weighing {
    weights: Vec<Vec<u32>>,
    /// Parts of a connection by which each backend was taken to be fuller than it is; empty for none.
    rounded_up_by: Vec<f64>,
    /// Heights behind the weights, if siblings are heard.
    heights: Option<Heights>,
}

impl Weighing {
    /// Returns what a fresh plan would have in store for the backend at this place.
    fn of(&self, at: usize, tracked: &Tracked) -> Fresh {
        Fresh {
            weights: self.weights.get(at).map_or(0, |weights| weights.iter().copied().map(u64::from).sum()),
            rounded_up_by: self.rounded_up_by.get(at).copied().unwrap_or(0.0),
            load: self.heights.as_ref().map_or_else(|| tracked.connections().into(), |heights| heights.loads[at]),
        }
    }

    /// Returns the part of all connections that this replica gets.
    fn share(&self) -> f64 {
        self.heights.as_ref().map_or(1.0, |heights| heights.share)
    }
}

/// Returns the backends that get new connections: those of the `ready` ones that are not left out.
fn eligible<'a>(ready: &[(&'a Tracked, Option<Restriction>)]) -> Vec<&'a Tracked> {
    let closed = [Some(Restriction::LeftOut), Some(Restriction::Full)];
    ready.iter().filter(|(_, restriction)| !closed.contains(restriction)).map(|(tracked, _)| *tracked).collect()
}

/// Returns those of the `ready` backends that do not get what the counts say, by address.
fn restricted(ready: &[(&Tracked, Option<Restriction>)]) -> impl Iterator<Item = (SocketAddr, Restriction)> {
    ready.iter().filter_map(|(tracked, restriction)| Some((tracked.backend.address(), (*restriction)?)))
}

/// Returns the restriction of a ready backend. With `needs_probe`, evidence from connections alone does not leave it out.
fn restriction(tracked: &Tracked, needs_probe: bool) -> Option<Restriction> {
    if is_left_out(tracked, needs_probe) {
        Some(Restriction::LeftOut)
    } else {
        (!tracked.admission.is_open()).then_some(Restriction::EqualShare)
    }
}

/// Returns `true` if a ready backend gets no new connections. With `needs_probe`, evidence from connections alone is not
/// enough.
fn is_left_out(tracked: &Tracked, needs_probe: bool) -> bool {
    let is_denied = !tracked.admission.admits() && (!needs_probe || tracked.admission.has_failed_probe());
    tracked.is_suspect() || is_denied
}

fn is_ready(backend: &Backend) -> bool {
    backend.state() == State::Ready
}

mod backends;
mod counting;
mod heights;
mod limit;
mod on_purpose;
mod sharing;
#[cfg(test)]
mod tests;

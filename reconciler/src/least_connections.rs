use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ilb_discovery::{Backend, BackendSet, Capacity, State};

use crate::{
    Plan,
    budget::Budget,
    count::Count,
    decision::{Decision, Method, Reason, Row},
    in_force::InForce,
    ladder::ladder,
    plan::equal_shares,
    sampling::{Counts, Sampling},
    tracked::Tracked,
    trigger::{Drift, Gain, gain},
};

/// Least connections for a proxy that only knows weighted round robin: decides from live counts which plan should be in
/// force, which backends to probe, and when to count again.
///
/// Holds the backends, their last counts, the plan wished last and the plan in force. The caller says what happens, and then asks
/// [`decide`](Self::decide) what to do. Nothing has to survive a restart: the counts come from the kernel.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use ilb_discovery::{Backend, State};
/// use ilb_reconciler::{Count, LeastConnections, Pacing};
///
/// let (busy, idle) = ("10.0.1.4:5432".parse()?, "10.0.1.5:5432".parse()?);
/// let now = Instant::now();
/// let mut balancer = LeastConnections::new(Pacing::default());
/// balancer.backends(&[busy, idle].into_iter().map(|a| Backend::new(a, State::Ready)).collect(), now);
/// balancer.sample([(busy, Count { connections: 3, ..Count::default() })], Duration::from_micros(500), now);
/// let work = balancer.decide(now);
/// let weights: Vec<u32> = work.decision.unwrap().plan.entries().iter().map(|entry| entry.weight).collect();
/// assert_eq!(weights[1] - weights[0], 3, "the next three connections go to the idle one");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct LeastConnections {
    pacing: Pacing,
    backends: BTreeMap<SocketAddr, Tracked>,
    /// Whether there has been a set of backends.
    known: bool,
    view: View,
    wished: Option<Arc<Decision>>,
    in_force: Option<InForce>,
    /// Something happened that cannot wait for the trigger.
    urgent: Option<Reason>,
    /// Counts have come since the last decision.
    fresh: bool,
    sampling: Sampling,
    pushing: Budget,
    /// How long the last pushes took.
    pushes: VecDeque<Duration>,
    turn: u64,
}

/// How often to count and to push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pacing {
    /// The longest time between two samples.
    pub longest: Duration,
    /// How long a new backend takes to get its whole share; zero for at once. With few backends that keeps the others
    /// unbalanced for longer than it helps, so it is off by default.
    pub slow_start: Duration,
}

/// What to do now.
#[derive(Clone, Debug)]
#[must_use]
pub struct Work {
    /// What should be in force, with the reasons; `None` as long as there is neither a set of backends nor a view of their
    /// counts. It is the same one until something better is decided.
    pub decision: Option<Arc<Decision>>,
    /// Probe these backends, then say [`probed`](LeastConnections::probed).
    pub probe: Vec<SocketAddr>,
    /// Count at this moment, then say [`sample`](LeastConnections::sample) or [`blind`](LeastConnections::blind).
    pub sample_at: Instant,
    /// Ask again at this moment at the latest.
    pub ask_again: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// Nobody has counted yet, nor said that it cannot be done.
    Unknown,
    Counting,
    Blind,
}

/// A push may take one part in so many of the time. A push of 10 backends takes 2.4 ms, for about as long Traefik computes.
/// This bounds what many backends cost, as a push takes the longer the more there are; with few of them a sample costs more.
const PUSHING: u32 = 20;

/// How many pushes are looked back at for their cost.
const RECENT: usize = 16;

/// Neither samples nor pushes come faster.
const SHORTEST: Duration = Duration::from_millis(50);

/// How long a push may be spread at most by its cost.
const LONGEST_PUSH_PERIOD: Duration = Duration::from_secs(10);

impl Default for Pacing {
    /// A second at most between two samples, no slow start.
    fn default() -> Self {
        Self { longest: Duration::from_secs(1), slow_start: Duration::ZERO }
    }
}

impl Pacing {
    /// The same with another longest time between two samples.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// The same with another time that a new backend takes to get its whole share.
    #[must_use]
    pub fn with_slow_start(self, slow_start: Duration) -> Self {
        Self { slow_start, ..self }
    }
}

impl LeastConnections {
    /// No backends yet, and no counts.
    pub fn new(pacing: Pacing) -> Self {
        Self {
            pacing,
            backends: BTreeMap::new(),
            known: false,
            view: View::Unknown,
            wished: None,
            in_force: None,
            urgent: None,
            fresh: false,
            sampling: Sampling::new(SHORTEST, pacing.longest),
            pushing: Budget::new(PUSHING, SHORTEST, LONGEST_PUSH_PERIOD),
            pushes: VecDeque::with_capacity(RECENT),
            turn: 0,
        }
    }

    /// A set of backends is wanted.
    pub fn backends(&mut self, set: &BackendSet, now: Instant) {
        let first = !std::mem::replace(&mut self.known, true);
        let mut before = std::mem::take(&mut self.backends);
        if first {
            self.urge(Reason::Backends);
        }
        for backend in set.iter() {
            let old = before.remove(&backend.address());
            self.urgent = self.urgent.max(change(old.as_ref().map(|t| &t.backend), Some(backend)));
            let tracked = match old {
                Some(old) if old.is_ready() == is_ready(backend) => Tracked { backend: backend.clone(), ..old },
                // One that could not take connections until now is as good as new.
                old => {
                    let count = old.map(|o| o.count).unwrap_or_default();
                    Tracked::new(backend.clone(), (!first).then_some(now), count)
                }
            };
            self.backends.insert(backend.address(), tracked);
        }
        self.urgent = before.values().map(|gone| change(Some(&gone.backend), None)).fold(self.urgent, Option::max);
    }

    /// The connections of all backends were counted, at this cost in processor time. A backend without a count has none.
    /// Before there is a set of backends nobody knows whom to count, so that says nothing.
    pub fn sample(&mut self, counts: impl IntoIterator<Item = (SocketAddr, Count)>, cost: Duration, now: Instant) {
        if !self.known {
            return;
        }
        let mut counts: BTreeMap<_, _> = counts.into_iter().collect();
        let mut moved = false;
        for (address, tracked) in &mut self.backends {
            let count = counts.remove(address).unwrap_or_default();
            moved |= count.opened > 0 || count.connections != tracked.count.connections;
            tracked.count = count;
            tracked.opened_since_push = tracked.opened_since_push.saturating_add(count.opened);
        }
        if std::mem::replace(&mut self.view, View::Counting) != View::Counting {
            self.urge(Reason::Counting);
        }
        let missed = self.missed();
        for ((_, tracked), missed) in self.backends.iter_mut().zip(missed) {
            if tracked.is_ready() {
                tracked.guard.sample(&tracked.count, missed, now);
            }
        }
        self.sampling.counted(if moved { Counts::Changed } else { Counts::Unchanged }, cost, now);
        self.fresh = true;
    }

    /// The connections cannot be counted: only round robin is possible.
    pub fn blind(&mut self, now: Instant) {
        if std::mem::replace(&mut self.view, View::Blind) != View::Blind {
            self.urge(Reason::Blind);
        }
        self.sampling.failed(now);
    }

    /// This decision is proved to be in force, and its push took so long.
    pub fn acknowledged(&mut self, decision: &Arc<Decision>, took: Duration, now: Instant) {
        let missed = self.missed();
        for ((_, tracked), missed) in self.backends.iter_mut().zip(missed) {
            tracked.guard.pushed(missed);
            tracked.opened_since_push = 0;
        }
        self.in_force = Some(InForce::new(decision, took, now));
        // Waiting is no cost: on a busy machine the quickest of the last pushes is nearest to what a push computes.
        self.pushes.truncate(RECENT - 1);
        self.pushes.push_front(took);
        self.pushing.spent(self.pushes.iter().min().copied().unwrap_or(took));
    }

    /// Traefik is about to begin its round robin anew, for another reason than this pool's: the next decision is a plan
    /// for the counts of this moment, because the one in force would fill gaps again that are filled.
    pub fn renew(&mut self) {
        if self.view == View::Counting && self.wished.is_some() {
            self.urge(Reason::Freshness);
        }
    }

    /// Returns how many connections `backend` has opened since the plan in force took effect. They use up its head start.
    pub fn opened_since_push(&self, backend: SocketAddr) -> u32 {
        self.backends.get(&backend).map_or(0, |tracked| tracked.opened_since_push)
    }

    /// A probe has ended.
    pub fn probed(&mut self, backend: SocketAddr, answered: bool, now: Instant) {
        let Some(tracked) = self.backends.get_mut(&backend) else { return };
        if tracked.guard.probed(answered, now) {
            tracked.since = Some(now);
        }
    }

    /// What to do at `now`.
    pub fn decide(&mut self, now: Instant) -> Work {
        let mut probe = Vec::new();
        for (address, tracked) in &mut self.backends {
            if tracked.guard.probe_is_due(now) {
                probe.push(*address);
            }
        }
        if let Some(reason) = self.reason(now) {
            self.turn += 1;
            self.wished = Some(Arc::new(self.decision(reason, now)));
        }
        let guards = self.backends.values().filter_map(|t| t.guard.wake_up()).filter(|at| *at > now).min();
        Work { decision: self.wished.clone(), probe, sample_at: self.sample_at(now), ask_again: guards }
    }

    /// Why there should be another plan than the one wished, if there should.
    fn reason(&mut self, now: Instant) -> Option<Reason> {
        if self.view == View::Unknown || !self.known {
            return None;
        }
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(urgent) = self.urgent.take() {
            return Some(urgent);
        }
        let wished = self.wished.as_ref()?;
        if self.view == View::Blind {
            return None;
        }
        let suspects = self.backends.iter().filter(|(_, t)| t.is_suspect(now)).map(|(address, _)| address);
        if !suspects.eq(&wished.suspects) {
            return Some(Reason::Suspicion);
        }
        let in_force = self.in_force.as_ref().filter(|f| Arc::ptr_eq(&f.decision, wished))?;
        if !fresh || now < self.next_push(in_force) {
            return None;
        }
        gain(&self.drifts(in_force, now), now.saturating_duration_since(in_force.since)).map(|gain| match gain {
            Gain::Balance => Reason::Balance,
            Gain::Freshness => Reason::Freshness,
        })
    }

    fn decision(&self, reason: Reason, now: Instant) -> Decision {
        let used = self.used(now);
        let weights = match self.view {
            View::Counting => self.ladder(&used, now),
            View::Unknown | View::Blind => equal_shares(used.iter().map(|t| t.backend.capacity())),
        };
        let plan: Plan = used
            .iter()
            .zip(&weights)
            .flat_map(|(tracked, weights)| weights.iter().map(|weight| (tracked.backend.address(), *weight)))
            .collect();
        let mut of: BTreeMap<SocketAddr, Vec<u32>> = used.iter().map(|t| t.backend.address()).zip(weights).collect();
        let row = |(address, tracked): (&SocketAddr, &Tracked)| Row {
            backend: *address,
            connections: tracked.count.connections,
            capacity: tracked.backend.capacity(),
            age: tracked.age(now),
            standing: tracked.standing(now),
            weights: of.remove(address).unwrap_or_default(),
        };
        let rows = self.backends.iter().map(row).collect();
        let suspects = self.backends.iter().filter(|(_, t)| t.is_suspect(now)).map(|(address, _)| *address).collect();
        Decision { method: Method::LeastConnections, number: self.turn, plan, reason, rows, suspects }
    }

    /// The backends that get new connections: those that are ready and no suspects, or all that are ready if all are
    /// suspects.
    fn used(&self, now: Instant) -> Vec<&Tracked> {
        let ready = || self.backends.values().filter(|t| t.is_ready());
        let trusted: Vec<_> = ready().filter(|t| !t.is_suspect(now)).collect();
        if trusted.is_empty() { ready().collect() } else { trusted }
    }

    fn ladder(&self, used: &[&Tracked], now: Instant) -> Vec<Vec<u32>> {
        let inputs: Vec<_> = used.iter().map(|t| t.ladder_input(self.pacing.slow_start, now)).collect();
        ladder(&inputs, self.turn)
    }

    fn drifts(&self, in_force: &InForce, now: Instant) -> Vec<Drift> {
        let used = self.used(now);
        let fresh = self.ladder(&used, now);
        used.iter().zip(fresh).map(|(tracked, fresh)| in_force.drift(tracked, &fresh)).collect()
    }

    fn missed(&self) -> Vec<u32> {
        match &self.in_force {
            Some(in_force) => in_force.missed(self.backends.values()),
            None => vec![0; self.backends.len()],
        }
    }

    fn sample_at(&self, now: Instant) -> Instant {
        match self.view {
            View::Blind => self.sampling.next_try(now),
            View::Unknown | View::Counting => {
                self.sampling.next(self.in_force.as_ref().map(|in_force| self.next_push(in_force)), now)
            }
        }
    }

    /// When the next push for balance may begin.
    fn next_push(&self, in_force: &InForce) -> Instant {
        in_force.since + self.pushing.period().saturating_sub(in_force.took)
    }

    fn urge(&mut self, reason: Reason) {
        self.urgent = self.urgent.max(Some(reason));
    }
}

/// What a change of one backend means for the plan; nothing if it does not concern it.
fn change(old: Option<&Backend>, new: Option<&Backend>) -> Option<Reason> {
    let taking =
        |backend: Option<&Backend>| -> Option<Capacity> { backend.filter(|b| is_ready(b)).map(Backend::capacity) };
    match (taking(old), taking(new)) {
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

//! One replica: a balancer beside its Traefik, with the connections that it carries and its probes.

use super::*;
use crate::TraefikRoundRobin;

const PUSH_DURATION: f64 = 0.0025;
const SAMPLE_COST: Duration = Duration::from_micros(120);
const PROBE_TIMEOUT: f64 = 1.5;
const PROBE_HOLD: f64 = 0.25;
/// Numbers of probes in progress at a time: of backends of which nothing is known, and of suspects.
const PERMITS: [usize; 2] = [256, 32];

pub(in super::super) struct Replica {
    pub(in super::super) id: ReplicaId,
    pub(in super::super) balancer: LeastConnections,
    set: BackendSet,
    /// Part of the arrivals that it gets, relative to those of the others.
    pub(in super::super) part: f64,
    traefik: Option<TraefikRoundRobin>,
    /// Connections that it carries, by backend.
    loads: Vec<Load>,
    probing: BinaryHeap<Reverse<ByEnd<Probe>>>,
    queues: [VecDeque<usize>; 2],
    in_progress: [usize; 2],
    under_way: Option<(f64, Arc<Decision>)>,
    acknowledged: Option<Arc<Decision>>,
    sample_at: f64,
    decide_at: f64,
    pub(in super::super) pushes: u32,
    pub(in super::super) changes: Vec<(f64, StandingChange)>,
    /// Number of probes so far.
    pub(in super::super) probes: u32,
    /// Seconds between two readings of the kernel's whole table, if new connections are hidden until the next one, as
    /// they are after the kernel has shuffled the local ports.
    pub(in super::super) reads_table_every: Option<f64>,
    table_read_at: f64,
}

/// Connections of one replica to one backend.
#[derive(Clone, Debug, Default)]
struct Load {
    connections: u32,
    opened: u32,
    endings: Vec<Ending>,
    /// Times of the attempts without a response.
    opening: VecDeque<f64>,
    /// Moment from which on new connections are hidden.
    hidden_from: Option<f64>,
    /// Those of its connections that counting has not found.
    hidden: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Probe {
    end: f64,
    backend: usize,
    kind: ProbeKind,
    result: ProbeResult,
}

impl Replica {
    /// Creates a replica that starts at `now` seconds after `started`.
    pub(super) fn new(id: ReplicaId, part: f64, set: &BackendSet, started: Instant, now: f64) -> Self {
        let mut balancer = LeastConnections::new(Pacing::default()).with_replica(id);
        balancer.set_backends(set, started + Duration::from_secs_f64(now));
        Self {
            id,
            balancer,
            set: set.clone(),
            part,
            traefik: None,
            loads: Vec::new(),
            probing: BinaryHeap::new(),
            queues: Default::default(),
            in_progress: [0; 2],
            under_way: None,
            acknowledged: None,
            sample_at: now,
            decide_at: f64::INFINITY,
            pushes: 0,
            changes: Vec::new(),
            probes: 0,
            reads_table_every: None,
            table_read_at: 0.0,
        }
    }

    /// Starts the balancer again, which knows nothing of before.
    pub(super) fn restart(&mut self, id: ReplicaId, instant: Instant, now: f64) {
        (self.id, self.balancer) = (id, LeastConnections::new(Pacing::default()).with_replica(id));
        self.balancer.set_backends(&self.set, instant);
        self.forget_opened();
        (self.under_way, self.acknowledged, self.sample_at, self.decide_at) = (None, None, now, f64::INFINITY);
    }

    /// Returns the plan in force.
    pub(super) fn plan(&self) -> Plan {
        self.acknowledged.as_ref().map(|decision| decision.plan.clone()).unwrap_or_default()
    }

    /// Returns the backend to which Traefik leads the next connection.
    pub(super) fn pick(&mut self) -> Option<usize> {
        index_of(self.traefik.as_mut()?.pick()?)
    }

    /// Returns the backend to which Traefik would lead the next connection.
    pub(in super::super) fn next_pick(&self) -> Option<usize> {
        index_of(self.traefik.clone()?.pick()?)
    }

    /// Takes in that Traefik has opened a connection.
    pub(super) fn opened(&mut self, backend: usize, is_answered: bool, now: f64) {
        let load = self.load(backend);
        load.connections += 1;
        if load.hidden_from.is_some() {
            load.hidden += 1;
        } else {
            load.opened += 1;
        }
        if !is_answered {
            load.opening.push_back(now);
        }
    }

    /// Takes in the end of a connection that was opened at `opened`.
    pub(super) fn ended(&mut self, backend: usize, opened: f64, ending: Ending) {
        let load = self.load(backend);
        load.connections -= 1;
        if load.hidden_from.is_some_and(|from| opened >= from) {
            // The announcement of its end is the first that is seen of it.
            load.hidden -= 1;
            load.opened += 1;
        }
        load.opening.retain(|at| at.total_cmp(&opened).is_ne());
        load.endings.push(ending);
    }

    /// Forgets that the connections so far were opened: they were there when the replica started.
    pub(super) fn forget_opened(&mut self) {
        for load in &mut self.loads {
            load.opened = 0;
        }
    }

    /// Returns the time of what is due next.
    pub(super) fn next(&self) -> f64 {
        let push = self.under_way.as_ref().map_or(f64::INFINITY, |(at, _)| *at);
        let probe = self.probing.peek().map_or(f64::INFINITY, |p| p.0.0);
        [push, probe, self.sample_at, self.decide_at].into_iter().fold(f64::INFINITY, f64::min)
    }

    /// Does one thing that is due at `now`.
    pub(super) fn advance(&mut self, now: f64, instant: Instant, random: &mut Random) {
        if self.under_way.as_ref().is_some_and(|(at, _)| *at <= now) {
            self.finish_push(instant, random);
        } else if self.probing.peek().is_some_and(|p| p.0.0 <= now) {
            self.finish_probe(instant);
        } else if self.sample_at <= now {
            self.sample(now, instant);
        }
    }

    /// Starts what is due.
    pub(super) fn work(&mut self, now: f64, instant: Instant, started: Instant, backends: &[Server]) {
        let work = self.balancer.decide(instant);
        self.changes.extend(work.changes.into_iter().map(|change| (now, change)));
        for (backend, kind) in work.probes {
            self.probes += 1;
            let index = (0..backends.len()).find(|i| address_of(*i) == backend).unwrap();
            self.queues[kind as usize].push_back(index);
        }
        self.start_probes(now, backends);
        if let Some(decision) = work.decision
            && self.under_way.is_none()
            && !self.acknowledged.as_ref().is_some_and(|a| Arc::ptr_eq(a, &decision))
        {
            self.under_way = Some((now + PUSH_DURATION, decision));
        }
        let seconds = |at: Instant| at.saturating_duration_since(started).as_secs_f64();
        self.sample_at = seconds(work.sample_at).max(now);
        self.decide_at = work.decide_again_at.map_or(f64::INFINITY, |at| seconds(at).max(now));
    }

    fn load(&mut self, backend: usize) -> &mut Load {
        let known = self.loads.len().max(backend + 1);
        self.loads.resize(known, Load::default());
        &mut self.loads[backend]
    }

    fn sample(&mut self, now: f64, instant: Instant) {
        if self.reads_table_every.is_some_and(|period| now >= self.table_read_at + period) {
            self.table_read_at = now;
            for load in &mut self.loads {
                load.opened += std::mem::take(&mut load.hidden);
                load.hidden_from = Some(now);
            }
        }
        let (mut counts, mut endings, mut unseen) = (Vec::new(), Vec::new(), 0);
        for (index, load) in self.loads.iter_mut().enumerate() {
            let oldest_opening = load.opening.front().map(|at| Duration::from_secs_f64(now - at));
            let opened = std::mem::take(&mut load.opened);
            unseen += load.hidden;
            let count = Count { connections: load.connections - load.hidden, opened, oldest_opening };
            counts.push((address_of(index), count));
            endings.extend(load.endings.drain(..).map(|ending| (address_of(index), ending)));
        }
        self.balancer.ended(endings, instant);
        self.balancer.sampled(counts, SAMPLE_COST, instant);
        self.balancer.presume(unseen);
    }

    fn start_probes(&mut self, now: f64, backends: &[Server]) {
        for kind in [ProbeKind::First, ProbeKind::Again] {
            while self.in_progress[kind as usize] < PERMITS[kind as usize] {
                let Some(index) = self.queues[kind as usize].pop_front() else { break };
                let (takes, result) = match backends[index].behaviour {
                    Behaviour::Refuses => (ROUND_TRIP, ProbeResult::Unanswered),
                    Behaviour::Swallows => (PROBE_TIMEOUT, ProbeResult::Unanswered),
                    Behaviour::Closes | Behaviour::Greets => (ROUND_TRIP, ProbeResult::Closed),
                    Behaviour::Full(limit) if backends[index].connections >= limit => (ROUND_TRIP, ProbeResult::Closed),
                    Behaviour::Serves | Behaviour::ClosesAfterRequest(_) | Behaviour::Full(_) => {
                        (ROUND_TRIP + PROBE_HOLD, ProbeResult::Answered)
                    }
                };
                self.in_progress[kind as usize] += 1;
                let probe = Probe { end: now + takes, backend: index, kind, result };
                self.probing.push(Reverse(ByEnd(probe.end, probe)));
            }
        }
    }

    fn finish_probe(&mut self, instant: Instant) {
        let Some(Reverse(ByEnd(_, probe))) = self.probing.pop() else { return };
        self.in_progress[probe.kind as usize] -= 1;
        self.balancer.probed(address_of(probe.backend), probe.result, instant);
    }

    fn finish_push(&mut self, instant: Instant, random: &mut Random) {
        let Some((_, decision)) = self.under_way.take() else { return };
        let mut entries: Vec<_> = decision.plan.entries().iter().map(|e| (e.address, e.weight)).collect();
        for i in (1..entries.len()).rev() {
            entries.swap(i, random.below(i + 1));
        }
        self.traefik = Some(TraefikRoundRobin::new(&entries.into_iter().collect()));
        self.balancer.acknowledged(&decision, Duration::from_secs_f64(PUSH_DURATION), instant);
        self.acknowledged = Some(decision);
        self.pushes += 1;
    }
}

fn index_of(backend: SocketAddr) -> Option<usize> {
    (0..=u8::MAX.into()).find(|index| address_of(*index) == backend)
}

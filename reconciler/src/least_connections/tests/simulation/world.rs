//! The world around a balancer: clients, backends, Traefik, probes and the clock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;
use crate::TraefikRoundRobin;

const PUSH_DURATION: f64 = 0.0025;
const SAMPLE_COST: Duration = Duration::from_micros(120);
const ROUND_TRIP: f64 = 0.001;
/// Time after which Traefik gives up an attempt to connect.
const DIAL_TIMEOUT: f64 = 5.0;
const PROBE_TIMEOUT: f64 = 1.5;
const PROBE_HOLD: f64 = 0.25;
/// Numbers of probes in progress at a time: of backends of which nothing is known, and of suspects.
const PERMITS: [usize; 2] = [256, 32];

/// What a backend does with a new connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Behaviour {
    /// Serves it for as long as its client wants.
    Serves,
    /// Refuses it.
    Refuses,
    /// Does not respond.
    Swallows,
    /// Accepts it and closes it at once.
    Closes,
    /// Sends a few bytes and closes it.
    Greets,
    /// Closes it as soon as the client has sent a request, which takes this many seconds on average.
    ClosesAfterRequest(f64),
    /// Serves it while it has fewer connections than this, and otherwise sends a few bytes and closes it.
    Full(u32),
}

/// A backend as it is in reality.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) behaviour: Behaviour,
    pub(super) connections: u32,
    /// Connections since the last look of a test.
    pub(super) picked: u32,
    /// Those of them that failed.
    pub(super) failed: u32,
    opened: u32,
    endings: Vec<Ending>,
    /// Times of the attempts without a response.
    opening: VecDeque<f64>,
    /// Moment from which on new connections are hidden.
    hidden_from: Option<f64>,
    /// Those of its connections that counting has not found.
    hidden: u32,
}

impl Server {
    fn new() -> Self {
        Self {
            behaviour: Behaviour::Serves,
            connections: 0,
            picked: 0,
            failed: 0,
            opened: 0,
            endings: Vec::new(),
            opening: VecDeque::new(),
            hidden_from: None,
            hidden: 0,
        }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Connection {
    end: f64,
    backend: usize,
    opened: f64,
    received: u64,
    by: EndedBy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Probe {
    end: f64,
    backend: usize,
    kind: ProbeKind,
    result: ProbeResult,
}

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    pub(super) per_second: f64,
    pub(super) mean_life: f64,
    /// Part of the connections, in percent, that live for 5 ms only, as those of health checks do.
    pub(super) brief_percent: usize,
}

pub(super) struct World {
    pub(super) random: Random,
    /// Seconds since the start.
    pub(super) now: f64,
    started: Instant,
    pub(super) balancer: LeastConnections,
    traefik: Option<TraefikRoundRobin>,
    pub(super) backends: Vec<Server>,
    connections: BinaryHeap<Reverse<ByEnd<Connection>>>,
    probing: BinaryHeap<Reverse<ByEnd<Probe>>>,
    queues: [VecDeque<usize>; 2],
    in_progress: [usize; 2],
    pub(super) clients: Clients,
    next_arrival: f64,
    pub(super) pushes: u32,
    under_way: Option<(f64, Arc<Decision>)>,
    acknowledged: Option<Arc<Decision>>,
    sample_at: f64,
    decide_at: f64,
    pub(super) changes: Vec<(f64, StandingChange)>,
    /// Number of probes so far.
    pub(super) probes: u32,
    /// Whether the ends of connections are heard at once.
    pub(super) hears_ends: bool,
    /// Seconds between two readings of the kernel's whole table, if new connections are hidden until the next one, as
    /// they are after the kernel has shuffled the local ports.
    pub(super) reads_table_every: Option<f64>,
    table_read_at: f64,
}

/// Orders by time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ByEnd<T>(f64, T);

impl<T: PartialEq> Eq for ByEnd<T> {}

impl<T: PartialEq> PartialOrd for ByEnd<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: PartialEq> Ord for ByEnd<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl World {
    /// Creates a pool of backends that serve, with the connections that its clients have on average.
    pub(super) fn new(backends: u8, clients: Clients, seed: u64) -> Self {
        let mut balancer = LeastConnections::new(Pacing::default());
        let started = Instant::now();
        balancer.set_backends(&ready(0..backends), started);
        let mut world = Self {
            random: Random::new(seed),
            now: 0.0,
            started,
            balancer,
            traefik: None,
            backends: vec![Server::new(); backends.into()],
            connections: BinaryHeap::new(),
            probing: BinaryHeap::new(),
            queues: Default::default(),
            in_progress: [0; 2],
            clients,
            next_arrival: 0.0,
            pushes: 0,
            under_way: None,
            acknowledged: None,
            sample_at: 0.0,
            decide_at: f64::INFINITY,
            changes: Vec::new(),
            probes: 0,
            hears_ends: true,
            reads_table_every: None,
            table_read_at: 0.0,
        };
        let each = clients.per_second * clients.mean_life / f64::from(backends);
        for index in 0..usize::from(backends) {
            for _ in 0..super::to_u32(each) {
                world.open(index);
            }
            world.backends[index].opened = 0;
            world.backends[index].picked = 0;
        }
        world
    }

    /// Runs for a while, and returns the mean over time of (max - mean) / mean of the counts.
    pub(super) fn run(&mut self, seconds: f64) -> f64 {
        let until = self.now + seconds;
        let (mut sum, mut looks, mut look) = (0.0, 0.0, self.now);
        self.work();
        while self.now < until {
            let push = self.under_way.as_ref().map_or(f64::INFINITY, |(at, _)| *at);
            let end = self.connections.peek().map_or(f64::INFINITY, |c| c.0.0);
            let probe = self.probing.peek().map_or(f64::INFINITY, |p| p.0.0);
            let next = [self.next_arrival, push, end, probe, self.sample_at, self.decide_at, look]
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            self.now = next.max(self.now);
            if next >= look {
                sum += self.imbalance();
                looks += 1.0;
                look += 0.05;
                continue;
            } else if next >= end {
                self.end_connection();
                if !self.hears_ends {
                    continue;
                }
                self.balancer.heard_end();
            } else if next >= push {
                self.finish_push();
            } else if next >= probe {
                self.finish_probe();
            } else if next >= self.next_arrival {
                self.arrive();
                continue;
            } else if next >= self.sample_at {
                self.sample();
            }
            self.work();
        }
        sum / looks
    }

    /// Adds backends that serve, up to this number of them.
    pub(super) fn add_servers(&mut self, servers: u8) {
        self.backends.resize(servers.into(), Server::new());
    }

    /// Tells the balancer of another set of backends.
    pub(super) fn discover(&mut self, set: &BackendSet) {
        self.balancer.set_backends(set, self.instant());
    }

    /// Lets a backend end all of its connections at once, as when it restarts.
    pub(super) fn reset(&mut self, backend: usize) {
        let (theirs, others): (Vec<_>, Vec<_>) = self.connections.drain().partition(|c| c.0.1.backend == backend);
        self.connections = others.into_iter().collect();
        for Reverse(ByEnd(_, connection)) in theirs {
            self.record_end(Connection { end: self.now, by: EndedBy::Backend, ..connection });
        }
    }

    /// Opens a connection to a backend that Traefik dialled by the plan before.
    pub(super) fn straggle(&mut self, backend: usize) {
        self.open(backend);
    }

    /// Returns how many connections each backend has got since the last call, and how many of them failed.
    pub(super) fn take_picks(&mut self) -> Vec<(u32, u32)> {
        self.backends.iter_mut().map(|b| (std::mem::take(&mut b.picked), std::mem::take(&mut b.failed))).collect()
    }

    /// Returns whether each backend gets new connections by the plan in force.
    pub(super) fn is_in_plan(&self) -> Vec<bool> {
        let plan = self.acknowledged.as_ref().map(|decision| decision.plan.clone()).unwrap_or_default();
        let is_in_plan = |index| plan.entries().iter().any(|entry| entry.address == super::address_of(index));
        (0..self.backends.len()).map(is_in_plan).collect()
    }

    /// Returns the weights of the plan in force.
    pub(super) fn weights(&self) -> Vec<u32> {
        let plan = self.acknowledged.as_ref().map(|decision| decision.plan.clone()).unwrap_or_default();
        plan.entries().iter().map(|entry| entry.weight).collect()
    }

    pub(super) fn instant(&self) -> Instant {
        self.started + Duration::from_secs_f64(self.now)
    }

    fn arrive(&mut self) {
        self.next_arrival = self.now + self.random.exponential(1.0 / self.clients.per_second);
        let Some(picked) = self.traefik.as_mut().and_then(TraefikRoundRobin::pick) else { return };
        self.open((0..self.backends.len()).find(|i| super::address_of(*i) == picked).unwrap());
    }

    fn open(&mut self, index: usize) {
        let is_brief = self.random.below(100) < self.clients.brief_percent;
        let life = if is_brief { 0.005 } else { self.random.exponential(self.clients.mean_life) };
        let backend = &mut self.backends[index];
        backend.picked += 1;
        let full = matches!(backend.behaviour, Behaviour::Full(limit) if backend.connections >= limit);
        let (life, received, by, fails) = match backend.behaviour {
            Behaviour::Serves => (life, 500, EndedBy::Proxy, false),
            Behaviour::Full(_) if !full => (life, 500, EndedBy::Proxy, false),
            Behaviour::Full(_) | Behaviour::Greets => (2.0 * ROUND_TRIP, 40, EndedBy::Backend, true),
            Behaviour::Closes => (ROUND_TRIP, 0, EndedBy::Backend, true),
            Behaviour::ClosesAfterRequest(mean) => (self.random.exponential(mean), 0, EndedBy::Backend, true),
            Behaviour::Refuses => (ROUND_TRIP, 0, EndedBy::NeverAnswered, true),
            Behaviour::Swallows => (DIAL_TIMEOUT, 0, EndedBy::NeverAnswered, true),
        };
        backend.failed += u32::from(fails);
        backend.connections += 1;
        if backend.hidden_from.is_some() {
            backend.hidden += 1;
        } else {
            backend.opened += 1;
        }
        if backend.behaviour == Behaviour::Swallows {
            backend.opening.push_back(self.now);
        }
        let connection = Connection { end: self.now + life, backend: index, opened: self.now, received, by };
        self.connections.push(Reverse(ByEnd(connection.end, connection)));
    }

    fn end_connection(&mut self) {
        if let Some(Reverse(ByEnd(_, connection))) = self.connections.pop() {
            self.record_end(connection);
        }
    }

    fn record_end(&mut self, connection: Connection) {
        let backend = &mut self.backends[connection.backend];
        backend.connections -= 1;
        if backend.hidden_from.is_some_and(|from| connection.opened >= from) {
            // The announcement of its end is the first that is seen of it.
            backend.hidden -= 1;
            backend.opened += 1;
        }
        backend.opening.retain(|opened| opened.total_cmp(&connection.opened).is_ne());
        let age = Duration::from_secs_f64(connection.end - connection.opened);
        backend.endings.push(Ending { age, received: connection.received, by: connection.by });
    }

    fn sample(&mut self) {
        let now = self.instant();
        if self.reads_table_every.is_some_and(|period| self.now >= self.table_read_at + period) {
            self.table_read_at = self.now;
            for backend in &mut self.backends {
                backend.opened += std::mem::take(&mut backend.hidden);
                backend.hidden_from = Some(self.now);
            }
        }
        let (mut counts, mut endings, mut unseen) = (Vec::new(), Vec::new(), 0);
        for (index, backend) in self.backends.iter_mut().enumerate() {
            let oldest_opening = backend.opening.front().map(|at| Duration::from_secs_f64(self.now - at));
            let opened = std::mem::take(&mut backend.opened);
            unseen += backend.hidden;
            let count = Count { connections: backend.connections - backend.hidden, opened, oldest_opening };
            counts.push((super::address_of(index), count));
            endings.extend(backend.endings.drain(..).map(|ending| (super::address_of(index), ending)));
        }
        self.balancer.ended(endings);
        self.balancer.sampled(counts, SAMPLE_COST, now);
        self.balancer.presume(unseen);
    }

    /// Starts what is due.
    fn work(&mut self) {
        let now = self.instant();
        let work = self.balancer.decide(now);
        self.changes.extend(work.changes.into_iter().map(|change| (self.now, change)));
        for (backend, kind) in work.probes {
            self.probes += 1;
            let index = (0..self.backends.len()).find(|i| super::address_of(*i) == backend).unwrap();
            self.queues[kind as usize].push_back(index);
        }
        self.start_probes();
        if let Some(decision) = work.decision
            && self.under_way.is_none()
            && !self.acknowledged.as_ref().is_some_and(|a| Arc::ptr_eq(a, &decision))
        {
            self.under_way = Some((self.now + PUSH_DURATION, decision));
        }
        let seconds = |at: Instant| at.saturating_duration_since(self.started).as_secs_f64();
        self.sample_at = seconds(work.sample_at).max(self.now);
        self.decide_at = work.decide_again_at.map_or(f64::INFINITY, |at| seconds(at).max(self.now));
    }

    fn start_probes(&mut self) {
        for kind in [ProbeKind::First, ProbeKind::Again] {
            while self.in_progress[kind as usize] < PERMITS[kind as usize] {
                let Some(index) = self.queues[kind as usize].pop_front() else { break };
                let (takes, result) = match self.backends[index].behaviour {
                    Behaviour::Refuses => (ROUND_TRIP, ProbeResult::Unanswered),
                    Behaviour::Swallows => (PROBE_TIMEOUT, ProbeResult::Unanswered),
                    Behaviour::Closes | Behaviour::Greets => (ROUND_TRIP, ProbeResult::Closed),
                    Behaviour::Serves | Behaviour::ClosesAfterRequest(_) | Behaviour::Full(_) => {
                        (ROUND_TRIP + PROBE_HOLD, ProbeResult::Answered)
                    }
                };
                self.in_progress[kind as usize] += 1;
                let probe = Probe { end: self.now + takes, backend: index, kind, result };
                self.probing.push(Reverse(ByEnd(probe.end, probe)));
            }
        }
    }

    fn finish_probe(&mut self) {
        let Some(Reverse(ByEnd(_, probe))) = self.probing.pop() else { return };
        self.in_progress[probe.kind as usize] -= 1;
        self.balancer.probed(super::address_of(probe.backend), probe.result, self.instant());
    }

    fn finish_push(&mut self) {
        let Some((_, decision)) = self.under_way.take() else { return };
        let mut entries: Vec<_> = decision.plan.entries().iter().map(|e| (e.address, e.weight)).collect();
        for i in (1..entries.len()).rev() {
            entries.swap(i, self.random.below(i + 1));
        }
        self.traefik = Some(TraefikRoundRobin::new(&entries.into_iter().collect()));
        self.balancer.acknowledged(&decision, Duration::from_secs_f64(PUSH_DURATION), self.instant());
        self.acknowledged = Some(decision);
        self.pushes += 1;
    }

    fn imbalance(&self) -> f64 {
        let counts: Vec<f64> = self.backends.iter().map(|b| f64::from(b.connections)).collect();
        #[allow(clippy::cast_precision_loss, reason = "there are at most 255 backends")]
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        if mean > 0.0 { (counts.iter().copied().fold(0.0, f64::max) - mean) / mean } else { 0.0 }
    }
}

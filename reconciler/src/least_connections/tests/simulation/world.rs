//! The world around balancers: clients, backends, Traefiks, probes and the clock.

mod exchange;
mod replica;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;
use exchange::Exchange;
pub(super) use replica::Replica;

const ROUND_TRIP: f64 = 0.001;
/// Time after which Traefik gives up an attempt to connect.
const DIAL_TIMEOUT: f64 = 5.0;

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
    /// Shares of the connections relative to the other backends.
    pub(super) capacity: u8,
    /// Connections through all replicas.
    pub(super) connections: u32,
    /// Connections since the last look of a test.
    pub(super) picked: u32,
    /// Those of them that failed.
    pub(super) failed: u32,
}

impl Server {
    fn new(capacity: u8) -> Self {
        Self { behaviour: Behaviour::Serves, capacity, connections: 0, picked: 0, failed: 0 }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Connection {
    end: f64,
    replica: usize,
    backend: usize,
    opened: f64,
    received: u64,
    by: EndedBy,
}

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    pub(super) per_second: f64,
    pub(super) mean_life: f64,
    /// Part of the connections, in percent, that live for 5 ms only, as those of health checks do. The server ends them, as
    /// many do when a client takes its leave.
    pub(super) brief_percent: usize,
}

pub(super) struct World {
    pub(super) random: Random,
    /// Seconds since the start.
    pub(super) now: f64,
    started: Instant,
    pub(super) replicas: Vec<Replica>,
    pub(super) backends: Vec<Server>,
    connections: BinaryHeap<Reverse<ByEnd<Connection>>>,
    pub(super) clients: Clients,
    next_arrival: f64,
    /// Whether the ends of connections are heard at once.
    pub(super) hears_ends: bool,
    pub(super) exchange: Exchange,
    /// Whether each connection goes to a least loaded backend by the true counts of all replicas, whatever they decide.
    pub(super) is_ideal: bool,
    /// Seconds between two looks at the imbalance.
    pub(super) look_every: f64,
    pub(super) zones: Zones,
}

/// Zones of backends and replicas, by index; none where there are none.
#[derive(Debug, Default)]
pub(super) struct Zones {
    pub(super) of_backends: Vec<u8>,
    pub(super) of_replicas: Vec<u8>,
    /// Connections that have opened, and those of them that lead to another zone.
    pub(super) opened: u32,
    pub(super) crossed: u32,
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
        Self::with_replicas(&vec![1; backends.into()], &[1.0], clients, seed)
    }

    /// Creates a pool of backends with these capacities behind replicas that get these parts of the arrivals.
    pub(super) fn with_replicas(capacities: &[u8], parts: &[f64], clients: Clients, seed: u64) -> Self {
        let mut world = Self {
            random: Random::new(seed),
            now: 0.0,
            started: Instant::now(),
            replicas: Vec::new(),
            backends: capacities.iter().map(|capacity| Server::new(*capacity)).collect(),
            connections: BinaryHeap::new(),
            clients,
            next_arrival: 0.0,
            hears_ends: true,
            exchange: Exchange::default(),
            is_ideal: false,
            look_every: 0.05,
            zones: Zones::default(),
        };
        for part in parts {
            world.add_replica(*part);
        }
        let shares: f64 = capacities.iter().map(|capacity| f64::from(*capacity)).sum();
        let per_share = clients.per_second * clients.mean_life / shares;
        for (index, capacity) in capacities.iter().enumerate() {
            for _ in 0..super::to_u32(per_share * f64::from(*capacity)) {
                let replica = world.replica_of_next();
                world.open(replica, index);
            }
            world.backends[index].picked = 0;
        }
        for replica in &mut world.replicas {
            replica.forget_opened();
        }
        world
    }

    /// Adds a replica that gets this part of the arrivals, relative to those of the others, and knows all backends.
    pub(super) fn add_replica(&mut self, part: f64) {
        let set = (0..).zip(&self.backends).map(|(index, backend)| {
            let capacity = ilb_discovery::Capacity::try_from(backend.capacity).unwrap();
            Backend::new(address(index), State::Ready).with_capacity(capacity)
        });
        let id = ReplicaId::new(self.replicas.len() as u128);
        self.replicas.push(Replica::new(id, part, &set.collect(), self.started, self.now));
        self.exchange.joined(self.now);
    }

    /// Starts the balancer of a replica again. Its Traefik goes on, and with it the connections.
    pub(super) fn restart(&mut self, replica: usize, id: ReplicaId) {
        self.forget(replica);
        let now = self.instant();
        self.replicas[replica].restart(id, now, self.now);
    }

    /// Lets other clients come from now on.
    pub(super) fn change_clients(&mut self, clients: Clients) {
        self.clients = clients;
        self.next_arrival = self.now + 1.0 / clients.per_second;
    }

    /// Lets a client come to this replica.
    pub(super) fn arrive_at(&mut self, replica: usize) {
        if let Some(picked) = self.replicas[replica].pick() {
            self.open(replica, picked);
        }
    }

    /// Lets all replicas forget this one, as when its pod is deleted.
    pub(super) fn forget(&mut self, replica: usize) {
        let id = self.replicas[replica].id;
        for other in &mut self.replicas {
            other.balancer.sibling_left(id);
        }
    }

    /// Ends a replica with all of its connections.
    pub(super) fn lose(&mut self, replica: usize) {
        self.replicas[replica].part = 0.0;
        self.end_all(|connection| connection.replica == replica, EndedBy::Proxy);
        self.exchange.lose(replica);
    }

    /// Lets one replica hear another.
    fn exchange(&mut self) {
        let now = self.instant();
        let Some(delivery) = self.exchange.next_delivery(self.now, &mut self.random, &self.replicas, now) else {
            return;
        };
        let (to, report) = delivery;
        self.replicas[to].balancer.sibling_reported(report, now);
        self.work(to);
    }

    /// Runs for a while, and returns the mean over time of (max - mean) / mean of the counts per share of capacity.
    pub(super) fn run(&mut self, seconds: f64) -> f64 {
        let until = self.now + seconds;
        let (mut sum, mut looks, mut look) = (0.0, 0.0, self.now);
        (0..self.replicas.len()).for_each(|replica| self.work(replica));
        while self.now < until {
            let end = self.connections.peek().map_or(f64::INFINITY, |c| c.0.0);
            let due = self.replicas.iter().map(Replica::next).fold(f64::INFINITY, f64::min);
            let exchange = self.exchange.next();
            let next = [self.next_arrival, end, due, look, exchange].into_iter().fold(f64::INFINITY, f64::min);
            self.now = next.max(self.now);
            if next >= look {
                sum += self.imbalance();
                looks += 1.0;
                look += self.look_every;
            } else if next >= end {
                self.end_connection();
            } else if next >= exchange {
                self.exchange();
            } else if next >= self.next_arrival && next < due {
                self.arrive();
            } else if let Some(replica) = self.replicas.iter().position(|replica| next >= replica.next()) {
                let now = self.instant();
                self.replicas[replica].advance(self.now, now, &mut self.random);
                self.work(replica);
                self.exchange.answer(replica, self.now, &mut self.random, &self.replicas, now);
            }
        }
        sum / looks
    }

    /// Adds backends that serve, up to this number of them.
    pub(super) fn add_servers(&mut self, servers: u8) {
        self.backends.resize(servers.into(), Server::new(1));
    }

    /// Tells the balancers of another set of backends.
    pub(super) fn discover(&mut self, set: &BackendSet) {
        let now = self.instant();
        for replica in &mut self.replicas {
            replica.balancer.set_backends(set, now);
        }
    }

    /// Lets a backend end all of its connections at once, as when it restarts.
    pub(super) fn reset(&mut self, backend: usize) {
        self.end_all(|connection| connection.backend == backend, EndedBy::Backend);
    }

    /// Opens a connection to a backend that Traefik dialled by the plan before.
    pub(super) fn straggle(&mut self, backend: usize) {
        self.open(0, backend);
    }

    /// Returns how many connections each backend has got since the last call, and how many of them failed.
    pub(super) fn take_picks(&mut self) -> Vec<(u32, u32)> {
        self.backends.iter_mut().map(|b| (std::mem::take(&mut b.picked), std::mem::take(&mut b.failed))).collect()
    }

    /// Returns whether each backend gets new connections by the plan in force of the first replica.
    pub(super) fn is_in_plan(&self) -> Vec<bool> {
        let plan = self.replicas[0].plan();
        let is_in_plan = |index| plan.entries().iter().any(|entry| entry.address == super::address_of(index));
        (0..self.backends.len()).map(is_in_plan).collect()
    }

    /// Returns the weights of the plan in force of the first replica.
    pub(super) fn weights(&self) -> Vec<u32> {
        self.replicas[0].plan().entries().iter().map(|entry| entry.weight).collect()
    }

    pub(super) fn instant(&self) -> Instant {
        self.started + Duration::from_secs_f64(self.now)
    }

    /// Lets a replica start what is due.
    fn work(&mut self, replica: usize) {
        let now = self.instant();
        self.replicas[replica].work(self.now, now, self.started, &self.backends);
    }

    /// Returns the replica that the next client reaches.
    fn replica_of_next(&mut self) -> usize {
        let parts: f64 = self.replicas.iter().map(|replica| replica.part).sum();
        let alone = self.replicas.iter().position(|replica| replica.part >= parts);
        alone.unwrap_or_else(|| {
            let mut at = self.random.uniform() * parts;
            let reached = |replica: &Replica| {
                at -= replica.part;
                at < 0.0
            };
            self.replicas.iter().position(reached).unwrap_or(0)
        })
    }

    fn arrive(&mut self) {
        self.next_arrival = self.now + self.random.exponential(1.0 / self.clients.per_second);
        let replica = self.replica_of_next();
        if self.is_ideal {
            let picked = self.emptiest();
            self.open(replica, picked);
        } else {
            self.arrive_at(replica);
        }
    }

    /// Returns a least loaded backend by the true counts.
    fn emptiest(&mut self) -> usize {
        let load = |backend: &Server| f64::from(backend.connections + 1) / f64::from(backend.capacity);
        let least = self.backends.iter().map(load).fold(f64::INFINITY, f64::min);
        let emptiest: Vec<_> = (0..self.backends.len()).filter(|i| load(&self.backends[*i]) <= least).collect();
        emptiest[self.random.below(emptiest.len())]
    }

    fn open(&mut self, replica: usize, index: usize) {
        let is_brief = self.random.below(100) < self.clients.brief_percent;
        let (life, by) = if is_brief {
            (0.005, EndedBy::Backend)
        } else {
            (self.random.exponential(self.clients.mean_life), EndedBy::Proxy)
        };
        let backend = &mut self.backends[index];
        backend.picked += 1;
        let full = matches!(backend.behaviour, Behaviour::Full(limit) if backend.connections >= limit);
        let (life, received, by, fails) = match backend.behaviour {
            Behaviour::Serves => (life, 500, by, false),
            Behaviour::Full(_) if !full => (life, 500, by, false),
            Behaviour::Full(_) | Behaviour::Greets => (2.0 * ROUND_TRIP, 40, EndedBy::Backend, true),
            Behaviour::Closes => (ROUND_TRIP, 0, EndedBy::Backend, true),
            Behaviour::ClosesAfterRequest(mean) => (self.random.exponential(mean), 0, EndedBy::Backend, true),
            Behaviour::Refuses => (ROUND_TRIP, 0, EndedBy::NeverAnswered, true),
            Behaviour::Swallows => (DIAL_TIMEOUT, 0, EndedBy::NeverAnswered, true),
        };
        backend.failed += u32::from(fails);
        backend.connections += 1;
        self.zones.opened += 1;
        self.zones.crossed += u32::from(self.zones.of_backends.get(index) != self.zones.of_replicas.get(replica));
        let is_answered = backend.behaviour != Behaviour::Swallows;
        self.replicas[replica].opened(index, is_answered, self.now);
        let connection = Connection { end: self.now + life, replica, backend: index, opened: self.now, received, by };
        self.connections.push(Reverse(ByEnd(connection.end, connection)));
    }

    fn end_connection(&mut self) {
        let Some(Reverse(ByEnd(_, connection))) = self.connections.pop() else { return };
        self.record_end(connection);
        if self.hears_ends {
            self.replicas[connection.replica].balancer.heard_end();
            self.work(connection.replica);
        }
    }

    /// Ends the connections for which `is_concerned` holds.
    fn end_all(&mut self, is_concerned: impl Fn(&Connection) -> bool, by: EndedBy) {
        let (concerned, others): (Vec<_>, Vec<_>) = self.connections.drain().partition(|c| is_concerned(&c.0.1));
        self.connections = others.into_iter().collect();
        for Reverse(ByEnd(_, connection)) in concerned {
            self.record_end(Connection { end: self.now, by, ..connection });
        }
    }

    fn record_end(&mut self, connection: Connection) {
        self.backends[connection.backend].connections -= 1;
        let age = Duration::from_secs_f64(connection.end - connection.opened);
        let ending = Ending { age, received: connection.received, by: connection.by };
        self.replicas[connection.replica].ended(connection.backend, connection.opened, ending);
    }

    pub(super) fn imbalance(&self) -> f64 {
        let shares: f64 = self.backends.iter().map(|b| f64::from(b.capacity)).sum();
        let mean = self.backends.iter().map(|b| f64::from(b.connections)).sum::<f64>() / shares;
        let fullest =
            self.backends.iter().map(|b| f64::from(b.connections) / f64::from(b.capacity)).fold(0.0, f64::max);
        if mean > 0.0 { (fullest - mean) / mean } else { 0.0 }
    }
}

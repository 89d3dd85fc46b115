//! Scenarios: clients and events.

use crate::{contender::Contender, random::Random};

/// A schedule of clients and events. Times are in seconds.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) backends: usize,
    /// Number of backends that exist from the beginning.
    pub(crate) initial: usize,
    /// Mean number of connections at a time.
    live: f64,
    mean_life: f64,
    lives: Lives,
    /// Number of connections that arrive at once every 5 s, instead of half of the others.
    burst: usize,
    pub(crate) warm_up: f64,
    pub(crate) length: f64,
    /// Factor by which connections to backend 0 last longer.
    pub(crate) slow: f64,
    /// Capacity of each backend; 1 where there is none.
    capacities: &'static [u8],
    /// Number of replicas of each contender, each with a part of the clients, in front of the same backends.
    pub(crate) replicas: usize,
    /// Restricts the scenario to ilb and plain Traefik.
    pub(crate) only_traefik: bool,
    events: Events,
}

enum Lives {
    Exponential,
    Pareto,
}

enum Events {
    None,
    /// Each backend in turn leaves, its connections are reset 0.3 s later, and it returns 2 s after it left.
    RollingRestart,
    /// The backends that did not exist at the beginning join.
    ScaleOut,
    Once(Event),
    /// Another writer makes Traefik rebuild its services every 5 s.
    Reloads,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Leave(usize),
    Join(usize),
    /// Resets the connections of the backend; it accepts new ones.
    Reset(usize),
    /// Resets the connections of the backend, which refuses new ones from then on; discovery does not notice.
    Refuse(usize),
    /// Makes the backend ignore new connections; discovery does not notice.
    Swallow(usize),
    /// Lets another writer change Traefik's configuration.
    Reload,
}

/// A client: the time of its arrival and the length of its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) at: f64,
    pub(crate) life: f64,
}

/// The scenario that the others vary.
const STEADY: Scenario = Scenario {
    name: "steady",
    backends: 10,
    initial: 10,
    live: 300.0,
    mean_life: 6.0,
    lives: Lives::Exponential,
    burst: 0,
    warm_up: 10.0,
    length: 30.0,
    slow: 1.0,
    capacities: &[],
    replicas: 1,
    only_traefik: false,
    events: Events::None,
};

/// Length of scenarios that no bar depends on.
const SHORT_LENGTH: f64 = 20.0;

pub(crate) const SCENARIOS: [Scenario; 12] = [
    Scenario { length: 40.0, ..STEADY },
    Scenario { name: "pareto", lives: Lives::Pareto, length: SHORT_LENGTH, ..STEADY },
    Scenario { name: "bursts", burst: 125, length: SHORT_LENGTH, ..STEADY },
    Scenario {
        name: "rolling-restart",
        mean_life: 60.0,
        warm_up: 5.0,
        length: 50.0,
        events: Events::RollingRestart,
        ..STEADY
    },
    Scenario { name: "scale-out", initial: 5, events: Events::ScaleOut, ..STEADY },
    Scenario { name: "slow-drain", slow: 10.0, length: SHORT_LENGTH, ..STEADY },
    Scenario { name: "capacities", capacities: &[1, 2, 3, 4, 1, 2, 3, 4, 1, 2], length: SHORT_LENGTH, ..STEADY },
    Scenario { name: "refusing", length: SHORT_LENGTH, events: Events::Once(Event::Refuse(3)), ..STEADY },
    Scenario { name: "swallowing", length: SHORT_LENGTH, events: Events::Once(Event::Swallow(3)), ..STEADY },
    Scenario { name: "foreign-reloads", length: SHORT_LENGTH, events: Events::Reloads, ..STEADY },
    Scenario { name: "two-replicas", replicas: 2, length: SHORT_LENGTH, ..STEADY },
    Scenario { name: "thousand", live: 1_000.0, only_traefik: true, length: SHORT_LENGTH, ..STEADY },
];

impl Scenario {
    /// Returns the time at which backend 3 stops accepting connections, if it does.
    pub(crate) fn fails_at(&self) -> Option<f64> {
        matches!(self.events, Events::Once(_)).then_some(self.warm_up)
    }

    /// Returns whether `contender` takes part.
    pub(crate) fn concerns(&self, contender: Contender) -> bool {
        !self.only_traefik || matches!(contender, Contender::Ilb | Contender::TraefikRoundRobin)
    }

    /// Returns the number of shares that backend `index` should have.
    pub(crate) fn capacity(&self, index: usize) -> u8 {
        self.capacities.get(index).copied().unwrap_or(1)
    }

    /// Returns all clients in the order of their arrival, the same for each contender.
    pub(crate) fn clients(&self) -> Vec<Client> {
        let mut random = Random::new(7);
        let rate = self.live / self.mean_life;
        let mut life = {
            let mut random = Random::new(11);
            move || match self.lives {
                Lives::Exponential => random.exponential(self.mean_life),
                Lives::Pareto => random.pareto(self.mean_life),
            }
        };
        let end = self.warm_up + self.length;
        let mut clients = Vec::new();
        let mut at = 0.0;
        while at < 1.0 {
            clients.push(Client { at, life: life() });
            at += 1.0 / self.live;
        }
        let steady = if self.burst > 0 { rate / 2.0 } else { rate };
        while at < end {
            clients.push(Client { at, life: life() });
            at += random.exponential(1.0 / steady);
        }
        let mut burst = 5.0;
        while burst < end && self.burst > 0 {
            clients.extend((0..self.burst).map(|_| Client { at: burst + 0.1 * random.uniform(), life: life() }));
            burst += 5.0;
        }
        clients.sort_by(|a, b| a.at.total_cmp(&b.at));
        clients
    }

    /// Returns all events with their times, in order.
    pub(crate) fn events(&self) -> Vec<(f64, Event)> {
        match self.events {
            Events::None => Vec::new(),
            Events::ScaleOut => (self.initial..self.backends).map(|i| (self.warm_up, Event::Join(i))).collect(),
            Events::Once(event) => vec![(self.warm_up, event)],
            Events::Reloads => {
                let times = std::iter::successors(Some(2.5), |at| Some(at + 5.0));
                times.take_while(|at| *at < self.warm_up + self.length).map(|at| (at, Event::Reload)).collect()
            }
            Events::RollingRestart => {
                let restart = |(i, at): (usize, f64)| {
                    [(at, Event::Leave(i)), (at + 0.3, Event::Reset(i)), (at + 2.0, Event::Join(i))]
                };
                let mut at = self.warm_up;
                let next = move |i| {
                    let this = at;
                    at += 3.0;
                    (i, this)
                };
                (0..self.backends).map(next).flat_map(restart).collect()
            }
        }
    }
}

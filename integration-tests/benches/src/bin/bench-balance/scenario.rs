//! Scenarios: clients and events.

use ilb_benches::random::Random;

use crate::{
    contender::Contender,
    failure::{Failing, Failure},
};

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
    /// Time in which the first connections are opened, as many as there are at a time.
    ramp: f64,
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
    /// Parts of the clients of the replicas; the same for each where there are none.
    parts: &'static [f64],
    contenders: &'static [Contender],
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
    /// Backends begin to fail; discovery does not notice.
    Fail(Failing),
    /// The cost of counting is measured, and once more while another network namespace has many sockets.
    Counting,
    /// Several replicas share the backends, and this becomes of them.
    Replicas(Option<Event>),
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
    /// Makes backends fail; discovery does not notice.
    Fail(Failing),
    /// Takes the processor time so far: a period of the measurement of counting begins or ends.
    TakeProcessorTime,
    /// Fills another network namespace with sockets.
    FillAnotherNamespace,
    /// New replicas take the place of all old ones, which keep the connections that they have.
    ReplaceReplicas,
    /// One more replica joins the others.
    AddReplica,
    /// The last replica and the others do not reach each other any more.
    CutOffReplica,
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
    ramp: 1.0,
    burst: 0,
    warm_up: 10.0,
    length: 30.0,
    slow: 1.0,
    capacities: &[],
    replicas: 1,
    parts: &[],
    contenders: &Contender::USUAL,
    events: Events::None,
};

/// Length of scenarios that no bar depends on.
const SHORT_LENGTH: f64 = 20.0;

/// The scenario that those with failing backends vary: a tenth of the backends fails.
const FAILING: Scenario =
    Scenario { warm_up: 8.0, length: 22.0, contenders: &Contender::WITH_LEAST_CONNECTIONS, ..STEADY };

/// Number of connections that each backend of [`FAILING`] would have.
const DEMAND: usize = 30;

/// The scenario that those with lost nodes vary: a third of the backends fails, with 150 connections a second.
const LOST: Scenario = Scenario { live: 1_200.0, mean_life: 8.0, ramp: 2.0, ..FAILING };

/// The scenario that those for the cost of counting vary.
const COUNTING: Scenario =
    Scenario { length: 3.0 * COUNTING_PERIOD + 1.0, contenders: &[Contender::Ilb], events: Events::Counting, ..STEADY };

/// Length of each period in which counting is measured, and time limit for the sockets of the other namespace between two.
const COUNTING_PERIOD: f64 = 12.0;

/// The scenario that those of several replicas vary: few connections, whose lives of a minute stand for an hour.
const FEW: Scenario = Scenario {
    name: "three-replicas-few",
    live: 60.0,
    mean_life: 60.0,
    // Opened at the pace of the others, as connections are that have come one by one.
    ramp: 30.0,
    warm_up: 50.0,
    length: 120.0,
    replicas: 3,
    contenders: &Contender::OF_REPLICAS,
    events: Events::Replicas(None),
    ..STEADY
};

pub(crate) static SCENARIOS: [Scenario; 25] = [
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
    Scenario { name: "two-replicas", replicas: 2, length: 40.0, ..STEADY },
    Scenario {
        name: "thousand",
        live: 1_000.0,
        contenders: &[Contender::Ilb, Contender::TraefikRoundRobin],
        length: SHORT_LENGTH,
        ..STEADY
    },
    Scenario { name: "counting-300", ..COUNTING },
    Scenario { name: "counting-8000", live: 8_000.0, mean_life: 3_600.0, ramp: 16.0, warm_up: 20.0, ..COUNTING },
    FEW,
    Scenario { name: "replica-drain", events: Events::Replicas(Some(Event::ReplaceReplicas)), ..FEW },
    Scenario { name: "replica-joins", replicas: 2, events: Events::Replicas(Some(Event::AddReplica)), ..FEW },
    Scenario { name: "unequal-replicas", parts: &[0.8, 0.1, 0.1], ..FEW },
    Scenario { name: "sibling-cut-off", events: Events::Replicas(Some(Event::CutOffReplica)), ..FEW },
    Scenario { name: "accept-then-close", events: one_fails(Failure::AcceptsThenCloses), ..FAILING },
    Scenario { name: "greets-then-closes", events: one_fails(Failure::GreetsThenCloses), ..FAILING },
    Scenario { name: "closes-after-a-request", events: one_fails(Failure::ClosesAfterRequest), ..FAILING },
    Scenario { name: "full", events: one_fails(Failure::Full(DEMAND / 2)), ..FAILING },
    Scenario { name: "node-lost", backends: 120, initial: 120, events: are_lost(40), ..LOST },
    Scenario { name: "zone-lost", backends: 240, initial: 240, events: are_lost(80), ..LOST },
];

const fn one_fails(how: Failure) -> Events {
    Events::Fail(Failing { first: 3, count: 1, how })
}

/// Makes `count` neighbours vanish, which are neither the first nor the last of all backends.
const fn are_lost(count: usize) -> Events {
    Events::Fail(Failing { first: count, count, how: Failure::Lost })
}

impl Event {
    /// Returns whether backends begin to fail by this event.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Refuse(_) | Self::Swallow(_) | Self::Fail(_))
    }
}

impl Scenario {
    /// Returns the backends that begin to fail, if some do in one of the ways of [`Failure`].
    pub(crate) fn failing(&self) -> Option<Failing> {
        match self.events {
            Events::Fail(failing) => Some(failing),
            _ => None,
        }
    }

    /// Returns whether backends vanish with their nodes.
    pub(crate) fn loses_nodes(&self) -> bool {
        self.failing().is_some_and(|failing| matches!(failing.how, Failure::Lost))
    }

    /// Returns the share of new connections that failing backends would get in a round robin.
    #[allow(clippy::cast_precision_loss, reason = "there are few backends")]
    pub(crate) fn equal_share(&self) -> Option<f64> {
        Some(self.failing()?.count as f64 / self.backends as f64)
    }

    /// Returns whether each contender has a process and a network namespace of its own, and the machine for itself. Its
    /// backends are in a file, so that there is no API server beside it.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.events, Events::Fail(_) | Events::Counting)
    }

    /// Returns whether the replicas reach the backends at common addresses, so that those of ilb can be siblings.
    pub(crate) fn has_siblings(&self) -> bool {
        matches!(self.events, Events::Replicas(_))
    }

    /// Returns the part of the clients that come to replica `index` of `count`.
    pub(crate) fn part(&self, index: usize, count: usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "there are few replicas")]
        self.parts.get(index).copied().unwrap_or(1.0 / count as f64)
    }

    /// Returns whether `contender` takes part.
    pub(crate) fn concerns(&self, contender: Contender) -> bool {
        self.contenders.contains(&contender)
    }

    /// Returns the number of shares that backend `index` should have.
    pub(crate) fn capacity(&self, index: usize) -> u8 {
        self.capacities.get(index).copied().unwrap_or(1)
    }

    /// Returns the number of independent schedules of clients that each contender gets at the same time. With few
    /// connections, one schedule tells little.
    pub(crate) fn schedules(&self) -> u64 {
        if self.has_siblings() { 4 } else { 1 }
    }

    /// Returns all clients of a schedule in the order of their arrival, the same for each contender.
    pub(crate) fn clients(&self, schedule: u64) -> Vec<Client> {
        let mut random = Random::new(7 + 100 * schedule);
        let rate = self.live / self.mean_life;
        let mut life = {
            let mut random = Random::new(11 + 100 * schedule);
            move || match self.lives {
                Lives::Exponential => random.exponential(self.mean_life),
                Lives::Pareto => random.pareto(self.mean_life),
            }
        };
        let end = self.warm_up + self.length;
        let mut clients = Vec::new();
        let mut at = 0.0;
        while at < self.ramp {
            clients.push(Client { at, life: life() });
            at += self.ramp / self.live;
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
            Events::None | Events::Replicas(None) => Vec::new(),
            Events::ScaleOut => (self.initial..self.backends).map(|i| (self.warm_up, Event::Join(i))).collect(),
            Events::Once(event) | Events::Replicas(Some(event)) => vec![(self.warm_up, event)],
            Events::Fail(failing) => vec![(self.warm_up, Event::Fail(failing))],
            Events::Counting => {
                let at = |periods: f64| self.warm_up + periods * COUNTING_PERIOD;
                vec![
                    (at(0.0), Event::TakeProcessorTime),
                    (at(1.0), Event::TakeProcessorTime),
                    (at(1.0), Event::FillAnotherNamespace),
                    (at(2.0), Event::TakeProcessorTime),
                    (at(3.0), Event::TakeProcessorTime),
                ]
            }
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

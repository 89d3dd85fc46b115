//! A world of clients whose connections are placed on a least loaded backend, and closed as is ordered.

use super::*;
use crate::closing::choice::mixed;

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(10);
/// Ticks between two samples.
const SAMPLE_TICKS: u64 = 10;

/// A pool in its world.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) closing: Closing,
    pub(super) backends: BTreeMap<SocketAddr, Server>,
    pub(super) clients: Vec<Client>,
    pub(super) view: View,
    pub(super) behaviour: Behaviour,
    /// Every order, with its moment.
    pub(super) orders: Vec<(Instant, Order)>,
    /// The orders of dry runs.
    pub(super) shown: Vec<Order>,
    pub(super) state: ClosingState,
    ask_again: Option<Instant>,
    pending: Vec<(u64, Done)>,
    ticks: u64,
    next_cookie: u64,
    opened: BTreeMap<SocketAddr, u32>,
    ended: BTreeMap<SocketAddr, u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) state: State,
    pub(super) capacity: u8,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Client {
    pub(super) connection: Option<Live>,
    /// Moment at which it connects again; `None` for never.
    returns_at: Option<Instant>,
    /// Number of its connections that were closed on purpose.
    pub(super) closed: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) cookie: u64,
    pub(super) backend: SocketAddr,
    pub(super) since: Instant,
}

/// How clients and the closer behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    /// Range of times in which a client comes back, in milliseconds; `None` for never.
    pub(super) returns: Option<(u64, u64)>,
    /// Percent of the connections that are answered and quiet at a time.
    pub(super) answered_percent: u64,
    /// Percent of the orders whose second look finds something else.
    pub(super) not_now_percent: u64,
    /// Result of the others.
    pub(super) result: Done,
    /// Connections that end by themselves in a second, and open again at once.
    pub(super) churn_per_second: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            returns: Some((10, 500)),
            answered_percent: 70,
            not_now_percent: 2,
            result: Done::Closed,
            churn_per_second: 0,
        }
    }
}

impl World {
    /// Creates a world with this many connections, an hour old, on each of these backends.
    pub(super) fn new(policy: ClosingPolicy, connections: &[usize]) -> Self {
        let start = Instant::now() + 24 * 60 * MINUTE;
        let mut this = Self {
            now: start,
            closing: Closing::new(policy, start - 60 * MINUTE),
            backends: BTreeMap::new(),
            clients: Vec::new(),
            view: clear(start - 60 * MINUTE),
            behaviour: Behaviour::default(),
            orders: Vec::new(),
            shown: Vec::new(),
            state: ClosingState::Idle,
            ask_again: None,
            pending: Vec::new(),
            ticks: 0,
            next_cookie: 1,
            opened: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        for (number, connections) in connections.iter().enumerate() {
            this.backends.insert(address(number), Server { state: State::Ready, capacity: 1 });
            for _ in 0..*connections {
                let live = this.live(address(number), start - 60 * MINUTE);
                this.clients.push(Client { connection: Some(live), ..Client::default() });
            }
        }
        this.tell_backends(&Origin::Relisted, start - 60 * MINUTE);
        this
    }

    pub(super) fn scale_out(&mut self, to: usize) {
        for number in self.backends.len()..to {
            self.backends.insert(address(number), Server { state: State::Ready, capacity: 1 });
        }
        self.tell_backends(&discovered(), self.now);
    }

    /// Changes the state of a backend.
    pub(super) fn set_state(&mut self, number: usize, state: State) {
        self.backends.get_mut(&address(number)).unwrap().state = state;
        self.tell_backends(&discovered(), self.now);
    }

    /// Removes a backend from the set, which may keep its connections.
    pub(super) fn remove(&mut self, number: usize, origin: &Origin) {
        self.backends.remove(&address(number));
        self.tell_backends(origin, self.now);
    }

    /// Opens connections to a backend, whether it is in the set or not.
    pub(super) fn connect(&mut self, number: usize, connections: usize) {
        for _ in 0..connections {
            let live = self.live(address(number), self.now);
            self.clients.push(Client { connection: Some(live), ..Client::default() });
        }
    }

    pub(super) fn tell_backends(&mut self, origin: &Origin, at: Instant) {
        let backends = self.backends.iter().map(|(address, server)| {
            Backend::new(*address, server.state).with_capacity(Capacity::try_from(server.capacity).unwrap())
        });
        self.closing.backends(&set(backends), origin, at);
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Runs until the condition holds, and returns the time that took.
    pub(super) fn run_until(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) -> Duration {
        let begin = self.now;
        while self.now < end && !is_done(self) {
            self.tick(true);
        }
        self.now - begin
    }

    /// Lets one tick pass. `has_turn` tells whether this pool may close connections.
    pub(super) fn tick(&mut self, has_turn: bool) {
        self.now += TICK;
        self.ticks += 1;
        for (id, done) in std::mem::take(&mut self.pending) {
            self.closing.done(id, done, self.now);
        }
        self.return_clients();
        if self.ticks.is_multiple_of(100) {
            self.churn();
        }
        let is_sampled = self.ticks.is_multiple_of(SAMPLE_TICKS);
        if is_sampled {
            self.sample();
        }
        self.view.has_turn = has_turn;
        self.closing.view(self.view.clone(), self.now);
        if is_sampled || self.ask_again.is_some_and(|at| at <= self.now) {
            self.decide();
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<SocketAddr, usize> {
        let mut counts: BTreeMap<SocketAddr, usize> = self.backends.keys().map(|backend| (*backend, 0)).collect();
        for live in self.clients.iter().filter_map(|client| client.connection) {
            *counts.entry(live.backend).or_default() += 1;
        }
        counts
    }

    pub(super) fn count(&self, number: usize) -> usize {
        self.counts().get(&address(number)).copied().unwrap_or(0)
    }

    /// Returns the greatest number of orders in any second.
    pub(super) fn most_in_a_second(&self) -> usize {
        let within = |from: Instant| self.orders.iter().filter(|(at, _)| *at >= from && *at - from < SECOND).count();
        self.orders.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }

    fn live(&mut self, backend: SocketAddr, since: Instant) -> Live {
        self.next_cookie += 1;
        Live { cookie: self.next_cookie, backend, since }
    }

    fn return_clients(&mut self) {
        let due: Vec<usize> = (0..self.clients.len())
            .filter(|index| self.clients[*index].returns_at.is_some_and(|at| at <= self.now))
            .collect();
        if due.is_empty() {
            return;
        }
        let mut counts = self.counts();
        for index in due {
            let ready = self.backends.iter().filter(|(_, server)| server.state == State::Ready);
            let share = |backend: &SocketAddr, server: &Server| counts[backend] * 1_000 / usize::from(server.capacity);
            let Some((backend, _)) = ready.min_by_key(|(backend, server)| share(backend, server)) else { return };
            let backend = *backend;
            *counts.get_mut(&backend).unwrap() += 1;
            let live = self.live(backend, self.now);
            *self.opened.entry(backend).or_default() += 1;
            (self.clients[index].connection, self.clients[index].returns_at) = (Some(live), None);
        }
    }

    fn churn(&mut self) {
        for turn in 0..self.behaviour.churn_per_second {
            let index = usize::try_from(mixed(self.ticks, turn)).unwrap_or(usize::MAX) % self.clients.len();
            if let Some(live) = self.clients[index].connection.take() {
                *self.ended.entry(live.backend).or_default() += 1;
                self.clients[index].returns_at = Some(self.now);
            }
        }
    }

    fn sample(&mut self) {
        let mut counts: BTreeMap<SocketAddr, Counted> = BTreeMap::new();
        for (backend, connections) in self.counts() {
            counts.entry(backend).or_default().connections = u32::try_from(connections).unwrap();
        }
        for (backend, opened) in std::mem::take(&mut self.opened) {
            counts.entry(backend).or_default().opened = opened;
        }
        for (backend, ended) in std::mem::take(&mut self.ended) {
            counts.entry(backend).or_default().closed = ended;
        }
        let described = self.closing.needs_connections(self.now).then(|| self.describe());
        self.closing.sample(&counts, described.as_deref(), self.now);
    }

    fn describe(&self) -> Vec<Connection> {
        let describe = |live: Live| {
            let is_answered = mixed(live.cookie, self.ticks) % 100 < self.behaviour.answered_percent;
            Connection {
                cookie: live.cookie,
                local: ([10, 1, 0, 1], 40_000).into(),
                backend: live.backend,
                first_seen: live.since,
                is_established: true,
                answered: if is_answered { Answered::Yes } else { Answered::No },
                quiet: if is_answered { 5 * SECOND } else { Duration::ZERO },
                has_empty_queues: is_answered,
            }
        };
        self.clients.iter().filter_map(|client| client.connection).map(describe).collect()
    }

    fn decide(&mut self) {
        let verdict = self.closing.decide(self.now);
        let again = self.closing.decide(self.now);
        assert!(again.orders.is_empty(), "another decision without news: {again:?} after {verdict:?}");
        (self.state, self.ask_again) = (verdict.state, verdict.ask_again);
        assert!(verdict.ask_again.is_none_or(|at| at > self.now), "{verdict:?}");
        if verdict.is_dry_run {
            self.shown.extend(verdict.orders);
            return;
        }
        for order in verdict.orders {
            self.orders.push((self.now, order));
            let done = self.close(&order);
            self.pending.push((order.id, done));
        }
    }

    fn close(&mut self, order: &Order) -> Done {
        let is_it = |client: &&mut Client| client.connection.is_some_and(|live| live.cookie == order.cookie);
        let is_busy = order.only_if != Conditions::NONE && mixed(order.id, 7) % 100 < self.behaviour.not_now_percent;
        let (behaviour, now) = (self.behaviour, self.now);
        let Some(client) = self.clients.iter_mut().find(is_it) else { return Done::Gone };
        if is_busy {
            return Done::NotNow;
        }
        if behaviour.result == Done::Closed {
            client.connection = None;
            client.closed += 1;
            client.returns_at = behaviour
                .returns
                .map(|(from, to)| now + Duration::from_millis(from + mixed(order.id, 3) % (to - from + 1)));
            *self.ended.entry(order.backend).or_default() += 1;
        }
        behaviour.result
    }
}

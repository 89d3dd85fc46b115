//! A world of clients whose connections are placed on a least loaded backend, and closed as is ordered.

use super::{placement::Placement, *};
use crate::closing::choice::mixed;

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(10);
/// Ticks between two samples.
const SAMPLE_TICKS: u64 = 10;

/// A pool in its world.
pub(super) struct World {
    start: Instant,
    pub(super) now: Instant,
    pub(super) closing: Closing,
    pub(super) backends: BTreeMap<SocketAddr, Server>,
    pub(super) clients: Vec<Client>,
    pub(super) view: View,
    pub(super) behaviour: Behaviour,
    /// Every order, with its moment.
    pub(super) orders: Vec<(Instant, Order)>,
    /// The moments of the closings.
    pub(super) closings: Vec<Instant>,
    /// The moments of the descriptions.
    pub(super) descriptions: Vec<Instant>,
    /// The orders of dry runs.
    pub(super) shown: Vec<Order>,
    pub(super) state: ClosingState,
    ask_again: Option<Instant>,
    /// Results of orders, each with the moment from which on it is told.
    pending: Vec<(Instant, u64, Done)>,
    ticks: u64,
    next_cookie: u64,
    opened: BTreeMap<SocketAddr, u32>,
    ended: BTreeMap<SocketAddr, u32>,
    /// Placement of connections; without it, each goes to the emptiest backend.
    placement: Option<Placement>,
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
    /// Time until a result is told.
    pub(super) results_after: Duration,
    /// Connections that end by themselves in a second, and open again at once.
    pub(super) churn_per_second: u64,
    /// Behaviour of clients with their connections, in place of the two percentages.
    pub(super) exchanges: Option<Exchanges>,
}

/// Requests that each client makes one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchanges {
    /// Time for which a client thinks between an answer and its next request.
    pub(super) thinks: Duration,
    /// Time until a request is answered.
    pub(super) takes: Duration,
    /// Percent of the exchanges in which the answer has another stamp than the request.
    pub(super) told_apart_percent: u64,
}

impl Exchanges {
    /// Returns what the kernel shows of a connection at this moment. Each is at another point of its exchanges.
    fn seen(&self, cookie: u64, now: Duration) -> (Answered, Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        let cycle = millis(self.thinks + self.takes);
        let at = millis(now) + mixed(cookie, 11) % cycle;
        let (number, phase) = (at / cycle, Duration::from_millis(at % cycle));
        match phase.checked_sub(self.takes) {
            None => (Answered::No, phase),
            Some(quiet) if mixed(cookie, number) % 100 < self.told_apart_percent => (Answered::Yes, quiet),
            Some(quiet) => (Answered::Unknown, quiet),
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            returns: Some((10, 500)),
            answered_percent: 70,
            not_now_percent: 2,
            result: Done::Closed,
            results_after: Duration::ZERO,
            churn_per_second: 0,
            exchanges: None,
        }
    }
}

impl World {
    /// Creates a world with this many connections, an hour old, on each of these backends.
    pub(super) fn new(policy: ClosingPolicy, connections: &[usize]) -> Self {
        let start = Instant::now() + 24 * 60 * MINUTE;
        let mut this = Self {
            start,
            now: start,
            closing: Closing::new(policy, start - 60 * MINUTE),
            backends: BTreeMap::new(),
            clients: Vec::new(),
            view: clear(start - 60 * MINUTE),
            behaviour: Behaviour::default(),
            orders: Vec::new(),
            closings: Vec::new(),
            descriptions: Vec::new(),
            shown: Vec::new(),
            state: ClosingState::Idle,
            ask_again: None,
            pending: Vec::new(),
            ticks: 0,
            next_cookie: 1,
            opened: BTreeMap::new(),
            ended: BTreeMap::new(),
            placement: None,
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

    /// Lets a proxy place connections from now on.
    pub(super) fn place_by(&mut self, placement: Placement) {
        self.placement = Some(placement);
        self.tell_backends(&Origin::Relisted, self.now);
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
        let set = set(backends);
        self.closing.backends(&set, origin, at);
        if let Some(placement) = &mut self.placement {
            placement.set_backends(&set, at);
        }
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
        let now = self.now;
        let pending: Vec<_> = self.pending.extract_if(.., |(at, _, _)| *at <= now).collect();
        let has_results = !pending.is_empty();
        for (_, id, done) in pending {
            self.closing.done(id, done, self.now);
        }
        if let Some(placement) = &mut self.placement {
            for backend in placement.advance(TICK, self.ticks, self.now) {
                *self.opened.entry(backend).or_default() += 1;
                *self.ended.entry(backend).or_default() += 1;
            }
        }
        self.return_clients();
        if self.ticks.is_multiple_of(100) {
            self.churn();
        }
        let is_sampled = match &self.placement {
            Some(placement) => placement.sample_at <= self.now,
            None => self.ticks.is_multiple_of(SAMPLE_TICKS),
        };
        if is_sampled {
            self.sample();
        }
        self.view.has_turn = has_turn;
        self.view.next_backends = self.placement.as_ref().map_or_else(Vec::new, Placement::next_backends);
        self.closing.view(self.view.clone(), self.now);
        if is_sampled || has_results || self.ask_again.is_some_and(|at| at <= self.now) {
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

    /// Returns the greatest number of closings in any second.
    pub(super) fn most_in_a_second(&self) -> usize {
        let within = |from: Instant| self.closings.iter().filter(|at| **at >= from && **at - from < SECOND).count();
        self.closings.iter().map(|at| within(*at)).max().unwrap_or(0)
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
            let emptiest = ready.min_by_key(|(backend, server)| share(backend, server)).map(|(backend, _)| *backend);
            let placed = match &mut self.placement {
                Some(placement) => placement.place(),
                None => emptiest,
            };
            let Some(backend) = placed else { return };
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
        for (backend, _) in self.placement.iter().flat_map(|placement| &placement.short) {
            counts.entry(*backend).or_default().connections += 1;
        }
        for (backend, opened) in std::mem::take(&mut self.opened) {
            counts.entry(backend).or_default().opened = opened;
        }
        for (backend, ended) in std::mem::take(&mut self.ended) {
            counts.entry(backend).or_default().closed = ended;
        }
        let described = self.closing.needs_connections(self.now).then(|| self.describe());
        self.descriptions.extend(described.is_some().then_some(self.now));
        self.closing.sample(&counts, described.as_deref(), self.now);
        if let Some(placement) = &mut self.placement {
            placement.sampled(&counts, self.now);
        }
    }

    fn describe(&self) -> Vec<Connection> {
        let describe = |live: Live| {
            let (answered, quiet) = self.seen(live.cookie);
            Connection {
                cookie: live.cookie,
                local: ([10, 1, 0, 1], 40_000).into(),
                backend: live.backend,
                first_seen: live.since,
                is_established: true,
                answered,
                quiet,
                has_empty_queues: answered != Answered::No,
            }
        };
        self.clients.iter().filter_map(|client| client.connection).map(describe).collect()
    }

    /// Returns what the kernel shows of a connection now.
    fn seen(&self, cookie: u64) -> (Answered, Duration) {
        match self.behaviour.exchanges {
            Some(exchanges) => exchanges.seen(cookie, self.now - self.start),
            None if mixed(cookie, self.ticks) % 100 < self.behaviour.answered_percent => (Answered::Yes, 5 * SECOND),
            None => (Answered::No, Duration::ZERO),
        }
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
            self.pending.push((self.now + self.behaviour.results_after, order.id, done));
        }
    }

    fn close(&mut self, order: &Order) -> Done {
        let is_it = |client: &&mut Client| client.connection.is_some_and(|live| live.cookie == order.cookie);
        let is_busy = order.only_if != Conditions::NONE
            && match self.behaviour.exchanges {
                Some(_) => {
                    let (answered, quiet) = self.seen(order.cookie);
                    answered != Answered::Yes || quiet < order.only_if.quiet
                }
                None => mixed(order.id, 7) % 100 < self.behaviour.not_now_percent,
            };
        let (behaviour, now) = (self.behaviour, self.now);
        let Some(client) = self.clients.iter_mut().find(is_it) else { return Done::Gone };
        if is_busy {
            return Done::NotNow;
        }
        if behaviour.result == Done::Closed {
            client.connection = None;
            client.closed += 1;
            self.closings.push(now);
            if let Some(placement) = &mut self.placement {
                placement.closed(order.backend);
            }
            client.returns_at = behaviour
                .returns
                .map(|(from, to)| now + Duration::from_millis(from + mixed(order.id, 3) % (to - from + 1)));
            *self.ended.entry(order.backend).or_default() += 1;
        }
        behaviour.result
    }
}

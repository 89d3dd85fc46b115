//! Rebalance by several replicas in a simulated world: clients come back through any of them, and news takes its time.

use proptest::prelude::*;

use super::*;
use crate::{
    closing::choice::mixed,
    siblings::{ReplicaId, Report},
};

const TICK: Duration = Duration::from_millis(50);

/// Replicas before the same backends.
struct Fleet {
    now: Instant,
    ticks: u64,
    replicas: Vec<Replica>,
    backends: usize,
    clients: Vec<Client>,
    /// Reports on their way to a replica.
    under_way: Vec<(Instant, usize, Report)>,
    /// Time that a report takes, and time between two.
    latency: Duration,
    period: Duration,
    /// Set if clients come back.
    return_at_all: bool,
    next_cookie: u64,
}

struct Replica {
    closing: Closing,
    sample: u64,
    opened: u64,
    /// Connections that opened and ended since the last sample.
    news: BTreeMap<SocketAddr, (u32, u32)>,
    pending: Vec<u64>,
    closed: usize,
}

#[derive(Clone, Copy)]
struct Client {
    /// Replica, backend and cookie; `None` while it is away.
    at: Option<(usize, usize, u64)>,
    returns_at: Option<Instant>,
}

fn id(replica: usize) -> ReplicaId {
    ReplicaId::new(replica as u128 + 1)
}

impl Fleet {
    /// Creates replicas, of which each has so many connections to each of the first backends.
    fn new(policy: &ClosingPolicy, rows: &[Vec<usize>], backends: usize) -> Self {
        let start = Instant::now() + 24 * 60 * MINUTE;
        let mut fleet = Self {
            now: start,
            ticks: 0,
            replicas: Vec::new(),
            backends,
            clients: Vec::new(),
            under_way: Vec::new(),
            latency: 20 * MS,
            period: 250 * MS,
            return_at_all: true,
            next_cookie: 0,
        };
        for (replica, row) in rows.iter().enumerate() {
            let mut closing = Closing::new(policy.clone(), start - 60 * MINUTE);
            let all = (0..backends).map(|number| Backend::new(address(number), State::Ready));
            closing.backends(&set(all), &Origin::Relisted, start);
            if rows.len() > 1 {
                closing.set_replica(id(replica));
            }
            let news = BTreeMap::new();
            fleet.replicas.push(Replica { closing, sample: 0, opened: 0, news, pending: Vec::new(), closed: 0 });
            for (backend, connections) in row.iter().enumerate() {
                for _ in 0..*connections {
                    fleet.next_cookie += 1;
                    let at = Some((replica, backend, fleet.next_cookie));
                    fleet.clients.push(Client { at, returns_at: None });
                }
            }
        }
        fleet.hear(true);
        fleet
    }

    /// Lets all replicas hear all others, or none.
    fn hear(&mut self, all: bool) {
        let ids: BTreeSet<ReplicaId> = (0..self.replicas.len()).map(id).collect();
        for (replica, this) in self.replicas.iter_mut().enumerate() {
            let others = ids.iter().copied().filter(|other| *other != id(replica)).collect();
            this.closing.siblings_heard(Some(&others).filter(|_| all));
        }
    }

    fn add_backends(&mut self, more: usize) {
        self.backends += more;
        let all = (0..self.backends).map(|number| Backend::new(address(number), State::Ready));
        let all = set(all);
        for replica in &mut self.replicas {
            replica.closing.backends(&all, &Origin::Relisted, self.now);
        }
    }

    fn totals(&self) -> Vec<usize> {
        let mut totals = vec![0; self.backends];
        for (_, backend, _) in self.clients.iter().filter_map(|client| client.at) {
            totals[backend] += 1;
        }
        totals
    }

    fn closed(&self) -> usize {
        self.replicas.iter().map(|replica| replica.closed).sum()
    }

    fn is_level(&self) -> bool {
        let (totals, all) = (self.totals(), self.clients.len());
        let most = totals.iter().max().copied().unwrap_or(0);
        self.clients.iter().all(|client| client.at.is_some())
            && (most * self.backends * 100 <= all * 105 || most * self.backends <= all + self.backends)
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.ticks += 1;
        self.return_clients();
        let now = self.now;
        let (arrived, under_way) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, ..)| *at <= now);
        self.under_way = under_way;
        for (sent, to, report) in arrived {
            let age = now - sent + self.latency;
            self.replicas[to].closing.sibling_reported(&report.delayed(age), now);
        }
        for replica in 0..self.replicas.len() {
            for order in std::mem::take(&mut self.replicas[replica].pending) {
                self.replicas[replica].closing.done(order, Done::Closed, now);
            }
            if (self.ticks + replica as u64).is_multiple_of(2) {
                self.sample(replica);
            }
            if now.duration_since(self.replicas[0].closing.knowledge.started()).as_millis() % self.period.as_millis()
                < TICK.as_millis()
            {
                self.report(replica);
            }
            self.replicas[replica].closing.view(clear(now - 60 * MINUTE), now);
            self.decide(replica);
        }
    }

    fn sample(&mut self, replica: usize) {
        let mut counts: BTreeMap<SocketAddr, Counted> =
            (0..self.backends).map(|backend| (address(backend), Counted::default())).collect();
        let own = self.clients.iter().filter_map(|client| client.at).filter(|at| at.0 == replica);
        let describe = |(_, backend, cookie): (usize, usize, u64)| Connection {
            cookie,
            local: ([10, 1, 0, 1], 40_000).into(),
            backend: address(backend),
            first_seen: self.now - 60 * MINUTE,
            is_established: true,
            answered: Answered::Yes,
            quiet: 5 * SECOND,
            has_empty_queues: true,
        };
        let connections: Vec<Connection> = own.map(describe).collect();
        for one in &connections {
            counts.get_mut(&one.backend).unwrap().connections += 1;
        }
        let this = &mut self.replicas[replica];
        for (backend, (opened, ended)) in std::mem::take(&mut this.news) {
            let counted = counts.get_mut(&backend).unwrap();
            (counted.opened, counted.closed) = (opened, ended);
            this.opened += u64::from(opened);
        }
        this.sample += 1;
        this.closing.sample(&counts, Some(&connections), self.now);
    }

    /// Sends the last sample of a replica to all others. In this world, all connections since then have ended or opened by
    /// closings, which its report leaves out as a real one does.
    fn report(&mut self, replica: usize) {
        let this = &self.replicas[replica];
        let counts = (0..self.backends).map(|backend| {
            let counted = this.closing.knowledge.counted(address(backend));
            (address(backend), u32::try_from(counted).unwrap())
        });
        let report = Report::new(id(replica), this.sample, Duration::ZERO, this.opened, counts)
            .with_closed_on_purpose(this.closing.closed_on_purpose());
        let arrives = self.now + self.latency;
        let others = (0..self.replicas.len()).filter(|other| *other != replica);
        self.under_way.extend(others.map(|other| (arrives, other, report.clone())));
    }

    fn decide(&mut self, replica: usize) {
        let verdict = self.replicas[replica].closing.decide(self.now);
        let again = self.replicas[replica].closing.decide(self.now);
        assert!(again.orders.is_empty(), "another decision without news: {again:?}");
        for order in verdict.orders {
            let is_it = |client: &&mut Client| client.at.is_some_and(|(_, _, cookie)| cookie == order.cookie);
            let client = self.clients.iter_mut().find(is_it).expect("it is closed once");
            client.at = None;
            let wait = Duration::from_millis(10 + mixed(order.cookie, 5) % 490);
            client.returns_at = self.return_at_all.then(|| self.now + wait);
            let this = &mut self.replicas[replica];
            this.news.entry(order.backend).or_default().1 += 1;
            this.pending.push(order.id);
            this.closed += 1;
        }
    }

    /// Connects those that come back, through any replica, with the backend that has the fewest connections of all.
    fn return_clients(&mut self) {
        for client in 0..self.clients.len() {
            if self.clients[client].returns_at.is_none_or(|at| at > self.now) {
                continue;
            }
            self.next_cookie += 1;
            let cookie = self.next_cookie;
            let replica = usize::try_from(mixed(cookie, 11)).unwrap_or(0) % self.replicas.len();
            let totals = self.totals();
            let backend = (0..self.backends).min_by_key(|backend| totals[*backend]).unwrap();
            self.clients[client] = Client { at: Some((replica, backend, cookie)), returns_at: None };
            self.replicas[replica].news.entry(address(backend)).or_default().0 += 1;
        }
    }
}

fn fast(max_rate: u32) -> ClosingPolicy {
    let rebalance = Rebalance { max_rate, rate_permille: 1_000, ..Rebalance::default() };
    ClosingPolicy { rebalance: Some(rebalance), budget: HourlyBudget(1_000), ..ClosingPolicy::default() }
}

fn minimum(fleet: &Fleet) -> usize {
    let totals = fleet.totals();
    let goal = totals.iter().sum::<usize>() / totals.len();
    totals.iter().map(|total| total.saturating_sub(goal)).sum()
}

#[test]
fn three_replicas_level_their_totals_with_hardly_a_closing_too_many() {
    for (rows, max_rate) in [
        (vec![vec![20; 5]; 3], 10),
        (vec![vec![20; 5]; 3], 50),
        (vec![vec![60, 0, 30, 20, 10], vec![0, 60, 30, 20, 10], vec![0, 0, 0, 20, 40]], 10),
        (vec![vec![20; 5], vec![0; 5], vec![40; 5]], 50),
    ] {
        let mut fleet = Fleet::new(&fast(max_rate), &rows, 10);
        let needed = minimum(&fleet);
        fleet.run(4 * MINUTE);
        assert!(fleet.is_level(), "{:?} of {rows:?}", fleet.totals());
        assert!(fleet.closed() * 100 <= needed * 107, "{} closed, {needed} needed, {rows:?}", fleet.closed());
    }
}

#[test]
fn each_closes_a_part_of_what_it_has() {
    let mut fleet = Fleet::new(&fast(10), &[vec![40; 3], vec![20; 3], vec![0; 3]], 6);
    fleet.run(4 * MINUTE);
    let closed: Vec<usize> = fleet.replicas.iter().map(|replica| replica.closed).collect();
    assert!(fleet.is_level(), "{:?}", fleet.totals());
    // The last one of a step goes to the last that has any, so that the first closes less than its two thirds.
    assert!(closed[0] >= 40 && closed[1] >= 30 && closed[2] <= 3, "{closed:?}");
}

#[test]
fn rows_that_are_uneven_and_totals_that_are_level_cost_no_connection() {
    let rows = [vec![60, 0, 30], vec![0, 60, 0], vec![0, 0, 30]];
    let mut fleet = Fleet::new(&fast(50), &rows, 3);
    fleet.run(4 * MINUTE);
    assert_eq!(fleet.closed(), 0);
    // Alone, each of them would.
    let mut alone = Fleet::new(&fast(50), &rows[..1], 3);
    alone.run(4 * MINUTE);
    assert!(alone.closed() > 0);
}

#[test]
fn nothing_is_closed_while_one_is_not_heard_or_does_not_count() {
    let mut fleet = Fleet::new(&fast(50), &[vec![60, 60, 0, 0], vec![60, 60, 0, 0]], 4);
    fleet.hear(false);
    fleet.run(4 * MINUTE);
    assert_eq!(fleet.closed(), 0);
    fleet.period = 60 * MINUTE;
    fleet.run(6 * SECOND);
    fleet.replicas[0].closing.sibling_left(id(1));
    fleet.hear(true);
    fleet.run(SECOND);
    let [state, other] = [0, 1].map(|replica| fleet.replicas[replica].closing.decide(fleet.now).state);
    assert_eq!(state, ClosingState::Waiting(Hold::SiblingsNotHeard), "it is heard, and takes no part in the pool");
    assert_eq!(other, state, "its counts are old");
    fleet.period = 250 * MS;
    fleet.run(4 * MINUTE);
    assert!(fleet.is_level(), "{:?}", fleet.totals());
}

/// A sibling that has stopped is taken to be heard for seconds, which may be longer than a change takes to settle.
#[test]
fn nothing_is_closed_by_counts_of_before_the_change() {
    let policy = ClosingPolicy { settle: Settle(SECOND), ..fast(50) };
    let mut fleet = Fleet::new(&policy, &[vec![60, 60], vec![60, 60]], 2);
    fleet.run(2 * MINUTE);
    let normal = std::mem::replace(&mut fleet.period, 60 * MINUTE);
    fleet.add_backends(2);
    fleet.run(4 * SECOND);
    assert_eq!(fleet.closed(), 0);
    fleet.period = normal;
    fleet.run(4 * MINUTE);
    assert!(fleet.is_level(), "{:?}", fleet.totals());
}

#[test]
fn news_that_is_late_costs_few_closings() {
    let mut fleet = Fleet::new(&fast(50), &[[50; 4]; 4].map(Vec::from), 8);
    (fleet.latency, fleet.period) = (SECOND, SECOND);
    let needed = minimum(&fleet);
    fleet.run(4 * MINUTE);
    assert!(fleet.is_level(), "{:?}", fleet.totals());
    assert!(fleet.closed() * 100 <= needed * 115, "{} closed, {needed} needed", fleet.closed());
}

#[test]
fn clients_that_come_back_through_another_replica_are_no_clients_that_stay_away() {
    // The first replica has all connections, and four in five come back through the others.
    let rows = [vec![100; 4], vec![0; 4], vec![0; 4], vec![0; 4], vec![0; 4]];
    let mut fleet = Fleet::new(&fast(10), &rows, 8);
    fleet.run(4 * MINUTE);
    assert!(fleet.is_level(), "{:?}: {:?}", fleet.totals(), fleet.replicas[0].closing.decide(fleet.now).state);
}

#[test]
fn clients_that_stay_away_lose_about_as_many_connections_as_with_one_replica() {
    let mut fleet = Fleet::new(&fast(10), &[[50; 4]; 3].map(Vec::from), 8);
    fleet.return_at_all = false;
    fleet.run(5 * MINUTE);
    assert!((15..=30).contains(&fleet.closed()), "{} closed", fleet.closed());
    for replica in 0..3 {
        let state = fleet.replicas[replica].closing.decide(fleet.now).state;
        assert!(matches!(state, ClosingState::Paused(PauseReason::ClientsStayAway, _)), "{replica}: {state:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever each has, the totals come level or nearly so, and hardly more are closed than have to be.
    #[test]
    fn totals_come_level(
        rows in prop::collection::vec(prop::collection::vec(0..40_usize, 5), 1..6), empty in 0..4_usize,
    ) {
        let mut fleet = Fleet::new(&fast(20), &rows, 5 + empty);
        let needed = minimum(&fleet);
        fleet.run(4 * MINUTE);
        let (totals, all) = (fleet.totals(), fleet.clients.len());
        let (most, least) = (totals.iter().max().copied().unwrap_or(0), totals.iter().min().copied().unwrap_or(0));
        // A run begins only where one is 20 % and 5 connections above its goal, and another one 20 % below.
        let is_above = most * totals.len() * 100 > all * 121 && most * totals.len() > all + 6 * totals.len();
        prop_assert!(!is_above || least * totals.len() * 100 >= all * 80, "{totals:?}");
        prop_assert!(fleet.closed() * 100 <= needed * 110 + 500, "{} closed, {needed} needed", fleet.closed());
    }
}

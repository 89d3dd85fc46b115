//! The orders of a pool, and what has become of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::closing::{
    Conditions, Connection, Done, How, Order, PauseReason, Why, choice::mixed, pace::Pace, pauses::Pauses,
    returns::Returns, search::Search, spending::Spending,
};

/// The orders of a pool, and what has become of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    last_id: u64,
    /// Moment and reason of the last order.
    last: Option<(Instant, Why)>,
    /// Connections that count as closed, by cookie.
    ordered: BTreeMap<u64, Ordered>,
    /// Moment at which the last sample was begun.
    sampled: Option<Instant>,
    returns: Returns,
    pub(crate) pace: Pace,
    pub(crate) search: Search,
    pauses: Pauses,
    /// Number of connections that were closed for a reason that can wait.
    closed: u64,
    /// Closings for a reason that can wait.
    spending: Spending,
}

/// A connection that counts as closed.
#[derive(Clone, Copy, Debug)]
struct Ordered {
    id: u64,
    backend: SocketAddr,
    why: Why,
    at: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no result yet.
    InFlight,
    /// The connection was closed, has ended or is left alone at this moment, and the samples since then do not show what it is now.
    Settled(Instant, Done),
    /// The connection is only said to be closed, in a dry run.
    Pretended,
}

/// Time after which an order without a result has failed.
const RESULT_TIME_LIMIT: Duration = Duration::from_secs(5);

impl Ledger {
    /// Notes an order.
    pub(crate) fn order(
        &mut self,
        one: &Connection,
        why: Why,
        (how, only_if): (How, Conditions),
        is_dry_run: bool,
        now: Instant,
    ) -> Order {
        self.last_id += 1;
        self.last = Some((now, why));
        let stage = if is_dry_run { Stage::Pretended } else { Stage::InFlight };
        let ordered = Ordered { id: self.last_id, backend: one.backend, why, at: now, stage };
        self.ordered.insert(one.cookie, ordered);
        if can_wait(why) {
            self.spending.add(self.last_id, one.backend, is_dry_run, now);
        }
        Order { id: self.last_id, backend: one.backend, local: one.local, cookie: one.cookie, how, only_if, why }
    }

    /// Takes in the result of an order.
    pub(crate) fn done(&mut self, id: u64, done: Done, now: Instant) {
        let is_it = |ordered: &&mut Ordered| ordered.id == id && ordered.stage == Stage::InFlight;
        let Some(ordered) = self.ordered.values_mut().find(is_it) else { return };
        ordered.stage = Stage::Settled(now, done);
        let Ordered { at, why, .. } = *ordered;
        // One that has failed may have been closed.
        if matches!(done, Done::Gone | Done::NotNow | Done::Refused) {
            self.spending.remove(id);
        }
        match done {
            Done::Closed => {
                self.closed += u64::from(can_wait(why));
                self.returns.closed(can_wait(why), now);
                self.pauses.succeeded();
                self.search.closed();
            }
            Done::NotNow if self.search.was_busy(now) => self.pace.gave_back(at),
            Done::Gone | Done::NotNow => {}
            Done::Refused | Done::Failed => self.pauses.failed(now),
        }
    }

    /// Takes in a sample that was begun at `now`, and the connections if it describes them.
    pub(crate) fn sampled(&mut self, connections: Option<&[Connection]>, opened: u64, ended: u64, now: Instant) {
        self.sampled = Some(now);
        if let Some(connections) = connections {
            // They are many, and only matter in a dry run.
            let is_needed = self.has_pretended();
            let alive: BTreeSet<u64> = connections.iter().filter(|_| is_needed).map(|one| one.cookie).collect();
            self.ordered.retain(|cookie, ordered| match ordered.stage {
                Stage::InFlight => true,
                Stage::Settled(at, _) => at >= now,
                Stage::Pretended => alive.contains(cookie),
            });
        }
        self.returns.sampled(opened, ended, now);
    }

    /// Takes in what a sibling has counted since its report before: the connections that it closed on purpose, that opened
    /// and that ended.
    pub(crate) fn sampled_elsewhere(&mut self, closed: u64, opened: u64, ended: u64, now: Instant) {
        self.returns.sampled_elsewhere(closed, opened, ended, now);
    }

    /// Returns the number of connections that were closed for a reason that can wait.
    pub(crate) fn closed(&self) -> u64 {
        self.closed
    }

    /// Takes in that time has passed. What was only said to be closed does not count unless this is a dry run.
    pub(crate) fn advance(&mut self, is_dry_run: bool, now: Instant) {
        if !is_dry_run {
            self.ordered.retain(|_, ordered| ordered.stage != Stage::Pretended);
            self.spending.forget_pretended();
        }
        self.returns.give_up(now);
        if self.returns.take_failure() {
            self.pauses.clients_stay_away(now);
        }
        let is_late = |ordered: &&Ordered| {
            ordered.stage == Stage::InFlight && now.saturating_duration_since(ordered.at) >= RESULT_TIME_LIMIT
        };
        let late: Vec<u64> = self.ordered.values().filter(is_late).map(|ordered| ordered.id).collect();
        for id in late {
            self.done(id, Done::Failed, now);
        }
        self.spending.forget_old(now);
    }

    /// Returns `true` if orders for another reason have no result yet, or were given at this moment.
    pub(crate) fn is_busy_with_another(&self, why: Why, now: Instant) -> bool {
        self.last.is_some_and(|(at, last)| last != why && at >= now)
            || self.ordered.values().any(|ordered| ordered.why != why && ordered.stage == Stage::InFlight)
    }

    /// Returns `true` if some orders have no result yet.
    pub(crate) fn awaits_results(&self) -> bool {
        self.ordered.values().any(|ordered| ordered.stage == Stage::InFlight)
    }

    /// Begins to close for another reason: trust has to be earned again, and the pace is another one.
    pub(crate) fn begin_run(&mut self) {
        self.returns.begin();
        self.pace.restart();
    }

    /// Returns `true` if some connections are only said to be closed.
    pub(crate) fn has_pretended(&self) -> bool {
        self.ordered.values().any(|ordered| ordered.stage == Stage::Pretended)
    }

    /// Returns `true` if an order is about this connection.
    pub(crate) fn has_ordered(&self, cookie: u64) -> bool {
        self.ordered.contains_key(&cookie)
    }

    /// Returns the number of connections of a backend that the last sample has counted and that count as closed.
    pub(crate) fn ordered_from(&self, backend: SocketAddr) -> u64 {
        self.count(|ordered| ordered.backend == backend && ordered.counts_as_closed(self.sampled))
    }

    /// Returns the same for all backends that have any.
    pub(crate) fn ordered_by_backend(&self) -> BTreeMap<SocketAddr, u64> {
        let mut numbers = BTreeMap::new();
        for ordered in self.ordered.values().filter(|ordered| ordered.counts_as_closed(self.sampled)) {
            *numbers.entry(ordered.backend).or_default() += 1;
        }
        numbers
    }

    /// Returns the number of connections that were closed and whose clients have not come back.
    pub(crate) fn away(&self) -> u64 {
        self.returns.away()
    }

    /// Returns the number of connections that will open elsewhere: those that are away, will be, or are said to be.
    pub(crate) fn expected(&self) -> u64 {
        self.away() + self.count(|ordered| matches!(ordered.stage, Stage::InFlight | Stage::Pretended))
    }

    /// Returns how many more may be closed until some have come back.
    pub(crate) fn trust_left(&self) -> u64 {
        let in_flight = self.count(|ordered| ordered.stage == Stage::InFlight);
        self.returns.max_away().saturating_sub(self.away() + in_flight)
    }

    /// Returns the backends that have lost this many connections in the last hour for a reason that can wait.
    pub(crate) fn exhausted(&self, budget: u64) -> BTreeSet<SocketAddr> {
        self.spending.exhausted(budget)
    }

    /// Returns the moment at which the oldest closing of the last hour does not count any more.
    pub(crate) fn next_budget(&self) -> Option<Instant> {
        self.spending.next()
    }

    /// Returns the moment at which one that is away is given up.
    pub(crate) fn next_limit(&self) -> Option<Instant> {
        self.returns.next_limit()
    }

    /// Returns the present pause.
    pub(crate) fn pause(&self, now: Instant) -> Option<(Instant, PauseReason)> {
        self.pauses.current(now)
    }

    /// Returns a number for this connection that differs from one order to the next.
    pub(crate) fn lot(&self, cookie: u64) -> u64 {
        mixed(cookie, self.last_id)
    }

    /// Returns a number that differs from one order to the next.
    pub(crate) fn turn(&self) -> u64 {
        self.last_id
    }

    fn count(&self, is_counted: impl Fn(&Ordered) -> bool) -> u64 {
        self.ordered.values().filter(|ordered| is_counted(ordered)).count().try_into().unwrap_or(u64::MAX)
    }
}

impl Ordered {
    /// Returns `true` if the last sample has counted it and it is gone since then, or will be.
    fn counts_as_closed(&self, sampled: Option<Instant>) -> bool {
        match self.stage {
            Stage::InFlight | Stage::Pretended => true,
            Stage::Settled(at, Done::Closed | Done::Gone) => sampled.is_none_or(|sampled| at >= sampled),
            Stage::Settled(..) => false,
        }
    }
}

/// Returns `true` for the reasons that can wait: the backend stays.
fn can_wait(why: Why) -> bool {
    matches!(why, Why::Age | Why::Rebalance)
}

//! Follows the announcements of closed connections, and decides what else to read of the table.

use std::time::{Duration, Instant};

use crate::{
    accounts::AccountId,
    announced::Announced,
    dump_budget::{DumpBudget, Need},
    error::{Chain, ReadError},
    ledger::Sight,
    openings::Openings,
    search::{SearchStatistics, search},
    socket::Pair,
    system::System,
    view::{Started, View},
};

/// State of following announcements between two samples.
pub(crate) struct Following {
    openings: Openings,
    dumps: DumpBudget,
    need: Need,
    searches: SearchStatistics,
    /// Identity of the connection attempt that was looked up last.
    last_attempt: u64,
    /// Counter of opened connections at the sample before.
    counter: u64,
    /// Whether this sample has searched for the connections of every backend.
    has_searched_all: bool,
    /// Estimate of the connections to backends that have opened and are not known.
    unseen_own: f64,
}

/// Number of connection attempts that a sample looks up. A dump finds what became of the others.
const MAX_ATTEMPTS_LOOKED_UP: usize = 64;

/// Number of connections missing in a dump that are looked up. More are only missing after announcements were lost.
const MAX_MISSING_LOOKED_UP: usize = 512;

impl Following {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            openings: Openings::default(),
            dumps: DumpBudget::new(now),
            need: Need::Idle,
            searches: SearchStatistics::default(),
            last_attempt: 0,
            counter: 0,
            has_searched_all: false,
            unseen_own: 0.0,
        }
    }

    /// Returns an estimate of the connections to backends that have opened and are not known, as of the last sample.
    pub(crate) fn unseen_own(&self) -> f64 {
        self.unseen_own
    }

    /// Brings what is known up to date, and returns the cost of receiving the announcements before.
    pub(crate) fn sample(&mut self, view: &mut View<impl System>, user: AccountId) -> Result<Duration, ReadError> {
        view.system.set_ports(&view.ledger.query().ports);
        // Read before the announcements: what was opened until now is alive, or its end is announced soon.
        let (now, counter) = (view.system.now(), opened_by_others(view)?);
        let announced = view.system.take_announced(user);
        let mut cost = announced.cost;
        let has_closed = !announced.destroyed.is_empty();
        if counter != self.counter || has_closed {
            self.raise_need(Need::Busy);
        }
        self.counter = counter;
        self.take_in(view, &announced);
        if view.ledger.needs_dump() {
            self.raise_need(Need::Unknown);
        }
        // A dump would find the connections as well, but not tell whether searches do.
        self.has_searched_all = false;
        if self.need < Need::Unknown {
            let searched = self.search_opened(view, counter, has_closed).and_then(|()| self.look_up_attempts(view));
            if let Err(error) = searched {
                tracing::debug!(error = %Chain(&error), "cannot look up connections");
                self.raise_need(Need::Missing);
            }
        }
        if self.dumps.is_due(self.need, view.system.now()) {
            cost += self.dump(view, user)?;
        }
        let unseen = self.openings.unseen(counter);
        if unseen == 0 {
            view.ledger.knows_all_opened_until(now);
        }
        self.unseen_own = self.searches.expected_own(self.openings.certainly(unseen));
        Ok(cost)
    }

    fn take_in(&mut self, view: &mut View<impl System>, announced: &Announced) {
        let now = view.system.now();
        for destroyed in &announced.destroyed {
            if view.ledger.destroyed(destroyed, now) == Sight::New {
                self.openings.saw(1);
            }
        }
        if announced.is_incomplete {
            self.raise_need(Need::Missing);
        }
    }

    /// Searches for the connections that were opened, until all are found or a dump is cheaper.
    fn search_opened(&mut self, view: &mut View<impl System>, counter: u64, has_closed: bool) -> Result<(), ReadError> {
        let wanted = self.openings.unseen(counter);
        let mut is_complete = true;
        if self.openings.are_worth_a_search(wanted) {
            let started = Started::now(&view.system);
            let max_lookups = self.searches.max_lookups(self.dumps.mean_cost());
            let (mut found, mut lookups) = (0, 0);
            for remote in view.ledger.predictable(view.system.now()) {
                let unseen = self.openings.unseen(counter);
                is_complete = lookups < max_lookups;
                if !is_complete || unseen == 0 {
                    break;
                }
                let result = search(&mut view.system, &mut view.ledger, &view.own_sockets, remote, unseen)?;
                self.openings.saw(result.connections);
                found += result.connections;
                lookups += result.lookups;
            }
            self.searches.searched(found, wanted, lookups, started.cost(&view.system));
        }
        let unseen = self.openings.unseen(counter);
        self.has_searched_all = is_complete && view.ledger.are_all_predictable(view.system.now());
        let are_missing = !self.has_searched_all || self.searches.are_missing(unseen);
        if self.openings.searched(unseen, has_closed) && are_missing {
            let are_few = unseen.saturating_mul(1_000) <= u64::try_from(view.ledger.connections()).unwrap_or(u64::MAX);
            self.raise_need(if are_few { Need::FewMissing } else { Need::Missing });
        }
        Ok(())
    }

    /// Looks up what has become of the connection attempts without an answer.
    fn look_up_attempts(&mut self, view: &mut View<impl System>) -> Result<(), ReadError> {
        let attempts = view.ledger.opening(self.last_attempt, MAX_ATTEMPTS_LOOKED_UP);
        let Some((last, _)) = attempts.last() else { return Ok(()) };
        self.last_attempt = *last;
        let pairs: Vec<Pair> = attempts.iter().map(|(_, pair)| *pair).collect();
        let sockets = view.system.look_up(&pairs)?;
        let now = view.system.now();
        for socket in sockets.iter().flatten() {
            if view.ledger.look_at(socket, &view.own_sockets, now) == Sight::New {
                self.openings.saw(1);
            }
        }
        Ok(())
    }

    /// Reads the whole table, and corrects everything by it. Returns the cost of receiving announcements.
    fn dump(&mut self, view: &mut View<impl System>, user: AccountId) -> Result<Duration, ReadError> {
        let started = Started::now(&view.system);
        let counter_before = opened_by_others(view)?;
        view.read_table(None)?;
        // Connections that were closed meanwhile are missing in the table or not: they are known to have ended before
        // it is compared.
        let announced = view.system.take_announced(user);
        self.take_in(view, &announced);
        end_missing(view);
        let new = view.ledger.new_in_dump();
        view.ledger.complete_dump(view.system.now());
        let counter_after = opened_by_others(view)?;
        self.searches.dumped(new, self.openings.unseen(counter_before), self.has_searched_all);
        self.openings.settle(counter_before, counter_after);
        self.need = match () {
            () if announced.is_incomplete => Need::Missing,
            () if counter_after != counter_before => Need::Busy,
            () => Need::Idle,
        };
        self.dumps.spent(started.cost(&view.system), view.system.now());
        Ok(announced.cost)
    }

    fn raise_need(&mut self, need: Need) {
        self.need = self.need.max(need);
    }
}

/// Ends the connections that a dump does not show, unless a lookup shows that it passed them over.
fn end_missing(view: &mut View<impl System>) {
    let missing = view.ledger.missing();
    let pairs: Vec<Pair> = missing.iter().take(MAX_MISSING_LOOKED_UP).map(|(_, pair)| *pair).collect();
    let sockets = view.system.look_up(&pairs).unwrap_or_else(|error| {
        tracing::debug!(error = %Chain(&error), "cannot look up connections");
        Vec::new()
    });
    let now = view.system.now();
    let sockets = sockets.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    for ((identity, _), socket) in missing.iter().zip(sockets) {
        match socket {
            Some(socket) if socket.identity == *identity && socket.is_held() => {
                view.ledger.look_at(socket, &view.own_sockets, now);
            }
            found => view.ledger.end_missing(*identity, found, now),
        }
        view.ledger.expect_announcement(*identity);
    }
}

/// Returns how many connections have been opened so far that are no probes.
fn opened_by_others(view: &mut View<impl System>) -> Result<u64, ReadError> {
    let all = view.system.opened()?;
    Ok(all.saturating_sub(view.own_sockets.opened()))
}

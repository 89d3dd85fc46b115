//! Decides which halves of clients' connections to end after closings.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::closing::{Conditions, Done};

/// Decides which halves of clients' connections to end, and when.
///
/// When the connection of the proxy to a backend is closed, the proxy ends its connection with the client, and waits for the
/// client to do the same. A client that ignores the end leaves a half behind, which the proxy keeps for an hour or so. Nothing
/// tells which client belonged to which backend. So a half counts as one of ours only if
///
/// * it became one within [`REACH`](Self::REACH) after a closing, and was none in a list of halves taken just before that,
/// * and there is one closing for each.
///
/// It is ended once it has been one, and its client silent, for [`GRACE`](Self::GRACE). A half that was there before stays, and so do those
/// that are left of closings of which this does not know, such as those before a restart.
#[derive(Clone, Debug, Default)]
pub struct Halves {
    /// The moment at which the last list that succeeded was begun, and the last one at all.
    listed: Option<Instant>,
    tried: Option<Instant>,
    /// Halves that have been listed, by their cookies.
    seen: BTreeMap<u64, Seen>,
    /// Moments of closings that no half has been found for, oldest first.
    closings: VecDeque<Instant>,
    /// Moments of the orders that a closer got in the last second, and whether they were about a half.
    ordered: VecDeque<(Instant, bool)>,
    /// The half that is being ended.
    in_flight: Option<u64>,
    paused_until: Option<Instant>,
    /// Time that the last list took.
    cost: Duration,
}

/// A client's connection that the proxy has ended, and the client has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// Address of this side.
    pub local: SocketAddr,
    /// Address of the client.
    pub client: SocketAddr,
    /// Moment at which it became a half, or later; `None` if its client has sent data since, so that the moment is not known.
    pub since: Option<Instant>,
    /// Time since the client has sent data.
    pub silent: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    half: Half,
    first: Instant,
    last: Instant,
    is_ours: bool,
}

/// Time between two lists, divided by what one takes, its minimum and its maximum. The kernel looks at all sockets of the node
/// for a list, which then takes at most a thousandth of a core.
const PERIOD_PER_COST: u32 = 1_000;
const MIN_PERIOD: Duration = Duration::from_secs(1);
const MAX_PERIOD: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(60);

/// Time after which a half that no list shows is gone.
const FORGOTTEN_AFTER: Duration = MAX_PERIOD.saturating_mul(3);

impl Halves {
    /// Time within which the client of a closed connection acknowledges the end.
    pub const REACH: Duration = Duration::from_secs(3);

    /// Time for which a half is left to its client.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// Conditions that a half has to meet just before it is ended.
    pub const CONDITIONS: Conditions = Conditions { quiet: Self::GRACE, ..Conditions::NONE };

    /// Returns `true` if halves have to be listed before a connection is closed, so that those of before are known. A closing
    /// without that is allowed: what is left of it stays.
    pub fn must_list(&self, now: Instant) -> bool {
        is_older(self.tried, self.period(), now)
    }

    /// Returns the moment at which to list halves; `None` as long as nothing of ours can be left.
    pub fn list_at(&self) -> Option<Instant> {
        let next = self.tried? + self.period();
        if !self.closings.is_empty() {
            return Some(next);
        }
        let due =
            |seen: &Seen| (seen.first + Self::GRACE).max(seen.last + Self::GRACE.saturating_sub(seen.half.silent));
        let due = self.ours().map(due).min()?.max(next);
        Some(self.paused_until.map_or(due, |until| until.max(due)))
    }

    /// Takes in a list that was begun at this moment and took this long; `None` if it failed.
    pub fn listed(&mut self, halves: Option<&[Half]>, begun: Instant, took: Duration) {
        (self.tried, self.cost) = (Some(begun), took);
        if let Some(halves) = halves {
            self.listed = Some(begun);
            let mut halves = halves.to_vec();
            halves.sort_by_key(|half| (half.since, half.cookie));
            for half in halves {
                self.take_in(half, begun);
            }
            // A list may lack one, as the kernel goes on by counting. One that several lack is gone.
            self.seen.retain(|_, seen| {
                seen.last == begun || !(seen.is_ours || is_older(Some(seen.last), FORGOTTEN_AFTER, begun))
            });
        }
        self.closings.retain(|closed| !is_older(Some(*closed), Self::REACH + MIN_PERIOD, begun));
    }

    fn take_in(&mut self, half: Half, begun: Instant) {
        if let Some(seen) = self.seen.get_mut(&half.cookie) {
            (seen.half, seen.last) = (half, begun);
            return;
        }
        let is_by = |closed: &Instant| half.since.is_some_and(|at| *closed <= at && at <= *closed + Self::REACH);
        let by = self.closings.iter().position(is_by);
        let is_ours = by.and_then(|by| self.closings.remove(by)).is_some();
        self.seen.insert(half.cookie, Seen { half, first: begun, last: begun, is_ours });
    }

    /// Takes in that a closer gets the order to close a connection to a backend now.
    pub fn ordered(&mut self, now: Instant) {
        self.forget_orders(now);
        self.ordered.push_back((now, false));
    }

    /// Takes in that a connection to a backend was closed, by an order that the closer got at this moment.
    pub fn closed(&mut self, ordered: Instant) {
        let is_known_before =
            self.listed.is_some_and(|listed| listed <= ordered && !is_older(Some(listed), 2 * self.period(), ordered));
        if is_known_before {
            self.closings.push_back(ordered);
        }
    }

    /// Returns the half to end now, if there is one. It counts as being ended until its [result](Self::done) is known.
    ///
    /// Of the `max_rate` orders that the closer takes a second, halves get at most a fifth, and none while closings take half of
    /// them: a closing that is refused because of its rate would end a run.
    pub fn next(&mut self, max_rate: u32, now: Instant) -> Option<Half> {
        let is_next = self.next_at(max_rate, now).is_some_and(|at| at <= now);
        let half = self.due().filter(|_| is_next)?;
        self.in_flight = Some(half.cookie);
        self.ordered.push_back((now, true));
        Some(half)
    }

    /// Returns the moment at which [`next`](Self::next) returns a half, if nothing else is ordered until then; `None` without a
    /// half that is due, and while one is being ended.
    pub fn next_at(&mut self, max_rate: u32, now: Instant) -> Option<Instant> {
        self.forget_orders(now);
        if self.in_flight.is_some() || self.due().is_none() {
            return None;
        }
        let all: Vec<Instant> = self.ordered.iter().map(|(ordered, _)| *ordered).collect();
        let halves: Vec<Instant> = self.ordered.iter().filter(|(_, is_half)| *is_half).map(|(at, _)| *at).collect();
        let free_at = [(all, max_rate / 2), (halves, max_rate / 5)].into_iter().filter_map(|(orders, limit)| {
            let over = orders.len().checked_sub(usize::try_from(limit.max(1)).unwrap_or(usize::MAX))?;
            orders.get(over).map(|ordered| *ordered + SECOND)
        });
        Some(free_at.chain(self.paused_until).fold(now, Instant::max))
    }

    /// Returns the half that is to be ended next, if the rate allows it.
    fn due(&self) -> Option<Half> {
        let listed = self.listed?;
        let is_due = |seen: &&Seen| {
            seen.last == listed
                && seen.last.saturating_duration_since(seen.first) >= Self::GRACE
                && seen.half.silent >= Self::GRACE
        };
        self.ours().filter(is_due).min_by_key(|seen| seen.first).map(|seen| seen.half)
    }

    /// Takes in what has become of the half that was to be ended.
    pub fn done(&mut self, done: Done, now: Instant) {
        let Some(cookie) = self.in_flight.take() else { return };
        let seen = self.seen.get_mut(&cookie);
        match done {
            Done::Closed | Done::Gone => seen.into_iter().for_each(|seen| seen.is_ours = false),
            // Its client has sent something. The next list shows it.
            Done::NotNow => seen.into_iter().for_each(|seen| seen.half.silent = Duration::ZERO),
            Done::Refused | Done::Failed => self.paused_until = Some(now + PAUSE),
        }
    }

    fn period(&self) -> Duration {
        self.cost.saturating_mul(PERIOD_PER_COST).clamp(MIN_PERIOD, MAX_PERIOD)
    }

    fn forget_orders(&mut self, now: Instant) {
        while self.ordered.front().is_some_and(|(ordered, _)| is_older(Some(*ordered), SECOND, now)) {
            self.ordered.pop_front();
        }
    }

    fn ours(&self) -> impl Iterator<Item = &Seen> {
        self.seen.values().filter(|seen| seen.is_ours)
    }
}

/// Returns `true` if it was this long ago or more, or never.
fn is_older(at: Option<Instant>, age: Duration, now: Instant) -> bool {
    at.is_none_or(|at| now.saturating_duration_since(at) >= age)
}

#[cfg(test)]
mod tests;

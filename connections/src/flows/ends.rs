//! Pairs the two sides of connections that have ended, where that is certain.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::socket::{Ended, Part};

/// Sides that have ended, and wait for the other side of their connection.
///
/// The proxy closes both sides at once, and the kernel destroys each as soon as its peer has acknowledged the end. A pair is
/// certain if the data that was sent on each side is what the other side has received, all of it was acknowledged, and no
/// other side that ended at about that time has these counts.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    clients: Sides,
    backends: Sides,
    /// Backends' sides in the order in which they ended, by their cookies.
    waiting: VecDeque<(Instant, u64)>,
}

/// The end of a connection to a backend, and the client's side of it, if that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedFlow {
    pub(crate) backend: Ended,
    pub(crate) client: Option<Ended>,
}

/// Sides by their cookies, and by their counts.
#[derive(Debug, Default)]
struct Sides {
    by_cookie: HashMap<u64, Side>,
    by_counts: HashMap<Counts, Vec<u64>>,
    /// Moments of the ends, and cookies, in the order of the ends.
    in_order: VecDeque<(Instant, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Side {
    ended: Ended,
    group: usize,
    part: Part,
}

/// Counts of a side, and the group of pools that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Counts {
    group: usize,
    sent: u64,
    received: u64,
}

/// Time between the ends of both sides of one connection.
const WITHIN: Duration = Duration::from_secs(1);

/// Maximum number of sides of a kind. Of more, the oldest are given up, so that their clients stay open.
const MAX_SIDES: usize = 16_384;

impl Ends {
    /// Time after which a connection to a backend that has ended is returned: all others that have ended within the same
    /// time as a client's side that it may belong to are known by then.
    pub(crate) const DELAY: Duration = WITHIN.saturating_mul(2);

    /// Takes in the end of a client's side.
    pub(crate) fn client(&mut self, ended: Ended, group: usize) {
        if ended.delivered.is_complete(Part::Accepted) {
            self.clients.insert(ended, group, Part::Accepted);
        }
    }

    /// Takes in the end of a connection to a backend whose client is to be found.
    pub(crate) fn backend(&mut self, ended: Ended, group: usize) {
        self.backends.insert(ended, group, Part::Dialled);
        self.waiting.push_back((ended.at, ended.identity));
    }

    /// Forgets the client's sides: others may be missing. The client of no connection that has ended can be certain then.
    pub(crate) fn lost_some(&mut self) {
        self.clients = Sides::default();
    }

    /// Returns the connections that ended long enough ago, in the order of their ends.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<EndedFlow> {
        let mut flows = Vec::new();
        while let Some((ended_at, cookie)) = self.waiting.front().copied() {
            if now.saturating_duration_since(ended_at) < Self::DELAY && self.waiting.len() <= MAX_SIDES {
                break;
            }
            self.waiting.pop_front();
            let client = self.client_of(cookie);
            flows.extend(self.backends.by_cookie.get(&cookie).map(|side| EndedFlow { backend: side.ended, client }));
        }
        // Older ones belong to no side that is still waiting, or may end at the same time as a client of one.
        self.clients.forget(now, Self::DELAY + 2 * WITHIN);
        self.backends.forget(now, Self::DELAY + 2 * WITHIN);
        flows
    }

    /// Returns the moment at which there is something due.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.waiting.front().map(|(ended_at, _)| *ended_at + Self::DELAY)
    }

    /// Returns the client's side of a connection to a backend, if it is certain.
    fn client_of(&self, backend: u64) -> Option<Ended> {
        let backend = self.backends.by_cookie.get(&backend)?;
        if !backend.ended.delivered.is_complete(Part::Dialled) {
            return None;
        }
        let client = only(&self.clients, backend)?;
        // The other way round, as well: no other connection to a backend may be that client's.
        let only_backend = only(&self.backends, client)?;
        (only_backend.ended.identity == backend.ended.identity).then_some(client.ended)
    }
}

/// Returns the only side among `others` whose counts fit those of `side`.
fn only<'a>(others: &'a Sides, side: &Side) -> Option<&'a Side> {
    let mirrored =
        side.counts().map(|Counts { group, sent, received }| Counts { group, sent: received, received: sent });
    let cookies = mirrored.filter_map(|counts| others.by_counts.get(&counts));
    let sides = cookies.flatten().filter_map(|cookie| others.by_cookie.get(cookie));
    let mut fitting = sides.filter(|other| difference(other.ended.at, side.ended.at) <= WITHIN);
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only)
}

fn difference(a: Instant, b: Instant) -> Duration {
    a.max(b) - a.min(b)
}

impl Side {
    /// Returns the counts that the side may have. After its own end was acknowledged, a socket is destroyed once it has
    /// received the end of the other side, which counts as a byte. One that was reset may have received it or not.
    fn counts(&self) -> impl Iterator<Item = Counts> + use<> {
        let Self { ended, group, part } = *self;
        let sent = ended.delivered.sent.unwrap_or_default();
        let without_end = ended.received.checked_sub(1);
        let with_end = (!ended.delivered.has_ended(part)).then_some(ended.received);
        with_end.into_iter().chain(without_end).map(move |received| Counts { group, sent, received })
    }
}

impl Sides {
    fn insert(&mut self, ended: Ended, group: usize, part: Part) {
        let side = Side { ended, group, part };
        self.by_cookie.insert(ended.identity, side);
        for counts in side.counts() {
            self.by_counts.entry(counts).or_default().push(ended.identity);
        }
        self.in_order.push_back((ended.at, ended.identity));
    }

    fn remove(&mut self, cookie: u64) {
        let Some(side) = self.by_cookie.remove(&cookie) else { return };
        for counts in side.counts() {
            if let Some(cookies) = self.by_counts.get_mut(&counts) {
                cookies.retain(|other| *other != cookie);
                if cookies.is_empty() {
                    self.by_counts.remove(&counts);
                }
            }
        }
    }

    fn forget(&mut self, now: Instant, after: Duration) {
        while let Some((ended_at, cookie)) = self.in_order.front().copied() {
            if now.saturating_duration_since(ended_at) <= after && self.in_order.len() <= 2 * MAX_SIDES {
                break;
            }
            self.in_order.pop_front();
            self.remove(cookie);
        }
    }
}

#[cfg(test)]
mod tests;

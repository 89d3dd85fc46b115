//! Finds which client's connection belongs to which connection to a backend, where that is certain.
//!
//! A proxy that passes bytes unchanged writes to one side what it reads from the other. So both sides of one connection have
//! the same counts as soon as both are at rest, and at any time neither side has been sent more than the other has received.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

/// A side of a connection through the proxy: that of the client or that of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) cookie: u64,
    /// Bytes of data received from the peer.
    pub(crate) received: u64,
    /// Bytes of data that the peer has acknowledged.
    pub(crate) delivered: u64,
    /// Bytes in the kernel that the proxy has not read.
    pub(crate) unread: u64,
    /// Bytes in the kernel that the peer has not acknowledged.
    pub(crate) unacknowledged: u64,
    /// Time since data was received, or since the connection was established.
    pub(crate) received_ago: Duration,
    /// Time since data was sent, or since the connection was established.
    pub(crate) sent_ago: Duration,
    /// Unset before the connection is established.
    pub(crate) is_established: bool,
}

/// The clients' sides are read before and after those of the backends, so that the counts of one are bounds of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientSide {
    pub(crate) before: Side,
    pub(crate) after: Side,
}

/// Pairs of cookies: the client's side of each backend's side.
pub(crate) type Pairs = HashMap<u64, u64>;

/// Time without data from which on a connection is at rest: everything that the proxy has read, it has written. It does that
/// within microseconds, unless it does not get to run.
const REST: Duration = Duration::from_millis(500);

/// Time by which data may seem to be sent on before it was received: ticks of the kernel, and the time between two reads of
/// the table.
const MAX_INVERSION: Duration = Duration::from_secs(1);

/// Bytes that the proxy may hold on their way from one side to the other: a pipe of 1 MiB and a buffer, twice.
const MAX_IN_PROXY: u64 = 2 << 20;

/// Number of comparisons beyond which connections that are never at rest are not compared one by one.
const MAX_COMPARISONS: usize = 4_000_000;

/// Returns the pairs that are certain. `known` are pairs that were found before, of which those that still can be stay.
pub(crate) fn pair(clients: &[ClientSide], backends: &[Side], known: &Pairs) -> Pairs {
    let mut pairs = kept(clients, backends, known);
    let taken: HashSet<u64> = pairs.values().copied().collect();
    let clients: Vec<_> = clients.iter().filter(|client| !taken.contains(&client.after.cookie)).collect();
    let backends: Vec<_> = backends.iter().filter(|backend| !pairs.contains_key(&backend.cookie)).collect();
    let at_rest = equal(&clients, &backends);
    let taken: HashSet<u64> = at_rest.iter().map(|(_, client)| *client).collect();
    let done: HashSet<u64> = at_rest.iter().map(|(backend, _)| *backend).collect();
    let clients: Vec<_> = clients.into_iter().filter(|client| !taken.contains(&client.after.cookie)).collect();
    let backends: Vec<_> = backends.into_iter().filter(|backend| !done.contains(&backend.cookie)).collect();
    pairs.extend(at_rest);
    pairs.extend(only_possible(&clients, &backends));
    pairs
}

/// Returns the known pairs whose sides both exist and do not contradict each other.
fn kept(clients: &[ClientSide], backends: &[Side], known: &Pairs) -> Pairs {
    if known.is_empty() {
        return Pairs::new();
    }
    let by_cookie: HashMap<u64, &ClientSide> = clients.iter().map(|client| (client.after.cookie, client)).collect();
    let kept = backends.iter().filter_map(|backend| {
        let client = by_cookie.get(known.get(&backend.cookie)?)?;
        is_possible(client, backend).then_some((backend.cookie, client.after.cookie))
    });
    kept.collect()
}

/// Pairs sides at rest that have the counts of each other, and of no other side.
///
/// If the true partner of a side is missing, a wrong one would have to have these counts by chance, and its own partner would
/// have them, too: then there are two, and neither is paired.
fn equal(clients: &[&ClientSide], backends: &[&Side]) -> Vec<(u64, u64)> {
    #[derive(Default)]
    struct Class<'a> {
        clients: Vec<&'a ClientSide>,
        backends: Vec<&'a Side>,
    }
    let mut classes: BTreeMap<(u64, u64), Class<'_>> = BTreeMap::new();
    for client in clients {
        classes.entry((client.after.received, client.after.delivered)).or_default().clients.push(client);
    }
    for backend in backends {
        classes.entry((backend.delivered, backend.received)).or_default().backends.push(backend);
    }
    let unique = classes.values().filter_map(|class| match (&*class.clients, &*class.backends) {
        ([client], [backend]) => Some((*client, *backend)),
        _ => None,
    });
    let is_certain = |(client, backend): &(&ClientSide, &Side)| {
        client.before.counts() == client.after.counts()
            && client.before.is_at_rest()
            && backend.is_at_rest()
            && passes_in_time(&client.after, backend)
            && passes_in_time(backend, &client.after)
    };
    unique.filter(is_certain).map(|(client, backend)| (backend.cookie, client.after.cookie)).collect()
}

/// Pairs sides of which each is the only one that the other can belong to, whatever the proxy has on its way.
fn only_possible(clients: &[&ClientSide], backends: &[&Side]) -> Vec<(u64, u64)> {
    if clients.len().saturating_mul(backends.len()) > MAX_COMPARISONS {
        return Vec::new();
    }
    let mut times_possible: HashMap<u64, u32> = HashMap::new();
    let mut only = Vec::new();
    for backend in backends {
        let mut possible = clients.iter().filter(|client| is_possible(client, backend));
        let first = possible.next();
        let others: Vec<_> = possible.collect();
        for client in first.into_iter().chain(others.iter().copied()) {
            *times_possible.entry(client.after.cookie).or_default() += 1;
        }
        if let (Some(client), true, true) = (first, others.is_empty(), backend.is_established) {
            only.push((backend.cookie, client.after.cookie));
        }
    }
    only.retain(|(_, client)| times_possible.get(client) == Some(&1));
    only
}

/// Returns `false` if the counts show that these are not the sides of one connection.
fn is_possible(ClientSide { before, after }: &ClientSide, backend: &Side) -> bool {
    backend.delivered <= after.received
        && before.delivered <= backend.received
        && backend.written() + MAX_IN_PROXY >= before.read()
        && after.written() + MAX_IN_PROXY >= backend.read()
        && !(before.is_at_rest()
            && after.is_at_rest()
            && backend.is_at_rest()
            && (backend.delivered, backend.received) != (after.received, after.delivered))
}

/// Returns `false` if `to` was sent its last data before `from` received it.
fn passes_in_time(from: &Side, to: &Side) -> bool {
    from.received == 0 || to.sent_ago <= from.received_ago + MAX_INVERSION
}

impl Side {
    fn counts(&self) -> (u64, u64) {
        (self.received, self.delivered)
    }

    fn is_at_rest(&self) -> bool {
        self.is_established
            && self.unread == 0
            && self.unacknowledged == 0
            && self.received_ago.min(self.sent_ago) >= REST
    }

    /// Returns the bytes that the proxy has read.
    fn read(&self) -> u64 {
        self.received.saturating_sub(self.unread)
    }

    /// Returns the bytes that the proxy has written.
    fn written(&self) -> u64 {
        self.delivered.saturating_add(self.unacknowledged)
    }
}

#[cfg(test)]
mod tests;

//! The connections that are known, from dumps of the socket table, lookups and announcements.

mod description;
mod ports;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    accounts::{AccountId, Accounts},
    own_sockets::OwnSockets,
    port_range::PortRange,
    remotes::{LastPort, Remotes, Share},
    sample::{EndedBy, Ending, Load},
    settled::Settled,
    shuffles::Shuffles,
    socket::{Destroyed, Family, Pair, Query, Socket, State},
};

/// Keeps every outgoing connection by its identity, the load of each remote address, and what each user has not been told
/// yet.
///
/// Opened and closed connections are both counted even if there are equally many between two samples. Memory: about 150
/// bytes per connection and 250 per remote address.
pub(crate) struct Ledger {
    connections: HashMap<u64, Outgoing>,
    remotes: Remotes,
    accounts: Accounts,
    /// Kinds of remote addresses that users are interested in, and whether a dump of theirs has been complete. Until
    /// then, connections to them do not count as opened, because they may be of any age.
    interests: BTreeMap<Interest, bool>,
    /// Ports that this network namespace listens on. A connection with one of them as its local port was accepted: the
    /// kernel never picks a port with a listener for an outgoing connection.
    listening: HashSet<u16>,
    listener: Listener,
    /// Set to count connections of IPv6 sockets to IPv4 addresses.
    counts_ipv4_mapped: bool,
    /// Connections that the backend has not answered.
    opening: BTreeSet<u64>,
    /// Ended connections whose destruction was not announced yet.
    settled: Settled,
    local_ports: PortRange,
    shuffles: Shuffles,
    /// Moment until which all connections that were opened have been seen.
    all_seen_until: Option<Instant>,
    /// Number of the last dump.
    dump: u64,
    /// Local ports of the connections that the dump in progress sees for the first time, by remote address.
    dialed: HashMap<usize, Vec<u16>>,
    /// Moment at which a connection of another user was known.
    mesh_seen: Option<Instant>,
}

/// An outgoing connection.
struct Outgoing {
    slot: usize,
    local: SocketAddr,
    user: u32,
    share: Share,
    /// Set if it is part of the load.
    counts: bool,
    /// Number of the dump or of the lookup after that dump that saw it last.
    dump: u64,
    first_seen: Instant,
    /// Set if it was opened a moment before it was first seen.
    is_age_known: bool,
}

/// A kind of remote addresses: those of one family with one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interest {
    family: Family,
    port: u16,
}

/// The listener whose user's connections count.
#[derive(Debug)]
struct Listener {
    port: Option<u16>,
    /// Id of the user that listens, or did when somebody listened last.
    user: Option<u32>,
}

/// Result of looking at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// A connection that was not known.
    New,
    /// A connection that was known, or none to count.
    Known,
}

/// Time for which connections of another user are expected after one was seen.
const MESH_MEMORY: Duration = Duration::from_secs(60);

impl Ledger {
    /// Creates a ledger that counts only connections of the user that listens on `listener_port`, once there is one.
    pub(crate) fn new(listener_port: Option<u16>, counts_ipv4_mapped: bool) -> Self {
        Self {
            connections: HashMap::new(),
            remotes: Remotes::default(),
            accounts: Accounts::default(),
            interests: BTreeMap::new(),
            listening: HashSet::new(),
            listener: Listener { port: listener_port, user: None },
            counts_ipv4_mapped,
            opening: BTreeSet::new(),
            settled: Settled::default(),
            local_ports: PortRange::default(),
            shuffles: Shuffles::default(),
            all_seen_until: None,
            dump: 0,
            dialed: HashMap::new(),
            mesh_seen: None,
        }
    }

    /// Sets the backends of a user, and forgets the users that are not among `alive`.
    pub(crate) fn set_backends(
        &mut self,
        id: AccountId,
        backends: &Arc<BTreeSet<SocketAddr>>,
        alive: impl Fn(AccountId) -> bool,
    ) {
        if !self.accounts.set_backends(id, backends, alive) {
            return;
        }
        let interests: BTreeSet<Interest> = self.accounts.backends().map(|backend| Interest::from(*backend)).collect();
        let before = self.interests.len();
        self.interests.retain(|interest, _| interests.contains(interest));
        if self.interests.len() < before {
            self.forget_connections_without_interest();
        }
        for interest in interests {
            self.interests.entry(interest).or_insert(false);
        }
        for remote in self.remotes.iter_mut() {
            remote.is_backend = self.accounts.is_backend(remote.address);
        }
    }

    /// Returns `true` if no dump has shown all connections that somebody is interested in.
    pub(crate) fn needs_dump(&self) -> bool {
        self.interests.values().any(|is_known| !is_known)
    }

    /// Returns the part of the table in which somebody is interested.
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        for interest in self.interests.keys() {
            query.families.insert(interest.family);
            query.ports.insert(interest.port);
        }
        // Without an IPv6 backend there is nothing else to find among the IPv6 sockets.
        if self.counts_ipv4_mapped && query.families.contains(&Family::V4) {
            query.families.insert(Family::V6);
        }
        query
    }

    /// Begins a dump. One that was begun before and not completed counts for what it showed.
    pub(crate) fn begin_dump(&mut self, local_ports: PortRange) {
        self.dump += 1;
        self.local_ports = local_ports;
        self.listening.clear();
        self.dialed.clear();
    }

    /// Returns how many connections the dump showed that were not known.
    pub(crate) fn new_in_dump(&self) -> usize {
        self.dialed.values().map(Vec::len).sum()
    }

    /// Takes in a socket that a dump shows. Listening sockets come first.
    pub(crate) fn see(&mut self, socket: &Socket, own: &OwnSockets, inodes: Option<&HashSet<u32>>, now: Instant) {
        if socket.state == State::Listening {
            self.listening.insert(socket.local.port());
            if self.listener.port == Some(socket.local.port()) {
                self.listener.user = Some(socket.user);
            }
        } else if inodes.is_none_or(|inodes| inodes.contains(&socket.inode))
            && self.look_at(socket, own, now) == Sight::New
            && let Some(slot) = self.remotes.find(socket.remote)
        {
            self.dialed.entry(slot).or_default().push(socket.local.port());
        }
    }

    /// Takes in a socket that a dump or a lookup shows.
    pub(crate) fn look_at(&mut self, socket: &Socket, own: &OwnSockets, now: Instant) -> Sight {
        if !socket.is_held() {
            return Sight::Known;
        }
        if let Some(connection) = self.connections.get_mut(&socket.identity) {
            connection.dump = self.dump;
            let share = Share { state: socket.state, traffic: socket.traffic };
            if connection.share != share {
                if connection.counts {
                    let moved = share.traffic.bytes.saturating_sub(connection.share.traffic.bytes);
                    self.accounts.moved(self.remotes[connection.slot].address, moved);
                    self.remotes[connection.slot].remove(&connection.share);
                    self.remotes[connection.slot].add(&share);
                }
                connection.share = share;
                if share.state != State::Opening {
                    self.opening.remove(&socket.identity);
                }
            }
            return Sight::Known;
        }
        if !self.is_outgoing(socket.family, Pair { local: socket.local, remote: socket.remote }) || own.contains(socket)
        {
            return Sight::Known;
        }
        self.insert(socket, now);
        Sight::New
    }

    /// Returns the known connections that the dump did not show.
    pub(crate) fn missing(&self) -> Vec<(u64, Pair)> {
        let missing = self.connections.iter().filter(|(_, connection)| connection.dump != self.dump);
        missing.map(|(identity, connection)| (*identity, self.pair(connection))).collect()
    }

    /// Ends a connection that the dump did not show. `found` is what a lookup of its addresses found, if anything.
    pub(crate) fn end_missing(&mut self, identity: u64, found: Option<&Socket>, now: Instant) {
        let Some(connection) = self.connections.get(&identity) else { return };
        let last = found.map_or(connection.share.state, |socket| socket.state);
        let by = match last {
            State::EndedByRemote => EndedBy::Backend,
            State::EndedHere => EndedBy::Proxy,
            _ => EndedBy::Unknown,
        };
        let age = now.saturating_duration_since(connection.first_seen);
        let received = connection.share.traffic.received;
        self.end(identity, |backend| Ending::new(backend, age, received, by));
    }

    /// Takes in that the end of a connection, if it has ended, is still to be announced.
    pub(crate) fn expect_announcement(&mut self, identity: u64) {
        if !self.connections.contains_key(&identity) {
            self.settled.add(identity);
        }
    }

    /// Completes a dump, after the connections that it did not show have been ended.
    pub(crate) fn complete_dump(&mut self, now: Instant) {
        for (slot, ports) in std::mem::take(&mut self.dialed) {
            self.dialed_from(slot, &ports, now);
        }
        self.interests.values_mut().for_each(|is_known| *is_known = true);
        self.count_again(now);
        self.forget_idle_remotes();
    }

    /// Takes in that the kernel has destroyed a socket.
    pub(crate) fn destroyed(&mut self, destroyed: &Destroyed, now: Instant) -> Sight {
        if let Some(connection) = self.connections.get(&destroyed.identity) {
            let by = match (connection.share.state, destroyed.by) {
                (State::EndedByRemote, EndedBy::Unknown) => EndedBy::Backend,
                // Whatever the backend did after this side had ended its half, this side has been the first. And only of a
                // connection that this side resets, the kernel forgets that it was established.
                (State::EndedHere, _) | (State::Established, EndedBy::NeverAnswered) => EndedBy::Proxy,
                (_, by) => by,
            };
            let age = destroyed.at.saturating_duration_since(connection.first_seen).max(destroyed.age);
            let received = destroyed.received.max(connection.share.traffic.received);
            if connection.counts {
                let moved = destroyed.bytes.saturating_sub(connection.share.traffic.bytes);
                self.accounts.moved(self.remotes[connection.slot].address, moved);
            }
            self.end(destroyed.identity, |backend| Ending::new(backend, age, received, by));
            return Sight::Known;
        }
        if self.settled.remove(destroyed.identity) {
            return Sight::Known;
        }
        let Some(remote) = self.remote_of(destroyed) else { return Sight::Known };
        let pair = Pair { local: destroyed.local, remote };
        if !self.is_outgoing(destroyed.family, pair) || self.interests.get(&remote.into()) != Some(&true) {
            return Sight::Known;
        }
        // It lived so short that nothing else has shown it.
        let slot = self.remotes.slot(remote, || self.accounts.is_backend(remote));
        if !destroyed.local.ip().is_unspecified() {
            self.remotes[slot].local_ip = Some(destroyed.local.ip());
        }
        self.dialed_from(slot, &[destroyed.local.port()], destroyed.at);
        // The user of a destroyed socket is unknown. In a mesh it may be the sidecar.
        if !self.is_mesh(now) {
            self.accounts.opened(remote);
            let Destroyed { identity, age, received, bytes, by, .. } = *destroyed;
            self.accounts.moved(remote, bytes);
            self.accounts.closed(Ending::new(remote, age, received, by).with_cookie(identity));
        }
        Sight::New
    }

    /// Takes in that all connections that were opened before this moment have been seen.
    pub(crate) fn knows_all_opened_until(&mut self, moment: Instant) {
        self.all_seen_until = Some(moment);
    }

    /// Returns the number of connections that are known.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Returns up to `max` connections that the backend has not answered, beginning behind the one with the identity
    /// `after`.
    pub(crate) fn opening(&self, after: u64, max: usize) -> Vec<(u64, Pair)> {
        let behind = self.opening.range(after.saturating_add(1)..);
        let identities = behind.chain(self.opening.range(..=after)).take(max);
        identities.filter_map(|identity| Some((*identity, self.pair(self.connections.get(identity)?)))).collect()
    }

    /// Returns the part of each user in `connections` of which it is unknown whose backends they went to: as many as the
    /// others'.
    pub(crate) fn part_of_user(&self, connections: f64) -> u32 {
        #[allow(clippy::cast_precision_loss, reason = "there are few users")]
        let users = self.accounts.users().max(1) as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let part = (connections / users).round() as u32;
        part
    }

    /// Returns the port of the listener, if connections count although nobody has ever been seen to listen there: those of
    /// all users do.
    pub(crate) fn missing_listener(&self) -> Option<u16> {
        self.listener.port.filter(|_| self.listener.user.is_none() && !self.connections.is_empty())
    }

    /// Returns the loads of a user's backends, and the connections that ended since its last sample.
    pub(crate) fn take_sample(
        &mut self,
        id: AccountId,
        backends: &BTreeSet<SocketAddr>,
        now: Instant,
    ) -> (BTreeMap<SocketAddr, Load>, Vec<Ending>) {
        let loads = self.remotes.iter().map(|remote| (remote.address, remote.load()));
        let is_loaded = |(address, load): &(SocketAddr, Load)| *load != Load::default() && backends.contains(address);
        let mut loads: BTreeMap<SocketAddr, Load> = loads.filter(is_loaded).collect();
        for connection in self.opening.iter().filter_map(|identity| self.connections.get(identity)) {
            if connection.counts
                && let Some(load) = loads.get_mut(&self.remotes[connection.slot].address)
            {
                let age = now.saturating_duration_since(connection.first_seen);
                load.oldest_opening = load.oldest_opening.max(Some(age));
            }
        }
        let endings = self.accounts.take(id, &mut loads);
        (loads, endings)
    }

    fn insert(&mut self, socket: &Socket, now: Instant) {
        let counts = self.listener.user.is_none_or(|user| user == socket.user);
        let slot = self.remotes.slot(socket.remote, || self.accounts.is_backend(socket.remote));
        let is_age_known = self.interests.get(&socket.remote.into()) == Some(&true);
        let share = Share { state: socket.state, traffic: socket.traffic };
        let remote = &mut self.remotes[slot];
        remote.local_ip = Some(socket.local.ip());
        if counts {
            remote.add(&share);
            if is_age_known {
                self.accounts.opened(socket.remote);
                self.accounts.moved(socket.remote, share.traffic.bytes);
            }
        }
        if share.state == State::Opening {
            self.opening.insert(socket.identity);
        }
        let connection = Outgoing {
            slot,
            local: socket.local,
            user: socket.user,
            share,
            counts,
            dump: self.dump,
            first_seen: now,
            is_age_known,
        };
        self.connections.insert(socket.identity, connection);
    }

    fn end(&mut self, identity: u64, ending: impl FnOnce(SocketAddr) -> Ending) {
        let Some(connection) = self.connections.remove(&identity) else { return };
        self.opening.remove(&identity);
        if connection.counts {
            let remote = &mut self.remotes[connection.slot];
            remote.remove(&connection.share);
            let address = remote.address;
            if self.interests.get(&address.into()) == Some(&true) {
                self.accounts.closed(ending(address).with_cookie(identity));
            }
        }
    }

    /// Returns `true` if somebody may be interested in a connection with these addresses, and it was opened here.
    fn is_outgoing(&self, family: Family, pair: Pair) -> bool {
        let is_ipv4_mapped = family == Family::V6 && pair.remote.is_ipv4();
        self.interests.contains_key(&pair.remote.into())
            && (!is_ipv4_mapped || self.counts_ipv4_mapped)
            && !self.listening.contains(&pair.local.port())
    }

    /// Returns the remote address of a destroyed socket. If its port is unknown, the local port shows which backend with
    /// this IP address it is: one to which the last connections had local ports nearby.
    fn remote_of(&self, destroyed: &Destroyed) -> Option<SocketAddr> {
        if destroyed.remote.port() != 0 {
            return Some(destroyed.remote);
        }
        let nearness = |backend: &SocketAddr| {
            let LastPort { port: last, .. } = self.remotes[self.remotes.find(*backend)?].last_port?;
            self.local_ports.nearness(last, destroyed.local.port())
        };
        let backends = self.accounts.backends_at(destroyed.remote.ip());
        let nearest = backends.into_iter().filter_map(|backend| Some((nearness(&backend)?, backend))).min();
        nearest.map(|(_, backend)| backend)
    }

    fn pair(&self, connection: &Outgoing) -> Pair {
        Pair { local: connection.local, remote: self.remotes[connection.slot].address }
    }

    /// Decides for each connection whether it counts, by the user that listens now.
    fn count_again(&mut self, now: Instant) {
        for connection in self.connections.values_mut() {
            let counts = self.listener.user.is_none_or(|user| user == connection.user);
            if counts != connection.counts {
                connection.counts = counts;
                let remote = &mut self.remotes[connection.slot];
                if counts { remote.add(&connection.share) } else { remote.remove(&connection.share) }
            }
            if !counts {
                self.mesh_seen = Some(now);
            }
        }
    }

    fn is_mesh(&self, now: Instant) -> bool {
        self.mesh_seen.is_some_and(|seen| now.saturating_duration_since(seen) < MESH_MEMORY)
    }

    fn forget_connections_without_interest(&mut self) {
        let (remotes, interests, opening) = (&mut self.remotes, &self.interests, &mut self.opening);
        self.connections.retain(|identity, connection| {
            let remote = &mut remotes[connection.slot];
            let is_kept = interests.contains_key(&remote.address.into());
            if !is_kept {
                opening.remove(identity);
                if connection.counts {
                    remote.remove(&connection.share);
                }
            }
            is_kept
        });
    }

    fn forget_idle_remotes(&mut self) {
        if !self.remotes.are_many() {
            return;
        }
        let in_use = self.connections.values().map(|connection| connection.slot).collect();
        if let Some(moved) = self.remotes.forget_idle(&in_use) {
            for connection in self.connections.values_mut() {
                connection.slot = moved[&connection.slot];
            }
        }
    }
}

impl From<SocketAddr> for Interest {
    fn from(remote: SocketAddr) -> Self {
        Self { family: remote.ip().into(), port: remote.port() }
    }
}

//! Reads all connections at one moment, and remembers what a later moment cannot show.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    flow::{Age, Flow, FlowState, FlowTable, LoneClient, MAX_SOCKETS},
    pairing::{ClientSide, Pairs, Side, pair},
    pool::Pools,
};
use crate::{
    error::ReadError,
    first_seen::FirstSeenAt,
    netlink::Netlink,
    own_sockets::OwnSockets,
    socket::{Activity, Family, Pair, Part, Socket, State},
};

/// Sockets of both sides, and what is known of the connections between two reads.
#[derive(Default)]
pub(super) struct Table {
    netlink: Option<Netlink>,
    known: HashMap<u64, Known>,
    /// Moments at which clients' sides were opened, by their cookies.
    clients: HashMap<u64, Opened>,
    /// Cookies of the clients' sides that belonged to a connection in the last read.
    paired: HashSet<u64>,
    /// Moment at which the last read that succeeded was begun.
    read: Option<Instant>,
    /// Set if users other than the proxy's have connections to backends: a service mesh.
    has_other_users: bool,
}

/// Knowledge of a connection to a backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) addresses: Pair,
    pub(super) opened: Opened,
    pub(super) client: Option<Client>,
    pub(super) to_backend: u64,
    pub(super) from_backend: u64,
    last_seen: Instant,
}

/// The client's side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) cookie: u64,
    pub(super) address: SocketAddr,
    pub(super) entry_port: u16,
}

/// Bounds of the moment at which a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) by: Instant,
    pub(super) not_before: Option<Instant>,
}

/// Sockets as the kernel shows them.
#[derive(Default)]
struct Sockets {
    /// Clients' sides as they were before those of the backends were read, by their cookies.
    before: HashMap<u64, Socket>,
    clients: BTreeMap<u64, Socket>,
    backends: BTreeMap<u64, Socket>,
    left_out: usize,
    has_other_users: bool,
}

/// Time for which a connection is remembered after it was read last. Its end is announced within that.
const MEMORY: Duration = Duration::from_secs(5);

/// Time by which an age that the kernel reports in ticks may be too high.
const TICK: Duration = Duration::from_millis(10);

/// Time that may have passed between the opening of a connection and the moment at which what counts it saw it first, if that
/// is known.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

impl Table {
    /// Reads all connections. `first_seen` returns what else is known of connections with these cookies.
    pub(super) fn read(
        &mut self,
        pools: &Pools,
        own: &OwnSockets,
        first_seen: impl FnOnce(&BTreeSet<u64>) -> FirstSeenAt,
    ) -> Result<FlowTable, ReadError> {
        let begun = Instant::now();
        // After an error another socket is opened: the rest of a failed response must not be taken for the next one.
        let mut netlink = self.netlink.take().map_or_else(Netlink::open, Ok)?;
        let sockets = Sockets::read(&mut netlink, pools, own)?;
        self.netlink = Some(netlink);
        self.has_other_users = sockets.has_other_users;
        let new = sockets.backends.keys().filter(|cookie| !self.known.contains_key(cookie)).copied().collect();
        let first_seen = first_seen(&new);
        let pairs = if sockets.left_out == 0 { self.pair(&sockets, pools) } else { Pairs::new() };
        let now = Instant::now();
        let table = FlowTable {
            flows: self.flows(&sockets, &pairs, pools, &first_seen, (begun, now)),
            clients: self.lone_clients(&sockets, &pairs, pools, (begun, now)),
            left_out: sockets.left_out,
        };
        self.known.retain(|_, known| now.saturating_duration_since(known.last_seen) <= MEMORY);
        self.clients.retain(|cookie, _| sockets.clients.contains_key(cookie));
        self.paired = self.known.values().filter_map(|known| known.client).map(|client| client.cookie).collect();
        self.read = Some(begun);
        Ok(table)
    }

    /// Returns what is known of a connection.
    pub(super) fn known(&self, cookie: u64) -> Option<Known> {
        self.known.get(&cookie).copied()
    }

    /// Returns what is known of a connection that has ended, and forgets it.
    pub(super) fn take(&mut self, cookie: u64) -> Option<Known> {
        self.known.remove(&cookie)
    }

    /// Returns `true` if a connection that is not known may be one of another user than the proxy's.
    pub(super) fn has_other_users(&self) -> bool {
        self.has_other_users
    }

    /// Returns the moment before which a connection that is not known was not open.
    pub(super) fn unknown_not_before(&self) -> Option<Instant> {
        self.read
    }

    /// Returns `true` if the client of each known connection is known, too.
    pub(super) fn knows_all(&self) -> bool {
        self.known.values().all(|known| known.client.is_some())
    }

    /// Returns `true` if a client's side belongs to a connection that is known.
    pub(super) fn is_paired(&self, client: u64) -> bool {
        self.paired.contains(&client)
    }

    fn pair(&self, sockets: &Sockets, pools: &Pools) -> Pairs {
        let mut groups: BTreeMap<usize, (Vec<ClientSide>, Vec<Side>)> = BTreeMap::new();
        for socket in sockets.clients.values() {
            let Some(group) = pools.group_of_entry(socket.local.port()) else { continue };
            let Some(after) = side(socket, Part::Accepted) else { continue };
            let before = sockets.before.get(&socket.identity).and_then(|socket| side(socket, Part::Accepted));
            // One that was opened in the meantime had received nothing.
            let before = before.unwrap_or(Side { received: 0, delivered: 0, is_established: false, ..after });
            groups.entry(group).or_default().0.push(ClientSide { before, after });
        }
        for socket in sockets.backends.values() {
            let Some(group) = pools.group_of_backend(socket.remote) else { continue };
            if let Some(side) = side(socket, Part::Dialled) {
                groups.entry(group).or_default().1.push(side);
            }
        }
        let known = self.known.iter().filter_map(|(backend, known)| Some((*backend, known.client?.cookie))).collect();
        let groups = groups.into_iter().filter(|(group, _)| pools.can_pair(*group));
        groups.flat_map(|(_, (clients, backends))| pair(&clients, &backends, &known)).collect()
    }

    fn flows(
        &mut self,
        sockets: &Sockets,
        pairs: &Pairs,
        pools: &Pools,
        first_seen: &FirstSeenAt,
        (begun, now): (Instant, Instant),
    ) -> Vec<Flow> {
        let mut flows = Vec::with_capacity(sockets.backends.len());
        for (cookie, socket) in &sockets.backends {
            let known = self.known.get(cookie).copied();
            let client_socket = pairs.get(cookie).and_then(|client| sockets.clients.get(client));
            // A client whose side has ended a moment ago is still the one that it was.
            let gone = || known?.client.filter(|client| !sockets.clients.contains_key(&client.cookie));
            let client = client_socket.map(Client::from).or_else(gone);
            let mut opened = Opened::from_socket(socket, known.map(|known| known.opened), self.read, begun);
            if let Some((seen, is_age_known)) = first_seen.get(cookie) {
                opened.by = opened.by.min(*seen);
                let not_before = is_age_known.then(|| seen.checked_sub(SEEN_WITHIN)).flatten();
                opened.not_before = opened.not_before.max(not_before);
            }
            let activity = socket.activity.unwrap_or_default();
            let (to_backend, from_backend) = (activity.delivered.sent(Part::Dialled), socket.traffic.received);
            let is_established = socket.state != State::Opening;
            let to_backend = if is_established { to_backend } else { 0 };
            let addresses = Pair { local: socket.local, remote: socket.remote };
            self.known.insert(*cookie, Known { addresses, opened, client, to_backend, from_backend, last_seen: now });
            flows.push(Flow {
                cookie: *cookie,
                local: socket.local,
                backend: socket.remote,
                client: client.map(|client| client.address),
                pool: pools.pool(socket.remote, client.map(|client| client.entry_port)),
                state: state(socket),
                age: opened.age(now),
                to_backend,
                from_backend,
                rtt: socket.traffic.rtt.filter(|_| is_established),
                client_rtt: client_socket.and_then(|client| client.traffic.rtt),
                retransmits: socket.traffic.retransmits,
                quiet: is_established.then(|| activity.quiet()),
            });
        }
        flows
    }

    fn lone_clients(
        &mut self,
        sockets: &Sockets,
        pairs: &Pairs,
        pools: &Pools,
        (begun, now): (Instant, Instant),
    ) -> Vec<LoneClient> {
        let paired: BTreeSet<u64> = pairs.values().copied().collect();
        let mut clients = Vec::new();
        for (cookie, socket) in &sockets.clients {
            let opened = Opened::from_socket(socket, self.clients.get(cookie).copied(), self.read, begun);
            self.clients.insert(*cookie, opened);
            let Some(pool) = pools.entry_ports.get(&socket.local.port()).filter(|_| !paired.contains(cookie)) else {
                continue;
            };
            let activity = socket.activity.unwrap_or_default();
            clients.push(LoneClient {
                cookie: *cookie,
                client: socket.remote,
                pool: *pool,
                age: opened.age(now),
                from_client: socket.traffic.received,
                to_client: activity.delivered.sent(Part::Accepted),
                rtt: socket.traffic.rtt,
                quiet: Some(activity.quiet()),
            });
        }
        clients
    }
}

impl Sockets {
    fn read(netlink: &mut Netlink, pools: &Pools, own: &OwnSockets) -> Result<Self, ReadError> {
        let (entry_ports, backend_ports) = (pools.entry_ports(), pools.backend_ports());
        let mut this = Self::default();
        let (mut families, mut users) = (BTreeSet::new(), BTreeSet::new());
        netlink.visit_listeners(&mut |socket| {
            if entry_ports.contains(&socket.local.port()) {
                families.insert(socket.family);
                users.insert(socket.user);
            }
        })?;
        let is_client = |socket: &Socket| entry_ports.contains(&socket.local.port()) && socket.is_held();
        for family in &families {
            netlink.visit_accepted(*family, &entry_ports, &mut |socket| {
                if is_client(socket) && this.before.len() < MAX_SOCKETS {
                    this.before.insert(socket.identity, *socket);
                }
            })?;
        }
        let backend_families: BTreeSet<Family> = pools.backends.keys().map(|backend| backend.ip().into()).collect();
        for family in backend_families {
            netlink.visit_connections(family, &backend_ports, &mut |socket| {
                let is_backend = pools.backends.contains_key(&socket.remote) && socket.is_held();
                if !is_backend || is_client(socket) || own.contains_cookie(socket.identity) {
                    return;
                }
                // A mesh connects to the backends a second time, as another user.
                if !users.is_empty() && !users.contains(&socket.user) {
                    this.has_other_users = true;
                } else if this.backends.len() < MAX_SOCKETS {
                    this.backends.insert(socket.identity, *socket);
                } else {
                    this.left_out += 1;
                }
            })?;
        }
        for family in &families {
            netlink.visit_accepted(*family, &entry_ports, &mut |socket| {
                if is_client(socket) {
                    if this.clients.len() < MAX_SOCKETS {
                        this.clients.insert(socket.identity, *socket);
                    } else {
                        this.left_out += 1;
                    }
                }
            })?;
        }
        Ok(this)
    }
}

impl From<&Socket> for Client {
    fn from(socket: &Socket) -> Self {
        Self { cookie: socket.identity, address: socket.remote, entry_port: socket.local.port() }
    }
}

impl Opened {
    /// Returns the bounds of the moment at which a socket was opened. `read_before` is the begin of the read before, and
    /// `begun` that of this one.
    fn from_socket(socket: &Socket, known: Option<Self>, read_before: Option<Instant>, begun: Instant) -> Self {
        let activity = socket.activity.filter(|_| socket.state != State::Opening);
        let age = activity.map_or(Duration::ZERO, |activity| activity.received_ago.max(activity.sent_ago));
        let by = begun.checked_sub(age.saturating_sub(TICK)).unwrap_or(begun);
        match known {
            Some(known) => Self { by: known.by.min(by), not_before: known.not_before },
            None => Self { by: read_before.map_or(by, |before| by.max(before)), not_before: read_before },
        }
    }

    /// Returns the age at `now`.
    pub(super) fn age(&self, now: Instant) -> Age {
        let at_least = now.saturating_duration_since(self.by);
        let at_most = self.not_before.map(|moment| now.saturating_duration_since(moment).max(at_least));
        Age { at_least, at_most }
    }
}

fn side(socket: &Socket, part: Part) -> Option<Side> {
    let Activity { delivered, unread, unacknowledged, received_ago, sent_ago, .. } = socket.activity?;
    let is_established = socket.state != State::Opening;
    Some(Side {
        cookie: socket.identity,
        received: if is_established { socket.traffic.received } else { 0 },
        delivered: if is_established { delivered.data(part) } else { 0 },
        unread: unread.into(),
        unacknowledged: unacknowledged.into(),
        received_ago,
        sent_ago,
        is_established,
    })
}

fn state(socket: &Socket) -> FlowState {
    match socket.state {
        State::Opening => FlowState::Opening,
        State::EndedByRemote | State::EndedHere => FlowState::HalfClosed,
        State::Established | State::Listening => FlowState::Established,
    }
}

//! Sockets made by hand, and a system made of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::{
    accounts::AccountId,
    announced::Announced,
    error::ReadError,
    own_sockets::OwnSockets,
    port_range::PortRange,
    sample::EndedBy,
    socket::{Destroyed, Family, Pair, Query, Socket, State, Traffic},
    system::System,
};

/// User whose connections count, which listens at [`LISTENER_PORT`].
pub(crate) const USER: u32 = 1000;
pub(crate) const LISTENER_PORT: u16 = 8080;

/// Returns an established connection to `remote`, from a local port that follows from its identity.
pub(crate) fn connection(identity: u64, remote: &str) -> Socket {
    let local = ([10, 0, 9, 9], 40_000 + u16::try_from(identity % 20_000).unwrap()).into();
    Socket {
        identity,
        family: Family::V4,
        local,
        remote: remote.parse().unwrap(),
        state: State::Established,
        inode: 7,
        user: USER,
        traffic: Traffic::default(),
        activity: None,
    }
}

pub(crate) fn listener(port: u16, user: u32) -> Socket {
    let any = ([0, 0, 0, 0], port).into();
    let unspecified = ([0, 0, 0, 0], 0).into();
    Socket { local: any, remote: unspecified, user, state: State::Listening, ..connection(0, "10.0.0.1:80") }
}

/// A system whose sockets a test opens and closes. Clones share it.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<WorldState>>);

pub(crate) struct WorldState {
    pub(crate) sockets: BTreeMap<u64, Socket>,
    /// Sockets that have left the table, and whose process still has them open.
    unhashed: BTreeMap<u64, Socket>,
    /// Connections in TIME-WAIT.
    time_wait: BTreeSet<Pair>,
    /// Position in the range of local ports, by remote address.
    positions: BTreeMap<SocketAddr, u16>,
    ports: PortRange,
    in_flight: Vec<Destroyed>,
    announced: Announced,
    /// Set to lose all further announcements.
    pub(crate) is_deaf: bool,
    /// Sockets that the next dump passes over.
    pub(crate) passed_over: usize,
    /// Connection that its backend closes while the next dump is about to begin.
    pub(crate) closed_by_dump: Option<u64>,
    /// Set to let the next dump fail after this many sockets.
    pub(crate) dump_fails_after: Option<usize>,
    pub(crate) opened: u64,
    pub(crate) dumps: u64,
    now: Instant,
    processor_time: Duration,
    next_identity: u64,
    pub(crate) own_sockets: Arc<OwnSockets>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_local_ports(40_000, 40_399)
    }

    pub(crate) fn with_local_ports(first: u16, last: u16) -> Self {
        Self(Arc::new(Mutex::new(WorldState {
            sockets: BTreeMap::new(),
            unhashed: BTreeMap::new(),
            time_wait: BTreeSet::new(),
            positions: BTreeMap::new(),
            ports: PortRange::new(first, last).unwrap(),
            in_flight: Vec::new(),
            announced: Announced::default(),
            is_deaf: false,
            passed_over: 0,
            closed_by_dump: None,
            dump_fails_after: None,
            opened: 100,
            dumps: 0,
            now: Instant::now(),
            processor_time: Duration::ZERO,
            next_identity: 1,
            own_sockets: Arc::default(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, WorldState> {
        self.0.lock().unwrap()
    }
}

impl WorldState {
    /// Opens a connection of `user`, which is still to be answered, and returns its identity. The local port is chosen as
    /// Linux does, with a `step` of 1 to 8.
    pub(crate) fn open(&mut self, remote: SocketAddr, user: u32, step: u16) -> u64 {
        let position = *self.positions.entry(remote).or_insert(40_000);
        let is_taken = |port: &u16| {
            let local = ([10, 0, 9, 9], *port).into();
            let pair = Pair { local, remote };
            self.time_wait.contains(&pair)
                || self.sockets.values().any(|s| (s.local, s.remote) == (pair.local, pair.remote))
        };
        let port = self.ports.candidates(position).find(|port| !is_taken(port)).expect("a local port is free");
        let identity = self.next_identity();
        let next = self.ports.candidates(position).take_while(|next| *next != port).count();
        let next = next.max(usize::from(step - 1));
        self.positions.insert(remote, self.ports.candidates(position).nth(next).unwrap());
        let local = ([10, 0, 9, 9], port).into();
        let template = connection(identity, "10.0.0.1:80");
        self.sockets.insert(identity, Socket { local, remote, user, state: State::Opening, ..template });
        self.opened += 1;
        identity
    }

    /// Opens a connection that is a probe.
    pub(crate) fn open_probe(&mut self, remote: SocketAddr) -> (u64, crate::own_sockets::OwnSocket) {
        let identity = self.next_identity();
        let port = 20_001 + u16::try_from(identity % 10_000).unwrap();
        let reserved = self.own_sockets.reserve(Some(identity), port);
        let local = ([10, 0, 9, 9], port).into();
        self.sockets.insert(identity, Socket { local, remote, ..connection(identity, "10.0.0.1:80") });
        self.opened += 1;
        (identity, reserved)
    }

    /// Ends a connection, and announces that.
    pub(crate) fn close(&mut self, identity: u64, by: EndedBy) {
        let Some(socket) = self.sockets.remove(&identity).or_else(|| self.unhashed.remove(&identity)) else { return };
        if by == EndedBy::Proxy {
            self.time_wait.insert(Pair { local: socket.local, remote: socket.remote });
        }
        self.announce(&socket, socket.remote, by);
    }

    /// Resets a connection from this side: the kernel forgets the remote port.
    pub(crate) fn reset(&mut self, identity: u64) {
        let Some(socket) = self.sockets.remove(&identity) else { return };
        self.announce(&socket, SocketAddr::new(socket.remote.ip(), 0), EndedBy::Proxy);
    }

    /// Ends a connection whose process does not close its socket yet.
    pub(crate) fn unhash(&mut self, identity: u64) {
        let Some(socket) = self.sockets.remove(&identity) else { return };
        self.unhashed.insert(identity, socket);
    }

    pub(crate) fn unhashed(&self) -> Vec<u64> {
        self.unhashed.keys().copied().collect()
    }

    /// Moves the positions in the range of local ports by this many ports.
    pub(crate) fn shuffle(&mut self, by: usize) {
        let ports = self.ports;
        for (position, number) in self.positions.values_mut().zip(1..) {
            *position = ports.candidates(*position).nth((by * number) % 5_000).unwrap_or(*position);
        }
    }

    /// Lets the announcements that are in flight arrive.
    pub(crate) fn deliver(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        self.announced.destroyed.extend(in_flight);
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn announce(&mut self, socket: &Socket, remote: SocketAddr, by: EndedBy) {
        if self.is_deaf {
            self.announced.is_incomplete = true;
            return;
        }
        if self.own_sockets.contains_cookie(socket.identity) {
            return;
        }
        self.in_flight.push(Destroyed {
            identity: socket.identity,
            family: socket.family,
            local: socket.local,
            remote,
            at: self.now,
            age: Duration::ZERO,
            received: socket.traffic.received,
            bytes: socket.traffic.bytes,
            by,
        });
    }

    fn next_identity(&mut self) -> u64 {
        self.next_identity += 1;
        self.next_identity
    }
}

impl System for World {
    fn dump(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        let (sockets, fails_after) = {
            let mut world = self.lock();
            world.dumps += 1;
            world.processor_time += Duration::from_millis(2);
            if let Some(identity) = world.closed_by_dump.take() {
                world.close(identity, EndedBy::Backend);
                world.deliver();
            }
            let passed_over = std::mem::take(&mut world.passed_over);
            let sockets = world.sockets.values().filter(|s| query.ports.contains(&s.remote.port()));
            let sockets: Vec<Socket> = sockets.skip(passed_over).copied().collect();
            (sockets, world.dump_fails_after.take())
        };
        visit(&listener(LISTENER_PORT, USER));
        sockets.iter().take(fails_after.unwrap_or(usize::MAX)).for_each(visit);
        if fails_after.is_some() { Err(ReadError::Overrun) } else { Ok(()) }
    }

    fn look_up(&mut self, pairs: &[Pair]) -> Result<Vec<Option<Socket>>, ReadError> {
        let mut world = self.lock();
        let cost = Duration::from_micros(2) * u32::try_from(pairs.len()).unwrap();
        world.processor_time += cost;
        let find = |pair: &Pair| {
            let matches = |socket: &&Socket| (socket.local, socket.remote) == (pair.local, pair.remote);
            let closed = Socket { state: State::EndedHere, inode: 0, ..connection(0, "10.0.0.1:80") };
            world.sockets.values().find(matches).copied().or_else(|| {
                world.time_wait.contains(pair).then_some(Socket { local: pair.local, remote: pair.remote, ..closed })
            })
        };
        Ok(pairs.iter().map(find).collect())
    }

    fn take_announced(&mut self, _: AccountId) -> Announced {
        std::mem::take(&mut self.lock().announced)
    }

    fn set_ports(&mut self, _: &BTreeSet<u16>) {}

    fn opened(&mut self) -> Result<u64, ReadError> {
        Ok(self.lock().opened)
    }

    fn local_ports(&mut self) -> PortRange {
        self.lock().ports
    }

    fn now(&self) -> Instant {
        self.lock().now
    }

    fn processor_time(&self) -> Duration {
        self.lock().processor_time
    }
}

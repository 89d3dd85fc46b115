//! Derives the load of each remote address from successive readings of the socket table.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    own_ports::OwnPorts,
    sample::{EndedBy, Ending, Load, MAX_ENDINGS_PER_SAMPLE},
    socket::{Socket, State, Traffic},
};

/// Derives loads from successive readings of the socket table.
///
/// Keeps every outgoing connection of the last sample by its identity, so that opened and closed connections are both
/// counted even if there are equally many. Memory: about 48 bytes per connection and 200 per remote address.
#[derive(Default)]
pub(crate) struct Tracker {
    connections: HashMap<u64, Connection>,
    /// Index in `remotes` of each remote address.
    slots: HashMap<SocketAddr, usize>,
    remotes: Vec<Remote>,
    /// Number of the first sample of each remote port. Connections to the port in that sample do not count as opened,
    /// because they may be of any age.
    ports: BTreeMap<u16, u64>,
    /// Ports that this network namespace listens on. A connection with one of them as its local port was accepted: the
    /// kernel never picks a port with a listener for an outgoing connection.
    listening: HashSet<u16>,
    listener_port: Option<u16>,
    /// Id of the user that listens on `listener_port`.
    user: Option<u32>,
    /// Number of the current sample.
    sample: u64,
    /// Number of the current attempt to read the table.
    attempt: u64,
}

/// An outgoing connection.
struct Connection {
    slot: usize,
    /// Number of the attempt that saw it last.
    last_attempt: u64,
    /// Number of the sample that saw it first.
    first_sample: u64,
    /// Time of the sample that saw it first.
    first_seen: Instant,
    /// Bytes received, when it was seen last.
    received: u64,
    /// State in which it was seen last.
    state: State,
}

/// The load of a remote address while a table is read.
struct Remote {
    address: SocketAddr,
    /// Load without the mean of the round-trip times.
    load: Load,
    rtt_sum: Duration,
    rtt_count: u32,
}

/// The criteria by which connections that are seen for the first time count.
pub(crate) struct Criteria<'a> {
    /// Local ports of connections that do not count.
    pub(crate) own_ports: &'a OwnPorts,
    /// Inodes of the sockets that count; `None` for all.
    pub(crate) inodes: Option<&'a HashSet<u32>>,
}

impl Tracker {
    /// Creates a tracker that counts only connections of the user that listens on `listener_port`, while there is a
    /// listener.
    pub(crate) fn new(listener_port: Option<u16>) -> Self {
        Self { listener_port, ..Self::default() }
    }

    /// Begins a sample of connections to `ports`.
    pub(crate) fn begin_sample(&mut self, ports: &[u16]) {
        self.sample += 1;
        let sample = self.sample;
        self.ports.retain(|port, _| ports.contains(port));
        for port in ports {
            self.ports.entry(*port).or_insert(sample);
        }
    }

    /// Begins to read the table, and discards the loads of an interrupted attempt before.
    pub(crate) fn begin_attempt(&mut self) {
        self.attempt += 1;
        self.listening.clear();
        self.user = None;
        for remote in &mut self.remotes {
            *remote = Remote::new(remote.address);
        }
    }

    /// Adds a socket of the table to the load of its remote address, if it counts.
    pub(crate) fn see(&mut self, socket: &Socket, criteria: &Criteria<'_>, now: Instant) {
        if socket.state == State::Listening {
            self.listening.insert(socket.local.port());
            if self.listener_port == Some(socket.local.port()) {
                self.user = Some(socket.user);
            }
            return;
        }
        let (attempt, sample) = (self.attempt, self.sample);
        if let Some(connection) = self.connections.get_mut(&socket.identity) {
            if connection.last_attempt != attempt && !socket.is_orphan() {
                connection.last_attempt = attempt;
                (connection.received, connection.state) = (socket.traffic.received, socket.state);
                self.remotes[connection.slot].add(socket, now - connection.first_seen);
            }
        } else if self.counts(socket, criteria) {
            let slot = self.slot(socket.remote);
            let Socket { traffic: Traffic { received, .. }, state, .. } = *socket;
            let connection =
                Connection { slot, last_attempt: attempt, first_sample: sample, first_seen: now, received, state };
            self.connections.insert(socket.identity, connection);
            self.remotes[slot].add(socket, Duration::ZERO);
        }
    }

    /// Ends the sample, and returns the load of each remote address that has one, and the connections that ended.
    pub(crate) fn end_sample(&mut self, now: Instant) -> (Vec<(SocketAddr, Load)>, Vec<Ending>) {
        let (attempt, sample) = (self.attempt, self.sample);
        let (remotes, ports) = (&mut self.remotes, &self.ports);
        let mut endings = Vec::new();
        self.connections.retain(|_, connection| {
            let remote = &mut remotes[connection.slot];
            let is_new = connection.first_sample == sample;
            if connection.last_attempt != attempt {
                remote.load.closed += u32::from(!is_new);
                if !is_new && endings.len() < MAX_ENDINGS_PER_SAMPLE {
                    endings.push(connection.ending(remote.address, now));
                }
                return false;
            }
            let port_is_new = ports.get(&remote.address.port()).is_none_or(|first_sample| *first_sample == sample);
            remote.load.opened += u32::from(is_new && !port_is_new);
            true
        });
        let loads = self.remotes.iter().map(Remote::load).filter(|(_, load)| *load != Load::default()).collect();
        self.forget_idle_remotes();
        (loads, endings)
    }

    /// Returns `true` if a connection that is seen for the first time counts.
    fn counts(&self, socket: &Socket, criteria: &Criteria<'_>) -> bool {
        !socket.is_orphan()
            && self.ports.contains_key(&socket.remote.port())
            && !self.listening.contains(&socket.local.port())
            && !criteria.own_ports.contains(socket.local.port())
            && criteria.inodes.is_none_or(|inodes| inodes.contains(&socket.inode))
            && self.user.is_none_or(|user| user == socket.user)
    }

    /// Returns the index of `remote` in `remotes`, where it is added if necessary.
    fn slot(&mut self, remote: SocketAddr) -> usize {
        *self.slots.entry(remote).or_insert_with(|| {
            self.remotes.push(Remote::new(remote));
            self.remotes.len() - 1
        })
    }

    /// Removes remote addresses without connections once they are many, so that memory does not grow with each address
    /// that a backend has ever had.
    fn forget_idle_remotes(&mut self) {
        const MAX_IDLE_REMOTES: usize = 1024;
        if self.remotes.len() <= MAX_IDLE_REMOTES {
            return;
        }
        let in_use: HashSet<usize> = self.connections.values().map(|c| c.slot).collect();
        if self.remotes.len() <= MAX_IDLE_REMOTES + 2 * in_use.len() {
            return;
        }
        let mut moved = HashMap::new();
        let mut kept = Vec::with_capacity(in_use.len());
        for (slot, remote) in std::mem::take(&mut self.remotes).into_iter().enumerate() {
            if in_use.contains(&slot) {
                moved.insert(slot, kept.len());
                kept.push(remote);
            }
        }
        self.slots = kept.iter().enumerate().map(|(slot, remote)| (remote.address, slot)).collect();
        self.remotes = kept;
        for connection in self.connections.values_mut() {
            connection.slot = moved[&connection.slot];
        }
    }
}

impl Connection {
    /// Returns how it ended, as far as two samples can tell.
    fn ending(&self, backend: SocketAddr, now: Instant) -> Ending {
        let by = if self.state == State::EndedByRemote { EndedBy::Backend } else { EndedBy::Unknown };
        Ending::new(backend, now.saturating_duration_since(self.first_seen), self.received, by)
    }
}

impl Remote {
    fn new(address: SocketAddr) -> Self {
        Self { address, load: Load::default(), rtt_sum: Duration::ZERO, rtt_count: 0 }
    }

    fn add(&mut self, socket: &Socket, age: Duration) {
        let load = &mut self.load;
        load.bytes = load.bytes.saturating_add(socket.traffic.bytes);
        load.retransmits = load.retransmits.saturating_add(socket.traffic.retransmits.into());
        match socket.state {
            State::Opening => {
                load.opening += 1;
                load.oldest_opening = load.oldest_opening.max(Some(age));
            }
            State::EndedByRemote | State::EndedHere => load.half_closed += 1,
            State::Established | State::Listening => {
                load.established += 1;
                if let Some(rtt) = socket.traffic.rtt {
                    self.rtt_sum += rtt;
                    self.rtt_count += 1;
                }
            }
        }
    }

    fn load(&self) -> (SocketAddr, Load) {
        let rtt = self.rtt_sum.checked_div(self.rtt_count);
        (self.address, Load { rtt, ..self.load })
    }
}

#[cfg(test)]
mod tests;

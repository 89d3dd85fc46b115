use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    own_ports::OwnPorts,
    sample::Load,
    socket::{Socket, State},
};

/// Turns the sockets of one table after the other into loads.
///
/// Holds every outgoing connection of the last sample by its identity, so that opened and closed ones are both counted even if
/// there are as many of either. Memory per connection: about 48 bytes, per remote address about 200.
#[derive(Default)]
pub(crate) struct Tracker {
    connections: HashMap<u64, Connection>,
    slots: HashMap<SocketAddr, usize>,
    remotes: Vec<Remote>,
    /// First sample in which connections to a remote port are seen. None of that sample counts as opened.
    ports: BTreeMap<u16, u64>,
    /// Ports that this network namespace listens on. A connection with one of them as its local port was accepted: the
    /// kernel never picks a port that somebody listens on for an outgoing connection.
    listening: HashSet<u16>,
    of_listener: Option<u16>,
    /// The user that listens on `of_listener`.
    user: Option<u32>,
    sample: u64,
    attempt: u64,
}

struct Connection {
    slot: usize,
    /// The attempt in which it was seen last.
    seen: u64,
    /// The sample in which it was seen first, and the moment of that sample.
    first: u64,
    since: Instant,
}

struct Remote {
    address: SocketAddr,
    load: Load,
    /// For the mean: the sum of the round-trip times and their number.
    rtt: Duration,
    rtts: u32,
}

/// Which of the unknown connections are of interest.
pub(crate) struct Interest<'a> {
    /// Connections from these local ports do not count.
    pub(crate) own_ports: &'a OwnPorts,
    /// The sockets of one process, if only they count.
    pub(crate) inodes: Option<&'a HashSet<u32>>,
}

impl Tracker {
    /// `of_listener`: count only connections of the user that listens on this port, as soon as somebody does.
    pub(crate) fn new(of_listener: Option<u16>) -> Self {
        Self { of_listener, ..Self::default() }
    }

    /// Starts a sample in which connections to `ports` will be seen.
    pub(crate) fn begin_sample(&mut self, ports: &[u16]) {
        self.sample += 1;
        let sample = self.sample;
        self.ports.retain(|port, _| ports.contains(port));
        for port in ports {
            self.ports.entry(*port).or_insert(sample);
        }
    }

    /// Starts to read the table; what an interrupted attempt before has seen counts no more.
    pub(crate) fn begin_attempt(&mut self) {
        self.attempt += 1;
        self.listening.clear();
        self.user = None;
        for remote in &mut self.remotes {
            *remote = Remote::new(remote.address);
        }
    }

    pub(crate) fn see(&mut self, socket: &Socket, interest: &Interest<'_>, now: Instant) {
        if socket.state == State::Listening {
            self.listening.insert(socket.local.port());
            if self.of_listener == Some(socket.local.port()) {
                self.user = Some(socket.user);
            }
            return;
        }
        let (attempt, sample) = (self.attempt, self.sample);
        if let Some(connection) = self.connections.get_mut(&socket.identity) {
            if connection.seen != attempt {
                connection.seen = attempt;
                self.remotes[connection.slot].add(socket, now - connection.since);
            }
        } else if self.is_of(interest, socket) {
            let slot = self.slot(socket.remote);
            self.connections.insert(socket.identity, Connection { slot, seen: attempt, first: sample, since: now });
            self.remotes[slot].add(socket, Duration::ZERO);
        }
    }

    /// Ends a sample with the loads of all remote addresses that have one.
    pub(crate) fn end_sample(&mut self) -> Vec<(SocketAddr, Load)> {
        let (attempt, sample) = (self.attempt, self.sample);
        let (remotes, ports) = (&mut self.remotes, &self.ports);
        self.connections.retain(|_, connection| {
            let remote = &mut remotes[connection.slot];
            let is_new = connection.first == sample;
            if connection.seen != attempt {
                remote.load.closed += u32::from(!is_new);
                return false;
            }
            let port_is_new = ports.get(&remote.address.port()).is_none_or(|since| *since == sample);
            remote.load.opened += u32::from(is_new && !port_is_new);
            true
        });
        let loads = self.remotes.iter().map(Remote::load).filter(|(_, load)| *load != Load::default()).collect();
        self.forget_idle_remotes();
        loads
    }

    fn is_of(&self, interest: &Interest<'_>, socket: &Socket) -> bool {
        self.ports.contains_key(&socket.remote.port())
            && !self.listening.contains(&socket.local.port())
            && !interest.own_ports.contains(socket.local.port())
            && interest.inodes.is_none_or(|inodes| inodes.contains(&socket.inode))
            && self.user.is_none_or(|user| user == socket.user)
    }

    fn slot(&mut self, remote: SocketAddr) -> usize {
        *self.slots.entry(remote).or_insert_with(|| {
            self.remotes.push(Remote::new(remote));
            self.remotes.len() - 1
        })
    }

    /// Addresses of backends come and go for as long as this lives.
    fn forget_idle_remotes(&mut self) {
        const SPARE: usize = 1024;
        let in_use: HashSet<usize> = if self.remotes.len() > SPARE {
            self.connections.values().map(|c| c.slot).collect()
        } else {
            return;
        };
        if self.remotes.len() <= SPARE + 2 * in_use.len() {
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

impl Remote {
    fn new(address: SocketAddr) -> Self {
        Self { address, load: Load::default(), rtt: Duration::ZERO, rtts: 0 }
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
            State::Established | State::Listening => {
                load.established += 1;
                if let Some(rtt) = socket.traffic.rtt {
                    self.rtt += rtt;
                    self.rtts += 1;
                }
            }
        }
    }

    fn load(&self) -> (SocketAddr, Load) {
        let rtt = self.rtt.checked_div(self.rtts);
        (self.address, Load { rtt, ..self.load })
    }
}

#[cfg(test)]
mod tests;

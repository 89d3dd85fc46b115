//! The remote addresses of connections, with the sum of their loads.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    ops::{Index, IndexMut},
    time::{Duration, Instant},
};

use crate::{
    sample::Load,
    socket::{State, Traffic},
};

/// All remote addresses, each with an index by which its connections refer to it.
#[derive(Default)]
pub(crate) struct Remotes {
    slots: HashMap<SocketAddr, usize>,
    list: Vec<Remote>,
}

/// A remote address, and the sum of the loads of its connections that count.
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    established: u32,
    half_closed: u32,
    opening: u32,
    bytes: u64,
    retransmits: u64,
    rtt_sum: Duration,
    rtt_count: u32,
    /// Local address of its connections.
    pub(crate) local_ip: Option<IpAddr>,
    /// Local port of the connection that was opened last.
    pub(crate) last_port: Option<LastPort>,
    /// Set if it is a backend of some user, so that new connections to it are to be expected.
    pub(crate) is_backend: bool,
}

/// The local port of the connection to a remote address that was opened last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastPort {
    pub(crate) port: u16,
    /// Moment after which the connection was opened, if that is known.
    pub(crate) opened_after: Option<Instant>,
    /// Moment at which it was first seen.
    pub(crate) seen_at: Instant,
}

/// The part that a connection has in the load of its remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) state: State,
    pub(crate) traffic: Traffic,
}

/// Remote addresses without connections are forgotten once there are more than this.
const MAX_IDLE_REMOTES: usize = 1024;

impl Remotes {
    /// Returns the index of `address`, which is added if necessary; then `is_backend` says whether it is one.
    pub(crate) fn slot(&mut self, address: SocketAddr, is_backend: impl FnOnce() -> bool) -> usize {
        *self.slots.entry(address).or_insert_with(|| {
            self.list.push(Remote { is_backend: is_backend(), ..Remote::new(address) });
            self.list.len() - 1
        })
    }

    /// Returns the index of `address`, if it is known.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<usize> {
        self.slots.get(&address).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Remote> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Remote> {
        self.list.iter_mut()
    }

    /// Returns `true` if so many remote addresses are known that some should be forgotten.
    pub(crate) fn are_many(&self) -> bool {
        self.list.len() > MAX_IDLE_REMOTES
    }

    /// Forgets the remote addresses that are not `in_use`, if they are many, so that memory does not grow with each
    /// address that a backend has ever had. Returns the new index of each that is kept, or `None` if nothing changed.
    pub(crate) fn forget_idle(&mut self, in_use: &HashSet<usize>) -> Option<HashMap<usize, usize>> {
        if self.list.len() <= MAX_IDLE_REMOTES + 2 * in_use.len() {
            return None;
        }
        let mut moved = HashMap::new();
        let mut kept = Vec::with_capacity(in_use.len());
        for (slot, remote) in std::mem::take(&mut self.list).into_iter().enumerate() {
            if in_use.contains(&slot) {
                moved.insert(slot, kept.len());
                kept.push(remote);
            }
        }
        self.slots = kept.iter().enumerate().map(|(slot, remote)| (remote.address, slot)).collect();
        self.list = kept;
        Some(moved)
    }
}

impl Index<usize> for Remotes {
    type Output = Remote;

    fn index(&self, slot: usize) -> &Remote {
        &self.list[slot]
    }
}

impl IndexMut<usize> for Remotes {
    fn index_mut(&mut self, slot: usize) -> &mut Remote {
        &mut self.list[slot]
    }
}

impl Remote {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            established: 0,
            half_closed: 0,
            opening: 0,
            bytes: 0,
            retransmits: 0,
            rtt_sum: Duration::ZERO,
            rtt_count: 0,
            local_ip: None,
            last_port: None,
            is_backend: false,
        }
    }

    pub(crate) fn add(&mut self, share: &Share) {
        *self.count(share.state) += 1;
        self.bytes = self.bytes.saturating_add(share.traffic.bytes);
        self.retransmits = self.retransmits.saturating_add(share.traffic.retransmits.into());
        if let Some(rtt) = share.rtt() {
            self.rtt_sum = self.rtt_sum.saturating_add(rtt);
            self.rtt_count += 1;
        }
    }

    /// Takes away what [`add`](Self::add) has added.
    pub(crate) fn remove(&mut self, share: &Share) {
        let count = self.count(share.state);
        *count = count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(share.traffic.bytes);
        self.retransmits = self.retransmits.saturating_sub(share.traffic.retransmits.into());
        if let Some(rtt) = share.rtt() {
            self.rtt_sum = self.rtt_sum.saturating_sub(rtt);
            self.rtt_count = self.rtt_count.saturating_sub(1);
        }
    }

    /// Returns the number of its connections that count.
    pub(crate) fn connections(&self) -> u32 {
        self.established.saturating_add(self.half_closed).saturating_add(self.opening)
    }

    /// Returns the load of its connections, without what changed since the last sample.
    pub(crate) fn load(&self) -> Load {
        Load {
            established: self.established,
            half_closed: self.half_closed,
            opening: self.opening,
            bytes: self.bytes,
            retransmits: self.retransmits,
            rtt: self.rtt_sum.checked_div(self.rtt_count),
            ..Load::default()
        }
    }

    fn count(&mut self, state: State) -> &mut u32 {
        match state {
            State::Opening => &mut self.opening,
            State::EndedByRemote | State::EndedHere => &mut self.half_closed,
            State::Established | State::Listening => &mut self.established,
        }
    }
}

impl Share {
    fn rtt(&self) -> Option<Duration> {
        self.traffic.rtt.filter(|_| self.state == State::Established)
    }
}

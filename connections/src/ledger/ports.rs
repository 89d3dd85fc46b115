//! The local ports of the connections that are known, and those of the next ones.

use std::{net::SocketAddr, time::Instant};

use super::Ledger;
use crate::{
    port_range::{Newest, PortRange},
    remotes::{LastPort, Remote},
};

impl Ledger {
    /// Returns the backends whose next local ports can be predicted, those with the fewest connections first: a balancer
    /// by least connections leads new ones there.
    pub(crate) fn predictable(&self, now: Instant) -> Vec<SocketAddr> {
        let remotes = self.remotes.iter().filter(|remote| remote.is_backend && self.is_predictable(remote, now));
        let mut remotes: Vec<_> = remotes.map(|remote| (remote.connections(), remote.address)).collect();
        remotes.sort_unstable();
        remotes.into_iter().map(|(_, address)| address).collect()
    }

    /// Returns `true` if the next local ports of every backend can be predicted.
    pub(crate) fn are_all_predictable(&self, now: Instant) -> bool {
        // Nothing is known of a backend that never had a connection.
        let is_predictable = |slot: usize| self.is_predictable(&self.remotes[slot], now);
        self.accounts.backends().all(|backend| self.remotes.find(*backend).is_some_and(is_predictable))
    }

    fn is_predictable(&self, remote: &Remote, now: Instant) -> bool {
        let is_valid = |last: LastPort| !self.shuffles.happened_since(last.seen_at, now);
        remote.local_ip.is_some() && remote.last_port.is_some_and(is_valid)
    }

    /// Returns the local address of the last connection to `remote`, if it is known.
    pub(crate) fn last_local(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let remote = &self.remotes[self.remotes.find(remote)?];
        Some(SocketAddr::new(remote.local_ip?, remote.last_port?.port))
    }

    /// Takes in that the last connection to `remote` was opened from this local port.
    pub(crate) fn dialed(&mut self, remote: SocketAddr, port: u16, now: Instant) {
        if let Some(slot) = self.remotes.find(remote) {
            self.set_last_port(slot, port, now);
        }
    }

    /// Returns the range of local ports, as it was when the last dump began.
    pub(crate) fn local_ports(&self) -> PortRange {
        self.local_ports
    }

    /// Takes in the local ports of new connections to a remote address, which were seen at `at`.
    pub(super) fn dialed_from(&mut self, slot: usize, ports: &[u16], at: Instant) {
        let last = self.remotes[slot].last_port;
        let newest = self.local_ports.newest(last.map(|last| last.port), ports);
        if let (Newest::Elsewhere(_), Some(opened_after)) = (newest, last.and_then(|last| last.opened_after)) {
            self.shuffles.happened(opened_after, at);
        }
        if let Newest::Behind(port) | Newest::Elsewhere(port) = newest {
            self.set_last_port(slot, port, at);
        }
    }

    fn set_last_port(&mut self, slot: usize, port: u16, seen_at: Instant) {
        let remote = &mut self.remotes[slot];
        let is_new = self.interests.get(&remote.address.into()) == Some(&true);
        remote.last_port = Some(LastPort { port, opened_after: self.all_seen_until.filter(|_| is_new), seen_at });
    }
}

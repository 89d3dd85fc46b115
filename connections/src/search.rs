//! Searches for new connections without reading the table.

use std::{net::SocketAddr, time::Duration};

use crate::{
    error::ReadError,
    ledger::{Ledger, Sight},
    own_sockets::OwnSockets,
    port_range::PortRange,
    socket::Pair,
    system::System,
};

/// Statistics of the searches so far: the cost of a lookup, and the part of the connections that was found.
#[derive(Clone, Debug)]
pub(crate) struct SearchStatistics {
    lookup_cost: Duration,
    success: f64,
    /// Share of the connections not found by a search for all backends that dumps found to be to a backend. The others
    /// go elsewhere: whatever else opens connections in this network namespace is in the kernel's counter, too.
    own_share: f64,
    /// Share of all unseen connections that dumps found to be to a backend, whether there had been a search or not. Nothing
    /// is said of unseen connections before that is known: most may be those of other programs.
    missing_share: f64,
}

/// Result of a search for the new connections to one remote address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) connections: u64,
    pub(crate) lookups: usize,
}

/// Number of local ports looked up at a time.
const PORTS_AT_A_TIME: usize = 8;

/// Maximum number of local ports looked up for one remote address.
const MAX_PORTS: usize = 1024;

/// Searches for the connections to `remote` that were opened after the last one that is known, where the kernel should
/// have put them, until `wanted` are found.
pub(crate) fn search(
    system: &mut impl System,
    ledger: &mut Ledger,
    own_sockets: &OwnSockets,
    remote: SocketAddr,
    wanted: u64,
) -> Result<Found, ReadError> {
    let mut found = Found::default();
    let Some(mut last) = ledger.last_local(remote) else { return Ok(found) };
    let mut candidates = ledger.local_ports().candidates(last.port()).take(MAX_PORTS);
    let mut since_last = 0;
    loop {
        let pairs: Vec<Pair> = candidates
            .by_ref()
            .take(PORTS_AT_A_TIME)
            .map(|port| Pair { local: SocketAddr::new(last.ip(), port), remote })
            .collect();
        if pairs.is_empty() || found.connections >= wanted {
            return Ok(found);
        }
        found.lookups += pairs.len();
        let sockets = system.look_up(&pairs)?;
        let now = system.now();
        for (pair, socket) in pairs.iter().zip(&sockets) {
            if socket.as_ref().is_some_and(|socket| ledger.look_at(socket, own_sockets, now) == Sight::New) {
                found.connections += 1;
                last.set_port(pair.local.port());
                ledger.dialed(remote, last.port(), now);
                since_last = 0;
            } else if PortRange::ends_search(since_last, socket.is_none()) {
                return Ok(found);
            } else {
                since_last += 1;
            }
        }
    }
}

impl SearchStatistics {
    /// Returns how many lookups are worth their cost, compared with a dump of this cost.
    pub(crate) fn max_lookups(&self, dump_cost: Duration) -> usize {
        let lookups = self.success * dump_cost.as_secs_f64() / self.lookup_cost.as_secs_f64().max(1e-7);
        // The cast saturates.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any large number will do")]
        let lookups = lookups as usize;
        lookups
    }

    /// Returns `true` if these connections, which a search for all backends did not find, are likely to have one to a
    /// backend among them.
    pub(crate) fn are_missing(&self, unseen: u64) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
        let expected = unseen as f64 * self.own_share;
        expected >= 0.5
    }

    /// Returns how many of these unseen connections are to backends, as far as earlier ones tell.
    pub(crate) fn expected_own(&self, unseen: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
        let unseen = unseen as f64;
        unseen * self.missing_share
    }

    /// Takes in that a dump found `own` connections to backends where these were unseen. `searched_all` says whether a search
    /// for the connections of all backends had been in vain.
    pub(crate) fn dumped(&mut self, own: usize, unseen: u64, searched_all: bool) {
        const SMOOTHING: f64 = 1.0 / 4.0;
        #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
        let share = (own as f64 / unseen.max(1) as f64).min(1.0);
        if unseen > 0 {
            self.missing_share += SMOOTHING * (share - self.missing_share);
            if searched_all {
                self.own_share += SMOOTHING * (share - self.own_share);
            }
        }
    }

    /// Takes in that a search found this part of the connections, and its cost.
    pub(crate) fn searched(&mut self, found: u64, wanted: u64, lookups: usize, cost: Duration) {
        const SMOOTHING: f64 = 1.0 / 8.0;
        /// Enough to notice when searches become successful again, at a small part of the cost of a dump.
        const MIN_SUCCESS: f64 = 0.05;
        #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
        let success = (found as f64 / wanted.max(1) as f64).min(1.0);
        self.success = (self.success + SMOOTHING * (success - self.success)).max(MIN_SUCCESS);
        if let Ok(lookups @ 1..) = u32::try_from(lookups) {
            self.lookup_cost = (self.lookup_cost * 7 + cost / lookups) / 8;
        }
    }
}

impl Default for SearchStatistics {
    fn default() -> Self {
        Self { lookup_cost: Duration::from_micros(2), success: 1.0, own_share: 1.0, missing_share: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_connections_are_those_of_other_programs_until_dumps_have_found_some_to_be_own() {
        let mut searches = SearchStatistics::default();
        assert!(searches.expected_own(10) < 0.5);
        for _ in 0..20 {
            searches.dumped(0, 5, true);
        }
        assert!(searches.expected_own(10) < 0.5);
        for _ in 0..20 {
            searches.dumped(5, 5, false);
        }
        assert!(searches.expected_own(10) > 9.5);
    }
}

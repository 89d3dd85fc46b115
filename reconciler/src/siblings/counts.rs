//! Connections by backend, as small as they can be kept.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// Connections of one replica by backend, in the order of addresses.
///
/// Successive counts of the same backends share the addresses, which take eight times the place of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    backends: Arc<[SocketAddr]>,
    connections: Box<[u32]>,
}

impl Counts {
    /// Collects connections that are in the order of addresses. `before` are earlier ones, probably of the same backends.
    pub(super) fn collect(connections: impl Iterator<Item = (SocketAddr, u32)> + Clone, before: Option<&Self>) -> Self {
        let backends = connections.clone().map(|(backend, _)| backend);
        let same = before.filter(|before| before.backends.iter().copied().eq(backends.clone()));
        let backends = same.map_or_else(|| backends.collect(), |before| Arc::clone(&before.backends));
        Self { backends, connections: connections.map(|(_, connections)| connections).collect() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, u32)> {
        self.backends.iter().copied().zip(self.connections.iter().copied())
    }

    /// Returns the connections to all backends.
    pub(super) fn sum(&self) -> u64 {
        self.connections.iter().copied().map(u64::from).sum()
    }

    /// Returns the connections of `backends`, which are in the order of addresses; 0 for an unknown one.
    pub(super) fn of(&self, backends: impl Iterator<Item = SocketAddr>) -> impl Iterator<Item = u32> {
        let mut rest = self.iter().peekable();
        backends.map(move |backend| {
            while rest.next_if(|(known, _)| *known < backend).is_some() {}
            rest.next_if(|(known, _)| *known == backend).map_or(0, |(_, connections)| connections)
        })
    }
}

impl From<&BTreeMap<SocketAddr, u32>> for Counts {
    fn from(connections: &BTreeMap<SocketAddr, u32>) -> Self {
        Self::collect(connections.iter().map(|(backend, connections)| (*backend, *connections)), None)
    }
}

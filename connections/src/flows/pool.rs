//! The pools whose connections are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// A pool: the port that clients connect to, and the backends that their connections go on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowPool {
    /// Port of this side that clients connect to; `None` if it is not known, and then no client is.
    pub entry_port: Option<u16>,
    /// Addresses of the backends.
    pub backends: Arc<BTreeSet<SocketAddr>>,
    /// Unset if the proxy adds something to what the client sends, such as the header of the PROXY protocol. Then no client is
    /// paired with its backend.
    pub is_transparent: bool,
}

/// Pools, by what is looked up for each socket.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) entry_ports: BTreeMap<u16, usize>,
    /// The pools that have a backend.
    pub(crate) backends: BTreeMap<SocketAddr, Vec<usize>>,
    /// The group of each pool. Pools that share a backend are of one group.
    groups: Vec<usize>,
    /// Groups in which clients cannot be paired.
    opaque: BTreeSet<usize>,
}

impl Pools {
    pub(crate) fn new(pools: &[FlowPool]) -> Self {
        let mut this = Self { groups: (0..pools.len()).collect(), ..Self::default() };
        for (index, pool) in pools.iter().enumerate() {
            this.entry_ports.extend(pool.entry_port.map(|port| (port, index)));
            for backend in pool.backends.iter() {
                let sharing = this.backends.entry(*backend).or_default();
                sharing.push(index);
                let (first, own) = (this.groups[sharing[0]], this.groups[index]);
                if first != own {
                    this.groups.iter_mut().filter(|group| **group == own).for_each(|group| *group = first);
                }
            }
        }
        let opaque = pools.iter().enumerate().filter(|(_, pool)| !pool.is_transparent || pool.entry_port.is_none());
        this.opaque = opaque.map(|(index, _)| this.groups[index]).collect();
        this
    }

    /// Returns the ports of the backends.
    pub(crate) fn backend_ports(&self) -> BTreeSet<u16> {
        self.backends.keys().map(SocketAddr::port).collect()
    }

    /// Returns the ports that clients connect to.
    pub(crate) fn entry_ports(&self) -> BTreeSet<u16> {
        self.entry_ports.keys().copied().collect()
    }

    /// Returns the group of the pools that have this backend.
    pub(crate) fn group_of_backend(&self, backend: SocketAddr) -> Option<usize> {
        self.backends.get(&backend).and_then(|pools| self.groups.get(*pools.first()?)).copied()
    }

    /// Returns the group of the pool whose clients connect to this port.
    pub(crate) fn group_of_entry(&self, port: u16) -> Option<usize> {
        self.groups.get(*self.entry_ports.get(&port)?).copied()
    }

    /// Returns `true` if the clients of a group can be paired with their backends.
    pub(crate) fn can_pair(&self, group: usize) -> bool {
        !self.opaque.contains(&group)
    }

    /// Returns the pool of a connection to `backend` of a client that connected to `entry_port`, if it is known. `None` if
    /// several pools have the backend and the client is not known.
    pub(crate) fn pool(&self, backend: SocketAddr, entry_port: Option<u16>) -> Option<usize> {
        match (entry_port.and_then(|port| self.entry_ports.get(&port)), self.backends.get(&backend)?.as_slice()) {
            (Some(pool), _) => Some(*pool),
            (None, [only]) => Some(*only),
            (None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(entry_port: u16, backends: &[&str], is_transparent: bool) -> FlowPool {
        let backends = Arc::new(backends.iter().map(|backend| backend.parse().unwrap()).collect());
        FlowPool { entry_port: Some(entry_port), backends, is_transparent }
    }

    #[test]
    fn pools_that_share_a_backend_are_one_group_also_by_way_of_a_third_one() {
        let a = "10.0.0.1:80";
        let (b, c) = ("10.0.0.2:80", "10.0.0.3:80");
        let pools =
            Pools::new(&[pool(1, &[a], true), pool(2, &[b], true), pool(3, &[a, b], false), pool(4, &[c], true)]);
        let groups: Vec<_> = (1..=4).map(|port| pools.group_of_entry(port).unwrap()).collect();
        assert!(groups[..3].iter().all(|group| *group == groups[0]) && groups[3] != groups[0], "{groups:?}");
        assert_eq!(pools.group_of_backend(b.parse().unwrap()), Some(groups[0]));
        assert!(!pools.can_pair(groups[0]) && pools.can_pair(groups[3]), "one of the first three adds a header");
    }

    #[test]
    fn the_pool_of_a_shared_backend_is_known_by_the_client_only() {
        let (shared, own) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let pools = Pools::new(&[pool(1, &["10.0.0.1:80", "10.0.0.2:80"], true), pool(2, &["10.0.0.1:80"], true)]);
        assert_eq!((pools.pool(shared, None), pools.pool(shared, Some(2))), (None, Some(1)));
        assert_eq!(pools.pool(own, None), Some(0));
        assert_eq!(pools.pool("10.0.0.9:80".parse().unwrap(), None), None);
    }
}

//! Loopback addresses that no other process of tests uses.

use std::{
    fs::{File, TryLockError},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context, bail};

/// A /16 of 127.0.0.0/8 that belongs to this process of tests for as long as it lives.
///
/// With addresses of their own, servers use fixed ports: none has to be picked, released and hoped to be still free.
/// Outgoing connections on loopback come from 127.0.0.1, which is in no such net, so they never take a port from one.
#[derive(Debug)]
pub struct Net {
    second: u8,
    /// Number of hosts given out so far.
    hosts: AtomicU16,
    /// Number of groups given out so far.
    groups: AtomicU16,
    _lock: File,
}

/// The addresses of one test's backends, up to 2 048.
///
/// There are 31 groups, which are given out in turn: a process that runs fewer tests at a time never sees the same
/// group twice at once.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    first: u8,
    second: u8,
    /// Third byte of the first address.
    third: u8,
}

/// First byte of the addresses of every net.
const LOOPBACK: u8 = 127;
/// Groups of a net.
const GROUPS: u16 = 31;
/// Third bytes of a group; as many are left for the hosts, below the first group.
const THIRDS: u8 = 8;
/// Hosts with one third byte: 1 to 254.
const HOSTS_PER_THIRD: u16 = 254;

impl Net {
    /// Returns the net of this process, which is claimed at the first call.
    pub fn for_this_process() -> anyhow::Result<&'static Self> {
        static NET: OnceLock<Net> = OnceLock::new();
        if let Some(net) = NET.get() {
            return Ok(net);
        }
        let net = Self::lock_a_free_one()?;
        Ok(NET.get_or_init(|| net))
    }

    fn lock_a_free_one() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join("ilb-testbed-nets");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for second in 1..=254 {
            let path = folder.join(second.to_string());
            let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => return Ok(Self::new(second, file)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(e).context(format!("cannot lock {}", path.display())),
            }
        }
        bail!("all of {} are locked: more than 254 processes of tests run at once", folder.display())
    }

    fn new(second: u8, lock: File) -> Self {
        Self { second, hosts: AtomicU16::new(0), groups: AtomicU16::new(0), _lock: lock }
    }

    /// Returns an address for a server, a different one at each call.
    pub fn host(&self) -> anyhow::Result<Ipv4Addr> {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        let [_, third] = (number / HOSTS_PER_THIRD).to_be_bytes();
        let [_, fourth] = (number % HOSTS_PER_THIRD + 1).to_be_bytes();
        if number >= u16::from(THIRDS) * HOSTS_PER_THIRD {
            bail!("one process of tests has started more than {} servers", u16::from(THIRDS) * HOSTS_PER_THIRD);
        }
        Ok(Ipv4Addr::new(LOOPBACK, self.second, third, fourth))
    }

    /// Returns a group of addresses for the backends of a test.
    pub fn group(&self) -> Group {
        let [_, number] = (self.groups.fetch_add(1, Ordering::Relaxed) % GROUPS).to_be_bytes();
        Group { first: LOOPBACK, second: self.second, third: THIRDS + THIRDS * number }
    }
}

impl Group {
    /// The addresses in 10.9.0.0/16, for a [network namespace of a test's own](crate::alone_in_a_network).
    pub(crate) const OF_OTHER_HOSTS: Self = Self { first: 10, second: 9, third: THIRDS };

    /// Returns a group of addresses that are none of loopback, in [`Self::BEYOND_LOOPBACK`]. They exist only where
    /// [`host_network`](crate::host_network) has made them.
    #[must_use]
    pub fn beyond_loopback(self) -> Self {
        Self { first: 10, ..self }
    }

    /// Network of the addresses that are none of loopback.
    pub const BEYOND_LOOPBACK: &str = "10.0.0.0/8";

    /// Returns the address of backend `index` at `port`.
    pub fn address(&self, index: u16, port: u16) -> SocketAddr {
        let [high, low] = index.to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(self.first, self.second, self.third + high % THIRDS, low), port))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn net() -> Net {
        Net::new(9, tempfile::tempfile().unwrap())
    }

    #[test]
    fn hosts_and_backends_never_share_an_address() {
        let net = net();
        let mut addresses: HashSet<_> = (0..8 * 254).map(|_| SocketAddr::from((net.host().unwrap(), 1))).collect();
        assert!(net.host().is_err(), "the next address would belong to a group");
        for _ in 0..GROUPS {
            let group = net.group();
            addresses.extend((0..2_048).map(|index| group.address(index, 1)));
        }
        assert_eq!(addresses.len(), 8 * 254 + 31 * 2_048);
    }
}

//! Changes that each user of the counts has not been told yet.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::sample::{Ending, Load, MAX_ENDINGS_PER_SAMPLE};

/// Changes since the last sample of each user.
#[derive(Default)]
pub(crate) struct Accounts {
    accounts: BTreeMap<AccountId, Account>,
}

/// Number of a user.
pub(crate) type AccountId = u64;

#[derive(Default)]
struct Account {
    backends: Arc<BTreeSet<SocketAddr>>,
    /// Set by the first sample. Until then, connections may be of any age.
    is_open: bool,
    changes: HashMap<SocketAddr, Changes>,
    endings: Vec<Ending>,
}

/// Connections of one remote address that were opened and closed, and what they moved.
#[derive(Clone, Copy, Default)]
struct Changes {
    opened: u32,
    closed: u32,
    /// Bytes that were moved.
    moved: u64,
}

/// Number of remote addresses with changes that are kept for a user that takes no samples. If there are more, its next
/// sample is like a first one.
const MAX_CHANGED_ADDRESSES: usize = 65_536;

impl Accounts {
    /// Sets the backends in which a user is interested, and forgets the users that are not `alive`. Returns `true` if that
    /// may have changed the backends of all users.
    pub(crate) fn set_backends(
        &mut self,
        id: AccountId,
        backends: &Arc<BTreeSet<SocketAddr>>,
        alive: impl Fn(AccountId) -> bool,
    ) -> bool {
        let users = self.accounts.len();
        self.accounts.retain(|id, _| alive(*id));
        let is_dropped = self.accounts.len() < users;
        let account = self.accounts.entry(id).or_default();
        let is_other = !Arc::ptr_eq(&account.backends, backends);
        account.backends = Arc::clone(backends);
        is_dropped || is_other
    }

    /// Iterates over the backends of all users; those of several users come several times.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &SocketAddr> {
        self.accounts.values().flat_map(|account| &*account.backends)
    }

    /// Returns the number of users that have backends.
    pub(crate) fn users(&self) -> usize {
        self.accounts.values().filter(|account| !account.backends.is_empty()).count()
    }

    /// Returns `true` if some user is interested in this address.
    pub(crate) fn is_backend(&self, address: SocketAddr) -> bool {
        self.accounts.values().any(|account| account.backends.contains(&address))
    }

    /// Returns the backends with this IP address, whatever their port.
    pub(crate) fn backends_at(&self, ip: IpAddr) -> BTreeSet<SocketAddr> {
        let range = SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX);
        self.accounts.values().flat_map(|account| account.backends.range(range.clone())).copied().collect()
    }

    pub(crate) fn opened(&mut self, remote: SocketAddr) {
        self.changed(remote, |changes| changes.opened = changes.opened.saturating_add(1));
    }

    /// Takes in that bytes were moved on connections to an address.
    pub(crate) fn moved(&mut self, remote: SocketAddr, bytes: u64) {
        if bytes > 0 {
            self.changed(remote, |changes| changes.moved = changes.moved.saturating_add(bytes));
        }
    }

    pub(crate) fn closed(&mut self, ending: Ending) {
        self.changed(ending.backend, |changes| changes.closed = changes.closed.saturating_add(1));
        for account in self.accounts.values_mut().filter(|account| account.is_open) {
            if account.endings.len() < MAX_ENDINGS_PER_SAMPLE && account.backends.contains(&ending.backend) {
                account.endings.push(ending);
            }
        }
    }

    /// Closes the account since the last sample of a user: adds the changes of its backends to `loads`, and returns the
    /// endings.
    pub(crate) fn take(&mut self, id: AccountId, loads: &mut BTreeMap<SocketAddr, Load>) -> Vec<Ending> {
        let account = self.accounts.entry(id).or_default();
        account.is_open = true;
        for (address, changes) in account.changes.drain() {
            if account.backends.contains(&address) {
                let load = loads.entry(address).or_default();
                (load.opened, load.closed, load.moved) = (changes.opened, changes.closed, changes.moved);
            }
        }
        account.endings.retain(|ending| account.backends.contains(&ending.backend));
        std::mem::take(&mut account.endings)
    }

    fn changed(&mut self, remote: SocketAddr, change: impl Fn(&mut Changes)) {
        for account in self.accounts.values_mut().filter(|account| account.is_open) {
            if account.changes.len() >= MAX_CHANGED_ADDRESSES && !account.changes.contains_key(&remote) {
                (account.is_open, account.changes, account.endings) = (false, HashMap::new(), Vec::new());
            } else {
                change(account.changes.entry(remote).or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sample::EndedBy;

    fn address(i: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from(i), 80).into()
    }

    #[test]
    fn a_user_that_takes_no_samples_is_forgotten_rather_than_remembered_without_bound() {
        let mut accounts = Accounts::default();
        let backends = Arc::new((0..200_000).map(address).collect());
        accounts.set_backends(1, &backends, |_| true);
        accounts.take(1, &mut BTreeMap::new());
        for i in 0..200_000 {
            accounts.opened(address(i));
            accounts.closed(Ending::new(address(i), Duration::ZERO, 0, EndedBy::Unknown));
        }
        assert!(accounts.accounts[&1].changes.len() <= MAX_CHANGED_ADDRESSES);
        assert!(accounts.accounts[&1].endings.len() <= MAX_ENDINGS_PER_SAMPLE);
        let mut loads = BTreeMap::new();
        assert!(accounts.take(1, &mut loads).is_empty() && loads.is_empty(), "its next sample is like a first one");
    }

    #[test]
    fn a_dropped_user_is_forgotten() {
        let mut accounts = Accounts::default();
        for id in [1, 2] {
            accounts.set_backends(id, &Arc::default(), |_| true);
        }
        accounts.set_backends(2, &Arc::default(), |id| id == 2);
        assert_eq!(accounts.accounts.len(), 1);
    }
}

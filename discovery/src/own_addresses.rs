//! The addresses of the network namespace that this process runs in.

use std::{
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Addresses of this network namespace, loopback addresses excepted. They are listed again when the list is old. Clones
/// share the list.
#[derive(Clone)]
pub(crate) struct OwnAddresses(Arc<Shared>);

struct Shared {
    list: Box<dyn Fn() -> io::Result<Vec<IpAddr>> + Send + Sync>,
    last: Mutex<Last>,
}

/// Last list, in ascending order.
#[derive(Default)]
struct Last {
    addresses: Vec<IpAddr>,
    listed: Option<Instant>,
    failed: bool,
}

/// Age at which the list may no longer be true. Listing costs a few system calls.
const MAX_LIST_AGE: Duration = Duration::from_secs(5);

impl OwnAddresses {
    fn new(list: impl Fn() -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { list: Box::new(list), last: Mutex::default() }))
    }

    /// Stands for a network namespace with these addresses.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn fixed(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses: Vec<_> = addresses.into_iter().collect();
        Self::new(move || Ok(addresses.clone()))
    }

    /// Returns whether `ip`, in its canonical form, is an address of this network namespace. Where they cannot be
    /// listed, which is logged once, none is.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.listed.is_none_or(|at| at.elapsed() >= MAX_LIST_AGE) {
            last.renew((self.0.list)(), Instant::now());
        }
        last.addresses.binary_search(&ip).is_ok()
    }
}

impl Last {
    fn renew(&mut self, list: io::Result<Vec<IpAddr>>, now: Instant) {
        self.listed = Some(now);
        match list {
            Ok(addresses) => {
                self.addresses =
                    addresses.iter().map(IpAddr::to_canonical).filter(|address| !address.is_loopback()).collect();
                self.addresses.sort_unstable();
                self.failed = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(
                        %error,
                        "the addresses of this network namespace cannot be listed: one of them can become a backend"
                    );
                }
            }
        }
    }
}

impl Default for OwnAddresses {
    /// Returns those that the operating system lists.
    fn default() -> Self {
        Self::new(|| Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect()))
    }
}

impl fmt::Debug for OwnAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnAddresses").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::UdpSocket,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_addresses_of_the_interfaces_are_own_ones_and_those_of_loopback_are_not() {
        let own = OwnAddresses::fixed(["10.0.0.7", "127.0.0.1", "fd00::7", "::1"].map(ip));
        for (text, expected) in
            [("10.0.0.7", true), ("fd00::7", true), ("10.0.0.8", false), ("127.0.0.1", false), ("::1", false)]
        {
            assert_eq!(own.contains(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_operating_system_lists_the_address_that_connections_leave_from() {
        // Nothing is sent: connecting a datagram socket only chooses its own address.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let local = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
        let own = OwnAddresses::default();
        if let Ok(local) = local {
            assert!(own.contains(local.ip()) || local.ip().is_loopback(), "{local}");
        }
        assert!(!own.contains(ip("192.0.2.1")));
    }

    #[test]
    fn a_list_is_used_again_until_it_is_old_and_kept_while_there_is_no_new_one() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let own = OwnAddresses::new(move || match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(vec![ip("10.0.0.7")]),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        });
        assert!(own.contains(ip("10.0.0.7")) && own.contains(ip("10.0.0.7")));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        own.0.last.lock().unwrap().listed = None;
        assert!(own.contains(ip("10.0.0.7")), "the list of before");
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}

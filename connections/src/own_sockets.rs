//! The sockets of probes, whose connections never count.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::socket::Socket;

/// The sockets that this process opens only to probe, and that must not count.
///
/// They are known by their cookies, which are never given to another socket. Where a table has no cookies, they are known
/// by their local ports: a released port stays here until the next sample begins, because a sample in progress may still
/// see its socket.
#[derive(Debug, Default)]
pub(crate) struct OwnSockets(Mutex<Own>);

#[derive(Debug, Default)]
struct Own {
    cookies: BTreeSet<u64>,
    /// Released cookies, oldest first. Their sockets are announced as destroyed after they are released.
    released_cookies: VecDeque<u64>,
    ports: BTreeMap<u16, Use>,
    /// Number of sockets reserved so far.
    opened: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Use {
    Reserved,
    Released,
}

/// A reserved socket, which is released on drop. The socket has to be closed before.
#[derive(Debug)]
pub(crate) struct OwnSocket {
    cookie: Option<u64>,
    port: u16,
    all: Arc<OwnSockets>,
}

/// Number of released cookies that are kept. Probes close no more than that between two samples.
const MAX_RELEASED_COOKIES: usize = 4096;

impl OwnSockets {
    /// Reserves a socket by its cookie, if it has one, and its local port.
    pub(crate) fn reserve(self: &Arc<Self>, cookie: Option<u64>, port: u16) -> OwnSocket {
        let mut own = self.lock();
        own.cookies.extend(cookie);
        own.ports.insert(port, Use::Reserved);
        own.opened += 1;
        OwnSocket { cookie, port, all: Arc::clone(self) }
    }

    /// Forgets the released ports. To be called when a sample begins and no earlier one is in progress.
    pub(crate) fn begin_sample(&self) {
        self.lock().ports.retain(|_, state| *state == Use::Reserved);
    }

    /// Returns `true` if a socket seen by the sample in progress may be a probe.
    pub(crate) fn contains(&self, socket: &Socket) -> bool {
        let own = self.lock();
        own.cookies.contains(&socket.identity) || own.ports.contains_key(&socket.local.port())
    }

    /// Returns `true` if the socket with this cookie is a probe, or was one.
    pub(crate) fn contains_cookie(&self, cookie: u64) -> bool {
        self.lock().cookies.contains(&cookie)
    }

    /// Returns the number of sockets reserved so far.
    pub(crate) fn opened(&self) -> u64 {
        self.lock().opened
    }

    fn lock(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        let mut own = self.all.lock();
        own.ports.insert(self.port, Use::Released);
        if let Some(cookie) = self.cookie {
            own.released_cookies.push_back(cookie);
        }
        if own.released_cookies.len() > MAX_RELEASED_COOKIES
            && let Some(oldest) = own.released_cookies.pop_front()
        {
            own.cookies.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::connection;

    #[test]
    fn a_released_port_is_kept_until_the_next_sample_begins() {
        let own = Arc::new(OwnSockets::default());
        let socket = connection(7, "10.0.0.1:80");
        let reserved = own.reserve(None, socket.local.port());
        own.begin_sample();
        assert!(own.contains(&socket));
        drop(reserved);
        assert!(own.contains(&socket), "the sample in progress may have seen its socket");
        own.begin_sample();
        assert!(!own.contains(&socket));
    }

    #[test]
    fn a_cookie_is_known_after_its_socket_was_closed_but_not_for_ever() {
        let own = Arc::new(OwnSockets::default());
        for cookie in 0..10_000 {
            drop(own.reserve(Some(cookie), 1));
        }
        assert!(own.contains_cookie(9_999) && own.contains_cookie(9_000));
        assert_eq!(own.lock().cookies.len(), MAX_RELEASED_COOKIES);
        assert_eq!(own.opened(), 10_000);
    }
}

//! The backends that have left a pool, whose connections may go on.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use ilb_discovery::{BackendSet, PodRef};
use tokio::time::Instant;

/// Backends that have left a pool, with their pods, for as long as they may still have connections. Copies share them until
/// they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftBackends(Arc<BTreeMap<SocketAddr, Left>>);

#[derive(Clone, Debug)]
struct Left {
    pod: Option<Arc<PodRef>>,
    at: Instant,
}

/// Time after which a backend that has left is forgotten. Traefik keeps a connection whose client has shut down its side for
/// an hour, by default.
const MEMORY: Duration = Duration::from_secs(2 * 3600);

/// Maximum number of backends. Of more, the ones that left first are forgotten.
const MAX_BACKENDS: usize = 1_000;

impl LeftBackends {
    /// Takes in that `after` replaces `before`.
    pub(super) fn replaced(&mut self, before: &BackendSet, after: &BackendSet, now: Instant) {
        let gone: Vec<_> = before.iter().filter(|backend| after.get(&backend.address()).is_none()).collect();
        let is_old = |left: &Left| now.saturating_duration_since(left.at) > MEMORY;
        let is_over = |address: &SocketAddr, left: &Left| is_old(left) || after.get(address).is_some();
        if gone.is_empty() && !self.0.iter().any(|(address, left)| is_over(address, left)) {
            return;
        }
        let all = Arc::make_mut(&mut self.0);
        all.retain(|address, left| !is_over(address, left));
        for backend in gone {
            all.insert(backend.address(), Left { pod: backend.pod().cloned(), at: now });
        }
        while all.len() > MAX_BACKENDS {
            let Some(first) = all.iter().min_by_key(|(_, left)| left.at).map(|(address, _)| *address) else { break };
            all.remove(&first);
        }
    }

    /// Iterates over the backends, with their pods.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, Option<&Arc<PodRef>>)> {
        self.0.iter().map(|(address, left)| (*address, left.pod.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::{Backend, State};

    use super::*;

    fn set(hosts: impl IntoIterator<Item = u16>) -> BackendSet {
        let address = |host: u16| {
            let [high, low] = host.to_be_bytes();
            SocketAddr::from(([10, 0, high, low], 80))
        };
        hosts.into_iter().map(|host| Backend::new(address(host), State::Ready)).collect()
    }

    fn count(left: &LeftBackends) -> usize {
        left.iter().count()
    }

    #[test]
    fn a_backend_that_left_is_known_until_it_is_back_or_long_gone() {
        let (now, mut left) = (Instant::now(), LeftBackends::default());
        left.replaced(&set(1..4), &set(1..2), now);
        assert_eq!(count(&left), 2);
        left.replaced(&set(1..2), &set(1..3), now);
        assert_eq!(count(&left), 1, "one is back");
        left.replaced(&set(1..3), &set(1..3), now + MEMORY);
        assert_eq!(count(&left), 1);
        left.replaced(&set(1..3), &set(1..3), now + MEMORY + Duration::from_secs(1));
        assert_eq!(count(&left), 0);
    }

    #[test]
    fn their_number_is_bounded() {
        let (now, mut left) = (Instant::now(), LeftBackends::default());
        left.replaced(&set(0..900), &set([]), now);
        left.replaced(&set(900..1_100), &set([]), now + Duration::from_secs(1));
        assert_eq!(count(&left), MAX_BACKENDS);
        assert!(left.iter().any(|(address, _)| address.ip() == std::net::IpAddr::from([10, 0, 4, 75])));
    }
}

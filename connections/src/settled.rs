//! Connections that are known to have ended before the kernel announces it.

use std::collections::{HashSet, VecDeque};

/// Identities of ended connections whose destruction is still to be announced, and then no news.
///
/// A process may keep a socket open for long after the connection has ended, and an announcement may be lost, so only the
/// newest are kept.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    known: HashSet<u64>,
    /// All of them in the order in which they were added, with those that were removed since.
    order: VecDeque<u64>,
}

const MAX_SETTLED: usize = 16_384;

impl Settled {
    pub(crate) fn add(&mut self, identity: u64) {
        if self.known.insert(identity) {
            self.order.push_back(identity);
        }
        if self.order.len() > MAX_SETTLED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Removes a connection, and returns `true` if it was there.
    pub(crate) fn remove(&mut self, identity: u64) -> bool {
        self.known.remove(&identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut settled = Settled::default();
        (0..100_000).for_each(|identity| settled.add(identity));
        assert!(settled.known.len() <= MAX_SETTLED && settled.order.len() <= MAX_SETTLED);
        assert!(settled.remove(99_999) && !settled.remove(99_999));
        assert!(!settled.remove(0));
    }
}

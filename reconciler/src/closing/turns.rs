//! Lets one pool close connections at a time.

use crate::closing::Why;

/// Lets one pool close connections at a time: the one with the most urgent reason, and among equals the one that has begun,
/// until it does not want to any more.
#[derive(Clone, Debug)]
pub struct Turns<P> {
    holder: Option<P>,
}

impl<P> Default for Turns<P> {
    fn default() -> Self {
        Self { holder: None }
    }
}

impl<P: Clone + Eq + Ord> Turns<P> {
    /// Returns the pool whose turn it is, of those that [want](crate::Closing::wants) to close connections for a reason.
    pub fn next(&mut self, wants: impl IntoIterator<Item = (P, Why)>) -> Option<P> {
        let holder = self.holder.take();
        // Those behind the last holder come first, so that each has its turn.
        let key = |(pool, why): &(P, Why)| {
            (*why, holder.as_ref() != Some(pool), holder.as_ref().is_some_and(|holder| pool <= holder), pool.clone())
        };
        self.holder = wants.into_iter().min_by_key(key).map(|(pool, _)| pool);
        self.holder.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_pool_has_its_turn() {
        let mut turns = Turns::default();
        assert_eq!(turns.next([("a", Why::Rebalance), ("b", Why::Age)]), Some("b"));
        assert_eq!(turns.next([("a", Why::Role), ("b", Why::Age)]), Some("a"));
        assert_eq!(turns.next([]), None);
    }

    #[test]
    fn who_has_begun_ends_before_the_next_one_begins() {
        let mut turns = Turns::default();
        assert_eq!(turns.next([("b", Why::Rebalance)]), Some("b"));
        assert_eq!(turns.next([("a", Why::Rebalance), ("b", Why::Rebalance), ("c", Why::Rebalance)]), Some("b"));
        assert_eq!(turns.next([("a", Why::Rebalance), ("c", Why::Rebalance)]), Some("c"), "it has waited behind b");
        assert_eq!(turns.next([("a", Why::Rebalance), ("b", Why::Rebalance)]), Some("a"));
    }
}

//! The difference between two sets of backends.

use ilb_discovery::{Backend, BackendSet};

/// Work that leads from one set of backends to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Action {
    /// Do nothing: the sets are equal.
    Noop,
    /// Apply this change.
    Apply(Change),
}

/// Difference between two sets of backends. Each part is in the order of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Backends that are new.
    pub added: Vec<Backend>,
    /// Backends that are no longer there, as they were.
    pub removed: Vec<Backend>,
    /// Backends of which something other than the address differs, as they are now.
    pub updated: Vec<Backend>,
}

impl Change {
    /// Applies this change to `old` and returns the result.
    pub fn apply_to(&self, old: &BackendSet) -> BackendSet {
        let stays = |b: &&Backend| self.removed.binary_search_by_key(&b.address(), Backend::address).is_err();
        old.iter().filter(stays).chain(&self.updated).chain(&self.added).cloned().collect()
    }
}

/// Compares the last *acknowledged* set of backends (not the last seen one: a failed push must be repeated) with the
/// desired one.
///
/// ```
/// use ilb_discovery::{Backend, BackendSet, State};
/// use ilb_reconciler::{Action, reconcile};
///
/// let acknowledged = BackendSet::empty();
/// let desired: BackendSet = [Backend::new("10.0.1.4:5432".parse()?, State::Ready)].into_iter().collect();
/// let Action::Apply(change) = reconcile(&acknowledged, &desired) else { panic!("something was added") };
/// assert_eq!(change.added.len(), 1);
/// assert_eq!(reconcile(&desired, &desired), Action::Noop);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn reconcile(old: &BackendSet, new: &BackendSet) -> Action {
    let (mut change, mut left) = (Change::default(), old.iter().peekable());
    // Both are in the order of addresses.
    for backend in new.iter() {
        while let Some(gone) = left.next_if(|before| before.address() < backend.address()) {
            change.removed.push(gone.clone());
        }
        match left.next_if(|before| before.address() == backend.address()) {
            None => change.added.push(backend.clone()),
            Some(before) if before != backend => change.updated.push(backend.clone()),
            Some(_) => {}
        }
    }
    change.removed.extend(left.cloned());
    if change == Change::default() { Action::Noop } else { Action::Apply(change) }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::{Capacity, State};
    use proptest::prelude::*;

    use super::*;

    fn backends() -> impl Strategy<Value = Vec<Backend>> {
        let state = prop_oneof![Just(State::Ready), Just(State::Draining), Just(State::NotReady)];
        let backend = (0..20u8, state, 1..=16u8).prop_map(|(last, state, shares)| {
            Backend::new(([10, 0, 0, last], 1).into(), state).with_capacity(Capacity::try_from(shares).unwrap())
        });
        proptest::collection::vec(backend, 0..20)
    }

    proptest! {
        #[test]
        fn equal_sets_need_no_change(x in backends()) {
            let x: BackendSet = x.into_iter().collect();
            prop_assert_eq!(reconcile(&x, &x.clone()), Action::Noop);
        }

        #[test]
        fn the_change_applied_to_the_old_set_gives_the_new_one(old in backends(), new in backends()) {
            let (old, new): (BackendSet, BackendSet) = (old.into_iter().collect(), new.into_iter().collect());
            match reconcile(&old, &new) {
                Action::Noop => prop_assert_eq!(old, new),
                Action::Apply(change) => prop_assert_eq!(change.apply_to(&old), new),
            }
        }

        #[test]
        fn the_order_of_backends_never_matters(old in backends(), new in backends(), seed in any::<usize>()) {
            let old: BackendSet = old.into_iter().collect();
            let new: BackendSet = new.into_iter().collect();
            let mut rotated: Vec<_> = new.iter().cloned().collect();
            let by = seed % rotated.len().max(1);
            rotated.rotate_left(by);
            prop_assert_eq!(reconcile(&old, &new), reconcile(&old, &rotated.into_iter().collect()));
        }
    }
}

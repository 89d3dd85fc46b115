//! The difference between two sets of backends, by name.

use ilb_discovery::{Backend, BackendSet, State};

/// Backends that came, left or changed their state, each in the order of addresses.
#[derive(Debug, Default)]
pub(crate) struct BackendChanges<'a> {
    /// Backends that are new.
    pub(crate) came: Vec<&'a Backend>,
    /// Backends that are no longer there, as they were.
    pub(crate) left: Vec<&'a Backend>,
    /// Backends whose state is another one, as they are now.
    pub(crate) changed: Vec<&'a Backend>,
    /// Backends of which containers have been restarted, as they are now.
    pub(crate) restarted: Vec<&'a Backend>,
}

/// Maximum number of backends that a text lists by name.
const MAX_LISTED: usize = 10;

impl<'a> BackendChanges<'a> {
    /// Compares two sets, both of which are in the order of addresses.
    pub(crate) fn between(before: &'a BackendSet, after: &'a BackendSet) -> Self {
        let (mut changes, mut left) = (Self::default(), before.iter().peekable());
        for backend in after.iter() {
            while let Some(gone) = left.next_if(|old| old.address() < backend.address()) {
                changes.left.push(gone);
            }
            match left.next_if(|old| old.address() == backend.address()) {
                None => changes.came.push(backend),
                // Another pod with the address of one that left.
                Some(old) if name_of(old) != name_of(backend) => {
                    changes.left.push(old);
                    changes.came.push(backend);
                }
                Some(old) => {
                    let is_restarted = old.restarts().zip(backend.restarts()).is_some_and(|(old, new)| old < new);
                    changes.restarted.extend(is_restarted.then_some(backend));
                    changes.changed.extend((old.state() != backend.state()).then_some(backend));
                }
            }
        }
        changes.left.extend(left);
        changes
    }

    /// Iterates over the backends that were there before and are in another state now, this one.
    pub(crate) fn became(&self, state: State) -> impl Iterator<Item = &&'a Backend> {
        self.changed.iter().filter(move |backend| backend.state() == state)
    }
}

/// Lists backends by the names of their pods, or by their addresses where these are not known: `db-0, db-1 and 5 more`.
/// Returns `None` for no backends.
pub(crate) fn listed<'a, 'b: 'a>(backends: impl IntoIterator<Item = &'a &'b Backend>) -> Option<String> {
    let mut backends = backends.into_iter();
    let names: Vec<_> = backends.by_ref().take(MAX_LISTED).map(|backend| shown(backend)).collect();
    match backends.count() {
        _ if names.is_empty() => None,
        0 => Some(names.join(", ")),
        more => Some(format!("{} and {more} more", names.join(", "))),
    }
}

/// Returns the name of the pod behind a backend, or its address where that is not known.
pub(crate) fn shown(backend: &Backend) -> String {
    backend.pod().map_or_else(|| backend.address().to_string(), |pod| pod.name().to_owned())
}

fn name_of(backend: &Backend) -> Option<(&str, &str)> {
    backend.pod().map(|pod| (pod.namespace(), pod.name()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ilb_discovery::PodRef;

    use super::*;
    use crate::observe::insight::tests::address;

    fn backend(last: u8, name: &str, state: State) -> Backend {
        let pod = PodRef::try_new("apps", name).unwrap();
        Backend::new(address(last), state).with_pod(Some(Arc::new(pod)))
    }

    #[test]
    fn changes_are_listed_by_the_names_of_the_pods() {
        let before: BackendSet =
            [backend(1, "a", State::Ready), backend(2, "b", State::Ready), backend(3, "c", State::Ready)]
                .into_iter()
                .collect();
        let after: BackendSet =
            [backend(1, "a", State::Draining), backend(3, "d", State::Ready), backend(4, "e", State::NotReady)]
                .into_iter()
                .collect();
        let changes = BackendChanges::between(&before, &after);
        assert_eq!(listed(&changes.came).unwrap(), "d, e");
        assert_eq!(listed(&changes.left).unwrap(), "b, c");
        assert_eq!(listed(changes.became(State::Draining)).unwrap(), "a");
        assert_eq!(listed(changes.became(State::Ready)), None);
    }

    #[test]
    fn a_pod_whose_containers_were_restarted_is_listed_beside_its_state() {
        let with = |restarts, state| backend(1, "a", state).with_restarts(restarts);
        let set = |backend: Backend| -> BackendSet { [backend].into_iter().collect() };
        let restarted = |before: Option<u16>, after: Option<u16>| {
            let (before, after) = (set(with(before, State::Ready)), set(with(after, State::NotReady)));
            let changes = BackendChanges::between(&before, &after);
            assert_eq!(changes.changed.len(), 1);
            changes.restarted.len()
        };
        assert_eq!([restarted(Some(1), Some(2)), restarted(Some(2), Some(2)), restarted(None, Some(2))], [1, 0, 0]);
    }

    #[test]
    fn a_long_list_is_cut_and_a_backend_without_a_name_has_its_address() {
        let backends: Vec<_> = (1..=13).map(|last| Backend::new(address(last), State::Ready)).collect();
        let text = listed(&backends.iter().collect::<Vec<_>>()).unwrap();
        assert!(text.starts_with("10.0.0.1:5432, ") && text.ends_with(", 10.0.0.10:5432 and 3 more"), "{text}");
    }
}

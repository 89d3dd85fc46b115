//! The index of the objects seen so far: turns their events into backend sets.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    net::SocketAddr,
    ops::BitOrAssign,
    sync::Arc,
};

use super::{
    complaints::ScopeComplaints,
    decoded::Decoded,
    object::Object,
    rules::{Candidate, Findings, Rules},
};
use crate::{Backend, BackendSet, Error, State};

/// Event of the objects of one scope.
///
/// A list begins, its pages arrive, and it is done; objects that were not in any page have been deleted. A list that fails
/// begins again. After the list, single objects are applied and deleted.
#[derive(Debug)]
pub(super) enum Event<K> {
    ListBegun,
    Listed(Vec<Decoded<K>>),
    ListDone,
    /// A list is done in place of a watch, which the API server does not serve: the view stays stale.
    ListDoneUnwatched,
    Applied(Decoded<K>),
    Deleted(Decoded<K>),
    /// The view is up to date (again), and no object has changed.
    Fresh,
    /// The view may be out of date from now on.
    Failed(Error),
}

/// Effect of one or several events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// The set may have changed.
    pub(super) changed: bool,
    /// The view of a scope became stale.
    pub(super) failed: bool,
}

impl BitOrAssign for Effect {
    fn bitor_assign(&mut self, other: Self) {
        self.changed |= other.changed;
        self.failed |= other.failed;
    }
}

/// Holds the backends of the objects seen so far, in one or several scopes.
///
/// A list goes into a staging map that replaces the live one only when it is complete: an incomplete list leaves no trace,
/// and until it is complete the old set stays valid.
pub(super) struct Index {
    rules: Rules,
    scopes: Vec<ScopeIndex>,
    /// Scope that failed last.
    failed: usize,
    order: Order,
    /// Addresses of objects that left the selector and live on, since they were taken last.
    left_selector: BTreeSet<SocketAddr>,
}

/// Objects of one scope.
#[derive(Default)]
struct ScopeIndex {
    /// Objects by identity: two pods may have one address (one of them ended, or both on the host network).
    live: Entries,
    staging: Entries,
    synced: bool,
    /// Set if the scope may not be read and has not been synced before: the others do not wait for it.
    forbidden: bool,
    stale: Option<Error>,
    complaints: Arc<ScopeComplaints>,
}

type Entries = HashMap<Box<str>, IndexEntry>;

/// Backends of one object.
#[derive(Debug, Default, PartialEq, Eq)]
struct IndexEntry {
    candidates: Box<[Candidate]>,
    /// Set if there is a complaint about the object.
    complained: bool,
}

impl Index {
    /// Creates the index of several scopes, each with the complaints that its users share.
    pub(super) fn new(rules: Rules, scopes: impl IntoIterator<Item = Arc<ScopeComplaints>>) -> Self {
        let scope = |complaints| ScopeIndex { complaints, ..ScopeIndex::default() };
        let scopes = scopes.into_iter().map(scope).collect();
        Self { rules, scopes, failed: 0, order: Order::default(), left_selector: BTreeSet::new() }
    }

    /// Applies one event of a scope.
    pub(super) fn apply<K: Object>(&mut self, at: usize, event: Event<K>) -> Effect {
        let Some(scope) = self.scopes.get_mut(at) else { return Effect::default() };
        if !matches!(event, Event::ListBegun | Event::Listed(_) | Event::ListDoneUnwatched) {
            scope.stale = None;
        }
        let changed = match event {
            Event::ListBegun => {
                scope.staging.clear();
                false
            }
            Event::Listed(objects) => {
                for object in objects {
                    let entry = IndexEntry::new(&object, &self.rules, &scope.complaints);
                    let entry = entry.with_moments_of(scope.live.get(object.meta().identity()));
                    put(&mut scope.staging, &object, entry);
                }
                false
            }
            Event::ListDone | Event::ListDoneUnwatched => {
                scope.live = std::mem::take(&mut scope.staging);
                scope.complaints.retain(|identity| scope.live.contains_key(identity));
                (scope.synced, scope.forbidden) = (true, false);
                true
            }
            Event::Applied(object) => {
                let entry = IndexEntry::new(&object, &self.rules, &scope.complaints);
                let entry = entry.with_moments_of(scope.live.get(object.meta().identity()));
                for candidate in &entry.candidates {
                    self.left_selector.remove(&candidate.address);
                }
                put(&mut scope.live, &object, entry)
            }
            Event::Deleted(object) => {
                let identity = object.meta().identity();
                scope.complaints.forget(identity);
                let candidates = scope.live.remove(identity).map(|entry| entry.candidates).unwrap_or_default();
                if !object.is_being_deleted() {
                    self.left_selector.extend(candidates.iter().map(|candidate| candidate.address));
                }
                !candidates.is_empty()
            }
            Event::Fresh => false,
            Event::Failed(error) => {
                self.failed = at;
                let is_forbidden = !scope.synced && matches!(error, Error::Forbidden { .. });
                scope.stale = Some(error);
                // The first refusal may complete the set of the other scopes.
                let changed = is_forbidden && !std::mem::replace(&mut scope.forbidden, true);
                return Effect { changed, failed: true };
            }
        };
        Effect { changed, failed: false }
    }

    /// Returns the complete set, once every scope has been listed. A scope that may not be read is left out, unless it
    /// has been listed before, or all of them may not be read.
    pub(super) fn set(&mut self) -> Option<Arc<BackendSet>> {
        let Self { scopes, rules, order, .. } = self;
        let entries = scopes.iter().flat_map(|s| s.live.values());
        let is_complete = scopes.iter().all(|s| s.synced || s.forbidden) && scopes.iter().any(|s| s.synced);
        is_complete.then(|| Arc::new(merge(entries, rules, order)))
    }

    /// Returns the addresses of objects that left the selector and live on, since this was called last.
    pub(super) fn take_left_selector(&mut self) -> BTreeSet<SocketAddr> {
        std::mem::take(&mut self.left_selector)
    }

    /// Returns the error that makes a part of the view stale: of several, the latest.
    pub(super) fn stale(&self) -> Option<&Error> {
        let (before, from) = self.scopes.split_at(self.failed.min(self.scopes.len()));
        from.iter().chain(before).find_map(|s| s.stale.as_ref())
    }
}

/// Returns the set of the backends of complete lists of objects, each of one scope.
pub(super) fn complete_set<K: Object>(lists: &[(Vec<Decoded<K>>, Arc<ScopeComplaints>)], rules: &Rules) -> BackendSet {
    let mut entries = Vec::new();
    for (objects, complaints) in lists {
        let identities: HashSet<_> = objects.iter().map(|object| object.meta().identity()).collect();
        complaints.retain(|identity| identities.contains(identity));
        entries.extend(objects.iter().map(|object| IndexEntry::new(object, rules, complaints)));
    }
    merge(&entries, rules, &mut Order::default())
}

impl IndexEntry {
    /// Reads the backends of `object`, and reports the complaint about it.
    fn new<K: Object>(object: &Decoded<K>, rules: &Rules, complaints: &ScopeComplaints) -> Self {
        let Findings { candidates, complaint } = object.backends(rules);
        let meta = object.meta();
        let name = (meta.namespace.as_deref(), meta.name());
        complaints.report(meta.identity(), name, complaint.as_deref(), candidates.is_empty());
        Self { candidates: candidates.into_boxed_slice(), complained: complaint.is_some() }
    }

    /// Takes over the moments of the entry before, where the dates are the same.
    fn with_moments_of(mut self, before: Option<&Self>) -> Self {
        let known = || before.into_iter().flat_map(|before| &before.candidates).filter_map(|before| before.deletion);
        for deletion in self.candidates.iter_mut().filter_map(|candidate| candidate.deletion.as_mut()) {
            *deletion = known().find(|before| before.date == deletion.date).unwrap_or(*deletion);
        }
        self
    }

    fn is_empty(&self) -> bool {
        self.candidates.is_empty() && !self.complained
    }
}

/// Stores the entry of `object`. Returns whether its candidates changed.
fn put<K: Object>(entries: &mut Entries, object: &Decoded<K>, entry: IndexEntry) -> bool {
    let identity = object.meta().identity();
    if entry.is_empty() {
        return entries.remove(identity).is_some_and(|old| !old.candidates.is_empty());
    }
    match entries.entry(identity.into()) {
        Entry::Occupied(mut slot) => slot.insert(entry).candidates != slot.get().candidates,
        Entry::Vacant(slot) => !slot.insert(entry).candidates.is_empty(),
    }
}

/// The order of the candidates when they were merged last, by their places in the map.
///
/// Most changes are of the state of a pod, which leaves all places as they are. Then nothing has to be sorted, which took
/// half of the time of a merge.
#[derive(Default)]
struct Order(Vec<usize>);

impl Order {
    /// Returns `items` in the order of `compare`.
    fn sort<T: Copy>(&mut self, items: &[T], compare: impl Fn(T, T) -> Ordering) -> impl Iterator<Item = T> {
        if self.0.len() != items.len() {
            self.0 = (0..items.len()).collect();
        }
        // This sort finds out at once that nothing is to be done.
        self.0.sort_by(|a, b| compare(items[*a], items[*b]));
        self.0.iter().map(|at| items[*at])
    }
}

/// Chooses one address of each owner, and the most useful candidate of each address.
fn merge<'a>(entries: impl IntoIterator<Item = &'a IndexEntry>, rules: &Rules, order: &mut Order) -> BackendSet {
    let family = |c: &Candidate| rules.options.families.rank(c.address);
    let mut chosen: Vec<&Candidate> = Vec::new();
    let mut by_owner: HashMap<&str, &Candidate> = HashMap::new();
    for candidate in entries.into_iter().flat_map(|entry| &entry.candidates) {
        let Some(owner) = &candidate.owner else {
            chosen.push(candidate);
            continue;
        };
        let best = by_owner.entry(owner).or_insert(candidate);
        let by_family = family(candidate).cmp(&family(best));
        let by_usefulness = by_family.then_with(|| usefulness(candidate).cmp(&usefulness(best)));
        if by_usefulness.then_with(|| candidate.address.cmp(&best.address)).is_lt() {
            *best = candidate;
        }
    }
    chosen.extend(by_owner.into_values());

    let by_address =
        |a: &Candidate, b: &Candidate| a.address.cmp(&b.address).then_with(|| usefulness(a).cmp(&usefulness(b)));
    let mut chosen: Vec<_> = order.sort(&chosen, by_address).collect();
    chosen.dedup_by_key(|c| c.address); // keeps the first, which is the most useful

    let fallback = rules.options.draining_fallback && !chosen.iter().any(|c| c.state == State::Ready);
    let state = |c: &Candidate| if fallback && c.last_resort { State::Ready } else { c.state };
    let killed_at = |c: &Candidate| c.deletion.map(|deletion| deletion.moment);
    let backend = |c: &Candidate| {
        let backend = Backend::new(c.address, state(c)).with_capacity(c.capacity).with_zone(c.zone.clone());
        let backend = backend.with_max_connections(c.max_connections);
        backend.with_killed_at(killed_at(c)).with_pod(c.pod.clone()).with_restarts(c.restarts)
    };
    chosen.into_iter().map(backend).collect()
}

/// Returns the usefulness of a candidate: the smaller, the more useful. It differs for any two different candidates of one
/// address, so that the order of events does not matter.
fn usefulness(candidate: &Candidate) -> impl Ord + use<'_> {
    // `State` is ordered from the most to the least useful.
    let Candidate { state, last_resort, capacity, zone, max_connections, deletion, pod, restarts, .. } = candidate;
    let date = deletion.map(|deletion| deletion.date);
    let limit = Reverse(*max_connections);
    (*state, !last_resort, Reverse(*capacity), zone.as_ref(), limit, Reverse(date), pod.as_deref(), Reverse(*restarts))
}

#[cfg(test)]
mod tests;

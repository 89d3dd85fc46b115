//! The index of the objects seen so far: turns their events into backend sets.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    ops::BitOrAssign,
    sync::Arc,
};

use super::{
    object::Object,
    rules::{Candidate, Findings, Rules},
};
use crate::{Backend, BackendSet, Capacity, Error, State, Zone};

/// Event of the objects of one scope.
///
/// A list begins, its pages arrive, and it is done; objects that were not in any page have been deleted. A list that fails
/// begins again. After the list, single objects are applied and deleted.
#[derive(Debug)]
pub(super) enum Event<K> {
    ListBegun,
    Listed(Vec<K>),
    ListDone,
    Applied(K),
    Deleted(K),
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
}

/// Objects of one scope.
#[derive(Default)]
struct ScopeIndex {
    /// Objects by identity: two pods may have one address (one of them ended, or both on the host network).
    live: Entries,
    staging: Entries,
    synced: bool,
    stale: Option<Error>,
}

type Entries = HashMap<Box<str>, IndexEntry>;

/// Backends of one object.
#[derive(Debug, Default, PartialEq, Eq)]
struct IndexEntry {
    candidates: Box<[Candidate]>,
    complaint: Option<Box<str>>,
}

impl Index {
    pub(super) fn new(rules: Rules, scopes: usize) -> Self {
        Self { rules, scopes: (0..scopes).map(|_| ScopeIndex::default()).collect() }
    }

    /// Applies one event of a scope.
    pub(super) fn apply<K: Object>(&mut self, scope: usize, event: Event<K>) -> Effect {
        let Some(scope) = self.scopes.get_mut(scope) else { return Effect::default() };
        if !matches!(event, Event::ListBegun | Event::Listed(_)) {
            scope.stale = None;
        }
        let changed = match event {
            Event::ListBegun => {
                scope.staging.clear();
                false
            }
            Event::Listed(objects) => {
                for object in objects {
                    let entry = IndexEntry::new(&object, &self.rules, scope.live.get(object.identity()));
                    put(&mut scope.staging, &object, entry);
                }
                false
            }
            Event::ListDone => {
                scope.live = std::mem::take(&mut scope.staging);
                scope.synced = true;
                true
            }
            Event::Applied(object) => {
                let entry = IndexEntry::new(&object, &self.rules, scope.live.get(object.identity()));
                put(&mut scope.live, &object, entry)
            }
            Event::Deleted(object) => {
                scope.live.remove(object.identity()).is_some_and(|entry| !entry.candidates.is_empty())
            }
            Event::Fresh => false,
            Event::Failed(error) => {
                scope.stale = Some(error);
                return Effect { changed: false, failed: true };
            }
        };
        Effect { changed, failed: false }
    }

    /// Returns the complete set, once every scope has been listed.
    pub(super) fn set(&self) -> Option<Arc<BackendSet>> {
        let entries = || self.scopes.iter().flat_map(|s| s.live.values());
        self.scopes.iter().all(|s| s.synced).then(|| Arc::new(merge(entries(), &self.rules)))
    }

    /// Returns the error that makes a part of the view stale.
    pub(super) fn stale(&self) -> Option<&Error> {
        self.scopes.iter().find_map(|s| s.stale.as_ref())
    }
}

/// Returns the set of the backends of complete lists of objects.
pub(super) fn complete_set<'a, K: Object>(objects: impl IntoIterator<Item = &'a K>, rules: &Rules) -> BackendSet {
    let entries: Vec<_> = objects.into_iter().map(|object| IndexEntry::new(object, rules, None)).collect();
    merge(&entries, rules)
}

impl IndexEntry {
    /// Reads the backends of `object`. Logs a complaint unless `known`, the entry before, has the same one.
    fn new(object: &impl Object, rules: &Rules, known: Option<&Self>) -> Self {
        let Findings { candidates, complaint } = object.backends(rules);
        let complaint = complaint.map(String::into_boxed_str);
        if let Some(complaint) = complaint.as_deref().filter(|c| known.and_then(|k| k.complaint.as_deref()) != Some(c))
        {
            tracing::warn!(object = object.name(), "{complaint}");
        }
        Self { candidates: candidates.into_boxed_slice(), complaint }
    }

    fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.complaint.is_none()
    }
}

/// Stores the entry of `object`. Returns whether its candidates changed.
fn put(entries: &mut Entries, object: &impl Object, entry: IndexEntry) -> bool {
    if entry.is_empty() {
        return entries.remove(object.identity()).is_some_and(|old| !old.candidates.is_empty());
    }
    match entries.entry(object.identity().into()) {
        Entry::Occupied(mut slot) => slot.insert(entry).candidates != slot.get().candidates,
        Entry::Vacant(slot) => !slot.insert(entry).candidates.is_empty(),
    }
}

/// Chooses one address of each owner, and the most useful candidate of each address.
fn merge<'a>(entries: impl IntoIterator<Item = &'a IndexEntry>, rules: &Rules) -> BackendSet {
    let family = |c: &Candidate| rules.options.families.rank(c.address);
    let mut chosen: Vec<&Candidate> = Vec::new();
    let mut by_owner: HashMap<&str, &Candidate> = HashMap::new();
    for candidate in entries.into_iter().flat_map(|entry| &entry.candidates) {
        let Some(owner) = &candidate.owner else {
            chosen.push(candidate);
            continue;
        };
        let best = by_owner.entry(owner).or_insert(candidate);
        let order = family(candidate).cmp(&family(best)).then_with(|| usefulness(candidate).cmp(&usefulness(best)));
        if order.then_with(|| candidate.address.cmp(&best.address)).is_lt() {
            *best = candidate;
        }
    }
    chosen.extend(by_owner.into_values());

    chosen.sort_unstable_by(|a, b| a.address.cmp(&b.address).then_with(|| usefulness(a).cmp(&usefulness(b))));
    chosen.dedup_by_key(|c| c.address); // keeps the first, which is the most useful

    let fallback = rules.options.draining_fallback && !chosen.iter().any(|c| c.state == State::Ready);
    let state = |c: &Candidate| if fallback && c.last_resort { State::Ready } else { c.state };
    let backend = |c: &Candidate| Backend::new(c.address, state(c)).with_capacity(c.capacity).with_zone(c.zone.clone());
    chosen.into_iter().map(backend).collect()
}

/// Returns the usefulness of a candidate: the smaller, the more useful. It differs for any two different candidates of one
/// address, so that the order of events does not matter.
fn usefulness(candidate: &Candidate) -> (State, bool, Reverse<Capacity>, Option<&Zone>) {
    // `State` is ordered from the most to the least useful.
    (candidate.state, !candidate.last_resort, Reverse(candidate.capacity), candidate.zone.as_ref())
}

#[cfg(test)]
mod tests;

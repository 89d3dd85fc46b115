//! The complaints about objects, each of which is logged once.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::Complaint;

/// Last complaint about each object of one scope, whoever lists or watches it.
#[derive(Debug, Default)]
pub(super) struct ScopeComplaints {
    /// Complaints by the identities of their objects.
    last: Mutex<HashMap<Box<str>, Complaint>>,
    /// Number of changes.
    version: AtomicU64,
}

impl ScopeComplaints {
    /// Logs `complaint`, unless it is the last one about the object of this identity, namespace and name. Without one the
    /// object is in order again. `is_left_out` is whether the object gave no backend.
    pub(super) fn report(
        &self,
        identity: &str,
        (namespace, name): (Option<&str>, &str),
        complaint: Option<&str>,
        is_left_out: bool,
    ) {
        let mut last = self.last();
        let Some(text) = complaint else {
            if last.remove(identity).is_some() {
                self.changed();
            }
            return;
        };
        let complaint = Complaint::new(name, text, is_left_out);
        if last.get(identity) == Some(&complaint) {
            return;
        }
        let before = last.insert(identity.into(), complaint);
        drop(last);
        self.changed();
        if before.is_none_or(|before| before.text != text) {
            tracing::warn!(object = name, namespace, is_left_out, "{text}");
        }
    }

    /// Returns a number that changes whenever the complaints do.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Returns the number of complaints, and the first `limit` of them.
    pub(super) fn first(&self, limit: usize) -> (usize, Vec<Complaint>) {
        let last = self.last();
        let mut all: Vec<_> = last.values().collect();
        if limit < all.len() {
            all.select_nth_unstable(limit);
            all.truncate(limit);
        }
        (last.len(), all.into_iter().cloned().collect())
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets an object that has been deleted.
    pub(super) fn forget(&self, identity: &str) {
        if self.last().remove(identity).is_some() {
            self.changed();
        }
    }

    /// Forgets the objects that do not exist any more.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.last().retain(|identity, _| exists(identity));
        self.changed();
    }

    fn last(&self) -> MutexGuard<'_, HashMap<Box<str>, Complaint>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::warnings;

    #[test]
    fn a_complaint_is_logged_again_only_when_it_changes_or_comes_back() {
        let complaints = ScopeComplaints::default();
        let report =
            |uid: &str, complaint| warnings(|| complaints.report(uid, (Some("apps"), "pod"), complaint, true)).1;
        assert_eq!(report("a", Some("bad")), 1);
        assert_eq!(report("a", Some("bad")), 0);
        assert_eq!(report("b", Some("bad")), 1, "another object");
        assert_eq!(report("a", Some("worse")), 1);
        assert_eq!(report("a", None), 0);
        assert_eq!(report("a", Some("worse")), 1);
        complaints.retain(|identity| identity != "a");
        assert_eq!((report("a", Some("worse")), report("b", Some("bad"))), (1, 0));
        let (before, all) = (complaints.version(), complaints.first(5));
        assert_eq!((all.0, all.1[0].object.as_str(), all.1[0].is_left_out), (2, "pod", true));
        assert_eq!(complaints.first(1).1.len(), 1);
        complaints.forget("b");
        assert_ne!(complaints.version(), before);
        assert_eq!(report("b", Some("bad")), 1);
    }
}

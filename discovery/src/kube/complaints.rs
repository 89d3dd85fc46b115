//! The complaints about objects, each of which is logged once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Last complaint about each object of one scope, whoever lists or watches it.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<Box<str>, Box<str>>>);

impl Complaints {
    /// Logs `complaint`, unless it is the last one about the object of this identity. Without one the object is in order
    /// again.
    pub(super) fn report(&self, identity: &str, name: &str, complaint: Option<&str>) {
        let mut last = self.last();
        let Some(complaint) = complaint else {
            last.remove(identity);
            return;
        };
        let before = last.insert(identity.into(), complaint.into());
        drop(last);
        if before.as_deref() != Some(complaint) {
            tracing::warn!(object = name, "{complaint}");
        }
    }

    /// Forgets an object that has been deleted.
    pub(super) fn forget(&self, identity: &str) {
        self.last().remove(identity);
    }

    /// Forgets the objects that do not exist any more.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.last().retain(|identity, _| exists(identity));
    }

    fn last(&self) -> MutexGuard<'_, HashMap<Box<str>, Box<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::warnings;

    #[test]
    fn a_complaint_is_logged_again_only_when_it_changes_or_comes_back() {
        let complaints = Complaints::default();
        let report = |uid: &str, complaint| warnings(|| complaints.report(uid, "pod", complaint)).1;
        assert_eq!(report("a", Some("bad")), 1);
        assert_eq!(report("a", Some("bad")), 0);
        assert_eq!(report("b", Some("bad")), 1, "another object");
        assert_eq!(report("a", Some("worse")), 1);
        assert_eq!(report("a", None), 0);
        assert_eq!(report("a", Some("worse")), 1);
        complaints.retain(|identity| identity != "a");
        assert_eq!((report("a", Some("worse")), report("b", Some("bad"))), (1, 0));
        complaints.forget("b");
        assert_eq!(report("b", Some("bad")), 1);
    }
}

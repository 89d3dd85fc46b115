//! One collection of objects that is listed and watched as a whole.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use kube::api::{ListParams, WatchParams};

use super::{complaints::ScopeComplaints, server_clock::ServerClock, version_guard::VersionGuard};
use crate::{FieldSelector, Selector, contact::Contact};

/// Collection of objects that is listed and watched as a whole, and the state that outlives its streams.
pub(super) struct Scope {
    /// Path of the collection, such as `/api/v1/namespaces/default/pods`.
    pub(super) path: String,
    /// Description for messages, such as `pods in namespace default`.
    pub(super) what: String,
    /// Set if the collection is that of a namespace without a name, which no request can be about.
    pub(super) is_unnamed: bool,
    labels: Selector,
    fields: Option<FieldSelector>,
    watch_lifetime: Duration,
    pub(super) contact: Contact,
    pub(super) complaints: Arc<ScopeComplaints>,
    /// Number of complete lists after the first one of each stream.
    pub(super) relists: AtomicU64,
    versions: Mutex<VersionGuard>,
    pub(super) clock: ServerClock,
}

impl Scope {
    /// Objects per page of a list. A page is held as text and decoded at the same time: about 2 MB of pods.
    const OBJECTS_PER_PAGE: u32 = 200;

    pub(super) fn new(
        resource: Resource,
        namespace: Option<&Namespace>,
        labels: &Selector,
        fields: Option<&FieldSelector>,
        watch_lifetime: Duration,
    ) -> Self {
        let Resource { api, plural } = resource;
        let (path, what) = match namespace {
            Some(n) => (format!("{api}/namespaces/{n}/{plural}"), format!("{plural} in namespace {n}")),
            None => (format!("{api}/{plural}"), format!("{plural} in all namespaces")),
        };
        Self {
            path,
            what,
            is_unnamed: namespace.is_some_and(Namespace::is_empty),
            labels: labels.clone(),
            fields: fields.cloned(),
            watch_lifetime,
            contact: Contact::default(),
            complaints: Arc::default(),
            relists: AtomicU64::default(),
            versions: Mutex::default(),
            clock: ServerClock::default(),
        }
    }

    /// Replaces the clock by one that several scopes share.
    pub(super) fn with_clock(self, clock: ServerClock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the parameters of the page to which `token` leads, or of the first. They ask for the newest state, never for
    /// that of a cache.
    pub(super) fn page(&self, token: Option<&str>) -> ListParams {
        ListParams {
            label_selector: Some(self.labels.to_string()),
            field_selector: self.fields.as_ref().map(ToString::to_string),
            limit: Some(Self::OBJECTS_PER_PAGE),
            continue_token: token.map(str::to_owned),
            ..ListParams::default()
        }
    }

    /// Returns the parameters of the cheapest request for the collection's newest version. The selectors are needed where
    /// only the selected objects may be read.
    pub(super) fn probe(&self) -> ListParams {
        ListParams { limit: Some(1), ..self.page(None) }
    }

    /// Returns the parameters of a watch.
    ///
    /// A watch without events looks the same whether nothing changes or the other end is dead, and bookmarks are sent only
    /// about once a minute. But the end of a watch is punctual, and resuming it costs one request on the same connection.
    /// So its lifetime limits the time that a dead watch can go unnoticed.
    pub(super) fn watch(&self) -> WatchParams {
        WatchParams {
            label_selector: Some(self.labels.to_string()),
            field_selector: self.fields.as_ref().map(ToString::to_string),
            timeout: u32::try_from(self.watch_lifetime.as_secs()).ok(),
            ..WatchParams::default()
        }
    }

    /// Returns the timeout of each event of a watch, which is also that of its end.
    pub(super) fn silence_timeout(&self) -> Duration {
        self.watch_lifetime + Duration::from_secs(3)
    }

    pub(super) fn versions(&self) -> MutexGuard<'_, VersionGuard> {
        // The code that locks it does not panic; if it did, the guard would still be valid.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Place of a kind of object in the API.
#[derive(Clone, Copy)]
pub(super) struct Resource {
    /// Path of the API group and version, such as `/api/v1`.
    pub(super) api: &'static str,
    pub(super) plural: &'static str,
}

/// Name of a namespace, safe to be a part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Namespace(String);

impl From<&str> for Namespace {
    /// Percent-encodes every character that a namespace cannot have: the API server then reports that there is no such
    /// namespace, and no text can lead to another path.
    fn from(name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let safe = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        Self(name.bytes().map(safe).collect())
    }
}

impl Namespace {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_namespace_leads_to_another_path() {
        assert_eq!(Namespace::from("shop-1").to_string(), "shop-1");
        assert_eq!(Namespace::from("../secrets?x=#").to_string(), "%2E%2E%2Fsecrets%3Fx%3D%23");
    }
}

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use kube::api::{ListParams, WatchParams};

use super::version_guard::VersionGuard;
use crate::{FieldSelector, Selector, contact::Contact};

/// One collection of objects that is listed and watched as a whole, and what has been learnt about it.
pub(super) struct Scope {
    /// Such as `/api/v1/namespaces/default/pods`.
    pub(super) path: String,
    /// For people, such as `pods in namespace default`.
    pub(super) what: String,
    labels: Selector,
    fields: Option<FieldSelector>,
    pub(super) contact: Contact,
    /// Complete lists after the first one of each follower.
    pub(super) relists: AtomicU64,
    versions: Mutex<VersionGuard>,
}

impl Scope {
    /// Objects per page of a list: as text and decoded they are held at once, about 2 MB of pods.
    const PAGE: u32 = 200;

    /// How long the API server lets a watch live.
    ///
    /// A watch over which nothing comes looks the same whether all is quiet or the other end is gone, and a bookmark
    /// comes only about once a minute. But the end of a watch comes when it was ordered, and resuming costs one request
    /// over the same connection. So a short life bounds how long a dead one can go unnoticed.
    pub(super) const WATCH_LIFE: Duration = Duration::from_secs(10);

    pub(super) fn new(
        resource: Resource,
        namespace: Option<&Namespace>,
        labels: &Selector,
        fields: Option<&FieldSelector>,
    ) -> Self {
        let Resource { api, plural } = resource;
        let (path, what) = match namespace {
            Some(n) => (format!("{api}/namespaces/{n}/{plural}"), format!("{plural} in namespace {n}")),
            None => (format!("{api}/{plural}"), format!("{plural} in all namespaces")),
        };
        let (contact, relists, versions) = (Contact::default(), AtomicU64::default(), Mutex::default());
        Self { path, what, labels: labels.clone(), fields: fields.cloned(), contact, relists, versions }
    }

    /// For the page after the one that gave `token`, or the first. The list is of the newest state, never of a cache's.
    pub(super) fn page(&self, token: Option<&str>) -> ListParams {
        ListParams {
            label_selector: Some(self.labels.to_string()),
            field_selector: self.fields.as_ref().map(ToString::to_string),
            limit: Some(Self::PAGE),
            continue_token: token.map(str::to_owned),
            ..ListParams::default()
        }
    }

    /// For the cheapest request that tells the collection's newest version.
    pub(super) fn probe() -> ListParams {
        ListParams { limit: Some(1), ..ListParams::default() }
    }

    pub(super) fn watch(&self) -> WatchParams {
        WatchParams {
            label_selector: Some(self.labels.to_string()),
            field_selector: self.fields.as_ref().map(ToString::to_string),
            timeout: u32::try_from(Self::WATCH_LIFE.as_secs()).ok(),
            ..WatchParams::default()
        }
    }

    pub(super) fn versions(&self) -> MutexGuard<'_, VersionGuard> {
        // Its holders do not panic; if one did, what it left is a valid guard.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a kind of object in the API.
#[derive(Clone, Copy)]
pub(super) struct Resource {
    /// Such as `/api/v1`.
    pub(super) api: &'static str,
    pub(super) plural: &'static str,
}

/// A namespace's name, safe to be a part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Namespace(String);

impl From<&str> for Namespace {
    /// Every character that a namespace cannot have becomes its percent code: the API server then says that there is no
    /// such namespace, and no text can lead to another path.
    fn from(name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let safe = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        Self(name.bytes().map(safe).collect())
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

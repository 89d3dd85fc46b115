//! The kinds of objects that backends are discovered from.

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    rules::{Findings, Rules},
    scope::Resource,
};
use crate::{Selector, SourceKind};

/// Kind of Kubernetes object that describes backends, decoded down to the fields that discovery needs.
///
/// Every field of an implementation is optional or has a default, since a field may be absent. An object with a field of
/// another type than expected is left out alone: see [`Decoded`](super::decoded::Decoded).
pub(super) trait Object: DeserializeOwned + Send + 'static {
    const RESOURCE: Resource;

    fn meta(&self) -> &Meta;

    /// Returns `true` unless the object lives on when it is reported as deleted, because it does not match the selector any
    /// more. An object that is deleted has a date for that, however it is deleted.
    fn is_being_deleted(&self) -> bool {
        true
    }

    /// Describes a source of such objects with these labels.
    fn describe(labels: &Selector) -> (SourceKind, String) {
        (SourceKind::Pods, labels.to_string())
    }

    /// Returns the backends that the object describes.
    fn backends(&self, rules: &Rules) -> Findings;
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

impl Meta {
    /// Returns an identity that is unique in the namespace, over time too: a name is reused, a UID is not.
    pub(super) fn identity(&self) -> &str {
        self.uid.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

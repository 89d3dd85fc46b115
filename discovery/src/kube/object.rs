//! The trait of the kinds of objects that backends are discovered from.

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    rules::{Findings, Rules},
    scope::Resource,
};

/// Kind of Kubernetes object that describes backends, decoded down to the fields that discovery needs.
///
/// Every field of an implementation is optional or has a default, so that no object of a future API server can break the
/// stream of events.
pub(super) trait Object: DeserializeOwned + Send + 'static {
    const RESOURCE: Resource;

    fn meta(&self) -> &Meta;

    /// Returns the backends that the object describes.
    fn backends(&self, rules: &Rules) -> Findings;

    /// Returns an identity that is unique in the namespace, over time too: a name is reused, a UID is not.
    fn identity(&self) -> &str {
        let meta = self.meta();
        meta.uid.as_deref().or(meta.name.as_deref()).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

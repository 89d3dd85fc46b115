use anyhow::Context;
use ilb_discovery::{Cause, ClientLimits, api_client};
use kube::{Client, Config, config::KubeConfigOptions};

/// The way to the API server.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The pod's own namespace, or the one of the kubeconfig's context.
    pub(crate) namespace: String,
}

impl Cluster {
    /// In a pod by its service account, elsewhere by a kubeconfig. Sends nothing yet.
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let config = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Config::incluster().context("KUBERNETES_SERVICE_HOST is set, but there is no usable service account")?
        } else {
            Config::from_kubeconfig(&KubeConfigOptions::default())
                .await
                .map_err(|error| anyhow::Error::msg(Cause::new(error)))
                .context("no way to a cluster: run in a pod, or set KUBECONFIG to a kubeconfig")?
        };
        let client = api_client(&config, &ClientLimits::default())
            .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))?;
        Ok(Self { client, namespace: config.default_namespace })
    }
}

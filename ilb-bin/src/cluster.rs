use std::time::Duration;

use anyhow::Context;
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
        let mut config = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Config::incluster().context("KUBERNETES_SERVICE_HOST is set, but there is no usable service account")?
        } else {
            Config::from_kubeconfig(&KubeConfigOptions::default())
                .await
                .context("no way to a cluster: run in a pod, or set KUBECONFIG to a kubeconfig")?
        };
        // kube's own retries hide an outage for minutes. Without limits a server that accepts and never answers would
        // never be noticed; a quiet watch is ended by the server within 60 s.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(Duration::from_secs(75));
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).context("the way to the cluster is not usable")?;
        Ok(Self { client, namespace })
    }
}

//! The Kubernetes cluster that ilb discovers backends in.

use anyhow::Context;
use axum::http::{HeaderValue, header::USER_AGENT};
use ilb_discovery::{ClientLimits, api_client, config_from_kubeconfig};
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
        let mut config = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Config::incluster().context("KUBERNETES_SERVICE_HOST is set, but there is no usable service account")?
        } else {
            config_from_kubeconfig(&KubeConfigOptions::default())
                .await
                .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))
                .context("cannot find a cluster: run in a pod, or set KUBECONFIG to a kubeconfig")?
        };
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("ilb/", env!("CARGO_PKG_VERSION")))));
        let client = api_client(&config, &ClientLimits::default())
            .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))?;
        // A context may have an empty namespace, which kubectl reads as none.
        let namespace = Some(config.default_namespace).filter(|name| !name.is_empty());
        Ok(Self { client, namespace: namespace.unwrap_or_else(|| "default".to_owned()) })
    }
}

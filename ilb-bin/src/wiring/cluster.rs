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
    /// URL of the API server.
    pub(crate) server: String,
    /// True if this process runs in the cluster.
    pub(crate) is_own: bool,
}

impl Cluster {
    /// Creates the client: of a context of the kubeconfig, if one is given, else in a pod from its service account, and
    /// elsewhere from the current context of the kubeconfig. Sends nothing yet.
    pub(crate) async fn connect(context: Option<&str>) -> anyhow::Result<Self> {
        let is_own = context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let mut config = if is_own {
            Config::incluster().context("KUBERNETES_SERVICE_HOST is set, but there is no usable service account")?
        } else {
            let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
            config_from_kubeconfig(&options)
                .await
                .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))
                .context("cannot find a cluster: run in a pod, or set KUBECONFIG to a kubeconfig")?
        };
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("ilb/", env!("CARGO_PKG_VERSION")))));
        let client = api_client(&config, &ClientLimits::default())
            .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))?;
        // A context may have an empty namespace, which kubectl reads as none.
        let namespace = Some(config.default_namespace).filter(|name| !name.is_empty());
        let server = config.cluster_url.to_string();
        Ok(Self { client, namespace: namespace.unwrap_or_else(|| "default".to_owned()), server, is_own })
    }
}

//! The Kubernetes cluster that ilb discovers backends in.

use anyhow::Context;
use axum::http::{HeaderValue, header::USER_AGENT};
use ilb_discovery::{ClientLimits, api_client, config_from_kubeconfig, config_from_kubeconfig_file};
use kube::{Client, Config, config::KubeConfigOptions};

use crate::settings::ClusterChoice;

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
    /// Creates the client: of the kubeconfig and the context in it that were chosen, else in a pod from its service account,
    /// and elsewhere from the current context of the kubeconfig. Sends nothing yet.
    pub(crate) async fn connect(choice: &ClusterChoice) -> anyhow::Result<Self> {
        let ClusterChoice { kubeconfig, context } = choice;
        let is_own = !choice.is_made() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let mut config = if is_own {
            Config::incluster().context("KUBERNETES_SERVICE_HOST is set, but there is no usable service account")?
        } else {
            let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
            let config = match kubeconfig {
                Some(path) => config_from_kubeconfig_file(path, &options).await,
                None => config_from_kubeconfig(&options).await,
            };
            config
                .map_err(|error| anyhow::anyhow!("{}", error.with_causes()))
                .context("cannot find a cluster: run in a pod, give --kubeconfig, or set KUBECONFIG to a kubeconfig")?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kubeconfig_and_the_context_that_were_chosen_are_used() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        let context =
            |name: &str| format!("{{name: {name}, context: {{cluster: {name}, user: u, namespace: in-{name}}}}}");
        let cluster = |name: &str| format!("{{name: {name}, cluster: {{server: 'http://{name}.example'}}}}");
        let kubeconfig = format!(
            "{{current-context: a, users: [{{name: u, user: {{}}}}], clusters: [{}, {}], contexts: [{}, {}]}}",
            cluster("a"),
            cluster("b"),
            context("a"),
            context("b")
        );
        std::fs::write(&path, kubeconfig).unwrap();
        for (context, server, namespace) in
            [(None, "http://a.example/", "in-a"), (Some("b"), "http://b.example/", "in-b")]
        {
            let choice = ClusterChoice { kubeconfig: Some(path.clone()), context: context.map(str::to_owned) };
            let found = Cluster::connect(&choice).await.unwrap();
            assert_eq!((found.server.as_str(), found.namespace.as_str(), found.is_own), (server, namespace, false));
        }
        let missing = ClusterChoice { kubeconfig: Some(folder.path().join("none")), context: None };
        let error = format!("{:#}", Cluster::connect(&missing).await.err().unwrap());
        assert!(error.contains("give --kubeconfig") && error.contains("none"), "{error}");
    }
}

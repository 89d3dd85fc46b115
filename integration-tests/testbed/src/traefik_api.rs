//! The API and the metrics of a running Traefik.

use std::net::SocketAddr;

use anyhow::Context;

/// A client for the API and the metrics of a Traefik, over plain HTTP.
#[derive(Debug)]
pub(crate) struct TraefikApi {
    http: reqwest::Client,
    api: SocketAddr,
    metrics: SocketAddr,
}

impl TraefikApi {
    /// Creates the client of a Traefik whose API is at `api` and whose metrics are at `metrics`.
    pub(crate) fn new(api: SocketAddr, metrics: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { http: crate::http_client()?, api, metrics })
    }

    /// Returns the HTTP client, for other requests.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Returns the answer to `GET /api/PATH`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let url = format!("http://{}/api/{path}", self.api);
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Returns how many times Traefik has applied a configuration.
    pub(crate) async fn reloads(&self) -> anyhow::Result<u64> {
        let text = self.metrics().await?;
        Ok(value(&text, "traefik_config_reloads_total")?.parse()?)
    }

    /// Returns the value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.metrics().await?;
        Ok(value(&text, name)?.parse()?)
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.http.get(format!("http://{}/metrics", self.metrics)).send().await?.text().await?)
    }
}

fn value<'a>(text: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.with_context(|| format!("Traefik shows no {name}"))
}

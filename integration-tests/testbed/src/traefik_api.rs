use std::net::SocketAddr;

use anyhow::Context;

/// What a running Traefik tells of itself, over plain HTTP.
#[derive(Debug)]
pub(crate) struct TraefikApi {
    http: reqwest::Client,
    api: SocketAddr,
    metrics: SocketAddr,
}

impl TraefikApi {
    /// Its API is at `api`, its metrics are at `metrics`.
    pub(crate) fn new(api: SocketAddr, metrics: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { http: crate::http_client()?, api, metrics })
    }

    /// The client, for what else there is.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The answer to `GET /api/PATH`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let url = format!("http://{}/api/{path}", self.api);
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// How often it has applied a configuration.
    pub(crate) async fn reloads(&self) -> anyhow::Result<u64> {
        let text = self.metrics().await?;
        Ok(value(&text, "traefik_config_reloads_total")?.parse()?)
    }

    /// One of its metrics that has no labels.
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

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::Value;

/// What an ilb shows over HTTP.
#[derive(Clone, Debug)]
pub struct Admin {
    address: SocketAddr,
    http: reqwest::Client,
}

impl Admin {
    /// Of the ilb that listens at `address`, now or later.
    pub fn at(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { address, http: crate::http_client()? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The status and the text of an answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.http.get(self.url(path)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// What a probe says.
    pub async fn is_ok(&self, path: &str) -> anyhow::Result<bool> {
        Ok(self.get(path).await?.0 == 200)
    }

    /// Waits until a probe says this.
    pub async fn wait_until(&self, path: &str, ok: bool) -> anyhow::Result<()> {
        crate::eventually(&format!("{path} is {}", if ok { "200" } else { "503" }), async || {
            let (status, text) = self.get(path).await?;
            anyhow::ensure!((status == 200) == ok, "{status}: {text}");
            Ok(())
        })
        .await
    }

    /// All that is known.
    pub async fn status(&self) -> anyhow::Result<Value> {
        Ok(self.http.get(self.url("/status")).send().await?.error_for_status()?.json().await?)
    }

    /// All metrics.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.http.get(self.url("/metrics")).send().await?.error_for_status()?.text().await?)
    }

    /// The value of one series, such as `ilb_pushes_total{reason="drain",result="in force"}`.
    pub async fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let text = self.metrics().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("there is no series {series}"))?.parse()?)
    }
}

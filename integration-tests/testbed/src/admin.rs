//! The HTTP interface of an ilb: probes, status and metrics.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::eventually;

/// A client of the admin server of an ilb.
#[derive(Clone, Debug)]
pub struct Admin {
    address: SocketAddr,
    http: reqwest::Client,
}

impl Admin {
    /// Creates the client for the ilb that listens at `address`, now or later.
    pub fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { address, http: crate::http_client()? })
    }

    /// Returns the address of the admin server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests a path. Returns the status code and the body.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.http.get(self.url(path)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Returns whether a probe succeeds.
    pub async fn is_ok(&self, path: &str) -> anyhow::Result<bool> {
        Ok(self.get(path).await?.0 == 200)
    }

    /// Waits until a probe succeeds.
    pub async fn wait_until_ok(&self, path: &str) -> anyhow::Result<()> {
        eventually(&format!("{path} succeeds"), async || {
            let (status, text) = self.get(path).await?;
            ensure!(status == 200, "{status}: {text}");
            Ok(())
        })
        .await
    }

    /// Waits until a probe fails.
    pub async fn wait_until_failing(&self, path: &str) -> anyhow::Result<()> {
        eventually(&format!("{path} fails"), async || {
            let (status, text) = self.get(path).await?;
            ensure!(status != 200, "{status}: {text}");
            Ok(())
        })
        .await
    }

    /// Returns the whole status.
    pub async fn status(&self) -> anyhow::Result<Value> {
        Ok(self.http.get(self.url("/status")).send().await?.error_for_status()?.json().await?)
    }

    /// Requests a path with one header. Returns the status code, the media type and the body.
    pub async fn get_with(&self, path: &str, name: &str, value: &str) -> anyhow::Result<(u16, String, String)> {
        let answer = self.http.get(self.url(path)).header(name, value).send().await?;
        let media_type =
            answer.headers().get("content-type").map_or("", |value| value.to_str().unwrap_or("?")).to_owned();
        Ok((answer.status().as_u16(), media_type, answer.text().await?))
    }

    /// Returns all metrics.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.http.get(self.url("/metrics")).send().await?.error_for_status()?.text().await?)
    }

    /// Returns the value of one series, such as `ilb_pushes_total{reason="drain",result="in force"}`.
    pub async fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let text = self.metrics().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("there is no series {series}"))?.parse()?)
    }
}

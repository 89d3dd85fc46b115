use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{Applied, ConfigSink, Configuration, Error, Revision};

/// One Traefik, programmed through its REST provider and read back through its API.
pub struct Traefik {
    http: Client,
    base: Url,
    proof_within: Duration,
}

/// A text that cannot be the address of a Traefik.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; give an http URL such as http://localhost:8080/api/providers/rest")]
pub struct InvalidUrl(String);

const REST: &str = "api/providers/rest";

impl Traefik {
    /// The Traefik at `url`: the URL of its REST provider, or the base URL that it is below.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let http = Client::builder()
            .connect_timeout(Duration::from_secs(1))
            // Traefik must answer a small request at once and a large one within this; it keeps idle connections for
            // 180 s, so ours have to go earlier.
            .timeout(Duration::from_secs(3))
            .pool_idle_timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|e| InvalidUrl(format!("no HTTP client can be made ({e})")))?;
        Ok(Self { http, base: base_of(url)?, proof_within: Duration::from_secs(5) })
    }

    /// The host and the port of its API.
    pub fn host_and_port(&self) -> (String, u16) {
        let host = self.base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, self.base.port_or_known_default().unwrap_or(80))
    }

    async fn put(&self, configuration: &Configuration) -> Result<(), Error> {
        let answer = self.http.put(self.url(REST)).json(configuration).send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(Error::NotReady("PUT /api/providers/rest")),
            status => Err(refused("configuration", status, answer).await),
        }
    }

    /// Waits until `revision` is in force.
    async fn wait_for(&self, revision: &Revision) -> Result<(), Error> {
        let accepted = Instant::now();
        let mut pause = Duration::from_micros(500);
        while !self.has(revision).await? {
            let waited = accepted.elapsed();
            if waited >= self.proof_within {
                return Err(Error::NotApplied { revision: revision.clone(), waited });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(50));
        }
        Ok(())
    }

    async fn has(&self, revision: &Revision) -> Result<bool, Error> {
        let path = format!("api/tcp/services/{}@rest", revision.name());
        match self.get::<Listed>(&path, "the revision").await {
            Ok(_) => Ok(true),
            Err(Error::NotReady(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn check_routers(&self, configuration: &Configuration) -> Result<(), Error> {
        for router in configuration.tcp.routers.keys() {
            let listed: Listed = self.get(&format!("api/tcp/routers/{router}@rest"), "a router").await?;
            if listed.status != "enabled" {
                let reason = if listed.error.is_empty() { listed.status } else { listed.error.join("; ") };
                return Err(Error::RouterDisabled { router: router.to_string(), reason });
            }
        }
        Ok(())
    }

    async fn instance(&self) -> Result<Instance, Error> {
        self.get("api/version", "GET /api/version").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, what: &'static str) -> Result<T, Error> {
        let answer = self.http.get(self.url(path)).send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(|e| {
                let problem = root_cause(&e);
                if e.is_decode() { Error::Unintelligible { what, problem } } else { unreachable(e) }
            }),
            StatusCode::NOT_FOUND => Err(Error::NotReady(what)),
            status => Err(refused(what, status, answer).await),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }
}

#[async_trait]
impl ConfigSink for Traefik {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        let called = Instant::now();
        let revision = Revision::of(configuration);
        let mut marked = configuration.clone();
        marked.tcp.services.insert(revision.name().clone(), Revision::marker());
        let before = self.instance().await?;
        self.put(&marked).await?;
        self.wait_for(&revision).await?;
        self.check_routers(configuration).await?;
        let after = self.instance().await?;
        if before.start_date != after.start_date {
            return Err(Error::Restarted);
        }
        tracing::debug!(%revision, took = ?called.elapsed(), "configuration proved in force");
        Ok(Applied::new(revision, after.start_date, after.version, called.elapsed()))
    }

    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        let there = self.has(&applied.revision).await?;
        match (there, self.instance().await?.start_date == applied.started) {
            (true, true) => Ok(()),
            (_, false) => Err(Error::Restarted),
            (false, true) => Err(Error::Overwritten(applied.revision.clone())),
        }
    }
}

/// `GET /api/version`.
#[derive(Deserialize)]
struct Instance {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "startDate")]
    start_date: String,
}

/// A router or service as Traefik lists it.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: Vec<String>,
}

/// The base URL, with a path that ends in `/`.
fn base_of(text: &str) -> Result<Url, InvalidUrl> {
    let mut url = Url::parse(text).map_err(|e| InvalidUrl(format!("it is not a URL ({e})")))?;
    if url.scheme() != "http" || url.host_str().is_none() {
        return Err(InvalidUrl(format!("its scheme is '{}'", url.scheme())));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidUrl("it has a query or a fragment".to_owned()));
    }
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(REST).unwrap_or(path).trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/"));
    Ok(url)
}

async fn refused(what: &'static str, status: StatusCode, mut answer: Response) -> Error {
    const LONGEST: usize = 1024;
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() >= LONGEST {
            text.truncate(LONGEST);
            break;
        }
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Error::Refused { what, status: status.as_u16(), text }
}

fn unreachable(error: reqwest::Error) -> Error {
    let what = if error.is_timeout() { "no answer in time: " } else { "" };
    Error::Unreachable(format!("{what}{}", root_cause(&error.without_url())))
}

/// What the operating system or the parser said, without the layers in between.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://localhost:8080/api/providers/rest", "http://localhost:8080/")]
    #[case("http://localhost:8080/api/providers/rest/", "http://localhost:8080/")]
    #[case("http://localhost:8080", "http://localhost:8080/")]
    #[case("http://[::1]:8080/sub/api/providers/rest", "http://[::1]:8080/sub/")]
    fn the_providers_url_and_the_base_url_mean_the_same(#[case] text: &str, #[case] base: &str) {
        assert_eq!(base_of(text).unwrap().as_str(), base);
    }

    #[rstest]
    #[case("localhost:8080")]
    #[case("ftp://localhost")]
    #[case("http://")]
    #[case("http://localhost/?a=b")]
    #[case("")]
    fn what_is_no_http_url_is_refused_with_an_example(#[case] text: &str) {
        let message = Traefik::new(text).err().unwrap().to_string();
        assert!(message.contains("such as http://localhost:8080/api/providers/rest"), "{message}");
    }
}

//! Settings of a [`Traefik`] client.

use std::{net::SocketAddr, path::PathBuf, sync::Mutex, time::Duration};

use reqwest::{Client, Url};

#[cfg(feature = "rustls")]
use super::tls::{self, TlsSettings};
use super::{
    Traefik,
    build_error::{BuildError, InvalidUrl, without_url},
    credentials::{Credentials, Secret},
    http::{Http, REST_PROVIDER_PATH},
    proof::Prover,
};

/// Builds a [`Traefik`] client.
#[derive(Clone, Debug)]
#[must_use]
pub struct TraefikBuilder {
    url: Secret,
    credentials: Credentials,
    #[cfg(feature = "rustls")]
    tls: TlsSettings,
    connect_within: Duration,
    call_within: Duration,
    proof_within: Option<Duration>,
    throttle: Option<Duration>,
    pinned: Option<SocketAddr>,
}

impl TraefikBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            credentials: Credentials::None,
            #[cfg(feature = "rustls")]
            tls: TlsSettings::default(),
            connect_within: Duration::from_secs(1),
            call_within: Duration::from_secs(3),
            proof_within: None,
            throttle: None,
            pinned: None,
        }
    }

    /// Sends user and password (RFC 7617).
    pub fn basic(mut self, user: &str, password: impl Into<Secret>) -> Self {
        self.credentials = Credentials::basic(user, &password.into());
        self
    }

    /// Sends a token (RFC 6750).
    pub fn bearer(mut self, token: impl Into<Secret>) -> Self {
        self.credentials = Credentials::bearer(&token.into());
        self
    }

    /// Sends the token in a file, which is read again for each request.
    pub fn bearer_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Credentials::token_file(path);
        self
    }

    /// Trusts these authorities (PEM) and no others.
    #[cfg(feature = "rustls")]
    pub fn authorities(mut self, pem: impl Into<String>) -> Self {
        self.tls.authorities = Some(pem.into());
        self
    }

    /// Presents this certificate with its key (both PEM).
    #[cfg(feature = "rustls")]
    pub fn identity(mut self, certificate: &str, key: &str) -> Self {
        self.tls.identity = Some(format!("{certificate}\n{key}").into());
        self
    }

    /// Limits the time of one request, from connecting to the last byte of the response (3 s).
    pub fn call_within(mut self, duration: Duration) -> Self {
        self.call_within = duration;
        self
    }

    /// Limits the time of a connection attempt (1 s).
    pub fn connect_within(mut self, duration: Duration) -> Self {
        self.connect_within = duration;
        self
    }

    /// Limits the time between Traefik's acceptance of a configuration and its being in force (5 s more than its
    /// throttle).
    pub fn proof_within(mut self, duration: Duration) -> Self {
        self.proof_within = Some(duration);
        self
    }

    /// Sets the value of Traefik's `providersThrottleDuration`, which its API does not report.
    pub fn throttle(mut self, duration: Duration) -> Self {
        self.throttle = Some(duration);
        self
    }

    /// Connects to `address`, whatever the URL's host resolves to. A certificate still has to name the host.
    pub fn pinned_to(mut self, address: SocketAddr) -> Self {
        self.pinned = Some(address);
        self
    }

    /// Returns host and port of the URL.
    pub(crate) fn target(&self) -> Result<(String, u16), InvalidUrl> {
        let base = base_of(&self.url)?;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Ok((host, base.port_or_known_default().unwrap_or_default()))
    }

    /// Builds the client, without connecting.
    pub fn build(self) -> Result<Traefik, BuildError> {
        let base = base_of(&self.url)?;
        let host = base.host_str().unwrap_or_default().to_owned();
        let port = base.port_or_known_default().unwrap_or_default();
        let label = self.pinned.map_or_else(|| format!("{host}:{port}"), |address| address.to_string());
        let mut client = Client::builder()
            .connect_timeout(self.connect_within)
            // Traefik closes idle connections after 180 s, so the client has to close them earlier.
            .pool_idle_timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(address) = self.pinned {
            client = client.resolve(&host, address);
        }
        #[cfg(feature = "rustls")]
        let client = if base.scheme() == "https" { self.tls.set(client)? } else { tls::set_unused(client)? };
        let client = client.build().map_err(|e| BuildError::Client(without_url(e)))?;
        let after_throttle = self.throttle.unwrap_or_default().saturating_add(Duration::from_secs(5));
        let proof_within = self.proof_within.unwrap_or(after_throttle);
        let (credentials, call_within) = (self.credentials, self.call_within);
        let http = Http { client, base, label, credentials, call_within };
        Ok(Traefik {
            http,
            throttle: self.throttle,
            proof_within,
            process: Mutex::default(),
            entry_points: Mutex::default(),
            prover: Prover::default(),
            sent: Mutex::default(),
        })
    }
}

/// Returns the base URL, with a path that ends in `/`.
fn base_of(text: &Secret) -> Result<Url, InvalidUrl> {
    let mut url = Url::parse(text.text()).map_err(InvalidUrl::unparsable)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidUrl::new("it contains credentials, which would end up in messages: give them separately"));
    }
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "rustls") => {}
        "https" => return Err(InvalidUrl::new("this build has no TLS (feature 'rustls')")),
        other => return Err(InvalidUrl::new(format!("its scheme is '{other}'"))),
    }
    if url.host_str().is_none() {
        return Err(InvalidUrl::new("it has no host"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidUrl::new("it has a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(REST_PROVIDER_PATH).unwrap_or(path).trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/"));
    Ok(url)
}

#[cfg(test)]
mod tests;

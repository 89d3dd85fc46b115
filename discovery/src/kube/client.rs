//! A client of the API server that does not hang.

use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderValue, Request, header::USER_AGENT};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use tower::{BoxError, ServiceBuilder, filter::AsyncFilterLayer, util::MapRequestLayer};

use super::{proxy, token_file::TokenFile};
use crate::{Cause, Error};

/// Timeouts of a client of the API server. Each is at most a day; a longer one counts as that.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Timeout of connecting, TLS included. 5 s by default.
    pub connect: Duration,
    /// Timeout of each byte of a response, the first one included. 15 s by default, which is longer than a watch lives
    /// by default.
    pub silence: Duration,
    /// Timeout of the other end's kernel for acknowledging what was sent, and for answering a probe of an idle connection.
    /// 10 s by default.
    pub acknowledge: Duration,
}

impl ClientLimits {
    /// Every clock can show a moment that is later by this.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);

    fn bounded(&self) -> Self {
        let Self { connect, silence, acknowledge } = self;
        let [connect, silence, acknowledge] = [connect, silence, acknowledge].map(|limit| Self::LONGEST.min(*limit));
        Self { connect, silence, acknowledge }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), silence: Duration::from_secs(15), acknowledge: Duration::from_secs(10) }
    }
}

impl ClientLimits {
    /// Raises the timeout of a response to fit watches of this
    /// [lifetime](crate::KubeOptions::with_watch_lifetime), which may send nothing before they end.
    #[must_use]
    pub fn with_watch_lifetime(mut self, lifetime: Duration) -> Self {
        self.silence = self.silence.max(lifetime.saturating_add(Duration::from_secs(5)));
        self
    }
}

/// Creates a client of the API server that notices a dead connection and returns every failure.
///
/// kube's own client waits without limit for a response, notices a dead connection after minutes, retries requests
/// silently, and after a backward step of the clock keeps using a token that has been renewed in its file. This client
/// does none of these. The caller chooses where the configuration comes from: in a pod `Config::incluster()`, elsewhere
/// [`config_from_kubeconfig`](crate::config_from_kubeconfig), which finds the proxy that kubectl uses.
///
/// Each request has the `User-Agent` among the headers of `config`, or else the name and version of this crate. A plugin
/// that the kubeconfig names for credentials is run here, and blocks the thread as long; a certificate that it returns
/// is not renewed.
///
/// A TLS provider must have been installed (`rustls`'s `install_default`). Must be called within a Tokio runtime.
/// Returns an error if `config` names files or certificates that cannot be used, or a proxy that is neither an HTTP nor a
/// SOCKS 5 one.
pub fn api_client(config: &Config, limits: &ClientLimits) -> Result<Client, Error> {
    let (limits, failed) = (limits.bounded(), |error| Error::Client(Cause::new(error)));

    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limits.connect));
    // Probes begin after half of the timeout and use up the other half.
    tcp.set_keepalive(Some(limits.acknowledge / 2));
    tcp.set_keepalive_interval(Some(limits.acknowledge / 4));
    tcp.set_keepalive_retries(Some(2));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    tcp.set_tcp_user_timeout(Some(limits.acknowledge));

    let token_file =
        TokenFile::from_credentials(&config.auth_info).map_err(|error| Error::Client(Cause::new(error)))?;
    let authorization = match token_file {
        Some(_) => None,
        None => config.auth_layer().map_err(failed)?,
    };

    let connector = proxy::connector(config, tcp)?;
    let tls = config.rustls_https_connector_with_connector(connector).map_err(failed)?;
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(limits.connect));
    connector.set_read_timeout(Some(limits.silence));
    connector.set_write_timeout(Some(limits.silence));
    // The timeout of a response begins with its request, not with the last byte of the response before.
    connector.set_reset_reader_on_write(true);

    let http = legacy::Client::builder(TokioExecutor::new())
        // Long enough for the next request of a source, too short for a connection to die unnoticed in between.
        .pool_idle_timeout(Duration::from_secs(2))
        .build::<_, Body>(connector);
    let service =
        ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(token_file.map(|file| {
                AsyncFilterLayer::new(move |request| file.clone().authorize(request).map(Ok::<_, BoxError>))
            }))
            .option_layer(authorization)
            .layer(config.extra_headers_layer().map_err(failed)?)
            .layer(MapRequestLayer::new(with_user_agent))
            .map_err(BoxError::from)
            .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Adds the name of this crate as the user agent, unless the request has one.
fn with_user_agent<B>(mut request: Request<B>) -> Request<B> {
    const NAME: HeaderValue = HeaderValue::from_static(concat!("ilb-discovery/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().entry(USER_AGENT).or_insert(NAME);
    request
}

#[cfg(test)]
mod tests;

//! The proxy on the way to the API server, which kubectl would use too.

use std::{net::IpAddr, path::Path};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::{
    client::{
        legacy::connect::{
            HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use ipnet::IpNet;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, NamedCluster},
};
use tokio::net::TcpStream;
use tower::{BoxError, ServiceExt, util::BoxCloneSyncService};

use crate::{Cause, Error};

/// Reads the kubeconfig as kubectl does, the proxy included: it is the cluster's `proxy-url`, or the one that the
/// environment variable `HTTPS_PROXY` names (`HTTP_PROXY`, if the URL of the API server is `http`), unless the API server
/// is on loopback or `NO_PROXY` lists it.
///
/// kube's own `Config::from_kubeconfig` and `Config::infer` use that proxy whatever `NO_PROXY` says. A variable with a
/// name in small letters counts where the one in capitals is not set.
///
/// Returns an error if there is no kubeconfig, or if it or a variable cannot be used.
pub async fn config_from_kubeconfig(options: &KubeConfigOptions) -> Result<Config, Error> {
    let kubeconfig = Kubeconfig::read().map_err(|error| Error::Client(Cause::new(error)))?;
    config(kubeconfig, options, &ProxyVariables::from_env()).await
}

/// Reads the kubeconfig at `path` as [`config_from_kubeconfig`] reads the one that kubectl finds by itself. Paths in it
/// begin at its folder.
///
/// Returns an error if it cannot be read, or if it or a variable cannot be used.
pub async fn config_from_kubeconfig_file(path: &Path, options: &KubeConfigOptions) -> Result<Config, Error> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| Error::Client(Cause::new(error)))?;
    config(kubeconfig, options, &ProxyVariables::from_env()).await
}

async fn config(
    mut kubeconfig: Kubeconfig,
    options: &KubeConfigOptions,
    variables: &ProxyVariables,
) -> Result<Config, Error> {
    let cluster = selected_cluster(&mut kubeconfig, options).and_then(|cluster| cluster.cluster.as_mut());
    let mut from_variables = None;
    if let Some(cluster) = cluster.filter(|cluster| cluster.proxy_url.as_ref().is_none_or(String::is_empty)) {
        let server: Option<Uri> = cluster.server.as_ref().and_then(|server| server.parse().ok());
        let proxy = server.map(|server| variables.proxy_of(&server)).transpose()?.flatten();
        // Keeps kube from reading the variables in its own way. This text is not used.
        cluster.proxy_url = Some("http://none".to_owned());
        from_variables = Some(proxy);
    }
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, options).await.map_err(|error| Error::Client(Cause::new(error)))?;
    if let Some(proxy) = from_variables {
        config.proxy_url = proxy;
    }
    Ok(config)
}

/// Returns the cluster that the options, or else the current context, select.
fn selected_cluster<'a>(kubeconfig: &'a mut Kubeconfig, options: &KubeConfigOptions) -> Option<&'a mut NamedCluster> {
    let name = options.cluster.clone().or_else(|| {
        let context = options.context.as_ref().or(kubeconfig.current_context.as_ref())?;
        let context = kubeconfig.contexts.iter().find(|named| named.name == *context)?;
        Some(context.context.as_ref()?.cluster.clone())
    })?;
    kubeconfig.clusters.iter_mut().find(|cluster| cluster.name == name)
}

/// Environment variables that name proxies, and the hosts that are reached without one.
#[derive(Debug, Default)]
struct ProxyVariables {
    http: String,
    https: String,
    no: String,
}

impl ProxyVariables {
    fn from_env() -> Self {
        let value = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(|name| std::env::var(name).ok());
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self {
            http: value(["HTTP_PROXY", "http_proxy"]),
            https: value(["HTTPS_PROXY", "https_proxy"]),
            no: value(["NO_PROXY", "no_proxy"]),
        }
    }

    /// Returns the proxy through which `server` is reached, if it is reached through one.
    fn proxy_of(&self, server: &Uri) -> Result<Option<Uri>, Error> {
        let is_https = server.scheme() == Some(&Scheme::HTTPS);
        let (variable, proxy) = if is_https { ("HTTPS_PROXY", &self.https) } else { ("HTTP_PROXY", &self.http) };
        let Some(host) = server.host().filter(|_| !proxy.is_empty()) else { return Ok(None) };
        let port = server.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if is_direct(host.trim_matches(['[', ']']), port, &self.no) {
            return Ok(None);
        }
        let url = if proxy.contains("://") { proxy.clone() } else { format!("http://{proxy}") };
        // The text may contain a password.
        url.parse().map(Some).map_err(|error| {
            Error::Client(Cause::new(format!("the variable {variable} is not the URL of a proxy: {error}")))
        })
    }
}

/// Returns whether a host is reached without a proxy, by the rules of Go, which kubectl obeys.
///
/// Loopback always is. `no_proxy` lists, separated by commas, `*` for all, addresses, networks, and domains, which stand
/// for the host and its subdomains, or with a leading `.` or `*.` only for these; each may end with a port.
/// See <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>.
fn is_direct(host: &str, port: u16, no_proxy: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry.is_empty() || entry == "*" {
            return !entry.is_empty();
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            return ip.is_some_and(|ip| network.contains(&ip));
        }
        let (name, wanted_port) = split_port(&entry);
        if wanted_port.is_some_and(|wanted| wanted != port.to_string()) {
            return false;
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return ip == Some(address);
        }
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        match name.strip_prefix('.') {
            Some(domain) => is_below(&host, domain),
            None => host == name || is_below(&host, name),
        }
    })
}

/// Splits `host:port` or `[address]:port`. Text without a port, such as an IPv6 address, is a host.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    let split = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => entry.split_once(':').filter(|(_, port)| !port.contains(':')),
    };
    split.map_or((entry, None), |(host, port)| (host, Some(port).filter(|port| !port.is_empty())))
}

fn is_below(host: &str, domain: &str) -> bool {
    !domain.is_empty() && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Connects to the API server, directly or through a proxy.
pub(super) type Connector = BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>;

/// Creates the connector that leads through the proxy of `config`, if there is one.
pub(super) fn connector(config: &Config, tcp: HttpConnector) -> Result<Connector, Error> {
    let Some(url) = &config.proxy_url else { return Ok(boxed(tcp)) };
    if config.cluster_url.scheme() != Some(&Scheme::HTTPS) {
        return Err(unusable(url, "the API server has an http URL"));
    }
    let proxy = Matcher::builder().all(url.to_string()).build().intercept(&config.cluster_url);
    let proxy = proxy.ok_or_else(|| unusable(url, "it must be an http or a socks5 URL"))?;
    match proxy.uri().scheme_str() {
        Some("http") => {
            let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
            Ok(match proxy.basic_auth() {
                Some(credentials) => boxed(tunnel.with_auth(HeaderValue::clone(credentials))),
                None => boxed(tunnel),
            })
        }
        Some("socks5" | "socks5h") => {
            let socks = SocksV5::new(with_socks_port(&proxy), tcp);
            Ok(match proxy.raw_auth() {
                Some((user, password)) => boxed(socks.with_auth(user.to_owned(), password.to_owned())),
                None => boxed(socks),
            })
        }
        _ => Err(unusable(url, "it must be an http or a socks5 URL")),
    }
}

fn boxed<S>(service: S) -> Connector
where
    S: tower::Service<Uri, Response = TokioIo<TcpStream>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    BoxCloneSyncService::new(service.map_err(Into::into))
}

/// Returns the URL of a SOCKS proxy with the port that such a proxy has by default.
fn with_socks_port(proxy: &Intercept) -> Uri {
    let uri = proxy.uri();
    let with_port = uri
        .host()
        .filter(|_| uri.port().is_none())
        .map(|host| Uri::builder().scheme("socks5").authority(format!("{host}:1080")).path_and_query("/").build());
    with_port.and_then(Result::ok).unwrap_or_else(|| uri.clone())
}

/// Returns the error of a proxy that cannot be used, without its credentials, and with the ways out.
fn unusable(url: &Uri, problem: &str) -> Error {
    let (scheme, host) = (url.scheme_str().unwrap_or("http"), url.host().unwrap_or_default());
    Error::Client(Cause::new(format!(
        "cannot use the proxy {scheme}://{host} that the kubeconfig or the variable HTTPS_PROXY or HTTP_PROXY names: \
         {problem}; name another, or list the API server's host in NO_PROXY"
    )))
}

#[cfg(test)]
mod tests;

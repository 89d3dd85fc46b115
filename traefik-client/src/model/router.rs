//! Routers, which send the traffic of entry points to services.

use serde::{Deserialize, Serialize};

use super::{Name, Rule, ServerName};

/// Sends connections of entry points to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawRouter")]
pub struct TcpRouter {
    /// Names of the entry points. Never empty: without one, Traefik binds a router to *all* entry points.
    entry_points: Vec<Name>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    middlewares: Vec<Name>,
    service: Name,
    rule: Rule,
    priority: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<RouterTls>,
}

impl TcpRouter {
    /// Sends all connections of `entry_point` to `service`, unless a router of higher `priority` takes them.
    pub fn catch_all(entry_point: Name, priority: u32, service: Name) -> Self {
        let (entry_points, rule) = (vec![entry_point], Rule::any());
        Self { entry_points, middlewares: Vec::new(), service, rule, priority, tls: None }
    }

    /// Sends the connections of `entry_points` that match `rule` to `service`, unless a router of higher `priority` takes
    /// them.
    ///
    /// A rule that reads the TLS handshake needs `tls`. Any router with TLS on an entry point delays clients whose
    /// protocol lets the server speak first.
    pub fn try_new(
        entry_points: impl IntoIterator<Item = Name>,
        rule: Rule,
        priority: u32,
        service: Name,
        tls: Option<RouterTls>,
    ) -> Result<Self, InvalidRouter> {
        let entry_points: Vec<_> = entry_points.into_iter().collect();
        if entry_points.is_empty() {
            return Err(InvalidRouter::NoEntryPoint);
        }
        if rule.needs_tls() && tls.is_none() {
            return Err(InvalidRouter::NeedsTls(rule));
        }
        Ok(Self { entry_points, middlewares: Vec::new(), service, rule, priority, tls })
    }

    /// Passes connections through these middlewares, in this order.
    #[must_use]
    pub fn through(mut self, middlewares: impl IntoIterator<Item = Name>) -> Self {
        self.middlewares.extend(middlewares);
        self
    }

    /// Returns the names of the entry points.
    pub fn entry_points(&self) -> &[Name] {
        &self.entry_points
    }

    /// Returns the middlewares that connections pass through.
    pub fn middlewares(&self) -> &[Name] {
        &self.middlewares
    }

    /// Returns the service that gets the connections.
    pub fn service(&self) -> &Name {
        &self.service
    }
}

/// Sends datagrams of entry points to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawUdpRouter")]
pub struct UdpRouter {
    entry_points: Vec<Name>,
    service: Name,
}

impl UdpRouter {
    /// Sends all datagrams of `entry_points`, at least one, to `service`.
    pub fn try_new(entry_points: impl IntoIterator<Item = Name>, service: Name) -> Result<Self, InvalidRouter> {
        let entry_points: Vec<_> = entry_points.into_iter().collect();
        if entry_points.is_empty() { Err(InvalidRouter::NoEntryPoint) } else { Ok(Self { entry_points, service }) }
    }
}

/// TLS settings of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RouterTls {
    /// Forwards the encrypted bytes instead of decrypting them.
    pub passthrough: bool,
    /// Set of TLS options; `None` for Traefik's `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Name>,
    /// Certificate resolver, as named in the static configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_resolver: Option<Name>,
    /// Domains that the resolver obtains certificates for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

impl RouterTls {
    /// Forwards the encrypted bytes.
    pub fn passthrough() -> Self {
        Self { passthrough: true, ..Self::default() }
    }

    /// Decrypts with a set of options.
    pub fn with_options(options: Name) -> Self {
        Self { options: Some(options), ..Self::default() }
    }
}

/// Names in one certificate of a resolver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Domain {
    /// Main name.
    pub main: ServerName,
    /// Other names in the same certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<ServerName>,
}

impl Domain {
    /// Creates a domain with a main name and other names.
    pub fn new(main: ServerName, sans: impl IntoIterator<Item = ServerName>) -> Self {
        Self { main, sans: sans.into_iter().collect() }
    }
}

/// A router that Traefik would bind to all entry points, or would disable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRouter {
    /// Traefik would bind it to all entry points.
    #[error("a router needs at least one entry point")]
    NoEntryPoint,
    /// Traefik would disable it.
    #[error("a router with the rule {0} needs TLS")]
    NeedsTls(Rule),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRouter {
    #[serde(default)]
    entry_points: Vec<Name>,
    #[serde(default)]
    middlewares: Vec<Name>,
    service: Name,
    rule: Rule,
    #[serde(default)]
    priority: u32,
    tls: Option<RouterTls>,
}

impl TryFrom<RawRouter> for TcpRouter {
    type Error = InvalidRouter;

    fn try_from(raw: RawRouter) -> Result<Self, InvalidRouter> {
        let router = Self::try_new(raw.entry_points, raw.rule, raw.priority, raw.service, raw.tls)?;
        Ok(router.through(raw.middlewares))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawUdpRouter {
    #[serde(default)]
    entry_points: Vec<Name>,
    service: Name,
}

impl TryFrom<RawUdpRouter> for UdpRouter {
    type Error = InvalidRouter;

    fn try_from(raw: RawUdpRouter) -> Result<Self, InvalidRouter> {
        Self::try_new(raw.entry_points, raw.service)
    }
}

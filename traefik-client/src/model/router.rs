use serde::{Deserialize, Serialize};

use crate::{Name, Rule, ServerName};

/// Which connections of which entry points go to which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawRouter")]
pub struct TcpRouter {
    /// Never empty: without it Traefik binds a router to *all* entry points.
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

    /// Sends what `rule` takes of `entry_points` to `service`, unless a router of higher `priority` takes it.
    ///
    /// A rule that reads a TLS greeting needs `tls`. Any router with TLS on an entry point makes clients wait whose
    /// protocol lets the server speak first.
    pub fn new(
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

    /// Lets connections pass through these middlewares, in this order.
    #[must_use]
    pub fn through(mut self, middlewares: impl IntoIterator<Item = Name>) -> Self {
        self.middlewares.extend(middlewares);
        self
    }

    /// Where the connections go.
    pub fn service(&self) -> &Name {
        &self.service
    }
}

/// Which datagrams go to which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawUdpRouter")]
pub struct UdpRouter {
    entry_points: Vec<Name>,
    service: Name,
}

impl UdpRouter {
    /// Sends all datagrams of `entry_points`, of which there is at least one, to `service`.
    pub fn new(entry_points: impl IntoIterator<Item = Name>, service: Name) -> Result<Self, InvalidRouter> {
        let entry_points: Vec<_> = entry_points.into_iter().collect();
        if entry_points.is_empty() { Err(InvalidRouter::NoEntryPoint) } else { Ok(Self { entry_points, service }) }
    }
}

/// How a router treats TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RouterTls {
    /// Hands the encrypted bytes on instead of decrypting them.
    pub passthrough: bool,
    /// The set of options; Traefik's `default` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Name>,
    /// The resolver that gets certificates, as the static configuration names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_resolver: Option<Name>,
    /// What the resolver gets certificates for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

impl RouterTls {
    /// Hands the encrypted bytes on.
    pub fn passthrough() -> Self {
        Self { passthrough: true, ..Self::default() }
    }

    /// Decrypts with a set of options.
    pub fn with_options(options: Name) -> Self {
        Self { options: Some(options), ..Self::default() }
    }
}

/// What a certificate is got for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Domain {
    /// The main name.
    pub main: ServerName,
    /// Other names in the same certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<ServerName>,
}

impl Domain {
    /// `main` and other names.
    pub fn new(main: ServerName, sans: impl IntoIterator<Item = ServerName>) -> Self {
        Self { main, sans: sans.into_iter().collect() }
    }
}

/// A router that Traefik would bind to all entry points, or disable.
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
        let router = Self::new(raw.entry_points, raw.rule, raw.priority, raw.service, raw.tls)?;
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
        Self::new(raw.entry_points, raw.service)
    }
}

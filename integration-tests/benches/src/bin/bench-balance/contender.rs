//! The load balancers that are compared.

/// A load balancer with one method of balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Ilb,
    /// Replicas of ilb that do not exchange their counts.
    IlbApart,
    TraefikRoundRobin,
    HaproxyLeastconn,
    /// A single HAProxy where the others have several replicas, and nothing becomes of it.
    HaproxyOne,
    HaproxyRoundRobin,
    NginxLeastconn,
}

impl Contender {
    /// All contenders, in the order of the report.
    pub(crate) const ALL: [Self; 7] = [
        Self::Ilb,
        Self::IlbApart,
        Self::TraefikRoundRobin,
        Self::HaproxyLeastconn,
        Self::HaproxyOne,
        Self::HaproxyRoundRobin,
        Self::NginxLeastconn,
    ];

    /// Contenders of most scenarios.
    pub(crate) const USUAL: [Self; 5] =
        [Self::Ilb, Self::TraefikRoundRobin, Self::HaproxyLeastconn, Self::HaproxyRoundRobin, Self::NginxLeastconn];

    /// Contenders that place each connection by the number of live ones.
    pub(crate) const WITH_LEAST_CONNECTIONS: [Self; 3] = [Self::Ilb, Self::HaproxyLeastconn, Self::NginxLeastconn];

    /// Contenders where several replicas share the backends.
    pub(crate) const OF_REPLICAS: [Self; 4] = [Self::Ilb, Self::IlbApart, Self::HaproxyLeastconn, Self::HaproxyOne];

    /// Contenders that run at the same time. Those that the bars are about have the machine for themselves.
    pub(crate) const TURNS: [&[Self]; 3] = [
        &[Self::Ilb],
        &[Self::HaproxyLeastconn],
        &[Self::TraefikRoundRobin, Self::HaproxyRoundRobin, Self::NginxLeastconn],
    ];

    /// Returns the name in arguments and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ilb => "ilb",
            Self::IlbApart => "ilb-apart",
            Self::TraefikRoundRobin => "traefik-rr",
            Self::HaproxyLeastconn => "haproxy-leastconn",
            Self::HaproxyOne => "haproxy-one",
            Self::HaproxyRoundRobin => "haproxy-rr",
            Self::NginxLeastconn => "nginx-leastconn",
        }
    }
}

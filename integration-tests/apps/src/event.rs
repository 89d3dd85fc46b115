//! The events.

use serde::{Deserialize, Serialize};

/// Event that happens to servers, to the balancer or to the cluster while clients work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A server is added.
    ScaleOut,
    /// Servers are taken away again: in a soak only.
    ScaleIn,
    /// Each server is replaced by a new one, one after the other.
    RollingRestart,
    /// The role of one server passes to another, as planned, and the label with it.
    RoleChange,
    /// The server that has a role is killed, and another one takes it over.
    Failover,
    /// A server is added that is Ready for Kubernetes and refuses its clients.
    StartsUp,
    /// More clients come than the servers have room for.
    Full,
    /// A server asks its clients to leave, and exits.
    LameDuck,
    /// A server is killed, and Kubernetes notices it later.
    KilledServer,
    /// Traefik is killed, and started again.
    KilledTraefik,
    /// ilb is killed, stays away, and is started again.
    KilledIlb,
    /// The API server is away.
    ApiServerOutage,
}

impl Event {
    /// All events of the page, in its order.
    pub(crate) const ALL: [Self; 11] = [
        Self::ScaleOut,
        Self::RollingRestart,
        Self::RoleChange,
        Self::Failover,
        Self::StartsUp,
        Self::Full,
        Self::LameDuck,
        Self::KilledServer,
        Self::KilledTraefik,
        Self::KilledIlb,
        Self::ApiServerOutage,
    ];

    /// Returns the name in the variable `EVENTS`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::ScaleOut => "scale-out",
            Self::ScaleIn => "scale-in",
            Self::RollingRestart => "rolling-restart",
            Self::RoleChange => "role-change",
            Self::Failover => "failover",
            Self::StartsUp => "starts-up",
            Self::Full => "full",
            Self::LameDuck => "lame-duck",
            Self::KilledServer => "killed-server",
            Self::KilledTraefik => "killed-traefik",
            Self::KilledIlb => "killed-ilb",
            Self::ApiServerOutage => "api-server-outage",
        }
    }

    /// Returns the name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ScaleOut => "scale-out",
            Self::ScaleIn => "scale-in",
            Self::RollingRestart => "rolling restart",
            Self::RoleChange => "role change",
            Self::Failover => "failover",
            Self::StartsUp => "a server that starts up",
            Self::Full => "more clients than there is room for",
            Self::LameDuck => "a lame duck",
            Self::KilledServer => "a killed server",
            Self::KilledTraefik => "a killed Traefik",
            Self::KilledIlb => "a killed ilb",
            Self::ApiServerOutage => "an API server outage",
        }
    }

    /// Returns whether it happens to every application.
    pub(crate) fn is_common(self) -> bool {
        !matches!(self, Self::RoleChange | Self::Failover | Self::StartsUp | Self::Full | Self::LameDuck)
    }

    /// Returns by how much a server may have more than its share afterwards, in percent of that, by the rules of the examples:
    /// what follows on a server that has nothing ends at `stopAt`, and below `startAbove` nothing begins.
    pub(crate) fn excess_percent(self) -> usize {
        if self == Self::ScaleOut { 5 } else { 20 }
    }

    /// Returns whether clients may notice nothing at all.
    pub(crate) fn is_unnoticed(self) -> bool {
        matches!(self, Self::KilledIlb | Self::ApiServerOutage)
    }
}

//! Settings that choose one of several named options.

/// Rule by which the backend of a new connection is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    LeastConnections,
    RoundRobin,
}

/// Number of shares that a backend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacities {
    /// A backend takes the number that discovery reports for it.
    OfBackends,
    /// Every backend takes one share.
    Equal,
}

impl Method {
    /// Returns the name that settings, logs and status use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LeastConnections => "leastconn",
            Self::RoundRobin => "roundrobin",
        }
    }
}

use std::{fmt, net::SocketAddr, time::Duration};

use ilb_discovery::{Capacity, State};

use crate::Plan;

/// A plan with the reason for it and what it was decided from.
///
/// Decisions are compared by identity (`Arc::ptr_eq`), never by value, so they have no `PartialEq`: two balancers may
/// decide the same, and each has to learn that *its* decision is in force.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decision {
    /// How the pool is balanced.
    pub method: Method,
    /// The number of this decision among those of its pool, from 1.
    pub number: u64,
    /// The weights to push.
    pub plan: Plan,
    /// Why the plan differs from the one before.
    pub reason: Reason,
    /// What was known of each backend, by address, including those that get no new connections. Empty for round robin,
    /// which needs no counts.
    pub rows: Vec<Row>,
    pub(crate) suspects: Vec<SocketAddr>,
}

/// How the connections of a pool are balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Each new connection goes to a least loaded backend.
    LeastConnections,
    /// Each backend in turn, in proportion to its capacity.
    RoundRobin,
}

impl Decision {
    pub(crate) fn round_robin(number: u64, plan: Plan) -> Self {
        let (rows, suspects) = (Vec::new(), Vec::new());
        Self { method: Method::RoundRobin, number, plan, reason: Reason::Backends, rows, suspects }
    }

    /// Returns what was known of `backend`, if counts were needed.
    pub fn row(&self, backend: SocketAddr) -> Option<&Row> {
        self.rows.binary_search_by_key(&backend, |row| row.backend).ok().map(|at| &self.rows[at])
    }
}

impl Method {
    /// Returns the name used in settings, status and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastConnections => "leastconn",
            Self::RoundRobin => "roundrobin",
        }
    }
}

/// What was known of one backend when a plan was made, and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The backend.
    pub backend: SocketAddr,
    /// Its connections, established and opening.
    pub connections: u32,
    /// Its shares relative to the others.
    pub capacity: Capacity,
    /// For how long it has been able to take connections; unknown if it was before this process began.
    pub age: Option<Duration>,
    /// Whether it may take connections.
    pub standing: Standing,
    /// Its weights, one per share; none if it gets no new connections.
    pub weights: Vec<u32>,
}

/// Whether a backend may take connections, by discovery and by the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// What discovery says.
    State(State),
    /// Discovery calls it ready, but it does not answer.
    Suspect,
}

/// Why there is a new plan. Of several reasons the last in this order is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The plan in force would fill gaps again that are filled, if Traefik built its services again.
    Freshness,
    /// Connections have ended since the last push, so that the rest of the plan in force leads elsewhere than it should.
    Balance,
    /// Connections can be counted from now on.
    Counting,
    /// Connections cannot be counted any more: round robin.
    Blind,
    /// The capacity of a backend changed.
    Capacity,
    /// A backend became a suspect, or is none any more.
    Suspicion,
    /// A backend does not take new connections any more.
    Drain,
    /// Backends came or went.
    Backends,
}

impl Reason {
    /// Whether only the counts changed, which is nothing out of the ordinary.
    pub fn is_load(self) -> bool {
        matches!(self, Self::Freshness | Self::Balance)
    }

    /// The name used in logs, metrics and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Freshness => "freshness",
            Self::Balance => "balance",
            Self::Counting => "counting",
            Self::Blind => "blind",
            Self::Capacity => "capacity",
            Self::Suspicion => "suspicion",
            Self::Drain => "drain",
            Self::Backends => "backends",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => state.fmt(f),
            Self::Suspect => f.pad("suspect"),
        }
    }
}

impl fmt::Display for Row {
    /// `10.0.1.4:5432 ready, 31 connections, capacity 1, weight 1000002`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, connections, capacity, standing, .. } = self;
        write!(f, "{backend} {standing}, {connections} connections, capacity {}", capacity.get())?;
        if let Some(age) = self.age {
            write!(f, ", for {} s", age.as_secs())?;
        }
        match self.weights.as_slice() {
            [] => f.write_str(", no new connections"),
            [weight] => write!(f, ", weight {weight}"),
            weights => write!(f, ", weights {weights:?}"),
        }
    }
}

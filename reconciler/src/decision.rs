//! Decisions: plans with the reasons for them.

use std::{fmt, net::SocketAddr, time::Duration};

use ilb_discovery::{Capacity, State};

use crate::{limit::LimitState, plan::Plan};

/// A plan with the reason for it and the facts behind it.
///
/// Decisions are compared by identity (`Arc::ptr_eq`), never by value, so they have no `PartialEq`: two balancers may
/// decide the same, and each has to learn that *its* decision is in force.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decision {
    /// Balancing method of the pool.
    pub method: Method,
    /// Number of this decision among those of its pool, from 1.
    pub number: u64,
    /// Weights to push.
    pub plan: Plan,
    /// Reason why the plan differs from the one before.
    pub reason: Reason,
    /// Facts about each backend, by address, including those that get no new connections. Empty for round robin, which
    /// needs no counts.
    pub rows: Vec<Row>,
    /// State of the limit of connections; `None` if there is none.
    pub limit: Option<LimitState>,
    pub(crate) restricted: Vec<(SocketAddr, Restriction)>,
    /// Parts of a connection by which each backend of the plan was taken to be fuller than it is; empty for none.
    pub(crate) rounded_up_by: Vec<f64>,
}

/// Restriction of a ready backend by what is known of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restriction {
    /// Limit of an equal share of the new connections.
    EqualShare,
    /// No new connections, because the backend has as many as it may have, or all have.
    Full,
    /// No new connections.
    LeftOut,
}

/// Method by which the connections of a pool are balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Each new connection goes to a least loaded backend.
    LeastConnections,
    /// Each backend in turn, in proportion to its capacity.
    RoundRobin,
}

impl Decision {
    pub(crate) fn round_robin(number: u64, plan: Plan) -> Self {
        let (rows, restricted, rounded_up_by) = (Vec::new(), Vec::new(), Vec::new());
        let (method, reason) = (Method::RoundRobin, Reason::Backends);
        Self { method, number, plan, reason, rows, limit: None, restricted, rounded_up_by }
    }

    /// Returns `true` if `backend` gets no new connections because it, or all of them, have as many as they may have.
    pub fn is_at_limit(&self, backend: SocketAddr) -> bool {
        self.restricted.contains(&(backend, Restriction::Full))
    }

    /// Returns `true` if `backend` gets at most an equal share, whatever the counts say: what becomes of its connections is
    /// compared with the others.
    pub fn is_limited_to_equal_share(&self, backend: SocketAddr) -> bool {
        self.restricted.contains(&(backend, Restriction::EqualShare))
    }

    /// Returns the facts about `backend`; `None` for round robin and for an unknown backend.
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

/// Facts about one backend at the time of a decision, and the weights that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Address of the backend.
    pub backend: SocketAddr,
    /// Connections, established and opening.
    pub connections: u32,
    /// Shares of the connections relative to the other backends.
    pub capacity: Capacity,
    /// Time since the backend became able to take connections; `None` if it already was when this process started.
    pub age: Option<Duration>,
    /// Availability for new connections.
    pub standing: Standing,
    /// Facts behind the standing, if discovery does not report it.
    pub evidence: Option<Evidence>,
    /// Weights, one per share; empty if the backend gets no new connections.
    pub weights: Vec<u32>,
}

/// Availability of a backend for new connections, by discovery and by the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The state that discovery reports.
    State(State),
    /// Ready according to discovery, but it does not answer.
    Suspect,
    /// Ready according to discovery, but the connections that it accepts end early.
    Failing,
}

/// Facts behind a standing that discovery does not report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The backend did not answer the last probe.
    NoAnswer,
    /// The backend closed a probe at once, and connections that it must have got did not appear.
    ClosedProbe,
    /// The connections of the backend end early, and those of its peers do not.
    EarlyEndings(EarlyEndings),
}

/// The evidence that a backend fails: connections that ended early, compared with those of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EarlyEndings {
    /// Number of connections that the backend got while it was watched.
    pub opened: u32,
    /// Number of those that ended early.
    pub ended: u32,
    /// Number of connections that its peers got meanwhile.
    pub opened_on_peers: u32,
    /// Number of those that ended as early.
    pub ended_on_peers: u32,
    /// Age below which they ended.
    pub within: Duration,
    /// `true` if what they have in common is that the backend sent nothing.
    pub without_data: bool,
    /// Connections that the backend held nevertheless: if it is not 0, the backend is full.
    pub held: u32,
}

/// Reason for a new plan. If several apply, a decision names the last of them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The plan in force has gaps to fill that are filled by now. If another writer made Traefik build its services
    /// again, it would fill them once more.
    Freshness,
    /// Connections have ended since the last push, so the rest of the plan in force leads elsewhere than a fresh plan.
    Balance,
    /// Connections can be counted from now on.
    Counting,
    /// Connections can no longer be counted: round robin.
    Blind,
    /// The capacity of a backend changed.
    Capacity,
    /// Backends have as many connections as they may have, or have room again.
    Limit,
    /// A backend became suspect or failing, or is no longer.
    Suspicion,
    /// A backend no longer takes new connections.
    Drain,
    /// Backends were added or removed.
    Backends,
}

impl Reason {
    /// Returns `true` if only the counts changed, which is routine.
    pub fn is_load(self) -> bool {
        matches!(self, Self::Freshness | Self::Balance)
    }

    /// Returns the name used in logs, metrics and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Freshness => "freshness",
            Self::Balance => "balance",
            Self::Counting => "counting",
            Self::Blind => "blind",
            Self::Capacity => "capacity",
            Self::Limit => "limit",
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
            Self::Failing => f.pad("failing"),
        }
    }
}

impl fmt::Display for Evidence {
    /// Writes `does not answer` or `7 of 8 connections ended within 50 ms (0 of 60 on its peers)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("does not answer"),
            Self::ClosedProbe => f.write_str("closes connections at once"),
            Self::EarlyEndings(endings) => endings.fmt(f),
        }
    }
}

impl fmt::Display for EarlyEndings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opened, ended, opened_on_peers, ended_on_peers, within, without_data, held } = self;
        let (number, unit) = match within.subsec_millis() {
            0 => (u128::from(within.as_secs()), "s"),
            _ => (within.as_millis(), "ms"),
        };
        write!(f, "{ended} of {opened} connections ended within {number} {unit}")?;
        if *without_data {
            f.write_str(" without a byte received")?;
        }
        write!(f, " ({ended_on_peers} of {opened_on_peers} on its peers)")?;
        match held {
            0 => Ok(()),
            1 => f.write_str(", 1 other stayed open"),
            _ => write!(f, ", {held} others stayed open"),
        }
    }
}

impl fmt::Display for Row {
    /// Writes `10.0.1.4:5432 ready, 31 connections, capacity 1, weight 1000002`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, connections, capacity, standing, .. } = self;
        write!(f, "{backend} {standing}, {connections} connections, capacity {}", capacity.get())?;
        if let Some(age) = self.age {
            write!(f, ", for {} s", age.as_secs())?;
        }
        if let Some(evidence) = &self.evidence {
            write!(f, ", {evidence}")?;
        }
        match self.weights.as_slice() {
            [] => f.write_str(", no new connections"),
            [weight] => write!(f, ", weight {weight}"),
            weights => write!(f, ", weights {weights:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_reads_as_a_clause() {
        let endings = EarlyEndings {
            opened: 8,
            ended: 7,
            opened_on_peers: 60,
            ended_on_peers: 0,
            within: Duration::from_millis(50),
            without_data: false,
            held: 0,
        };
        let full = EarlyEndings { within: Duration::from_secs(4), held: 15, ..endings };
        let silent = EarlyEndings { within: Duration::from_secs(64), without_data: true, held: 1, ..endings };
        for (evidence, text) in [
            (Evidence::NoAnswer, "does not answer"),
            (Evidence::ClosedProbe, "closes connections at once"),
            (Evidence::EarlyEndings(endings), "7 of 8 connections ended within 50 ms (0 of 60 on its peers)"),
            (
                Evidence::EarlyEndings(full),
                "7 of 8 connections ended within 4 s (0 of 60 on its peers), 15 others stayed open",
            ),
            (
                Evidence::EarlyEndings(silent),
                "7 of 8 connections ended within 64 s without a byte received (0 of 60 on its peers), 1 other stayed open",
            ),
        ] {
            assert_eq!(evidence.to_string(), text);
        }
    }
}

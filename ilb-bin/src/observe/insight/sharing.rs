//! The facts about the siblings.

use std::{collections::BTreeMap, net::SocketAddr};

use ilb_reconciler::{
    LeastConnections,
    siblings::{Ignored, ReplicaId, Sharing},
};
use ilb_siblings::SiblingEvent;
use tokio::time::Instant;

/// The exchange with all siblings.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiblingsFacts {
    /// True if there is an exchange, whether it has siblings or not.
    pub(crate) is_on: bool,
    /// True if there have to be siblings, so that not being allowed to list them is a problem.
    pub(crate) is_expected: bool,
    /// The reason why this process may not list them.
    pub(crate) forbidden: Option<String>,
    /// Siblings by address.
    pub(crate) siblings: BTreeMap<SocketAddr, SiblingFacts>,
    /// Number of new reports.
    pub(crate) reports: u64,
    /// Number of failed questions by kind.
    pub(crate) failures: BTreeMap<&'static str, u64>,
    /// Number of reports that were ignored, by cause.
    pub(crate) ignored: BTreeMap<&'static str, u64>,
}

/// State of one sibling.
#[derive(Clone, Debug)]
pub(crate) struct SiblingFacts {
    /// Identity that was heard last.
    pub(crate) replica: Option<ReplicaId>,
    /// The problem because of which it is not heard.
    pub(crate) problem: Option<String>,
    /// Moment since which it is heard or not.
    pub(crate) since: Instant,
}

/// State of the exchange in one pool, as it was at the last sample.
#[derive(Clone, Debug)]
pub(crate) struct PoolSharing {
    pub(crate) sharing: Sharing,
    /// Connections to each backend through all replicas that are heard; `None` if none is.
    totals: Option<BTreeMap<SocketAddr, u64>>,
    pub(crate) at: Instant,
}

impl SiblingsFacts {
    /// Takes in an event, and returns `true` if it is not routine.
    pub(super) fn on(&mut self, event: &SiblingEvent, now: Instant) -> bool {
        self.is_on = true;
        match event {
            SiblingEvent::Heard { address, replica } => {
                let heard = SiblingFacts { replica: Some(*replica), problem: None, since: now };
                self.siblings.insert(*address, heard);
            }
            SiblingEvent::Lost { address, replica, problem } => {
                let lost = SiblingFacts { replica: *replica, problem: Some(problem.to_string()), since: now };
                self.siblings.insert(*address, lost);
            }
            SiblingEvent::Left { address, .. } => {
                self.siblings.remove(address);
            }
            SiblingEvent::Reported { .. } => {
                self.reports += 1;
                return false;
            }
            SiblingEvent::Failed { problem, .. } => {
                *self.failures.entry(problem.kind()).or_default() += 1;
                return false;
            }
            _ => {}
        }
        true
    }

    pub(super) fn ignored(&mut self, cause: Ignored) {
        *self.ignored.entry(cause.name()).or_default() += 1;
    }

    /// Returns the reason why there may be siblings that are not known, if that is a problem.
    pub(crate) fn unlisted(&self) -> Option<&str> {
        self.forbidden.as_deref().filter(|_| self.is_expected)
    }

    /// Returns the number of siblings that are heard.
    pub(crate) fn heard(&self) -> usize {
        self.siblings.values().filter(|sibling| sibling.problem.is_none()).count()
    }
}

impl PoolSharing {
    /// Returns the state of the exchange in the pool of this balancer; `None` without an exchange.
    pub(super) fn of(balancer: &LeastConnections, now: Instant) -> Option<Self> {
        let sharing = balancer.sharing(now.into_std())?;
        let totals = balancer.totals(now.into_std()).map(|totals| totals.into_iter().collect());
        Some(Self { sharing, totals, at: now })
    }

    /// Returns the connections to a backend through all replicas that are heard; `None` if none is.
    pub(crate) fn total(&self, backend: SocketAddr) -> Option<u64> {
        self.totals.as_ref()?.get(&backend).copied()
    }
}

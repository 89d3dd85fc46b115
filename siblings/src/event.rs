//! Events of the exchange.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use ilb_reconciler::siblings::{ReplicaId, Report};

use crate::problem::Problem;

/// Event of the exchange with the siblings. Each occurrence is one event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SiblingEvent {
    /// A sibling has answered for the first time, or again after it was lost.
    Heard {
        /// Address at which it was asked.
        address: SocketAddr,
        /// Identity of the sibling.
        replica: ReplicaId,
    },
    /// A sibling has counted again.
    Reported {
        /// Identity of the sibling.
        replica: ReplicaId,
        /// Reports by the names of the pools. The sibling takes no part in a pool that is absent.
        pools: BTreeMap<String, Report>,
        /// Moment at which the ages of the reports are true.
        at: Instant,
    },
    /// An attempt to ask has failed.
    Failed {
        /// Address that was asked.
        address: SocketAddr,
        /// Cause of the failure.
        problem: Problem,
    },
    /// An address that should be a sibling's has not answered as one for [5 s](ilb_reconciler::siblings::SILENT_AFTER).
    Lost {
        /// The address.
        address: SocketAddr,
        /// Identity that is no longer heard; `None` if none was, or if it is heard at another address.
        replica: Option<ReplicaId>,
        /// The last failure.
        problem: Problem,
    },
    /// An address that was heard or lost is no longer one of a sibling, or the sibling there has restarted: then
    /// [`Heard`](Self::Heard) follows.
    Left {
        /// The address.
        address: SocketAddr,
        /// Identity that has ended; `None` if there was none, or if it is heard at another address.
        replica: Option<ReplicaId>,
    },
    /// Each address of the list answers from now on, or one no longer does: what takes the counts of all must rely on this.
    Complete {
        /// True if each address has answered its last question, as a sibling or as this replica.
        is_complete: bool,
    },
    /// All addresses of the first list have been asked, and each has answered or failed. It is sent once.
    AllAsked,
}

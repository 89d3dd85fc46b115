//! Rebalance by several replicas: the goals are those of all connections, and each replica closes its portion of the surplus.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    closing::{Closing, goals::Goals},
    siblings::{ReplicaId, Report},
};

impl Closing {
    /// Makes this the closing of one of several replicas. A rebalance then levels the connections of all of them, of which
    /// each closes its [portion](crate::siblings::portion), and only while all are heard. The clients of any replica may
    /// come back through another one.
    pub fn set_replica(&mut self, replica: ReplicaId) {
        self.together.set_replica(replica);
    }

    /// Takes in which siblings are heard; `None` if not all that are listed are.
    pub fn siblings_heard(&mut self, siblings: Option<&BTreeSet<ReplicaId>>) {
        self.together.heard(siblings);
    }

    /// Takes in the report of a sibling that balancing has not ignored.
    pub fn sibling_reported(&mut self, report: &Report, now: Instant) {
        if let Some(news) = self.together.reported(report, now) {
            self.ledger.sampled_elsewhere(news.closed, news.opened, news.ended, now);
        }
    }

    /// Takes in that a sibling has ended, or no longer takes part.
    pub fn sibling_left(&mut self, replica: ReplicaId) {
        self.together.left(replica);
    }

    /// Returns the number of connections that were closed on purpose so far while their backends stayed, for the report of
    /// this replica.
    pub fn closed_on_purpose(&self) -> u64 {
        self.ledger.closed()
    }

    /// Returns the backends that share the connections of all replicas, with those that no order is about.
    pub(crate) fn goals(&self) -> Goals {
        self.together.add_to(self.knowledge.goals(&self.ledger), self.ledger.expected())
    }
}

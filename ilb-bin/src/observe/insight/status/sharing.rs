//! The status of the exchange with the siblings.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::StatusSummary;
use crate::observe::insight::{
    PoolSharing, SiblingsFacts,
    numbers::{age, many, percent, span},
    words::Severity,
};

/// The other replicas before the same backends.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SiblingsStatus {
    pub(crate) summary: StatusSummary,
    /// Number of siblings that are heard.
    pub(crate) heard: usize,
    pub(crate) siblings: Vec<SiblingStatus>,
}

/// Another replica before the same backends.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SiblingStatus {
    pub(crate) address: SocketAddr,
    /// Identity of its process; absent if it never was heard.
    pub(crate) replica: Option<String>,
    pub(crate) heard: bool,
    /// Time since which it is heard or not.
    pub(crate) for_seconds: f64,
    /// The problem because of which it is not heard.
    pub(crate) problem: Option<String>,
}

/// Balancing of a pool together with siblings, as of the last count.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SharingStatus {
    pub(crate) summary: StatusSummary,
    /// Part of all new connections that this replica gets, from 0 to 1.
    pub(crate) share: f64,
    pub(crate) siblings: Vec<SharerStatus>,
}

/// A sibling that has reported on a pool.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SharerStatus {
    pub(crate) replica: String,
    /// Age of its counts.
    pub(crate) age_seconds: f64,
    /// Connections of the pool through it.
    #[serde(default)]
    pub(crate) connections: u64,
    /// Part of all new connections that it gets, from 0 to 1; absent if its counts are too old to be used.
    pub(crate) share: Option<f64>,
}

impl SiblingsFacts {
    /// Returns the status; `None` without an exchange.
    pub(super) fn status(&self, now: Instant) -> Option<SiblingsStatus> {
        let siblings = self.siblings.iter().map(|(address, sibling)| SiblingStatus {
            address: *address,
            replica: sibling.replica.map(|replica| replica.to_string()),
            heard: sibling.problem.is_none(),
            for_seconds: age(sibling.since, now),
            problem: sibling.problem.clone(),
        });
        self.is_on.then(|| SiblingsStatus {
            summary: self.summary(),
            heard: self.heard(),
            siblings: siblings.collect(),
        })
    }

    fn summary(&self) -> StatusSummary {
        if let Some(reason) = self.unlisted() {
            return StatusSummary::new(Severity::Warning, "Unknown: balancing alone", reason);
        }
        let (heard, all) = (self.heard(), self.siblings.len());
        let lost = self.siblings.iter().find_map(|(address, sibling)| Some((address, sibling.problem.as_ref()?)));
        match lost {
            None if all == 0 => StatusSummary::new(Severity::Ok, "None: balancing alone", ""),
            None => StatusSummary::new(Severity::Ok, format!("Balancing together with {all} more"), ""),
            Some((address, problem)) => {
                let text = format!("{heard} of {all} answer");
                StatusSummary::new(Severity::Warning, text, format!("{address}: {problem}"))
            }
        }
    }
}

impl PoolSharing {
    pub(super) fn status(&self, now: Instant) -> SharingStatus {
        let since = age(self.at, now);
        let siblings = self.sharing.siblings.iter().map(|sibling| SharerStatus {
            replica: sibling.replica.to_string(),
            age_seconds: sibling.age.as_secs_f64() + since,
            connections: sibling.connections,
            share: sibling.share,
        });
        let siblings: Vec<_> = siblings.collect();
        SharingStatus { summary: self.summary(&siblings), share: self.sharing.share, siblings }
    }

    fn summary(&self, siblings: &[SharerStatus]) -> StatusSummary {
        let heard = || siblings.iter().filter(|sibling| sibling.share.is_some());
        let oldest = heard().map(|sibling| sibling.age_seconds).reduce(f64::max);
        let Some(oldest) = oldest else {
            return StatusSummary::new(
                Severity::Ok,
                "Balancing by its own connections",
                "no sibling has reported lately",
            );
        };
        let text = format!("Gets {} of the new connections", percent(self.sharing.share));
        let siblings = many(heard().count() as u64, "sibling");
        StatusSummary::new(Severity::Ok, text, format!("{siblings}, counted at most {} ago", span(oldest)))
    }
}

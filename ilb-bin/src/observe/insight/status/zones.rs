//! The status of the preference for backends of the own zone.

use serde::{Deserialize, Serialize};

use super::StatusSummary;
use crate::observe::insight::{
    numbers::{many, percent},
    words::Severity,
    zones::{ZoneCounts, ZoneFacts},
};

/// Preference of a pool for backends of the own zone, as of the last count.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ZonesStatus {
    pub(crate) summary: StatusSummary,
    /// Zone of this replica; absent if it is unknown, so that no backend is preferred.
    pub(crate) own: Option<String>,
    /// Part of the mean by which a backend of the own zone may be fuller than the mean and still come first.
    pub(crate) max_excess: f64,
    /// Connections of this replica to backends of its zone.
    pub(crate) connections_in_own: u64,
    /// Connections of this replica to backends of other zones.
    pub(crate) connections_to_others: u64,
    /// Connections of this replica to backends whose zone is unknown.
    pub(crate) connections_to_unknown: u64,
}

impl ZoneFacts {
    pub(super) fn status(&self) -> ZonesStatus {
        ZonesStatus {
            summary: self.summary(),
            own: self.own.as_ref().map(ToString::to_string),
            max_excess: f64::from(self.max_excess_percent) / 100.0,
            connections_in_own: self.near.connections,
            connections_to_others: self.other.connections,
            connections_to_unknown: self.unknown.connections,
        }
    }

    fn summary(&self) -> StatusSummary {
        let Some(own) = &self.own else {
            let detail = "the zone of this replica is unknown, so no backend is preferred";
            return StatusSummary::new(Severity::Warning, "Unknown", detail);
        };
        let ZoneCounts { backends, .. } = self.near;
        if backends == 0 {
            let detail = "no backend is in the zone of this replica, so none is preferred";
            return StatusSummary::new(Severity::Warning, format!("{own} has no backends"), detail);
        }
        let all = self.near.connections + self.other.connections + self.unknown.connections;
        #[expect(clippy::cast_precision_loss, reason = "a share of connections")]
        let share = |part: u64| percent(part as f64 / all as f64);
        let detail = match all {
            0 => String::new(),
            _ => format!("{} of {} lead to other zones", share(all - self.near.connections), many(all, "connection")),
        };
        StatusSummary::new(Severity::Ok, format!("Prefers {} in {own}", many(backends.into(), "backend")), detail)
    }
}

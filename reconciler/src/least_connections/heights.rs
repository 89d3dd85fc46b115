//! Least connections: where backends stand, if not by the own counts alone.

use std::time::Instant;

use super::LeastConnections;
use crate::{siblings::Heights, tracked::Tracked, zones::ZonePreference};

impl LeastConnections {
    /// Prefers the backends of one zone.
    #[must_use]
    pub fn with_zones(mut self, preference: ZonePreference) -> Self {
        self.set_zones(Some(preference));
        self
    }

    /// Prefers the backends of one zone, or of none, from the next decision on.
    pub fn set_zones(&mut self, preference: Option<ZonePreference>) {
        self.zones = preference;
    }

    /// Returns the preference for the backends of a zone; `None` if there is none.
    pub fn zones(&self) -> Option<&ZonePreference> {
        self.zones.as_ref()
    }

    /// Returns where backends stand by the counts of all replicas and by their zones; `None` if the connections of this
    /// replica are all that counts.
    pub(super) fn heights(&self, eligible: &[&Tracked], now: Instant) -> Option<Heights> {
        let facts = |t: &&Tracked| (t.backend.address(), t.connections(), t.backend.capacity().get());
        let shared = self.siblings.as_ref().and_then(|siblings| siblings.heights(eligible.iter().map(facts), now));
        let Some(zones) = &self.zones else { return shared };
        let is_near: Vec<bool> = eligible.iter().map(|t| zones.is_near(t.backend.zone())).collect();
        if is_near.iter().all(|near| *near) || !is_near.contains(&true) {
            return shared;
        }
        let mut heights = shared.unwrap_or_else(|| {
            let connections: Vec<u32> = eligible.iter().map(|t| t.connections()).collect();
            let capacities: Vec<u8> = eligible.iter().map(|t| t.backend.capacity().get()).collect();
            Heights::alone(&connections, &capacities)
        });
        heights.prefer(&is_near, zones.ceiling());
        Some(heights)
    }
}

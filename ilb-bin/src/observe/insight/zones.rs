//! The facts about the zones of a pool's connections.

use ilb_connections::Sample;
use ilb_controller::PoolInfo;
use ilb_discovery::{BackendSet, Zone};
use ilb_reconciler::LeastConnections;

/// Connections of a pool that prefers backends of its own zone, as of the last sample.
#[derive(Clone, Debug)]
pub(crate) struct ZoneFacts {
    /// Part of the mean, in percent, by which a backend of the own zone may be fuller and still come first.
    pub(crate) max_excess_percent: u32,
    /// Zone of this replica, once it is known.
    pub(crate) own: Option<Zone>,
    pub(crate) near: ZoneCounts,
    pub(crate) other: ZoneCounts,
    /// Connections to backends whose zone is unknown.
    pub(crate) unknown: ZoneCounts,
}

/// Connections to the backends of some zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZoneCounts {
    /// Backends, whatever their states.
    pub(crate) backends: u32,
    /// Connections of this replica.
    pub(crate) connections: u64,
    /// Connections that have opened since the start.
    pub(crate) opened: u64,
}

impl ZoneFacts {
    /// Creates the facts of a pool; `None` if it prefers no zone.
    pub(super) fn new(pool: &PoolInfo) -> Option<Self> {
        let [near, other, unknown] = [ZoneCounts::default(); 3];
        Some(Self { max_excess_percent: pool.zone_max_excess_percent?, own: None, near, other, unknown })
    }

    pub(super) fn sampled(&mut self, sample: &Sample, balancer: &LeastConnections, backends: &BackendSet) {
        self.own = balancer.zones().map(|zones| zones.own().clone());
        for counts in [&mut self.near, &mut self.other, &mut self.unknown] {
            (counts.backends, counts.connections) = (0, 0);
        }
        for backend in backends.iter() {
            let load = sample.get(backend.address());
            let counts = match (backend.zone(), &self.own) {
                (Some(zone), Some(own)) if zone == own => &mut self.near,
                (Some(_), Some(_)) => &mut self.other,
                _ => &mut self.unknown,
            };
            counts.backends += 1;
            counts.connections += u64::from(load.connections());
            counts.opened += u64::from(load.opened);
        }
    }

    /// Returns the connections by zone, with the names of the metrics.
    pub(crate) fn by_zone(&self) -> [(&'static str, ZoneCounts); 3] {
        [("own", self.near), ("other", self.other), ("unknown", self.unknown)]
    }
}

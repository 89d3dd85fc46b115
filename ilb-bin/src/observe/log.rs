//! The log of the events: one line per change of state. What is repeated is summed up once a minute.

mod closing;
mod dropped_lines;
mod instance;
mod pool;
mod rival;
mod settings;
mod sibling;
mod traefik;
mod trouble;

use std::collections::BTreeMap;

use ilb_controller::{DesiredPools, Event, Observer};
use ilb_traefik_client::{Applied, Name, fleet::InstanceState};
use tokio::time::Instant;

pub(super) use self::settings::settings;
use self::{
    closing::ClosingLog, dropped_lines::DroppedLinesLog, instance::InstanceLog, pool::PoolLog, traefik::TraefikLog,
};
use crate::process::logging::{DroppedLines, RepeatedLines};

/// Logs the events of the loop.
#[derive(Debug)]
pub(crate) struct LogObserver {
    traefik: TraefikLog,
    pools: BTreeMap<Name, PoolLog>,
    /// Traefiks of a fleet, by host and port.
    instances: BTreeMap<String, InstanceLog>,
    /// Reason logged last for which connections can never be counted. It is the same for all pools.
    impossible: Option<String>,
    closing: ClosingLog,
    dropped_lines: DroppedLinesLog,
    repeated_lines: RepeatedLines,
}

impl LogObserver {
    /// Creates the log, which also tells how many lines have been lost, and sums up those that libraries have repeated.
    pub(crate) fn new(dropped_lines: DroppedLines, repeated_lines: RepeatedLines) -> Self {
        Self {
            traefik: TraefikLog::new(),
            pools: BTreeMap::new(),
            instances: BTreeMap::new(),
            impossible: None,
            closing: ClosingLog::default(),
            dropped_lines: DroppedLinesLog::new(dropped_lines, Instant::now()),
            repeated_lines,
        }
    }

    fn pushed(&mut self, desired: &DesiredPools, applied: &Applied, now: Instant) {
        let failed_attempts = self.traefik.pushed(applied);
        for (pool, desired) in desired {
            self.pool(pool).pushed(desired, applied, failed_attempts);
        }
        for (pool, error) in &applied.faults {
            self.pool(pool).refused(error, now);
        }
    }

    fn instance_changed(&mut self, traefik: &str, state: Option<&InstanceState>, now: Instant) {
        let Some(state) = state else {
            self.instances.remove(traefik);
            return;
        };
        let instance = self.instances.entry(traefik.to_owned()).or_insert_with(|| InstanceLog::new(traefik));
        instance.changed(state, now);
    }

    fn counting_impossible(&mut self, pool: &Name, reason: &str) {
        if self.impossible.as_deref() != Some(reason) {
            tracing::warn!(
                %pool,
                reason,
                help = "run ilb and Traefik in one pod, or set LB_METHOD=roundrobin",
                "Least connections is not possible: balancing by round robin"
            );
            self.impossible = Some(reason.to_owned());
        }
    }

    fn sum_up(&mut self, now: Instant) {
        self.traefik.sum_up(now);
        self.pools.values_mut().for_each(|pool| pool.sum_up(now));
        self.instances.values_mut().for_each(|instance| instance.sum_up(now));
        self.dropped_lines.sum_up(now);
        self.repeated_lines.sum_up();
    }

    fn pool(&mut self, pool: &Name) -> &mut PoolLog {
        self.pools.entry(pool.clone()).or_insert_with(|| PoolLog::new(pool.clone()))
    }
}

impl Observer for LogObserver {
    fn on(&mut self, event: &Event<'_>) {
        let now = Instant::now();
        match event {
            Event::Alive => self.sum_up(now),
            Event::PoolAdded { pool } => {
                let name = &pool.spec.name;
                let log = self.pools.remove(name).map_or_else(|| PoolLog::new(name.clone()), PoolLog::replaced);
                self.pools.insert(name.clone(), log);
            }
            Event::PoolRemoved { pool } => {
                self.pools.remove(*pool);
            }
            Event::Discovered { pool, set, previous, stale } => {
                self.pool(pool).discovered(set, *previous, stale.is_some());
            }
            Event::DiscoveryStale { pool, error } => self.pool(pool).stale(error, now),
            Event::Sampled { pool, .. } => self.pool(pool).counted(),
            Event::CountingFailed { pool, error } => self.pool(pool).counting_failed(error, now),
            Event::CountingImpossible { pool, reason } => self.counting_impossible(pool, reason),
            Event::BackendsShared { pool, backends } if *backends > 0 => {
                tracing::info!(%pool, backends, "Other pools have some of these backends, too: all connections count in each");
            }
            Event::BackendsShared { pool, .. } => tracing::info!(%pool, "No other pool has any of these backends"),
            Event::StandingChanged { pool, change } => self.pool(pool).standing_changed(change, now),
            Event::Probed { pool, outcome, .. } => self.pool(pool).probed(outcome, now),
            Event::BackendsInherited { pool, backends } => {
                tracing::warn!(%pool, backends, "The backends are not known yet: Traefik keeps those that it has");
            }
            Event::Pushed { desired, applied, .. } => self.pushed(desired, applied, now),
            Event::PushFailed { error } => self.traefik.push_failed(error, now),
            Event::ProofLost { error } => self.traefik.proof_lost(error, now),
            Event::RivalFound => self.traefik.rival_found(now),
            Event::RivalGone => self.traefik.rival_gone(),
            Event::ClosingsBegan { pool, run } => closing::began(pool, run),
            Event::ClosingsEnded { pool, run, end } => closing::ended(pool, run, *end),
            Event::ClosingStateChanged { pool, state } => closing::state_changed(pool, *state),
            Event::ConnectionClosed { pool, order, result } => self.closing.closed(pool, order, result),
            Event::HalfClosed { half, result } => self.closing.half_closed(half, result),
            Event::ListingHalvesFailed { error } => self.closing.listing_halves_failed(error),
            Event::CloserChanged { ability } => self.closing.closer_changed(ability),
            Event::DescribingFailed { pool, error } => self.pool(pool).describing_failed(error, now),
            Event::Sibling { event } => sibling::log(event),
            Event::InstanceChanged { instance, state } => self.instance_changed(instance, *state, now),
            _ => {}
        }
    }
}

/// Logs that a signal stops the process.
pub(crate) fn stopping(signal: &str) {
    tracing::info!(signal, "Stopping: Traefik and all connections stay as they are");
}

#[cfg(test)]
mod tests;

//! Everything that is known about a running ilb, and whether it is alive and ready.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{PoolFacts, TraefikFacts, reload::ReloadFacts};

/// Facts about a running ilb, as the loop's events reported them.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) started: Instant,
    /// The last time that the controller's loop ran.
    pub(crate) beat: Instant,
    pub(crate) traefik: TraefikFacts,
    /// Pools by name. There is at least one as soon as the controller exists.
    pub(crate) pools: BTreeMap<String, PoolFacts>,
    pub(crate) reloads: ReloadFacts,
}

impl Facts {
    /// Maximum age of the loop's last run. The loop runs every second and waits for no request, so a longer pause means
    /// that it hangs.
    pub(crate) const MAX_BEAT_AGE: Duration = Duration::from_secs(15);

    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            beat: now,
            traefik: TraefikFacts::default(),
            pools: BTreeMap::new(),
            reloads: ReloadFacts::default(),
        }
    }

    /// Returns whether the controller's loop runs.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.beat) <= Self::MAX_BEAT_AGE
    }

    /// Returns whether any pool is in force, or was at the last proof.
    pub(super) fn is_serving(&self) -> bool {
        self.pools.values().any(|pool| pool.in_force.is_some())
    }

    /// Lists what the start still waits for: the first complete set of backends of each pool.
    pub(crate) fn not_started(&self) -> Vec<String> {
        if self.pools.is_empty() {
            return vec!["there is no pool yet".to_owned()];
        }
        let waiting = self.pools.iter().filter(|(_, pool)| !pool.is_known());
        waiting.map(|(name, _)| format!("pool {name}: its backends are not known yet")).collect()
    }

    /// Lists the pools that are not proved to be in force in the Traefik process that runs now, with the reasons.
    ///
    /// The API server does not matter here: without it the last known backends stay in force. Neither does a pool that was
    /// added later and has never been in force: the clients of the other pools would lose this pod because of it.
    pub(crate) fn not_ready(&self, now: Instant) -> Vec<String> {
        if self.pools.is_empty() {
            return self.not_started();
        }
        let not_proved = self.traefik.not_proved(now);
        let serving = self.is_serving();
        let reason = |pool: &PoolFacts| match &not_proved {
            _ if pool.is_late() && serving => not_proved.clone(),
            _ if !pool.is_known() => Some("its backends are not known yet".to_owned()),
            Some(reason) => Some(reason.clone()),
            None if pool.in_force.is_none() => Some("it has not been pushed yet".to_owned()),
            None => None,
        };
        let reasons = self.pools.iter().filter_map(|(name, pool)| Some((name, reason(pool)?)));
        reasons.map(|(name, reason)| format!("pool {name}: {reason}")).collect()
    }
}

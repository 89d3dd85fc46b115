use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{PoolFacts, TraefikFacts, reload::ReloadFacts};

/// Everything that is known.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) started: Instant,
    /// When the controller's loop came round last.
    pub(crate) beat: Instant,
    pub(crate) traefik: TraefikFacts,
    /// By name. At least one, as soon as the controller exists.
    pub(crate) pools: BTreeMap<String, PoolFacts>,
    pub(crate) reloads: ReloadFacts,
}

/// Why ilb is not ready; there is none if it is.
pub(crate) type NotReady = Vec<String>;

impl Facts {
    /// The loop comes round every second, and waits for no request, so a pause like this means that it hangs.
    pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(15);

    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            beat: now,
            traefik: TraefikFacts::default(),
            pools: BTreeMap::new(),
            reloads: ReloadFacts::default(),
        }
    }

    /// Whether the controller's loop comes round.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.beat) <= Self::LONGEST_PAUSE
    }

    /// Whether any pool is in force, or was when it was proved last.
    pub(super) fn is_serving(&self) -> bool {
        self.pools.values().any(|pool| pool.in_force.is_some())
    }

    /// What the start still waits for: the first complete set of backends of each pool.
    pub(crate) fn not_started(&self) -> NotReady {
        if self.pools.is_empty() {
            return vec!["no pool is followed yet".to_owned()];
        }
        let waiting = self.pools.iter().filter(|(_, pool)| !pool.is_known());
        waiting.map(|(name, _)| format!("pool {name}: its backends are not known yet")).collect()
    }

    /// Which pools are not proved to be in force in the Traefik that runs now, and why. The API server has no part in
    /// it: without it the last good configuration stays in force. Nor has a pool that was added later and was never in
    /// force: the clients of the others would lose this pod by it.
    pub(crate) fn not_ready(&self, now: Instant) -> NotReady {
        if self.pools.is_empty() {
            return self.not_started();
        }
        let unproved = self.traefik.not_proved(now);
        let serving = self.is_serving();
        let reason = |pool: &PoolFacts| match &unproved {
            _ if pool.is_late() && serving => unproved.clone(),
            _ if !pool.is_known() => Some("its backends are not known yet".to_owned()),
            Some(reason) => Some(reason.clone()),
            None if pool.in_force.is_none() => Some("it has not been pushed yet".to_owned()),
            None => None,
        };
        let reasons = self.pools.iter().filter_map(|(name, pool)| Some((name, reason(pool)?)));
        reasons.map(|(name, reason)| format!("pool {name}: {reason}")).collect()
    }
}

//! Everything that is known about a running ilb, and whether it is alive and ready.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ilb_controller::Controller;
use tokio::time::Instant;

use super::{
    BackendLinkStatus, InstanceIdentity, PoolFacts, TraefikFacts, closing::CloserFacts,
    connection_log::ConnectionLogCounts, event_log::EventLog, history::Budget, reload::ReloadFacts,
    sharing::SiblingsFacts,
};

/// Facts about a running ilb, as the loop's events reported them.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) started: Instant,
    /// Place that this process runs in.
    pub(crate) instance: Arc<InstanceIdentity>,
    /// Links of each backend.
    pub(crate) backend_links: Arc<[BackendLinkStatus]>,
    /// The last time that the controller's loop ran.
    pub(crate) beat: Instant,
    pub(crate) traefik: TraefikFacts,
    /// Pools by name. There is at least one as soon as the controller exists.
    pub(crate) pools: BTreeMap<String, PoolFacts>,
    pub(crate) reloads: ReloadFacts,
    pub(crate) closer: CloserFacts,
    pub(crate) siblings: SiblingsFacts,
    /// The numbers of the log of connections; `None` if it is off.
    pub(crate) connection_log: Option<Arc<ConnectionLogCounts>>,
    /// The events of the last day.
    pub(crate) log: EventLog,
    /// Limits the histories of backends.
    pub(super) history_budget: Budget,
}

impl Facts {
    /// Maximum age of the loop's last run. The loop runs every second and waits for no request, so a longer pause means
    /// that it hangs.
    pub(crate) const MAX_BEAT_AGE: Duration = Duration::from_secs(15);

    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            instance: Arc::default(),
            backend_links: Arc::default(),
            beat: now,
            traefik: TraefikFacts::default(),
            pools: BTreeMap::new(),
            reloads: ReloadFacts::default(),
            closer: CloserFacts::default(),
            siblings: SiblingsFacts::default(),
            connection_log: None,
            log: EventLog::default(),
            history_budget: Budget::default(),
        }
    }

    /// Returns whether the controller's loop runs.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.beat) <= Self::MAX_BEAT_AGE
    }

    /// Lists what the start still waits for: the first complete set of backends of each pool, for as long as the first push
    /// waits for it.
    ///
    /// Traefik is started after ilb, so that it need not wait long for its configuration. A pool that cannot be known must
    /// not keep it from being started for the others.
    pub(crate) fn not_started(&self, now: Instant) -> Vec<String> {
        if self.pools.is_empty() {
            return vec!["there is no pool yet".to_owned()];
        }
        if now.saturating_duration_since(self.started) >= Controller::MAX_FIRST_PUSH_DELAY {
            return Vec::new();
        }
        let waiting = self.pools.iter().filter(|(_, pool)| !pool.is_known());
        waiting.map(|(name, _)| format!("pool {name}: its backends are not known yet")).collect()
    }

    /// Returns whether nothing has been in force yet and everything that is missing may just not have started: the kubelet
    /// starts Traefik when ilb knows its backends.
    pub(crate) fn is_starting(&self, now: Instant) -> bool {
        let is_early = now.saturating_duration_since(self.started) < Controller::MAX_FIRST_PUSH_DELAY;
        let is_faultless = self.pools.values().all(|pool| pool.fault.is_none());
        is_faultless && self.traefik.is_awaited(is_early, now)
    }

    /// Lists the reasons why no pool is proved to be in force in the Traefik process that runs now. It is empty while any
    /// pool is: without this pod the clients of that pool would lose because of the others.
    ///
    /// The API server does not matter here: without it the last known backends stay in force.
    pub(crate) fn not_ready(&self, now: Instant) -> Vec<String> {
        if self.pools.is_empty() {
            return vec!["there is no pool yet".to_owned()];
        }
        let not_proved = self.traefik.not_proved(now);
        if not_proved.is_none() && self.pools.values().any(|pool| pool.in_force.is_some()) {
            return Vec::new();
        }
        let reason = |pool: &PoolFacts| match (&pool.fault, &not_proved) {
            (Some(fault), _) => fault.text.clone(),
            _ if !pool.is_known() => "its backends are not known yet".to_owned(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => "it has not been pushed yet".to_owned(),
        };
        self.pools.iter().map(|(name, pool)| format!("pool {name}: {}", reason(pool))).collect()
    }
}

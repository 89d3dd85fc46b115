//! The facts about a running ilb, for people and programs that watch it.
//!
//! The loop reports events, and the facts are updated by each. A status, a metric or a page is made from them only on
//! request, so nothing outlives its backend and nothing is computed that is not read.

pub(crate) mod changes;
mod closing;
mod connection_log;
mod degraded;
mod event_log;
mod events;
mod facts;
pub(crate) mod history;
mod imbalance;
mod left;
mod limit;
mod load;
pub(crate) mod numbers;
mod pool;
mod problem;
mod push_rate;
mod reload;
mod sharing;
mod since;
mod status;
mod survey;
mod traefik;
mod words;
mod zones;

use std::sync::Arc;

use ilb_controller::{DesiredPools, Event, Observer};
use tokio::{sync::watch, time::Instant};

use self::events::Urgency;
pub(crate) use self::{
    closing::PoolClosings,
    connection_log::ConnectionLogCounts,
    facts::Facts,
    imbalance::Imbalance,
    pool::PoolFacts,
    sharing::{PoolSharing, SiblingsFacts},
    status::{
        BackendLinkStatus, BackendStatus, ComplaintStatus, EventStatus, InstanceIdentity, PoolStatus, ReasonStatus,
        SiblingsStatus, StateCounts, Status, StatusSummary, TraefikStatus,
    },
    traefik::TraefikFacts,
    words::{BackendState, EventKind, Level, PushResult, PushState, Reload, Severity},
    zones::ZoneFacts,
};

use crate::{
    observe::SettingsEvent,
    settings::{BackendLink, InstanceSettings},
};

/// The facts, shared between the loop that updates them and all readers.
#[derive(Clone, Debug)]
pub(crate) struct Insight(Arc<watch::Sender<Facts>>);

impl Insight {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Facts::new(Instant::now()))))
    }

    /// Replaces what is known about the place that this process runs in.
    pub(crate) fn with_instance(self, instance: &InstanceSettings) -> Self {
        self.update(|facts, _| {
            facts.instance = Arc::new(instance.into());
            Urgency::Now
        });
        self
    }

    /// Takes in an event of the settings file.
    pub(crate) fn settings_changed(&self, event: &SettingsEvent<'_>) {
        self.update(|facts, now| {
            facts.reloads.reloaded(event.reload());
            facts.log.add(event_log::record::settings(event), now);
            Urgency::Now
        });
    }

    /// Takes in the links of each backend.
    pub(crate) fn set_backend_links(&self, links: &[BackendLink]) {
        self.update(|facts, _| {
            facts.backend_links = links.iter().map(BackendLinkStatus::from).collect();
            Urgency::Now
        });
    }

    /// Takes in whether there have to be siblings.
    pub(crate) fn expect_siblings(&self, is_expected: bool) {
        self.update(|facts, _| {
            let before = std::mem::replace(&mut facts.siblings.is_expected, is_expected);
            if before == is_expected { Urgency::Routine } else { Urgency::Now }
        });
    }

    /// Takes in why this process may not list its siblings; `None` if it may.
    pub(crate) fn siblings_forbidden(&self, reason: Option<String>) {
        self.update(|facts, _| {
            facts.siblings.is_on = true;
            let before = std::mem::replace(&mut facts.siblings.forbidden, reason);
            if before == facts.siblings.forbidden { Urgency::Routine } else { Urgency::Now }
        });
    }

    /// Takes in the result of reading changed settings.
    #[cfg(test)]
    pub(crate) fn reloaded(&self, result: Reload) {
        self.update(|facts, _| {
            facts.reloads.reloaded(result);
            Urgency::Now
        });
    }

    /// Returns the numbers of the log of connections, which are shown from now on.
    pub(crate) fn log_connections(&self) -> Arc<ConnectionLogCounts> {
        let counts = Arc::new(ConnectionLogCounts::default());
        self.update(|facts, _| {
            facts.connection_log = Some(Arc::clone(&counts));
            Urgency::Now
        });
        counts
    }

    /// Takes in a plan that would be pushed, as if it were in force.
    pub(crate) fn planned(&self, desired: &DesiredPools) {
        self.update(|facts, now| {
            facts.in_force(desired, now);
            Urgency::Now
        });
    }

    /// Returns a copy of the facts at this moment, which shares all that is large. What takes time is made from a copy, so
    /// that the loop never waits for it.
    pub(crate) fn snapshot(&self) -> Facts {
        self.read(Facts::clone)
    }

    /// Passes the facts to `with`. They cannot change until it returns, so it must be quick.
    pub(crate) fn read<T>(&self, with: impl FnOnce(&Facts) -> T) -> T {
        with(&self.0.borrow())
    }

    /// Returns a receiver that is woken by changes that are not routine.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Facts> {
        self.0.subscribe()
    }

    fn update(&self, with: impl FnOnce(&mut Facts, Instant) -> Urgency) {
        let now = Instant::now();
        self.0.send_if_modified(|facts| with(facts, now) == Urgency::Now);
    }
}

impl Observer for Insight {
    fn on(&mut self, event: &Event<'_>) {
        self.update(|facts, now| facts.on(event, now));
    }
}

#[cfg(test)]
pub(crate) mod tests;

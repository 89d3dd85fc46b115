//! The log of the events: one line per change of state, and none per attempt.

use std::{collections::BTreeMap, time::Duration};

use ilb_connections::{ProbeError, Probed};
use ilb_controller::{DesiredPools, Event, Observer};
use ilb_discovery::{BackendSet, State};
use ilb_reconciler::{Action, Decision, Method, decision::Standing, least_connections::StandingChange, reconcile};
use ilb_traefik_client::{Applied, Error, Name, fleet::InstanceState};
use tokio::time::Instant;

use super::{
    repeats::{Repeats, Summary},
    settings_event::SettingsEvent,
};

const ANOTHER_PROGRAM: &str = "Another program writes to this Traefik";
const NO_OTHER_PROGRAM: &str = "No other program writes to this Traefik any more";
const HELP_WITH_RIVAL: &str = "end one of them, or give each a Traefik of its own";

/// Logs the events of the loop. A failure that lasts is summed up once a minute.
#[derive(Debug)]
pub(crate) struct LogObserver {
    startup: Startup,
    failing: Option<Failing>,
    pools: BTreeMap<Name, PoolLog>,
    /// True if the last push has been lost since.
    lost: bool,
    /// Replacements of the configuration by another program, while there is one.
    rival: Option<Repeats>,
    instances: BTreeMap<String, InstanceLog>,
    /// Reason logged last for which connections can never be counted. It is the same for all pools.
    impossible: Option<String>,
}

/// State of the start. If Traefik starts at the same time as ilb or later, the first attempts fail, which is not an error.
#[derive(Debug)]
enum Startup {
    /// No push has succeeded yet. Failed attempts are expected until this time, which the first of them sets: in a pod,
    /// Traefik is started when ilb knows its backends, and that is when the attempts begin.
    Waiting {
        until: Option<Instant>,
        attempts: u64,
    },
    Over,
}

/// State of one pool as logged last, so that nothing is logged twice.
#[derive(Debug, Default)]
struct PoolLog {
    stale: Option<Repeats>,
    without_backend: bool,
    counting_failed: bool,
    /// Whether the last probe could not be made.
    probing_failed: bool,
    /// Kind of the fault because of which the pool is not active.
    fault: Option<&'static str>,
}

/// State of one Traefik of a fleet as logged last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct InstanceLog {
    failing: bool,
    has_rival: bool,
}

#[derive(Debug)]
struct Failing {
    attempts: u64,
    repeats: Repeats,
}

impl LogObserver {
    /// Time for Traefik to start, in which failed attempts are not logged as errors, from the first one on. A kubelet starts a container within
    /// seconds.
    const TRAEFIK_STARTUP: Duration = Duration::from_secs(10);

    pub(crate) fn new() -> Self {
        let startup = Startup::Waiting { until: None, attempts: 0 };
        let (pools, instances) = (BTreeMap::new(), BTreeMap::new());
        Self { startup, failing: None, pools, lost: false, rival: None, instances, impossible: None }
    }

    fn pushed(&mut self, desired: &DesiredPools, previous: &DesiredPools, applied: &Applied) {
        let waited = std::mem::replace(&mut self.startup, Startup::Over).attempts();
        let failed_attempts = self.failing.take().map_or(0, |f| f.attempts) + waited;
        let is_recovery = std::mem::take(&mut self.lost) && self.rival.is_none() || failed_attempts > 0;
        let none = BackendSet::empty();
        for (pool, desired) in desired {
            log_rows(pool, &desired.decision);
            let is_active_again = self.pool(pool).fault.take().is_some();
            if is_active_again {
                tracing::info!(%pool, "The pool is active again");
            }
            let before = previous.get(pool);
            let backends_before = before.map_or(&none, |before| &*before.backends);
            let (added, removed, updated) = match reconcile(backends_before, &desired.backends) {
                Action::Apply(change) => (change.added.len(), change.removed.len(), change.updated.len()),
                _ if is_recovery || before.is_none() => (0, 0, 0),
                // There are several pushes for balance a second, and pushes for another pool alone.
                _ if desired.decision.reason.is_load() || before == Some(desired) => continue,
                _ => (0, 0, 0),
            };
            tracing::info!(
                %pool,
                revision = %applied.revision,
                took_ms = u64::try_from(applied.took.as_millis()).unwrap_or(u64::MAX),
                backends = desired.backends.len(),
                added,
                removed,
                updated,
                failed_attempts,
                traefik = %applied.version,
                "Updated"
            );
        }
        self.refused(&applied.faults);
    }

    /// Logs the pools that a push did not put in force.
    fn refused(&mut self, faults: &BTreeMap<Name, Error>) {
        for (pool, error) in faults {
            let kind = error.kind();
            if self.pool(pool).fault.replace(kind) != Some(kind) {
                tracing::error!(%pool, %error, kind, "A pool is not active");
            }
        }
    }

    fn proof_lost(&mut self, error: &Error) {
        self.lost = true;
        let Some(repeats) = &mut self.rival else {
            tracing::warn!(%error, "Traefik's configuration is no longer verified: updating again");
            return;
        };
        if let Some(Summary { times, seconds }) = repeats.add(Instant::now()) {
            tracing::error!(times, "{ANOTHER_PROGRAM}: it has done so {times} times in {seconds} s");
        }
    }

    fn rival_found(&mut self) {
        self.rival = Some(Repeats::new("overwritten", Instant::now()));
        tracing::error!(help = HELP_WITH_RIVAL, "{ANOTHER_PROGRAM}");
    }

    fn rival_gone(&mut self) {
        self.rival = None;
        tracing::info!("{NO_OTHER_PROGRAM}");
    }

    fn instance_changed(&mut self, traefik: &str, state: Option<&InstanceState>) {
        let Some(state) = state else {
            self.instances.remove(traefik);
            return;
        };
        let (before, error) = (self.instances.get(traefik).copied().unwrap_or_default(), state.error.as_ref());
        let now = InstanceLog { failing: error.is_some(), has_rival: state.has_rival };
        match (before.has_rival, now.has_rival) {
            (false, true) => tracing::error!(traefik, help = HELP_WITH_RIVAL, "{ANOTHER_PROGRAM}"),
            (true, false) => tracing::info!(traefik, "{NO_OTHER_PROGRAM}"),
            // While there is a rival, the configuration is lost and active again and again.
            (true, true) => return,
            (false, false) => {}
        }
        match (before.failing, error) {
            (false, Some(error)) if !now.has_rival => {
                tracing::warn!(traefik, %error, kind = error.kind(), "A Traefik does not have the configuration");
            }
            (true, None) => tracing::info!(traefik, "A Traefik has the configuration again"),
            _ => {}
        }
        self.instances.insert(traefik.to_owned(), now);
    }

    fn push_failed(&mut self, error: &Error) {
        let (kind, now) = (error.kind(), Instant::now());
        if self.rival.is_some() && matches!(error, Error::Overwritten(_)) {
            return self.proof_lost(error);
        }
        if let Startup::Waiting { until, attempts } = &mut self.startup
            && now < *until.get_or_insert(now + Self::TRAEFIK_STARTUP)
            && matches!(error, Error::Unreachable { .. } | Error::NotReady(_))
        {
            *attempts += 1;
            if *attempts == 1 {
                tracing::info!(%error, kind, "Waiting for Traefik");
            }
            return;
        }
        match &mut self.failing {
            Some(failing) if failing.repeats.kind == kind => {
                failing.attempts += 1;
                if let Some(Summary { times, seconds }) = failing.repeats.add(now) {
                    tracing::error!(%error, kind, times, "Failed to update: repeated {times} times in {seconds} s");
                }
            }
            failing => {
                let attempts = failing.as_ref().map_or(0, |f| f.attempts) + 1;
                *failing = Some(Failing { attempts, repeats: Repeats::new(kind, now) });
                tracing::error!(%error, kind, "Failed to update");
            }
        }
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

    fn pool(&mut self, pool: &Name) -> &mut PoolLog {
        self.pools.entry(pool.clone()).or_default()
    }
}

impl Observer for LogObserver {
    fn on(&mut self, event: &Event<'_>) {
        match event {
            Event::PoolAdded { pool } => {
                self.pools.insert(pool.spec.name.clone(), PoolLog::default());
            }
            Event::PoolRemoved { pool } => {
                self.pools.remove(*pool);
            }
            Event::Discovered { pool, set, previous } => {
                self.pool(pool).discovered(pool, set, *previous);
            }
            Event::DiscoveryStale { pool, error } => self.pool(pool).stale(pool, error),
            Event::Sampled { pool, .. } => self.pool(pool).counted(pool),
            Event::CountingFailed { pool, error } => self.pool(pool).counting_failed(pool, error),
            Event::CountingImpossible { pool, reason } => self.counting_impossible(pool, reason),
            Event::BackendsShared { pool, backends } if *backends > 0 => {
                tracing::info!(%pool, backends, "Other pools have some of these backends, too: all connections count in each");
            }
            Event::BackendsShared { pool, .. } => tracing::info!(%pool, "No other pool has any of these backends"),
            Event::StandingChanged { pool, change } => standing_changed(pool, change),
            Event::Probed { pool, outcome, .. } => self.pool(pool).probed(pool, outcome),
            Event::BackendsInherited { pool, backends } => {
                tracing::warn!(%pool, backends, "The backends are not known yet: Traefik keeps those that it has");
            }
            Event::Pushed { desired, previous, applied } => self.pushed(desired, previous, applied),
            Event::PushFailed { error } => self.push_failed(error),
            Event::ProofLost { error } => self.proof_lost(error),
            Event::RivalFound => self.rival_found(),
            Event::RivalGone => self.rival_gone(),
            Event::InstanceChanged { instance, state } => self.instance_changed(instance, *state),
            _ => {}
        }
    }
}

impl PoolLog {
    fn discovered(&mut self, pool: &Name, set: &BackendSet, previous: Option<&BackendSet>) {
        if self.stale.take().is_some() {
            tracing::info!(%pool, "Discovery is up to date again");
        }
        if previous.is_none_or(|previous| previous != set) {
            tracing::info!(
                %pool,
                ready = set.count(State::Ready),
                draining = set.count(State::Draining),
                not_ready = set.count(State::NotReady),
                "Found pods"
            );
        }
        let without_backend = set.count(State::Ready) == 0;
        if without_backend && !self.without_backend {
            tracing::warn!(%pool, "No pod is ready: new connections are closed at once until one is");
        }
        self.without_backend = without_backend;
    }

    fn probed(&mut self, pool: &Name, outcome: &Result<Probed, ProbeError>) {
        let is_local = matches!(outcome, Err(ProbeError::Local(_)));
        let was_local = std::mem::replace(&mut self.probing_failed, is_local);
        match outcome {
            Err(error @ ProbeError::Local(cause)) if !was_local => {
                tracing::warn!(%pool, %error, %cause, "Backends cannot be probed from here: those in doubt stay in use");
            }
            _ if was_local && !is_local => tracing::info!(%pool, "Backends can be probed again"),
            _ => {}
        }
    }

    fn counted(&mut self, pool: &Name) {
        if std::mem::take(&mut self.counting_failed) {
            tracing::info!(%pool, "Connections can be counted again");
        }
    }

    fn counting_failed(&mut self, pool: &Name, error: &ilb_connections::Error) {
        if !std::mem::replace(&mut self.counting_failed, true) {
            tracing::warn!(%pool, error = %error.with_causes(), "Connections cannot be counted: round robin until they can");
        }
    }

    fn stale(&mut self, pool: &Name, error: &ilb_discovery::Error) {
        let (kind, now) = (error.kind(), Instant::now());
        match &mut self.stale {
            Some(repeats) if repeats.kind == kind => {
                if let Some(Summary { times, seconds }) = repeats.add(now) {
                    tracing::warn!(%pool, error = %error.with_causes(), kind, times, "Discovery is stale: repeated {times} times in {seconds} s");
                }
            }
            stale => {
                *stale = Some(Repeats::new(kind, now));
                tracing::warn!(%pool, error = %error.with_causes(), kind, "Discovery is stale: keeping the backends seen last");
            }
        }
    }
}

/// Logs an event of the settings file.
pub(super) fn settings(event: &SettingsEvent<'_>) {
    match event {
        SettingsEvent::Applied { added, removed, pending } => {
            tracing::info!(pools = names(added), removed = names(removed), "Settings changed");
            if !pending.is_empty() {
                let settings = pending.join(", ");
                tracing::warn!(
                    settings,
                    "These settings take effect at the next start: restart ilb, which ends no connection"
                );
            }
        }
        SettingsEvent::Restored => {
            tracing::info!("The settings file is valid again, and equal to the settings in effect");
        }
        SettingsEvent::Refused { problems } => {
            tracing::error!(problems, "Settings refused: the previous settings stay in effect");
        }
    }
}

fn names(pools: &[Name]) -> String {
    pools.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// Logs that a signal stops the process.
pub(crate) fn stopping(signal: &str) {
    tracing::info!(signal, "Stopping: Traefik and all connections stay as they are");
}

impl Startup {
    fn attempts(&self) -> u64 {
        match self {
            Self::Waiting { attempts, .. } => *attempts,
            Self::Over => 0,
        }
    }
}

/// Logs that a backend has become suspect or failing, or is no longer.
fn standing_changed(pool: &Name, change: &StandingChange) {
    let StandingChange { backend, from, to, evidence, .. } = change;
    let evidence = evidence.as_ref().map(ToString::to_string);
    match to {
        Standing::Suspect => {
            tracing::warn!(%pool, %backend, evidence, "A backend is suspect: no new connections until it answers");
        }
        Standing::Failing => {
            tracing::warn!(%pool, %backend, evidence, "A backend is failing: few new connections until it works");
        }
        Standing::State(State::Ready) => {
            tracing::info!(%pool, %backend, before = %from, "A backend takes new connections again");
        }
        _ => tracing::info!(%pool, %backend, before = %from, now = %to, "A backend is no longer ready"),
    }
}

/// Logs the counts that a plan was made from, and the weight that it gives to each backend.
fn log_rows(pool: &Name, decision: &Decision) {
    if decision.method == Method::LeastConnections && tracing::enabled!(tracing::Level::DEBUG) {
        let backends = decision.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::debug!(%pool, reason = %decision.reason, backends, "Balanced");
    }
}

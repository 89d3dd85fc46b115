//! The reasons for which ilb is degraded: it works, and clients may still be hurt.

use ilb_reconciler::Method;
use tokio::time::Instant;

use super::{
    Facts, PoolFacts, TraefikFacts,
    numbers::many,
    words::{BackendState, Level, Reload, Severity},
};

/// A reason for being degraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Degradation {
    /// Kind of the reason, as in the metrics.
    pub(crate) kind: &'static str,
    /// The reason as a sentence without its subject.
    pub(crate) text: String,
    /// Error if no new client is served because of it, else warning.
    pub(crate) severity: Severity,
}

impl Degradation {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), severity: Severity::Warning }
    }

    /// Returns a reason because of which no new client is served.
    fn outage(kind: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::new(kind, text) }
    }
}

impl Facts {
    /// Lists the reasons for which ilb is degraded, each with what it is about.
    pub(crate) fn degraded(&self, now: Instant) -> Vec<Degradation> {
        let is_proved = self.traefik.not_proved(now).is_none();
        let pools = self.pools.iter().flat_map(|(name, pool)| {
            let reasons = pool.degraded(is_proved).into_iter();
            reasons.map(move |reason| Degradation { text: format!("pool {name}: {}", reason.text), ..reason })
        });
        self.traefik.degraded().into_iter().chain(pools).chain(self.degraded_beside_pools()).collect()
    }

    /// Lists the reasons that are about neither a pool nor a Traefik.
    pub(super) fn degraded_beside_pools(&self) -> Vec<Degradation> {
        let refused = (self.reloads.last == Some(Reload::Refused)).then(|| {
            let text = "settings: the changed file was refused: the previous settings stay in effect";
            Degradation::new("settings refused", text)
        });
        let unlisted = self
            .siblings
            .unlisted()
            .map(|reason| Degradation::new("siblings not listed", format!("each replica balances alone: {reason}")));
        refused.into_iter().chain(unlisted).collect()
    }

    /// Returns the state as a whole.
    pub(crate) fn level(&self, now: Instant) -> Level {
        if self.not_ready(now).is_empty() {
            return if self.degraded(now).is_empty() { Level::Ready } else { Level::Degraded };
        }
        if self.is_starting(now) { Level::Starting } else { Level::NotReady }
    }
}

impl TraefikFacts {
    pub(super) fn degraded(&self) -> Vec<Degradation> {
        let instances = self.instances.iter().filter_map(|(instance, facts)| {
            let text = facts.degraded()?;
            Some(Degradation::new("Traefik instance", format!("Traefik {instance}: {text}")))
        });
        instances.collect()
    }
}

impl PoolFacts {
    /// Lists the reasons for which the pool is degraded. Those of Traefik as a whole are not among them; `is_proved` is
    /// whether Traefik has the configuration in force.
    pub(crate) fn degraded(&self, is_proved: bool) -> Vec<Degradation> {
        let mut reasons = Vec::new();
        match (&self.fault, &self.backends, &self.in_force) {
            (Some(fault), ..) => reasons.push(Degradation::outage(fault.kind, &fault.text)),
            (None, None, Some(_)) => reasons.push(Degradation::new(
                "backends not known",
                "its backends are not known yet: Traefik keeps those that it has",
            )),
            (None, None, None) => {
                reasons.push(Degradation::new("backends not known", "its backends are not known yet"));
            }
            (None, Some(_), None) if is_proved => {
                reasons.push(Degradation::new("not pushed", "it has not been pushed yet"));
            }
            _ => {}
        }
        if let Some(problem) = &self.stale {
            let text = format!("some or all of its backends are not updated: {}", problem.kind);
            reasons.push(Degradation::new("discovery stale", text));
        }
        if self.backends.is_some() {
            reasons.extend(self.degraded_backends());
        }
        if let Some(consequence) = self.limit.consequence() {
            reasons.push(Degradation::new(
                "full",
                format!("all backends have as many connections as they may have: {consequence}"),
            ));
        }
        if self.method == Method::LeastConnections
            && let Some(problem) = &self.load.problem
        {
            reasons
                .push(Degradation::new("not counted", format!("round robin instead of least connections: {problem}")));
        }
        reasons
    }

    /// Returns the state of the pool as a whole. `is_starting` is whether Traefik may still be starting.
    pub(crate) fn level(&self, is_proved: bool, is_starting: bool) -> Level {
        match (is_proved && self.in_force.is_some(), is_starting) {
            (true, _) if self.degraded(is_proved).is_empty() => Level::Ready,
            (true, _) => Level::Degraded,
            (false, true) if self.fault.is_none() => Level::Starting,
            (false, _) => Level::NotReady,
        }
    }

    /// Lists the reasons that lie in the states of the backends.
    fn degraded_backends(&self) -> Vec<Degradation> {
        let count = self.count();
        let [ready, suspects, failing] = [BackendState::Ready, BackendState::Suspect, BackendState::Failing]
            .map(|state| u64::try_from(count.get(state)).unwrap_or(u64::MAX));
        let mut reasons = Vec::new();
        if ready == 0 {
            let text = match suspects + failing {
                0 => "no backend is ready: new connections are closed at once until one is",
                _ => "no backend works: new connections go to those that are suspect or failing",
            };
            reasons.push(Degradation::outage("no backend", text));
        }
        if suspects > 0 {
            let text = format!("no answer from {}", many(suspects, "backend"));
            let then = if ready > 0 { ": no new connections until there is one" } else { "" };
            reasons.push(Degradation::new("suspects", text + then));
        }
        if failing > 0 {
            let text = format!("connections to {} end early", many(failing, "backend"));
            let then = if ready > 0 { ": few new ones until that stops" } else { "" };
            reasons.push(Degradation::new("failing backends", text + then));
        }
        reasons
    }
}

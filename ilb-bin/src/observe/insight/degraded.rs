//! The reasons for which ilb is degraded: it works, and clients may still be hurt.

use ilb_reconciler::Method;
use tokio::time::Instant;

use super::{
    Facts, PoolFacts, TraefikFacts,
    numbers::many,
    words::{BackendState, Reload},
};

/// A reason for being degraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Degradation {
    /// Kind of the reason, as in the metrics.
    pub(crate) kind: &'static str,
    /// The reason as a sentence without its subject.
    pub(crate) text: String,
}

impl Degradation {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl Facts {
    /// Lists the reasons for which ilb is degraded, each with what it is about.
    pub(crate) fn degraded(&self, now: Instant) -> Vec<String> {
        let is_proved = self.traefik.not_proved(now).is_none();
        let pools = self.pools.iter().flat_map(|(name, pool)| {
            pool.degraded(is_proved).into_iter().map(move |reason| format!("pool {name}: {}", reason.text))
        });
        let is_refused = self.reloads.last == Some(Reload::Refused);
        let refused = "settings: the changed file was refused: the previous settings stay in effect".to_owned();
        self.traefik.degraded().into_iter().chain(pools).chain(is_refused.then_some(refused)).collect()
    }
}

impl TraefikFacts {
    fn degraded(&self) -> Vec<String> {
        let instances = self.instances.iter().filter_map(|(instance, facts)| {
            let text = facts.degraded()?;
            Some(format!("Traefik {instance}: {text}"))
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
            (Some(fault), ..) => reasons.push(Degradation::new(fault.kind, &fault.text)),
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
        if self.method == Method::LeastConnections
            && let Some(problem) = &self.load.problem
        {
            reasons
                .push(Degradation::new("not counted", format!("round robin instead of least connections: {problem}")));
        }
        reasons
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
            reasons.push(Degradation::new("no backend", text));
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

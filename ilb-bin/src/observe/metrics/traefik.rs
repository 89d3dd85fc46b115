use super::{Kind, Metric, Value, number, yes_or_no};
use crate::observe::insight::{CIRCUIT_STATES, PushResult};

/// What concerns Traefik and the pushes to it.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_traefik_in_force",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while the configuration is proved to be in force in the Traefik that runs now, else 0",
        labels: &[],
        read: |s, series| series(&[], Value::Number(yes_or_no(s.facts.traefik.not_proved(s.now).is_none()))),
    },
    Metric {
        name: "ilb_traefik_proof_age_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Time since the configuration was last proved to be in force; absent while it is not",
        labels: &[],
        read: |s, series| {
            if let Some(proof) = &s.facts.traefik.proof {
                series(&[], Value::Number(s.now.saturating_duration_since(proof.at).as_secs_f64()));
            }
        },
    },
    Metric {
        name: "ilb_traefik_restarts",
        kind: Kind::Counter,
        unit: None,
        help: "Pushes that met another Traefik process than the one before",
        labels: &[],
        read: |s, series| series(&[], Value::Number(number(s.facts.traefik.restarts))),
    },
    Metric {
        name: "ilb_traefik_errors",
        kind: Kind::Counter,
        unit: None,
        help: "Pushes that failed and proofs that were lost, by what was done and by the kind of the error",
        labels: &["during", "kind"],
        read: |s, series| {
            for ((during, kind), count) in &s.facts.traefik.errors {
                series(&[during, kind], Value::Number(number(*count)));
            }
        },
    },
    Metric {
        name: "ilb_traefik_circuit",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for the state of the circuit breaker of calls to Traefik, 0 for the others: closed, or after a failure \
               open during the pause and half-open during the next attempt",
        labels: &["state"],
        read: |s, series| {
            for state in CIRCUIT_STATES {
                series(&[state], Value::Number(yes_or_no(s.facts.traefik.circuit() == state)));
            }
        },
    },
    Metric {
        name: "ilb_traefik",
        kind: Kind::Info,
        unit: None,
        help: "The Traefik that was configured last",
        labels: &["version"],
        read: |s, series| {
            if let Some(process) = &s.facts.traefik.process {
                series(&[process.version.as_str()], Value::Info);
            }
        },
    },
    Metric {
        name: "ilb_pushes",
        kind: Kind::Counter,
        unit: None,
        help: "Pushes that have ended, by the reason of the newest wish in them (repair: Traefik had lost it) and by result",
        labels: &["reason", "result"],
        read: |s, series| {
            for ((reason, result), count) in &s.facts.traefik.pushes {
                series(&[reason, result.as_str()], Value::Number(number(*count)));
            }
        },
    },
    Metric {
        name: "ilb_push_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "How long pushes took from the call to the proof, or to the failure",
        labels: &["result"],
        read: |s, series| {
            let (in_force, failed) = &s.facts.traefik.durations;
            series(&[PushResult::InForce.as_str()], Value::Histogram(in_force));
            series(&[PushResult::Failed.as_str()], Value::Histogram(failed));
        },
    },
];

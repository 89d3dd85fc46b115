//! The metrics of Traefik and of the pushes to it.

use super::{
    convert::{number, yes_or_no},
    metric::{Kind, Metric},
    series::Value,
};
use crate::observe::insight::{PushResult, PushState};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_traefik_in_force",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while the configuration is verified in the Traefik process that runs now, else 0",
        labels: &[],
        read: |s, series| series(&[], Value::Number(yes_or_no(s.facts.traefik.not_proved(s.now).is_none()))),
    },
    Metric {
        name: "ilb_traefik_proof_age_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Time since the configuration was last verified; absent while it is not",
        labels: &[],
        read: |s, series| {
            if let Some(proof) = &s.facts.traefik.proof {
                series(&[], Value::Number(s.now.saturating_duration_since(proof.at).as_secs_f64()));
            }
        },
    },
    Metric {
        name: "ilb_traefik_rival",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while another program keeps replacing the configuration of Traefik, or of an instance of a fleet, else 0",
        labels: &[],
        read: |s, series| {
            let traefik = &s.facts.traefik;
            let has_rival = traefik.has_rival || traefik.instances.values().any(|instance| instance.state.has_rival);
            series(&[], Value::Number(yes_or_no(has_rival)));
        },
    },
    Metric {
        name: "ilb_traefik_instance_in_force",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for each Traefik of a fleet that has the whole configuration in force, else 0; absent without a fleet",
        labels: &["instance"],
        read: |s, series| {
            for (instance, facts) in &s.facts.traefik.instances {
                series(&[instance], Value::Number(yes_or_no(facts.is_in_force())));
            }
        },
    },
    Metric {
        name: "ilb_traefik_restarts",
        kind: Kind::Counter,
        unit: None,
        help: "Traefik processes that were found in place of an earlier one at the same address",
        labels: &[],
        read: |s, series| series(&[], Value::Number(number(s.facts.traefik.restarts))),
    },
    Metric {
        name: "ilb_traefik_errors",
        kind: Kind::Counter,
        unit: None,
        help: "Errors by operation (push, or proof that the last push is still active) and kind",
        labels: &["during", "kind"],
        read: |s, series| {
            for ((operation, kind), count) in &s.facts.traefik.errors {
                series(&[&operation.to_string(), kind], Value::Number(number(*count)));
            }
        },
    },
    Metric {
        name: "ilb_traefik_push_state",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for the state of the pushes, 0 for the others: idle without an outstanding failure, else waiting during \
               the pause after a failure, and retrying during the next attempt",
        labels: &["state"],
        read: |s, series| {
            for state in PushState::ALL {
                series(&[&state.to_string()], Value::Number(yes_or_no(s.facts.traefik.push_state() == state)));
            }
        },
    },
    Metric {
        name: "ilb_traefik",
        kind: Kind::Info,
        unit: None,
        help: "Version of the Traefik that was configured last",
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
        help: "Pushes that have ended, by reason (repair: Traefik had lost its configuration) and result (partly: some \
               pools are not in force)",
        labels: &["reason", "result"],
        read: |s, series| {
            for ((reason, result), count) in &s.facts.traefik.pushes {
                series(&[&reason.to_string(), &result.to_string()], Value::Number(number(*count)));
            }
        },
    },
    Metric {
        name: "ilb_push_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Duration of pushes from the request to the verification or the failure",
        labels: &["result"],
        read: |s, series| {
            let traefik = &s.facts.traefik;
            series(&[&PushResult::InForce.to_string()], Value::Histogram(&traefik.success_durations));
            series(&[&PushResult::Failed.to_string()], Value::Histogram(&traefik.failure_durations));
        },
    },
];

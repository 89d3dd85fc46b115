//! Everything that has been measured, in this run and in earlier ones.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use ilb_benches::{results, run::Run, statistics::percentile};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    contender::Contender,
    exchange::Exchange,
    plan::FollowedPlan,
    scenario::{SCENARIOS, Scenario},
    soak::Soak,
};

/// One contender in one scenario.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) run: Run,
    /// Pairs of a time in seconds and the imbalance then: (max - mean) / mean.
    pub(crate) series: Vec<(f64, f64)>,
    /// Time at which the warm-up ends, in seconds.
    pub(crate) from: f64,
    /// Number of attempts that failed after the warm-up.
    pub(crate) failures: usize,
    pub(crate) failed: Option<FailedShares>,
    pub(crate) pushes_per_minute: Option<f64>,
    /// Processor time of ilb, in cores.
    pub(crate) cpu: Option<f64>,
    /// Processor time of its Traefik, data path included, in cores.
    pub(crate) traefik_cpu: Option<f64>,
    pub(crate) plan: Option<FollowedPlan>,
    pub(crate) counting: Option<CountingCost>,
}

/// Shares of attempts that failed, of those from some time after a backend began to fail until the end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "a field cannot be called 2s")]
pub(crate) struct FailedShares {
    pub(crate) from_2s: f64,
    pub(crate) from_3s: f64,
    pub(crate) from_5s: f64,
    pub(crate) from_10s: f64,
}

/// The cost of counting connections, in cores.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct CountingCost {
    /// Processor time of counting, by `ilb_pool_samples_cpu_seconds_total`.
    pub(crate) counting: f64,
    /// Processor time of counting while another network namespace has many sockets.
    pub(crate) counting_beside_sockets: f64,
    /// Processor time of the whole ilb.
    pub(crate) ilb: f64,
    /// Processor time of the whole ilb while another network namespace has many sockets.
    pub(crate) ilb_beside_sockets: f64,
}

/// All measurements, by scenario and contender.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Measurements {
    scenarios: BTreeMap<String, BTreeMap<String, Measurement>>,
    pub(crate) soak: Option<Soak>,
    #[serde(default)]
    pub(crate) exchange: Option<Exchange>,
}

impl Measurement {
    fn values(&self) -> Vec<f64> {
        self.series.iter().filter(|(at, _)| *at >= self.from).map(|(_, v)| *v).collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "there are few samples")]
    pub(crate) fn mean(&self) -> f64 {
        let values = self.values();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }

    pub(crate) fn p99(&self) -> f64 {
        percentile(self.values(), 99).unwrap_or(0.0)
    }

    /// Adds the measurement of another schedule at the same time.
    pub(crate) fn add(&mut self, other: Self) {
        let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        self.series.extend(other.series);
        self.failures += other.failures;
        self.pushes_per_minute = sum(self.pushes_per_minute, other.pushes_per_minute);
        self.cpu = sum(self.cpu, other.cpu);
        self.traefik_cpu = sum(self.traefik_cpu, other.traefik_cpu);
    }

    fn json(&self) -> Value {
        let failed = |from: fn(&FailedShares) -> f64| self.failed.as_ref().map(from);
        json!({
            "run": self.run,
            "mean": self.mean(),
            "p99": self.p99(),
            "failures": self.failures,
            "dead_share": failed(|f| f.from_2s),
            "failed_share_from_2s": failed(|f| f.from_2s),
            "failed_share_from_3s": failed(|f| f.from_3s),
            "failed_share_from_5s": failed(|f| f.from_5s),
            "failed_share_from_10s": failed(|f| f.from_10s),
            "working_in_plan_min": self.plan.map(|plan| plan.working_in_plan_min),
            "plan_longest_gap_ms": self.plan.map(|plan| plan.longest_gap_ms),
            "pushes_per_minute": self.pushes_per_minute,
            "cpu": self.cpu,
            "traefik_cpu": self.traefik_cpu,
            "counting": self.counting,
        })
    }
}

impl Measurements {
    /// Reads the measurements of earlier runs, if there are any.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let path = results::path(SAMPLES_FILE_NAME)?;
        let Ok(text) = fs::read_to_string(&path) else { return Ok(Self::default()) };
        serde_json::from_str(&text)
            .with_context(|| format!("{} was written by another version of bench-balance: remove it", path.display()))
    }

    /// Writes all samples for later runs, and their summary. The summary keeps what only an earlier one has. Returns the path
    /// of the summary.
    pub(crate) fn save(&self) -> anyhow::Result<PathBuf> {
        results::write(SAMPLES_FILE_NAME, self)?;
        let earlier = fs::read_to_string(results::path(SUMMARY_FILE_NAME)?).unwrap_or_default();
        let earlier = serde_json::from_str(&earlier).unwrap_or_default();
        // Those of one contender in one scenario, at the third level, belong together.
        results::write(SUMMARY_FILE_NAME, &results::merged(earlier, self.json(), 3))
    }

    pub(crate) fn add(&mut self, scenario: &str, system: &str, measurement: Measurement) {
        self.scenarios.entry(scenario.to_owned()).or_default().insert(system.to_owned(), measurement);
    }

    pub(crate) fn get(&self, scenario: &str, contender: Contender) -> Option<&Measurement> {
        self.scenarios.get(scenario)?.get(contender.name())
    }

    /// Returns all measurements, in the order of scenarios and contenders.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = (&'static Scenario, Contender, &Measurement)> {
        SCENARIOS.iter().flat_map(move |scenario| {
            Contender::ALL
                .into_iter()
                .filter_map(move |contender| Some((scenario, contender, self.get(scenario.name, contender)?)))
        })
    }

    /// Returns whether each of the scenarios has been measured with each of its contenders.
    pub(crate) fn are_complete<'a>(&self, mut scenarios: impl Iterator<Item = &'a Scenario>) -> bool {
        scenarios.all(|scenario| {
            let mut contenders = Contender::ALL.into_iter().filter(|contender| scenario.concerns(*contender));
            contenders.all(|contender| self.get(scenario.name, contender).is_some())
        })
    }

    fn json(&self) -> Value {
        let systems = |of: &BTreeMap<String, Measurement>| -> Value {
            of.iter().map(|(system, f)| (system.clone(), f.json())).collect::<serde_json::Map<_, _>>().into()
        };
        let scenarios: serde_json::Map<_, _> =
            self.scenarios.iter().map(|(name, of)| (name.clone(), systems(of))).collect();
        json!({ "scenarios": scenarios })
    }
}

/// Name of the file with every sample, which the report is made of.
const SAMPLES_FILE_NAME: &str = "balance-raw";
/// Name of the file with the summary.
const SUMMARY_FILE_NAME: &str = "balance";

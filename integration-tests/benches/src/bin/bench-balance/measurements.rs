//! Everything that has been measured, in this run and in earlier ones.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use ilb_benches::{results, statistics::percentile};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    contender::Contender,
    scenario::{SCENARIOS, Scenario},
    soak::Soak,
};

/// One contender in one scenario.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// Pairs of a time in seconds and the imbalance then: (max - mean) / mean.
    pub(crate) series: Vec<(f64, f64)>,
    /// Time at which the warm-up ends, in seconds.
    pub(crate) from: f64,
    /// Number of attempts that failed after the warm-up.
    pub(crate) failures: usize,
    /// Share of attempts that failed from 2 s after a backend did.
    pub(crate) dead_share: Option<f64>,
    /// Share of attempts that failed from 5 s after a backend did.
    pub(crate) late_dead_share: Option<f64>,
    pub(crate) pushes_per_minute: Option<f64>,
    /// Processor time of ilb, in cores.
    pub(crate) cpu: Option<f64>,
    /// Processor time of its Traefik, data path included, in cores.
    pub(crate) traefik_cpu: Option<f64>,
}

/// All measurements, by scenario and contender.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Measurements {
    scenarios: BTreeMap<String, BTreeMap<String, Measurement>>,
    pub(crate) soak: Option<Soak>,
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
}

impl Measurements {
    /// Reads the measurements of earlier runs, if there are any.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let path = results::path(SAMPLES_FILE_NAME)?;
        let Ok(text) = fs::read_to_string(&path) else { return Ok(Self::default()) };
        serde_json::from_str(&text)
            .with_context(|| format!("{} was written by another version of bench-balance: remove it", path.display()))
    }

    /// Writes all samples for later runs, and their summary. Returns the path of the summary.
    pub(crate) fn save(&self) -> anyhow::Result<PathBuf> {
        results::write(SAMPLES_FILE_NAME, self)?;
        results::write("balance", &self.json())
    }

    pub(crate) fn add(&mut self, scenario: &str, system: &str, measurement: Measurement) {
        self.scenarios.entry(scenario.to_owned()).or_default().insert(system.to_owned(), measurement);
    }

    pub(crate) fn get(&self, scenario: &str, contender: Contender) -> Option<&Measurement> {
        self.scenarios.get(scenario)?.get(contender.name())
    }

    /// Returns all measurements, in the order of scenarios and contenders.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = (&'static str, Contender, &Measurement)> {
        SCENARIOS.iter().flat_map(move |scenario| {
            Contender::ALL
                .into_iter()
                .filter_map(move |contender| Some((scenario.name, contender, self.get(scenario.name, contender)?)))
        })
    }

    pub(crate) fn is_complete(&self) -> bool {
        let has_all = |scenario: &Scenario| {
            Contender::ALL
                .iter()
                .all(|contender| !scenario.concerns(*contender) || self.get(scenario.name, *contender).is_some())
        };
        self.soak.is_some() && SCENARIOS.iter().all(has_all)
    }

    fn json(&self) -> Value {
        let measurement = |f: &Measurement| {
            json!({
                "mean": f.mean(), "p99": f.p99(), "dead_share": f.dead_share, "failures": f.failures,
                "pushes_per_minute": f.pushes_per_minute, "cpu": f.cpu,
            })
        };
        let systems = |of: &BTreeMap<String, Measurement>| -> Value {
            of.iter().map(|(system, f)| (system.clone(), measurement(f))).collect::<serde_json::Map<_, _>>().into()
        };
        let scenarios: serde_json::Map<_, _> =
            self.scenarios.iter().map(|(name, of)| (name.clone(), systems(of))).collect();
        json!({ "scenarios": scenarios })
    }
}

/// Name of the file with every sample, which the report is made of.
const SAMPLES_FILE_NAME: &str = "balance-raw";

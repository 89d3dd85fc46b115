use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use ilb_benches::figures;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{scenario::SCENARIOS, soak::Soak, system::Kind};

/// What one system did in one scenario.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// (max - mean) / mean over time, in seconds.
    pub(crate) series: Vec<(f64, f64)>,
    /// Since when it counts.
    pub(crate) from: f64,
    pub(crate) failures: usize,
    /// The share of attempts that failed from 2 s after a backend did.
    pub(crate) dead_share: Option<f64>,
    /// The same from 5 s after.
    pub(crate) late_dead_share: Option<f64>,
    pub(crate) pushes_per_minute: Option<f64>,
    /// Of ilb, in cores.
    pub(crate) cpu: Option<f64>,
    /// Of its Traefik, data path included, in cores.
    pub(crate) traefik_cpu: Option<f64>,
}

/// All that has been measured, in this run and in those before it.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    scenarios: BTreeMap<String, BTreeMap<String, Figure>>,
    pub(crate) soak: Option<Soak>,
}

impl Figure {
    fn values(&self) -> Vec<f64> {
        self.series.iter().filter(|(at, _)| *at >= self.from).map(|(_, v)| *v).collect()
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn mean(&self) -> f64 {
        let values = self.values();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }

    pub(crate) fn p99(&self) -> f64 {
        figures::percentile(self.values(), 99).unwrap_or(0.0)
    }
}

impl Figures {
    /// What earlier runs have left, if there were any.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let path = figures::folder()?.join(RAW).with_extension("json");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(Self::default()) };
        serde_json::from_str(&text)
            .with_context(|| format!("{} is of another bench-balance: remove it", path.display()))
    }

    /// Keeps them for later runs, and writes what others read.
    pub(crate) fn save(&self) -> anyhow::Result<PathBuf> {
        figures::write(RAW, self)?;
        figures::write("balance", &self.json())
    }

    pub(crate) fn add(&mut self, scenario: &str, system: &str, figure: Figure) {
        self.scenarios.entry(scenario.to_owned()).or_default().insert(system.to_owned(), figure);
    }

    pub(crate) fn get(&self, scenario: &str, kind: Kind) -> Option<&Figure> {
        self.scenarios.get(scenario)?.get(kind.name())
    }

    /// All figures, in the order of scenarios and systems.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = (&'static str, Kind, &Figure)> {
        SCENARIOS.iter().flat_map(move |scenario| {
            Kind::ALL.into_iter().filter_map(move |kind| Some((scenario.name, kind, self.get(scenario.name, kind)?)))
        })
    }

    pub(crate) fn is_complete(&self) -> bool {
        let has_all = |scenario: &crate::Scenario| {
            Kind::ALL.iter().all(|kind| !scenario.concerns(*kind) || self.get(scenario.name, *kind).is_some())
        };
        self.soak.is_some() && SCENARIOS.iter().all(has_all)
    }

    fn json(&self) -> Value {
        let figure = |f: &Figure| {
            json!({
                "mean": f.mean(), "p99": f.p99(), "dead_share": f.dead_share, "failures": f.failures,
                "pushes_per_minute": f.pushes_per_minute, "cpu": f.cpu,
            })
        };
        let systems = |of: &BTreeMap<String, Figure>| -> Value {
            of.iter().map(|(system, f)| (system.clone(), figure(f))).collect::<serde_json::Map<_, _>>().into()
        };
        let scenarios: serde_json::Map<_, _> =
            self.scenarios.iter().map(|(name, of)| (name.clone(), systems(of))).collect();
        json!({ "scenarios": scenarios })
    }
}

/// With every sample: what the report is made of.
const RAW: &str = "balance-raw";

//! Measurements of one case, and of all in this run and in earlier ones.

use std::{collections::BTreeMap, fs};

use anyhow::Context;
use ilb_benches::{results, run::Run};
use serde::{Deserialize, Serialize};

use crate::{
    scenario::{Case, Contender, SCENARIOS, Scenario},
    workload::Workload,
};

/// Everything about one case from the moment at which backends were added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) run: Run,
    /// Seconds until the fullest backend had at most 1.06 times the mean; `None` if that did not happen in time.
    pub(crate) level_after: Option<f64>,
    /// Seconds until the first connection was closed.
    pub(crate) first_closing_after: Option<f64>,
    /// Least number of connections that have to move.
    pub(crate) minimum: usize,
    /// Number of connections closed until the backends were level.
    pub(crate) closings: usize,
    /// Number of connections closed within 10 s after that.
    pub(crate) closings_after: usize,
    /// Most connections closed within a second.
    pub(crate) most_in_a_second: usize,
    /// Number of clients whose connections were closed twice or more.
    pub(crate) closed_twice: usize,
    pub(crate) workloads: BTreeMap<Workload, Tally>,
    /// Processor time until the backends were level, in cores.
    pub(crate) ilb: f64,
    pub(crate) closer: f64,
    /// Processor time of ilb before backends were added, in cores.
    pub(crate) ilb_before: f64,
}

/// Work and ends of the clients with one workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    /// Number of connections that were closed.
    pub(crate) ends: usize,
    /// Number of requests that reached a backend, and got no response.
    pub(crate) cut: usize,
    /// Number of requests that reached none, because their connections were closed when they were sent.
    pub(crate) crossed: usize,
}

/// All measurements, by scenario and the name of the case.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurements {
    scenarios: BTreeMap<String, BTreeMap<String, Measurement>>,
}

/// Name of the file with the measurements.
const FILE_NAME: &str = "rebalance";

impl Measurement {
    /// Returns the number of connections that were closed, relative to the least that would do.
    #[allow(clippy::cast_precision_loss, reason = "there are few clients")]
    pub(crate) fn closings_by_minimum(&self) -> f64 {
        (self.closings + self.closings_after) as f64 / self.minimum as f64
    }
}

impl Measurements {
    /// Reads the measurements of earlier runs, if there are any.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let path = results::path(FILE_NAME)?;
        let Ok(text) = fs::read_to_string(&path) else { return Ok(Self::default()) };
        serde_json::from_str(&text)
            .with_context(|| format!("{} was written by another version of bench-rebalance: remove it", path.display()))
    }

    /// Writes all measurements. Returns the path.
    pub(crate) fn save(&self) -> anyhow::Result<std::path::PathBuf> {
        results::write(FILE_NAME, self)
    }

    pub(crate) fn add(&mut self, case: &Case, measurement: Measurement) {
        self.scenarios.entry(case.scenario.name.to_owned()).or_default().insert(case.name(), measurement);
    }

    fn get(&self, case: &Case) -> Option<&Measurement> {
        self.scenarios.get(case.scenario.name)?.get(&case.name())
    }

    /// Returns all measurements, in the order of scenarios and cases.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = (Case, &Measurement)> {
        let cases = SCENARIOS.iter().flat_map(Scenario::cases);
        cases.filter_map(|case| Some((case, self.get(&case)?)))
    }

    /// Returns those of ilb.
    pub(crate) fn of_ilb(&self) -> impl Iterator<Item = (Case, &Measurement)> {
        self.ordered().filter(|(case, _)| case.contender == Contender::Ilb)
    }

    /// Returns whether every case has been measured.
    pub(crate) fn are_complete(&self) -> bool {
        let mut cases = SCENARIOS.iter().flat_map(Scenario::cases);
        cases.all(|case| self.get(&case).is_some())
    }
}

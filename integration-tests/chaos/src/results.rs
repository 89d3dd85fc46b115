//! What a whole run has measured, kept beside the results of the benches.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use ilb_testbed::in_checkout;
use serde::{Deserialize, Serialize};

use crate::{options::Options, resources::Trend, run::Outcome, run::Record, setup::Setup};

/// Results of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Seed of the schedule.
    pub seed: u64,
    /// Time in seconds for which steps were begun.
    pub seconds: u64,
    /// Processor and system.
    pub machine: String,
    /// Each arrangement.
    pub parts: Vec<Part>,
    /// Time in seconds that each test took of those rows of the page that have no class of faults, by its name.
    #[serde(default)]
    pub tests: BTreeMap<String, f64>,
}

/// Results of an arrangement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Arrangement.
    pub setup: Setup,
    /// Steps.
    pub records: Vec<Record>,
    /// Memory and files of the processes of ilb.
    pub trends: Vec<Trend>,
}

impl Results {
    /// Creates the results of a run on this machine.
    pub fn new(options: &Options, outcomes: Vec<(Setup, Outcome)>) -> Self {
        let part =
            |(setup, outcome): (Setup, Outcome)| Part { setup, records: outcome.records, trends: outcome.trends };
        Self {
            seed: options.seed,
            seconds: options.duration.as_secs(),
            machine: machine(),
            parts: outcomes.into_iter().map(part).collect(),
            tests: BTreeMap::new(),
        }
    }

    /// Reads the results of the last run.
    pub fn load() -> anyhow::Result<Self> {
        let path = path()?;
        let text = fs::read_to_string(&path).with_context(|| format!("no results in {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} has another form", path.display()))
    }

    /// Writes them.
    pub fn save(&self) -> anyhow::Result<()> {
        let path = path()?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Returns the file: `bench/chaos.json` in the folder of what is built.
fn path() -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(in_checkout(".").canonicalize()?.join(target).join("bench/chaos.json"))
}

/// Returns the model of the processor, the number of cores that may be used, and the version of the kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{model}, {cores} cores, Linux {}", kernel.split('-').next().unwrap_or_default().trim())
}

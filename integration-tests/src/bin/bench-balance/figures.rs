use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use ilb_integration_tests::figures;
use serde_json::{Value, json};

use crate::{plot, scenario::SCENARIOS, system::Kind};

/// What one system did in one scenario.
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

#[derive(Default)]
pub(crate) struct Figures(BTreeMap<&'static str, BTreeMap<&'static str, Figure>>);

impl Figure {
    fn values(&self) -> Vec<f64> {
        self.series.iter().filter(|(at, _)| *at >= self.from).map(|(_, v)| *v).collect()
    }

    #[allow(clippy::cast_precision_loss)]
    fn mean(&self) -> f64 {
        let values = self.values();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }

    fn p99(&self) -> f64 {
        figures::percentile(self.values(), 99).unwrap_or(0.0)
    }
}

impl Figures {
    pub(crate) fn add(&mut self, scenario: &'static str, system: &'static str, figure: Figure) {
        self.0.entry(scenario).or_default().insert(system, figure);
    }

    /// One line per scenario and system, in their order.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| scenario | system | imbalance mean % | p99 % | failures | failed from 2 s % | from 5 s % | pushes/min | \
             ilb CPU % | Traefik CPU % |\n|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (scenario, system, figure) in self.ordered() {
            let part = |value: Option<f64>, by: f64| value.map_or(String::new(), |v| format!("{:.1}", v * by));
            let _ = writeln!(
                table,
                "| {scenario} | {system} | {:.1} | {:.1} | {} | {} | {} | {} | {} | {} |",
                figure.mean() * 100.0,
                figure.p99() * 100.0,
                figure.failures,
                part(figure.dead_share, 100.0),
                part(figure.late_dead_share, 100.0),
                part(figure.pushes_per_minute, 1.0),
                part(figure.cpu, 100.0),
                part(figure.traefik_cpu, 100.0),
            );
        }
        table
    }

    pub(crate) fn write(&self, with_documents: bool) -> anyhow::Result<()> {
        figures::write("balance", &self.json())?;
        if with_documents {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            fs::create_dir_all(root.join("docs/benchmarks"))?;
            let text = format!("{}\n{}", include_str!("introduction.md"), self.table());
            fs::write(root.join("docs/benchmarks/balance.md"), text)?;
            let scenarios = ["steady", "rolling-restart", "scale-out", "refusing"];
            let panels: Vec<_> = scenarios.iter().filter_map(|s| Some((*s, self.0.get(s)?))).collect();
            fs::write(root.join("docs/benchmarks/balance.svg"), plot::svg(&panels))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let figure = |f: &Figure| {
            json!({
                "mean": f.mean(), "p99": f.p99(), "dead_share": f.dead_share, "failures": f.failures,
                "pushes_per_minute": f.pushes_per_minute, "cpu": f.cpu,
            })
        };
        let systems = |of: &BTreeMap<&'static str, Figure>| -> Value {
            of.iter().map(|(system, f)| ((*system).to_owned(), figure(f))).collect::<serde_json::Map<_, _>>().into()
        };
        let scenarios: serde_json::Map<_, _> =
            self.0.iter().map(|(name, of)| ((*name).to_owned(), systems(of))).collect();
        json!({ "scenarios": scenarios })
    }

    fn ordered(&self) -> impl Iterator<Item = (&'static str, &'static str, &Figure)> {
        SCENARIOS.iter().flat_map(move |scenario| {
            let of = self.0.get(scenario.name);
            let figure = move |kind: Kind| Some((scenario.name, kind.name(), of?.get(kind.name())?));
            Kind::ALL.into_iter().filter_map(figure)
        })
    }
}

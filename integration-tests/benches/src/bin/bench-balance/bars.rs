use std::fmt;

use crate::{figures::Figures, soak::Soak, system::Kind};

/// Something that was promised, and what came of it.
pub(crate) struct Bar {
    what: &'static str,
    value: f64,
    limit: f64,
}

/// The bars that can be judged by what was measured.
pub(crate) fn bars(figures: &Figures) -> Vec<Bar> {
    let mean = |scenario, kind| figures.get(scenario, kind).map(super::figures::Figure::mean);
    let ratio = |scenario, other| Some(mean(scenario, Kind::Ilb)? / mean(scenario, other)?);
    let ilb = |scenario| figures.get(scenario, Kind::Ilb);
    let pushing = || Some(ilb("thousand")?.pushes_per_minute? / 60.0 * figures.soak.as_ref()?.traefik_cpu_per_push);
    let bar = |what, value: Option<f64>, limit| value.map(|value| Bar { what, value, limit });
    let growth = |of: fn(&Soak) -> f64| figures.soak.as_ref().map(of);
    let bars = [
        bar("steady: mean imbalance, in those of HAProxy leastconn", ratio("steady", Kind::HaproxyLeastconn), 1.5),
        bar(
            "steady: mean imbalance, in those of Traefik round robin",
            ratio("steady", Kind::TraefikRoundRobin),
            1.0 / 3.0,
        ),
        bar(
            "scale-out: mean imbalance, in those of HAProxy leastconn",
            ratio("scale-out", Kind::HaproxyLeastconn),
            1.2,
        ),
        bar(
            "rolling-restart: mean imbalance, in those of HAProxy leastconn",
            ratio("rolling-restart", Kind::HaproxyLeastconn),
            1.2,
        ),
        bar("refusing: share of failed connections from 2 s after", ilb("refusing").and_then(|f| f.dead_share), 0.05),
        bar(
            "refusing: share of failed connections from 5 s after",
            ilb("refusing").and_then(|f| f.late_dead_share),
            0.0,
        ),
        bar("thousand: processor time of ilb, in cores", ilb("thousand").and_then(|f| f.cpu), 0.02),
        bar("thousand: processor time of Traefik for the pushes, in cores", pushing(), 0.02),
        bar("soak: goroutines in use after 2 000 pushes, by those before", growth(Soak::goroutine_growth), 1.1),
        bar("soak: open files after 2 000 pushes, by those before", growth(Soak::file_growth), 1.1),
        bar("soak: heap goal after 2 000 pushes, by that before", growth(Soak::heap_growth), 1.1),
    ];
    bars.into_iter().flatten().collect()
}

impl Bar {
    pub(crate) fn is_met(&self) -> bool {
        self.value <= self.limit
    }

    /// A line of a table.
    pub(crate) fn row(&self) -> String {
        format!("| {} | {:.3} | {:.3} | {} |\n", self.what, self.value, self.limit, self.verdict())
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "met" } else { "missed" }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}{:>8.3} (at most {:.3})  {}", self.verdict(), self.value, self.limit, self.what)
    }
}

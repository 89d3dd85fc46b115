//! The bars that ilb is to meet.

use ilb_benches::bar::Bar;

use crate::{
    contender::Contender,
    measurements::{Measurement, Measurements},
    soak::Soak,
};

/// Returns the bars whose values have been measured.
pub(crate) fn bars(measurements: &Measurements) -> Vec<Bar> {
    let mean = |scenario, contender| measurements.get(scenario, contender).map(Measurement::mean);
    let ratio = |scenario, other| Some(mean(scenario, Contender::Ilb)? / mean(scenario, other)?);
    let ilb = |scenario| measurements.get(scenario, Contender::Ilb);
    let pushing =
        || Some(ilb("thousand")?.pushes_per_minute? / 60.0 * measurements.soak.as_ref()?.traefik_cpu_per_push);
    let bar = |name, value: Option<f64>, limit| value.map(|value| Bar { name, value, limit });
    let growth = |of: fn(&Soak) -> f64| measurements.soak.as_ref().map(of);
    let bars = [
        bar("steady: mean imbalance, relative to HAProxy leastconn", ratio("steady", Contender::HaproxyLeastconn), 1.5),
        bar(
            "steady: mean imbalance, relative to Traefik round robin",
            ratio("steady", Contender::TraefikRoundRobin),
            1.0 / 3.0,
        ),
        bar(
            "scale-out: mean imbalance, relative to HAProxy leastconn",
            ratio("scale-out", Contender::HaproxyLeastconn),
            1.2,
        ),
        bar(
            "rolling-restart: mean imbalance, relative to HAProxy leastconn",
            ratio("rolling-restart", Contender::HaproxyLeastconn),
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
        bar("soak: goroutines after 2 000 pushes, relative to before", growth(Soak::goroutine_growth), 1.1),
        bar("soak: open files after 2 000 pushes, relative to before", growth(Soak::file_growth), 1.1),
        bar("soak: heap goal after 2 000 pushes, relative to before", growth(Soak::heap_growth), 1.1),
    ];
    bars.into_iter().flatten().collect()
}

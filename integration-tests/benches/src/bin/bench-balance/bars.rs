//! The bars that ilb is to meet.

use ilb_benches::bar::Bar;

use crate::{
    contender::Contender,
    exchange::{Exchange, MOST_REPLICAS},
    measurements::{FailedShares, Measurement, Measurements},
    scenario::{SCENARIOS, Scenario},
    soak::Soak,
};

/// Returns the bars for evenness and cost whose values have been measured.
pub(crate) fn evenness(measurements: &Measurements) -> Vec<Bar> {
    let mean = |scenario, contender| measurements.get(scenario, contender).map(Measurement::mean);
    let ratio = |scenario, other| Some(mean(scenario, Contender::Ilb)? / mean(scenario, other)?);
    let ilb = |scenario| measurements.get(scenario, Contender::Ilb);
    let pushing =
        || Some(ilb("thousand")?.pushes_per_minute? / 60.0 * measurements.soak.as_ref()?.traefik_cpu_per_push);
    let both = |scenario| ilb(scenario).and_then(|f| Some(f.cpu? + f.traefik_cpu?));
    let failed = |of: fn(FailedShares) -> f64| ilb("refusing").and_then(|f| f.failed).map(of);
    let growth = |of: fn(&Soak) -> f64| measurements.soak.as_ref().map(of);
    let haproxy = |scenario| ratio(scenario, Contender::HaproxyLeastconn);
    let bars = [
        bar("steady: mean imbalance, relative to HAProxy leastconn", haproxy("steady"), 1.5),
        bar("steady: the same, on any machine", haproxy("steady"), 1.2),
        bar(
            "steady: mean imbalance, relative to Traefik round robin",
            ratio("steady", Contender::TraefikRoundRobin),
            1.0 / 3.0,
        ),
        bar("scale-out: mean imbalance, relative to HAProxy leastconn", haproxy("scale-out"), 1.2),
        bar("rolling-restart: mean imbalance, relative to HAProxy leastconn", haproxy("rolling-restart"), 1.2),
        bar("two-replicas: mean imbalance, relative to two of HAProxy leastconn", haproxy("two-replicas"), 1.2),
        // What the two took when this bar was set, so that evenness is not bought with processor time.
        bar("two-replicas: processor time of both ilb and both Traefik, in cores", both("two-replicas"), 0.133),
        bar("refusing: share of failed connections from 2 s after", failed(|f| f.from_2s), 0.05),
        bar("refusing: share of failed connections from 5 s after", failed(|f| f.from_5s), 0.0),
        bar("thousand: processor time of ilb, in cores", ilb("thousand").and_then(|f| f.cpu), 0.02),
        bar("thousand: processor time of Traefik for the pushes, in cores", pushing(), 0.02),
        bar("soak: goroutines after 2 000 pushes, relative to before", growth(Soak::goroutine_growth), 1.1),
        bar("soak: open files after 2 000 pushes, relative to before", growth(Soak::file_growth), 1.1),
        bar("soak: heap goal after 2 000 pushes, relative to before", growth(Soak::heap_growth), 1.1),
    ];
    let counting = ["counting-300", "counting-8000"].into_iter().flat_map(|scenario| {
        let cost = ilb(scenario).and_then(|f| f.counting);
        [
            bar(format!("{scenario}: processor time of counting, in cores"), cost.map(|c| c.counting), 0.01),
            bar(
                format!("{scenario}: the same beside 50 000 sockets of another namespace, relative to without"),
                cost.map(|c| c.counting_beside_sockets / c.counting),
                1.1,
            ),
        ]
    });
    bars.into_iter().chain(counting).flatten().collect()
}

/// Returns the bars for several replicas whose values have been measured.
pub(crate) fn replicas(measurements: &Measurements) -> Vec<Bar> {
    let mean = |scenario, contender| measurements.get(scenario, contender).map(Measurement::mean);
    let ratio = |scenario, other| Some(mean(scenario, Contender::Ilb)? / mean(scenario, other)?);
    let one = |scenario| ratio(scenario, Contender::HaproxyOne);
    let apart = |scenario| ratio(scenario, Contender::IlbApart);
    let replicas = [
        bar("three-replicas-few: mean imbalance, relative to one HAProxy", one("three-replicas-few"), 1.2),
        bar("replica-drain: mean imbalance, relative to one HAProxy", one("replica-drain"), 1.2),
        bar("replica-joins: mean imbalance, relative to one HAProxy", one("replica-joins"), 1.2),
        bar("unequal-replicas: mean imbalance, relative to ilb without the exchange", apart("unequal-replicas"), 1.0),
        bar("sibling-cut-off: mean imbalance, relative to ilb without the exchange", apart("sibling-cut-off"), 1.0),
    ];
    let exchange = measurements.exchange.iter().flat_map(Exchange::with_most_replicas).map(|cost| {
        let name = format!("exchange: processor time of one of {MOST_REPLICAS}, {} backends, in cores", cost.backends);
        bar(name, Some(cost.of_exchange()), 0.003)
    });
    replicas.into_iter().chain(exchange).flatten().collect()
}

/// Returns the bars for failing backends whose values have been measured.
pub(crate) fn failing_backends(measurements: &Measurements) -> Vec<Bar> {
    SCENARIOS.iter().flat_map(|scenario| bars_of_failing(scenario, measurements)).collect()
}

/// Returns the bars of a scenario with failing backends. In the first seconds they may get a fifth of what they get from
/// the worse of the two peers, but not more than in a round robin.
fn bars_of_failing(scenario: &Scenario, measurements: &Measurements) -> Vec<Bar> {
    let name = scenario.name;
    let failed = |contender| measurements.get(name, contender).and_then(|f| f.failed);
    let (Some(equal_share), Some(ilb)) = (scenario.equal_share(), failed(Contender::Ilb)) else { return Vec::new() };
    let peers = [Contender::HaproxyLeastconn, Contender::NginxLeastconn];
    let worse = peers.into_iter().filter_map(failed).map(|f| f.from_2s).reduce(f64::max);
    let mut bars = vec![
        bar(
            format!("{name}: share of failed connections from 2 s after"),
            worse.map(|_| ilb.from_2s),
            equal_share.min(0.2 * worse.unwrap_or_default()),
        ),
        bar(format!("{name}: share of failed connections from 10 s after"), Some(ilb.from_10s), 0.01),
    ];
    if scenario.loses_nodes() {
        let plan = measurements.get(name, Contender::Ilb).and_then(|f| f.plan);
        bars.extend([
            bar(format!("{name}: share of failed connections from 3 s after"), Some(ilb.from_3s), 0.02),
            bar(
                format!("{name}: share of the working backends that was missing in the plan at the worst moment"),
                plan.map(|plan| 1.0 - plan.working_in_plan_min),
                0.01,
            ),
        ]);
    }
    bars.into_iter().flatten().collect()
}

fn bar(name: impl Into<String>, value: Option<f64>, limit: f64) -> Option<Bar> {
    value.map(|value| Bar::new(name, value, limit))
}

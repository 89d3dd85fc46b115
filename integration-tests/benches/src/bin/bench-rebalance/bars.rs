//! The bars that the rebalance of ilb is to meet.

use ilb_benches::bar::Bar;

use crate::{
    measurement::{Measurement, Measurements, Tally},
    scenario::Case,
    workload::Workload,
};

/// Number of clients from which on the processor time is judged.
const MANY_CLIENTS: usize = 8_000;

/// Returns the bars whose values have been measured.
pub(crate) fn of(measurements: &Measurements) -> Vec<Bar> {
    let of_ilb: Vec<_> = measurements.of_ilb().collect();
    let mut bars: Vec<_> = of_ilb.iter().flat_map(|(case, measurement)| of_case(case, measurement)).collect();
    if !of_ilb.is_empty() {
        let twice = of_ilb.iter().map(|(_, measurement)| measurement.closed_twice).sum();
        bars.push(Bar::new("clients that were closed twice", number(twice), 0.0));
    }
    bars.extend(of_workload(&of_ilb, Workload::A, 0.005, 0.005));
    bars.extend(of_workload(&of_ilb, Workload::B, 0.0, 0.01));
    bars
}

fn of_case(case: &Case, measurement: &Measurement) -> Vec<Bar> {
    let name = format!("{} at {}/s, {}", case.scenario.name, case.rate, case.workload_names());
    let level = measurement.level_after.unwrap_or(f64::NAN);
    let mut bars = vec![
        Bar::new(format!("{name}: seconds until level"), level, case.limit().as_secs_f64()),
        Bar::new(format!("{name}: closings, relative to the minimum"), measurement.closings_by_minimum(), 1.05),
    ];
    if case.scenario.clients >= MANY_CLIENTS {
        let cores = measurement.ilb + measurement.closer;
        bars.push(Bar::new(format!("{name}: processor time of ilb and the closer, in cores"), cores, 0.02));
    }
    bars
}

/// Returns the bars of a workload over all cases: in one of them, chance would decide.
fn of_workload(of_ilb: &[(Case, &Measurement)], workload: Workload, cut: f64, crossed: f64) -> Vec<Bar> {
    let tallies: Vec<&Tally> =
        of_ilb.iter().filter_map(|(_, measurement)| measurement.workloads.get(&workload)).collect();
    let share = |of: fn(&Tally) -> usize| {
        let sum = |of: fn(&Tally) -> usize| tallies.iter().map(|tally| of(tally)).sum();
        number(sum(of)) / number(sum(|tally| tally.ends))
    };
    if tallies.is_empty() {
        return Vec::new();
    }
    let name = workload.name();
    vec![
        Bar::new(format!("workload {name}: requests cut, for each closing"), share(|tally| tally.cut), cut),
        Bar::new(
            format!("workload {name}: requests that crossed a closing, for each closing"),
            share(|tally| tally.crossed),
            crossed,
        ),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "there are few clients")]
fn number(count: usize) -> f64 {
    count as f64
}
